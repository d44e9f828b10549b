"""What one transaction changes: collected as values, written in bulk, and put into the world once committed."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import Any

from scheduler.decision.snapshot import Reservation
from scheduler.domain.allowances import Allowance, AllowanceBalance, Freeze
from scheduler.domain.brakes import STOP_RATE_WINDOW_MS, Brake, Stop
from scheduler.domain.errors import Conflict, RefusalCode
from scheduler.domain.people import Caller
from scheduler.domain.reasons import Evidence, Reason
from scheduler.domain.records import AuditEvent, PodRun, RecordedVerdict
from scheduler.domain.terms import Draw
from scheduler.domain.units import AllowanceId, AttemptId, EngineerId, HoldId, Instant, JobUid, PodUid, WorkloadId
from scheduler.domain.workloads import LASTING, Attempt, Workload, WorkloadState, require_transition
from scheduler.ledger.corrections import into_open_period
from scheduler.ledger.holds import Hold, HoldState
from scheduler.ledger.journal import AccountKind, Transaction, TransactionKind, available_on
from scheduler.lifecycle.memory.world import World
from scheduler.ports import Books, Store


@contextmanager
def changing(store: Store, world: World, now: Instant) -> Iterator["Batch"]:
    """One write transaction over the store and, once it is committed, the world. Rolled back where the block raises."""
    with world.writer:
        with store.writing() as books:
            batch = Batch(books, world, now)
            yield batch
            batch.save()
        batch.publish()


class Batch:
    """Changes of one transaction. Reading through it (`workload`, `attempt`, …) sees what it has changed so far."""

    def __init__(self, books: Books, world: World, now: Instant) -> None:
        self.books = books
        self.world = world
        self.now = now
        self._added: dict[WorkloadId, Workload] = {}
        self._added_by: Counter[EngineerId] = Counter()
        self._changed: dict[WorkloadId, Workload] = {}
        self._new_attempts: dict[AttemptId, Attempt] = {}
        self._attempts: dict[AttemptId, Attempt] = {}
        self._pods: dict[PodUid, PodRun] = {}
        self._pods_of: dict[AttemptId, dict[PodUid, PodRun]] = {}
        self._known_holds: dict[AttemptId, Sequence[Hold]] = {}
        self._known_parts: dict[AllowanceId, Sequence[tuple[Instant, int]]] = {}
        self._transactions: list[Transaction] = []
        self._moved: dict[str, int] = {}
        self._opened: dict[HoldId, Hold] = {}
        self._assigned: dict[HoldId, AttemptId] = {}
        self._hold_charges: dict[HoldId, int] = {}
        self._draws: dict[HoldId, Draw] = {}
        self._resolved: dict[HoldId, None] = {}
        self._uncovered: set[AttemptId] = set()
        self._verdicts: list[RecordedVerdict] = []
        self._reservations: dict[WorkloadId, Reservation | None] = {}
        self._stops: list[Stop] = []
        self._events: list[AuditEvent] = []
        self._allowances: list[Allowance] = []
        self._freezes: list[Freeze] = []
        self._balances: list[AllowanceBalance] = []
        self._jobs_over: list[JobUid] = []
        self._then: list[Callable[[], None]] = []

    # reading

    def workload(self, workload_id: WorkloadId) -> Workload | None:
        return self._changed.get(workload_id) or self._added.get(workload_id) or self.world.workloads.get(workload_id)

    def attempt(self, attempt_id: AttemptId) -> Attempt | None:
        return (
            self._attempts.get(attempt_id)
            or self._new_attempts.get(attempt_id)
            or self.world.attempts.get(attempt_id)
        )

    @property
    def changed_attempts(self) -> Iterable[Attempt]:
        """Those that it adds or changes, as it leaves them."""
        return chain(self._new_attempts.values(), self._attempts.values())

    @property
    def added(self) -> Collection[Workload]:
        """The workloads that it adds."""
        return self._added.values()

    def added_by(self, owner: EngineerId) -> int:
        """How many workloads of this owner the batch adds."""
        return self._added_by[owner]

    def live_attempt(self, workload_id: WorkloadId) -> Attempt | None:
        """As it is after what this batch has done: one that it ended is none."""
        known = self.world.live_attempt(workload_id)
        attempt = self.attempt(known.id) if known is not None else None
        return attempt if attempt is not None and attempt.is_live else None

    def pod_runs(self, attempt_id: AttemptId) -> list[PodRun]:
        runs = {**self.world.pods.get(attempt_id, {}), **self._pods_of.get(attempt_id, {})}
        return [runs[uid] for uid in sorted(runs)]

    def holds_of(self, attempt_id: AttemptId) -> list[Hold]:
        """The attempt's holds in funding order, with what this batch has done to them."""
        if attempt_id not in self._known_holds:
            self.fetch_holds([attempt_id])
        holds = {hold.id: hold for hold in self._known_holds[attempt_id]}
        holds.update((hold.id, hold) for hold in self._opened.values() if hold.attempt_id == attempt_id)
        return [self._as_charged(hold) for hold in sorted(holds.values(), key=lambda h: (h.opened_at, h.order, h.id))]

    def fetch_holds(self, ids: Sequence[AttemptId]) -> None:
        """Read the holds of attempts that are about to be settled, in one query."""
        self._known_holds.update(self.books.holds.of_attempts(ids))

    def _as_charged(self, hold: Hold) -> Hold:
        draw = self._draws.get(hold.id, hold.draw)
        state = HoldState.RESOLVED if hold.id in self._resolved else hold.state
        return replace(hold, charged=hold.charged + self._hold_charges.get(hold.id, 0), draw=draw, state=state)

    def covered(self, attempt_id: AttemptId) -> int:
        """Standard GPU-milliseconds that the attempt's holds cover in all."""
        known = self.world.covered.get(attempt_id)
        if known is None:
            known = self.world.covered[attempt_id] = self._cover(self.books.holds.of_attempt(attempt_id), attempt_id)
        return known + self._cover((h for h in self._opened.values() if h.attempt_id == attempt_id), attempt_id)

    def _cover(self, holds: Iterable[Hold], attempt_id: AttemptId) -> int:
        attempt = self.attempt(attempt_id)
        assert attempt is not None, "what is covered runs"
        return sum(
            hold.in_standard(hold.amount if hold.state is HoldState.OPEN else hold.charged, attempt) for hold in holds
        )

    def vested(self, allowance_id: AllowanceId) -> Sequence[tuple[Instant, int]]:
        """Which parts of a package have vested, and when."""
        if allowance_id not in self._known_parts:
            account, kind = available_on(allowance_id), TransactionKind.VEST
            posted = self.books.journal.entries(accounts=[account], transactions=[kind])
            self._known_parts[allowance_id] = [(entry.corrects_at or entry.at, entry.amount) for entry in posted]
        return self._known_parts[allowance_id]

    def moved(self, allowance_id: AllowanceId) -> int:
        """What this batch adds to what can be held of the allowance; below 0 where it takes from it."""
        return self._moved.get(allowance_id, 0)

    @property
    def stops(self) -> Sequence[Stop]:
        """Those that this batch adds."""
        return self._stops

    def attempts_made(self, workload_id: WorkloadId) -> int:
        """How many attempts the workload has had."""
        known = self.world.attempts_made.get(workload_id)
        if known is None:
            known = len(self.books.attempts.of_workload(workload_id))
            self.world.attempts_made[workload_id] = known
        return known

    def attempts_of(self, workload_id: WorkloadId) -> list[Attempt]:
        """All attempts of the workload in the order of their numbers, as this batch leaves them. Reads the store."""
        known = {attempt.id: attempt for attempt in self.books.attempts.of_workload(workload_id)}
        changed = [*self._attempts.values(), *self._new_attempts.values()]
        known.update((attempt.id, attempt) for attempt in changed if attempt.workload_id == workload_id)
        return sorted(known.values(), key=lambda attempt: attempt.number)

    @property
    def said(self) -> Sequence[RecordedVerdict]:
        """The verdicts that it is to record."""
        return self._verdicts

    # changing

    def add_workload(self, workload: Workload) -> None:
        self._added[workload.id] = workload
        self._added_by[workload.owner] += 1

    def change_workload(self, workload: Workload, **fields: Any) -> Workload:
        """Replace fields of a workload; its version grows once per batch. The state table is kept."""
        assert not fields.keys() & LASTING, "what never changes is not written again"
        to = fields.get("state", workload.state)
        if to is not workload.state:
            require_transition(workload.id, workload.state, to)
            fields.setdefault("state_since", self.now)
        known = self.world.workloads.get(workload.id)
        version = (known.version if known is not None else workload.version) + 1
        changed = replace(workload, version=version, **fields)
        self._changed[workload.id] = changed
        return changed

    def add_attempt(self, attempt: Attempt) -> None:
        self._new_attempts[attempt.id] = attempt

    def put_attempt(self, attempt: Attempt) -> None:
        if attempt.id in self._new_attempts:
            self._new_attempts[attempt.id] = attempt
        else:
            self._attempts[attempt.id] = attempt

    def put_pod(self, run: PodRun) -> None:
        self._pods[run.pod_uid] = run
        self._pods_of.setdefault(run.attempt_id, {})[run.pod_uid] = run

    def add_allowance(self, allowance: Allowance) -> None:
        self._allowances.append(allowance)

    def freeze(self, freeze: Freeze) -> None:
        self._freezes.append(freeze)

    def post(self, *transactions: Transaction) -> None:
        self._transactions.extend(transactions)
        for entry in chain.from_iterable(each.entries for each in transactions):
            if entry.account.kind is AccountKind.ALLOWANCE:
                self._moved[entry.account.owner] = self._moved.get(entry.account.owner, 0) + entry.amount

    def open_holds(self, holds: Iterable[Hold]) -> None:
        self._opened.update((hold.id, hold) for hold in holds)

    def assign_holds(self, ids: Iterable[HoldId], attempt_id: AttemptId) -> None:
        """Holds that a reservation made become those of the attempt."""
        self._assigned.update((hold_id, attempt_id) for hold_id in ids)

    def charge_holds(self, amounts: Mapping[HoldId, int], draws: Mapping[HoldId, Draw] | None = None) -> None:
        """`draws` are those of other units than standard time, as they stand after it."""
        for hold_id, amount in amounts.items():
            self._hold_charges[hold_id] = self._hold_charges.get(hold_id, 0) + amount
        self._draws.update(draws or {})

    def resolve_holds(self, ids: Iterable[HoldId]) -> None:
        self._resolved.update(dict.fromkeys(ids))

    def forget_covered(self, attempt_id: AttemptId) -> None:
        """Some of its holds were released while it runs: what they cover is to be asked anew."""
        self._uncovered.add(attempt_id)

    def say(self, workload_id: WorkloadId, reason: Reason, evidence: Evidence) -> None:
        """Record a verdict."""
        self._verdicts.append(RecordedVerdict(0, workload_id, self.now, reason, evidence))

    def reserve(self, workload_id: WorkloadId, reservation: Reservation | None) -> None:
        self._reservations[workload_id] = reservation

    def count_stop(self, brake: Brake, gpus: int) -> None:
        self._stops.append(Stop(brake, self.now, gpus))

    def forget_job(self, uid: JobUid) -> None:
        """What it came to is written down: it need not be kept. Until that is committed it is the only evidence."""
        self._jobs_over.append(uid)

    def audit(
        self, caller: Caller, verb: str, target: str, *, request_id: str = "", before: str = "", after: str = ""
    ) -> None:
        """Keep who did what. A person stands in it by their opaque id."""
        self._events.append(AuditEvent(self.now, caller.actor, caller.role, verb, target, request_id, before, after))

    def then(self, follows: Callable[[], None]) -> None:
        """Have the world follow once this is committed, and before anybody else writes: of two who change the same, the
        world goes by whom the books have last."""
        self._then.append(follows)

    # committing

    def save(self) -> None:
        """Write everything, in the order that the foreign keys want. A workload that another process changed
        meanwhile is a Conflict (`stale`): the transaction is rolled back and its cause looked at anew."""
        self._follow()
        books = self.books
        for allowance in self._allowances:
            books.allowances.add(allowance)
        for freeze in self._freezes:
            books.allowances.add_freeze(freeze)
        books.workloads.add([self._changed.pop(w.id, w) for w in self._added.values()])
        stale = books.workloads.save(list(self._changed.values()))
        if stale:
            raise Conflict(f"{', '.join(stale)} changed meanwhile", code=RefusalCode.STALE, remedy="look again")
        books.attempts.add(list(self._new_attempts.values()))
        books.attempts.save(list(self._attempts.values()))
        books.attempts.save_pods(list(self._pods.values()))
        books.holds.open(list(self._opened.values()))
        for attempt_id in sorted(set(self._assigned.values())):
            books.holds.assign([h for h, a in self._assigned.items() if a == attempt_id], attempt_id)
        closed = self.world.closed_periods
        books.journal.post([into_open_period(each, closed, self.now) for each in self._transactions], self.now)
        if self._hold_charges:
            amounts = {i: amount for i, amount in self._hold_charges.items() if amount or i in self._draws}
            books.holds.charge(amounts, self._draws)
        books.holds.resolve(list(self._resolved), self.now)
        books.verdicts.add(self._verdicts)
        if self._reservations:
            books.attempts.save_reservations(self._reservations)
        if self._stops:
            books.control.add_stops(self._stops)
        if self._events:
            books.control.add_events(self._events)
        touched = self._touched_allowances()
        self._balances = books.allowances.balances(ids=touched) if touched else []

    def _follow(self) -> None:
        """What follows a workload that is over may start now, or is called off where that has not completed."""
        over = [workload for workload in self._changed.values() if workload.state.is_final]
        for leader in over:  # grows as followers are called off, whose own followers are then
            for workload_id in self.world.conditions.followers(leader.id):
                follower = self.workload(workload_id)
                if follower is None or follower.state is not WorkloadState.QUEUED:
                    continue
                if leader.state is WorkloadState.COMPLETED:
                    left = tuple(each for each in follower.spec.after if each != leader.id)
                    fields = {"eligible_at": max(self.now, follower.waits_since)} if not left else {}
                    self.change_workload(follower, spec=replace(follower.spec, after=left), **fields)
                else:
                    reason = Reason.DEPENDENCY_NEVER
                    self.say(workload_id, reason, {"after": leader.id, "after_name": leader.spec.name})
                    over.append(self.change_workload(follower, state=WorkloadState.CANCELLED, state_reason=reason))

    def publish(self) -> None:
        """Put what was committed into the world."""
        world = self.world
        with world.lock:
            world.attempts_made.update(dict.fromkeys(self._added, 0))
            world.put_workloads([*self._added.values(), *self._changed.values()])
            world.put_attempts([*self._new_attempts.values(), *self._attempts.values()])
            world.put_pod_runs(self._pods.values())
            for uid in self._jobs_over:
                world.put_job(uid, None)
            world.put_reservations(self._reservations)
            opened = {hold.attempt_id for hold in self._opened.values()}
            for attempt_id in {*self._assigned.values(), *opened, *self._uncovered}:
                if attempt_id is not None:
                    world.covered.pop(attempt_id, None)
            if self._balances:
                self._publish_balances()
            world.put_verdicts(self._verdicts)
            if self._stops:
                recent = [s for s in (*world.stops, *self._stops) if self.now - s.at < STOP_RATE_WINDOW_MS]
                world.put_brakes(stops=recent)
        for follows in self._then:
            follows()

    def _publish_balances(self) -> None:
        for balance in self._balances:
            expires_at = balance.allowance.expires_at
            if expires_at is not None and expires_at <= self.now and _is_spent(balance):
                self.world.drop_balance(balance.allowance.id)
            else:
                self.world.put_balances([balance])

    def _touched_allowances(self) -> list[AllowanceId]:
        kinds = {AccountKind.ALLOWANCE, AccountKind.HELD, AccountKind.PROMISED}
        return sorted(
            {
                AllowanceId(entry.account.owner)
                for transaction in self._transactions
                for entry in transaction.entries
                if entry.account.kind in kinds
            }
            | {allowance.id for allowance in self._allowances}
            | {freeze.allowance_id for freeze in self._freezes}
        )


def _is_spent(balance: AllowanceBalance) -> bool:
    return balance.held == 0 and balance.available <= 0 and balance.promised == 0
