"""Close a period: charge what ran in it to its end, reconcile, and refuse postings dated inside from then on."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from scheduler.domain.errors import Conflict, InvalidInput, NotFound, RefusalCode, Unavailable
from scheduler.domain.people import Caller, Role
from scheduler.domain.periods import Period, iso, period_named
from scheduler.domain.records import PodRun
from scheduler.domain.sizes import grown_by
from scheduler.domain.units import AttemptId, EngineerId, Instant, NodeName, ProjectName
from scheduler.domain.wording import counted
from scheduler.domain.workloads import Attempt
from scheduler.finance.proving.ports import Booked, PeriodBook, SeenUse
from scheduler.finance.reconciling.closing import Closing, ClosingState, standing
from scheduler.finance.reconciling.reconciliation import (
    PLATFORM,
    AttemptUse,
    Difference,
    Evidence,
    Reconciliation,
    Settlement,
    SettlementKind,
    reconcile,
    tolerance,
)
from scheduler.lifecycle.memory.named import named
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.charge import charged_up_to
from scheduler.lifecycle.running.keep import CHARGE_BEHIND_MS
from scheduler.lifecycle.running.renew import charge_until
from scheduler.lifecycle.writing.batch import changing
from scheduler.ports import Books, Store

SEES_BOOKS = (Role.FINANCE, Role.AUDITOR, Role.OPERATOR)


OWNERS = "a team, a project, a person's id or subject, or platform"


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody with the right to says of a difference: whose it is, or that it is written off, and why."""

    kind: SettlementKind
    reason: str
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Periods:
    """The verbs of closing. Finance closes and writes off; auditors and operators look on."""

    store: Store
    world: World

    def steps(self, caller: Caller) -> list[Closing]:
        """Every step of every close, in order, by whom they know."""
        caller.require(*SEES_BOOKS)
        with self.store.reading() as books:
            return [replace(step, by=named(self.world, step.by)) for step in books.periods.steps()]

    def close(
        self, caller: Caller, name: str, *, now: Instant, request_id: str = "", provisionally: bool = False
    ) -> Closing:
        """Close it, or take the first step alone. What is left unreconciled leaves it provisional.

        Raises Conflict: `period-not-over`, `period-closed` where it is already, `period-unreconciled`; Unavailable
        (`cluster-unavailable`) while nobody knows whether what runs had ended before the period did.
        """
        caller = caller.require(Role.FINANCE)
        period = self._period(name)
        if now < period.ends_at:
            raise Conflict(
                f"{period.name} is not over before {iso(period.ends_at)}", code=RefusalCode.PERIOD_NOT_OVER
            )
        step = Closing(
            period.name,
            period.starts_at,
            period.ends_at,
            ClosingState.PROVISIONAL,
            now,
            caller.actor,
            caller.role,
            request_id,
        )
        provisional = self._begin(caller, step)
        if provisionally:
            return provisional
        found = self._reconciled(period, now)
        if found.unresolved:
            unsettled = counted(len(found.unresolved), "difference has", "differences have")
            raise Conflict(
                f"{period.name} stays provisional: {unsettled} no owner and no write-off",
                code=RefusalCode.PERIOD_UNRECONCILED,
                remedy=f"see `allot reconcile --period {period.name}`; `allot period assign` or `write-off` settles them",
            )
        return self._end(caller, replace(step, state=ClosingState.CLOSED, sums=_sums(found)), found)

    def reconciliation(self, caller: Caller, name: str, now: Instant) -> Reconciliation:
        """What charges, pods and devices say of the period, as of now."""
        caller.require(*SEES_BOOKS)
        found = self._reconciled(self._period(name), now)
        return replace(found, differences=tuple(self._named(each) for each in found.differences))

    def settle(
        self, caller: Caller, difference_ids: Iterable[str], decision: Decision, *, now: Instant, request_id: str = ""
    ) -> list[Difference]:
        """Say whose these differences are, or write them off. Raises NotFound for one that is none, and for an owner
        whom nobody knows (`unknown-owner`)."""
        caller = caller.require(Role.FINANCE)
        if not decision.reason.strip():
            raise InvalidInput("a settlement needs a reason", where="reason", expected="a sentence")
        if decision.kind is SettlementKind.OWNER and not decision.owner.strip():
            raise InvalidInput("who is the owner?", where="owner", expected=OWNERS)
        owner = _owner_id(self.world, decision.owner.strip()) if decision.kind is SettlementKind.OWNER else ""
        wanted = list(dict.fromkeys(difference_ids))
        settled: list[Difference] = []
        for name in dict.fromkeys(difference_id.partition("/")[0] for difference_id in wanted):
            known = {each.id: each for each in self._reconciled(self._period(name), now).differences}
            for difference_id in (each for each in wanted if each.startswith(f"{name}/")):
                if difference_id not in known:
                    raise _unknown(difference_id)
                settled.append(known[difference_id])
        if not settled:
            raise _unknown(", ".join(wanted))
        made = [
            Settlement(each.id, each.gpu_ms, decision.kind, owner, decision.reason, caller.actor, now, request_id)
            for each in settled
        ]
        with changing(self.store, self.world, now) as batch:
            stands = _standing_settlements(batch.books.periods, made)
            new = [each for each in made if each.difference_id not in stands]
            batch.books.periods.add_settlements(new)
            for settlement in new:
                after = f"{decision.kind.value}: {owner or decision.reason}"
                batch.audit(caller, "settle", settlement.difference_id, request_id=request_id, after=after)
            stands = _standing_settlements(batch.books.periods, made)
        return [self._named(replace(each, settlement=stands[each.id])) for each in settled]

    def _named(self, difference: Difference) -> Difference:
        """For its reader: a person who owns it by their subject."""
        settlement = difference.settlement
        if settlement is None:
            return difference
        return replace(difference, settlement=replace(settlement, owner=named(self.world, settlement.owner)))

    def _period(self, name: str) -> Period:
        return period_named(name, self.world.require_policy().time_zone)

    def _begin(self, caller: Caller, step: Closing) -> Closing:
        """Charge what runs up to the period's end, and note that it is provisional, once."""
        with changing(self.store, self.world, step.at) as batch:
            known = self._not_closed(batch.books.periods, step)
            launched = [
                each for each in self.world.attempts.values() if each.is_live and each.launched_at < step.ends_at
            ]
            _require_heard(self.world, launched, step)
            for attempt in launched:
                if attempt.started_at is not None and attempt.started_at < step.ends_at:
                    charge_until(batch, attempt, step.ends_at)
            if known is not None:
                return known
            batch.audit(
                caller, "close provisionally", step.period, request_id=step.request_id, after=step.state.value
            )
            return batch.books.periods.add_step(step)

    def _end(self, caller: Caller, step: Closing, found: Reconciliation) -> Closing:
        with changing(self.store, self.world, step.at) as batch:
            periods = batch.books.periods
            self._not_closed(periods, step)  # somebody else may have closed it while this one compared
            if sum(periods.charged(step.starts_at, step.ends_at).values()) != found.charged:
                raise Conflict(
                    f"something was posted into {step.period} meanwhile", code=RefusalCode.STALE, remedy="try again"
                )
            periods.add_differences(found.differences, step.at)
            made = periods.add_step(step)
            before = ClosingState.PROVISIONAL.value
            batch.audit(caller, "close", step.period, request_id=step.request_id, before=before, after=step.sums)
            batch.then(partial(self._put_closed, periods.closed()))
        return made

    def _put_closed(self, closed: Sequence[tuple[Instant, Instant]]) -> None:
        self.world.closed_periods = tuple(closed)

    def _not_closed(self, periods: PeriodBook, step: Closing) -> Closing | None:
        """The step at which the period stands, if there was any. Raises Conflict (`period-closed`)."""
        known = standing(periods.steps()).get(step.period)
        if known is not None and known.state is ClosingState.CLOSED:
            raise Conflict(
                f"{step.period} was closed at {iso(known.at)} by {named(self.world, known.by)}",
                code=RefusalCode.PERIOD_CLOSED,
            )
        return known

    def _reconciled(self, period: Period, now: Instant) -> Reconciliation:
        with self.store.reading() as books:
            evidence = _evidence(books, period, now)
            return reconcile(period.name, evidence, books.periods.settlements(period.name))


def _require_heard(world: World, launched: Iterable[Attempt], step: Closing) -> None:
    """A charge is never taken back: what may have ended unheard, or with a node on which the cluster has not given up yet,
    is not charged to the period's end. What was launched may have started unheard, and belongs to the period."""
    heard_at, settled_at = world.rounds.heard_at, Instant(step.ends_at + CHARGE_BEHIND_MS)
    if (heard_at is None or heard_at < settled_at) and not all(each.is_booking for each in launched):
        raise Unavailable(
            f"the cluster was not heard of since {iso(settled_at)}: what ran in {step.period} may have ended before it did",
            code=RefusalCode.CLUSTER_UNAVAILABLE,
            remedy="close it when the cluster answers, from that time on",
        )


def _owner_id(world: World, name: str) -> str:
    """Who owns a difference, as the books keep it: settlements are proven for good, so a person by the opaque id.

    Raises NotFound (`unknown-owner`).
    """
    people = list(world.people.values())
    person = world.people.get(EngineerId(name)) or next((each for each in people if each.subject == name), None)
    if person is not None:
        return person.id
    policy = world.require_policy()
    is_team = name in policy.pool_of_team or any(each.team == name for each in people)
    if not is_team and ProjectName(name) not in policy.projects and name != PLATFORM:
        raise NotFound(
            f"there is no owner {name!r}",
            code=RefusalCode.UNKNOWN_OWNER,
            where="owner",
            expected=OWNERS,
            remedy="name one of these",
        )
    return name


def _standing_settlements(periods: PeriodBook, made: Sequence[Settlement]) -> dict[str, Settlement]:
    """Those of them that are in force already, by their differences: the same person said the same of the same amount."""
    names = dict.fromkeys(each.difference_id.partition("/")[0] for each in made)
    last = {each.difference_id: each for name in names for each in periods.settlements(name)}
    known = ((each, last.get(each.difference_id)) for each in made)
    return {
        stands.difference_id: stands
        for each, stands in known
        if stands is not None and replace(stands, at=each.at, request_id=each.request_id, seq=each.seq) == each
    }


def _evidence(books: Books, period: Period, now: Instant) -> Evidence:
    """What the journal, the cluster and the agents say of the period."""
    book: PeriodBook = books.periods
    live = {attempt.id: attempt for attempt in books.attempts.live()}
    booked = book.booked(period.starts_at, period.ends_at)
    runs = book.pods(period.starts_at, period.ends_at)
    uses: dict[AttemptId, AttemptUse] = defaultdict(AttemptUse)
    for attempt_id, charged in book.charged(period.starts_at, period.ends_at).items():
        uses[attempt_id].charged = charged
    for run in runs:
        use = uses[run.attempt_id]
        use.pods += _held(run, period, now)
        use.billable += _between(run, period, now)
        use.gpus += run.gpus
        if run.node is not None:
            use.nodes |= {run.node}
    seen: list[SeenUse] = book.seen(period.starts_at, period.ends_at)
    unowned: dict[str, int] = defaultdict(int)
    of_node: dict[NodeName, int] = defaultdict(int)
    window_ms: dict[str, int] = {}
    for each in seen:
        of_node[each.node] = max(of_node[each.node], each.window_ms)
        if each.attempt_id is None:
            unowned[each.gpu] += each.active_ms
            window_ms[each.gpu] = each.window_ms
        else:
            use = uses[each.attempt_id]
            use.devices += each.covered_ms
            use.nodes |= {each.node}
            use.gpus += use.pods == 0  # none of its pods held GPUs inside: only the rest of a window is
    for use in uses.values():
        use.window_ms = max((of_node[node] for node in use.nodes if node in of_node), default=0)
    _move_to_who_ran_inside(uses, runs, booked, _charged_until(books, booked, live, now), period, now)
    for attempt_id, use in uses.items():
        if use.seen_longer > tolerance(use):
            use.starting = _starting(books, attempt_id, period, now)
    not_yet = 0
    if now < period.ends_at:  # what runs on in it is charged later
        payers = {each: booked[each].booking if each in booked else each for each in uses}
        not_yet = sum(
            _leave_out_uncharged(uses[each]) for each, payer in payers.items() if {each, payer} & live.keys()
        )
    return Evidence(dict(uses), frozenset(of_node), dict(unowned), window_ms, not_yet)


def _move_to_who_ran_inside(
    uses: Mapping[AttemptId, AttemptUse],
    runs: Iterable[PodRun],
    booked: Mapping[AttemptId, Booked],
    charged_until: Mapping[AttemptId, Instant],
    period: Period,
    now: Instant,
) -> None:
    """What bookings are charged for is of those who ran inside, as far as anybody did; the rest was used by nobody."""
    for run in runs:
        paid = booked.get(run.attempt_id)
        if paid is None or paid.booking == run.attempt_id:
            continue
        until = min(now, paid.until)
        held = _held(run, period, until)
        uses[run.attempt_id].billable += held - _between(run, period, until)
        uses[paid.booking].pods -= held
        uses[paid.booking].billable -= held
        if paid.booking in charged_until:
            until = max(period.starts_at, min(until, charged_until[paid.booking]))
        charged = _held(run, period, until)
        uses[run.attempt_id].charged += charged
        uses[paid.booking].charged -= charged
    for booking_id in {paid.booking for paid in booked.values()} & uses.keys():
        uses[booking_id].unused = uses[booking_id].charged


def _charged_until(
    books: Books, booked: Mapping[AttemptId, Booked], live: Mapping[AttemptId, Attempt], now: Instant
) -> dict[AttemptId, Instant]:
    """Up to when each booking is charged that is not over yet: that is by the slice."""
    active = {paid.booking for paid in booked.values()} & live.keys()
    runs = books.attempts.pods_of(sorted(active))
    return {each: charged_up_to(runs[each], live[each], now) for each in active}


def _starting(books: Books, attempt_id: AttemptId, period: Period, now: Instant) -> int:
    """What the attempt's pods held within the period before they started: binding, image pull."""
    attempt, held = books.attempts.get(attempt_id), 0
    if attempt is None:
        return 0
    for run in books.attempts.pods_of([attempt_id])[attempt_id]:
        came_at = min(now, run.started_at or run.ended_at or now)
        since = max(period.starts_at, grown_by(attempt, came_at))
        held += run.gpus * max(0, min(came_at, period.ends_at) - since) if run.node is not None else 0
    return held


def _leave_out_uncharged(use: AttemptUse) -> int:
    uncharged = max(0, use.billable - use.charged)
    use.pods -= uncharged
    use.billable -= uncharged
    use.devices = max(0, use.devices - uncharged)
    return uncharged


def _between(run: PodRun, period: Period, now: Instant) -> int:
    """What of the pod is to be charged within the period."""
    return run.gpu_ms_until(min(now, period.ends_at)) - run.gpu_ms_until(period.starts_at)


def _held(run: PodRun, period: Period, now: Instant) -> int:
    """What the pod held within the period, beyond the grace too."""
    return _between(replace(run, billable_until=None), period, now)


def _sums(found: Reconciliation) -> str:
    sums = {
        "charged_gpu_ms": found.charged,
        "held_by_pods_gpu_ms": found.held_by_pods,
        "seen_on_devices_gpu_ms": found.seen_on_devices,
        "differences": len(found.differences),
    }
    return json.dumps(sums, separators=(",", ":"))


def _unknown(difference_id: str) -> NotFound:
    return NotFound(
        f"the reconciliation finds no difference {difference_id!r}",
        code=RefusalCode.UNKNOWN_DIFFERENCE,
        expected="such as 2026-10/evidence-lost/node:n-1",
    )
