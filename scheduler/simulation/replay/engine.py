"""One policy over one stream, event by event: what runs ends, what waits is decided on, and the books are kept.

A cycle comes at the next multiple of `cycle_ms` after something changed, as the service's comes within a second; what
happens between two cycles happens at its own instant. Nodes do not fail here, and nobody cancels.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from scheduler.decision.decide import step
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Changes
from scheduler.decision.state import State
from scheduler.domain.cluster import Node
from scheduler.domain.errors import Refusal
from scheduler.domain.people import Engineer
from scheduler.domain.policy import Policy, image_is_allowed
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_DAY, MS_PER_MINUTE, MS_PER_SECOND, GpuClassName, Instant, WorkloadId
from scheduler.domain.workloads import Workload, WorkloadKind, WorkloadSpec
from scheduler.finance.prices.price_book import PriceBook
from scheduler.lifecycle.asking.judge import judge, require_room_in_queue, with_defaults
from scheduler.lifecycle.awarding.periodic import period_grants
from scheduler.simulation.asking import an_image
from scheduler.simulation.replay.attempts import Attempts
from scheduler.simulation.replay.books import ReplayBooks
from scheduler.simulation.replay.calendar import Calendar
from scheduler.simulation.replay.measures import Measures, Window
from scheduler.simulation.replay.submissions import Stream, Submission
from scheduler.simulation.replay.works import Work

WAKE_EVERY_MS = MS_PER_MINUTE
"""What time alone changes (a pace band, the end of a minimum runtime) is looked at no more often."""


@dataclass(frozen=True, slots=True)
class Tempo:
    """How finely time is cut, and for how long after the last submission it goes on."""

    cycle_ms: int = MS_PER_SECOND
    drain_ms: int = MS_PER_DAY


Progress = Callable[[int, Instant], None]
"""Told how many submissions have come, and the instant it has come to."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy made of the stream. `works` are those it took in, in their order."""

    policy: Policy
    nodes: Sequence[Node]
    measures: Measures
    books: ReplayBooks
    works: Sequence[Work]
    stopped_at: Instant
    cycles: int


class Replay:
    """One policy. `nodes` have the GPU classes of that policy; `book` says what money buys."""

    def __init__(
        self,
        policy: Policy,
        nodes: Sequence[Node],
        stream: Stream,
        tempo: Tempo,
        window: Window,
        book: PriceBook | None = None,
    ) -> None:
        self._policy = policy
        self._nodes = _interleaved(nodes)
        self._stream = stream
        self._tempo = tempo
        self._people: dict[str, Engineer] = {engineer.id: engineer for engineer in stream.people}
        self._calendar = Calendar(policy, book)
        self._books = ReplayBooks()
        self._measures = Measures(window, Calendar(policy), {each.id: each for each in stream.people})
        self._attempts = Attempts(policy, self._books, self._calendar, self._measures)
        self._state = State()
        self._is_room_awaited = False
        self._wakes_at: Instant | None = None
        """When time alone may change something for who waits, as of the last cycle."""
        self._works: list[Work] = []
        self._cycles = 0
        self._grants = deque(stream.grants)
        self._stops_at = Instant(window.ends_at + tempo.drain_ms)
        self._image = {kind: an_image(policy, kind) for kind in WorkloadKind}

    def run(self, progress: Progress) -> Outcome:
        """From the first submission until nothing is left to happen, or the time after the last is over."""
        now = self._measures.window.starts_at
        self._begin(now)
        coming = iter(self._stream.submissions)
        following = next(coming, None)
        while True:
            due_at = self._next_at(following)
            if due_at is None or due_at > self._stops_at:
                break
            now = max(now, _rounded_up(due_at, self._tempo.cycle_ms))
            while following is not None and following.at <= now:
                self._happen_until(following.at)
                self._take_in(following)
                following = next(coming, None)
            self._happen_until(now)
            self._decide(now)
            progress(len(self._works), now)
        return self._finish(now if due_at is None else self._stops_at)

    # time

    def _begin(self, now: Instant) -> None:
        self._calendar.look_ahead(now)
        self._open_period(now)
        changes = Changes(
            policy=self._policy,
            nodes={node.name: node for node in self._nodes},
            tiers={engineer.id: engineer.tier for engineer in self._stream.people},
            prices=self._calendar.prices,
        )
        self._step(changes, now)

    def _open_period(self, now: Instant) -> None:
        """Grant the period's hours; what is left of the last one's rolls over or expires."""
        self._grant_due(now)
        period = self._calendar.at(now)
        self._attempts.feed.close(self._books.expire_due(now, period))
        for allowance in period_grants(self._stream.people, self._policy, period, self._calendar.currency):
            self._books.open(allowance, actor="policy")
        self._period_ends_at = period.ends_at

    def _grant_due(self, now: Instant) -> None:
        """What people granted by hand and is not over."""
        while self._grants and self._grants[0].starts_at <= now:
            allowance = self._grants.popleft()
            if allowance.is_open_at(now):
                self._books.open(allowance, actor="a person")

    def _next_at(self, following: Submission | None) -> Instant | None:
        """When something next happens that a cycle must look at."""
        attempts = self._attempts
        instants = [following.at] if following is not None else []
        planned_at = attempts.timeline.next_at()
        if planned_at is not None:
            instants.append(planned_at)
        if attempts.waiting or attempts.growable:
            instants.append(self._period_ends_at)
            if self._wakes_at is not None:
                instants.append(_rounded_up(self._wakes_at, WAKE_EVERY_MS))
            if self._grants:
                instants.append(self._grants[0].starts_at)
        return min(instants, default=None)

    def _happen_until(self, until: Instant) -> None:
        self._grant_due(until)
        while self._period_ends_at <= until:
            self._attempts.timeline.happen_until(Instant(self._period_ends_at - 1))
            self._open_period(self._period_ends_at)
        self._attempts.timeline.happen_until(until)

    # submissions

    def _take_in(self, submission: Submission) -> None:
        self._measures.asked(submission)
        owner = self._people[submission.owner]
        spec = with_defaults(submission.spec, self._policy)
        image = self._image[spec.kind]
        if spec.image != image and (not spec.image or not self._is_allowed(spec)):
            spec = replace(spec, image=image)
        number = len(self._works) + sum(self._measures.refusals.values())
        purses = self._books.purses_for(owner.id, owner.team, spec.project)
        balances = self._books.of(purses)
        try:
            judge(spec, owner, self._policy, self._nodes, balances, submission.at)
            require_room_in_queue(self._attempts.waiting_of[owner.id], 1, self._policy)
        except Refusal as refusal:
            self._measures.refused(refusal)
            return
        workload = Workload(
            id=WorkloadId(f"w{number:08d}"),
            owner=owner.id,
            team=owner.team,
            spec=spec,
            submitted_at=submission.at,
            state_since=submission.at,
        )
        work = Work(number, submission, workload, submission.run_ms, purses, submission.at)
        self._works.append(work)
        self._attempts.queue(work, submission.at)

    def _is_allowed(self, spec: WorkloadSpec) -> bool:
        terms = self._policy.sandbox.images if spec.kind is WorkloadKind.SANDBOX else self._policy.images
        return image_is_allowed(spec.image, terms)

    # cycles

    def _decide(self, now: Instant) -> None:
        """A cycle, if it may change anything for anybody: the rest is told with the next."""
        attempts, feed = self._attempts, self._attempts.feed
        feed.note_balances()
        if self._calendar.look_ahead(now):
            feed.prices = self._calendar.prices
        if not self._is_pressing(now):
            return
        if self._policy.consolidation.priority_classes:
            attempts.report_checkpoints(now)
        self._cycles += 1
        plan = self._step(feed.take(), now)
        self._tell(plan, now)
        if plan.preemptions and attempts.report_checkpoints(now):
            # Who has kept most of its work loses least: whom to stop is chosen anew, with that known.
            plan = self._step(feed.take(), now)
            self._tell(plan, now)
        self._apply(plan, now)

    def _step(self, changes: Changes, now: Instant) -> Plan:
        _, plan = step(self._state, changes, now)
        index = self._state.index
        self._is_room_awaited = bool(index.lanes.standing or index.claims.of)
        is_time_awaited = self._is_room_awaited or bool(index.held_back or self._policy.spend_guards)
        self._wakes_at = index.wakes_at() if is_time_awaited else None
        return plan

    def _is_pressing(self, now: Instant) -> bool:
        """Whether what changed, or time, may concern somebody who waits.

        Who is short of hours, or at a limit, waits for nothing but their own: room that comes free is nothing to them.
        """
        attempts = self._attempts
        if attempts.growable and not attempts.feed.is_empty:
            return True
        if not attempts.waiting:
            return False
        if self._wakes_at is not None and self._wakes_at <= now:
            return True
        return attempts.feed.concerns_who_waits or (self._is_room_awaited and not attempts.feed.is_empty)

    def _tell(self, plan: Plan, now: Instant) -> None:
        for verdict in plan.verdicts:
            work = self._attempts.waiting.get(verdict.workload_id)
            if work is not None and verdict.reason is not Reason.LAUNCHING:
                self._measures.told(work, verdict.reason, now)

    def _apply(self, plan: Plan, now: Instant) -> None:
        attempts = self._attempts
        for workload_id in plan.ageing:
            attempts.grow_old(workload_id, now)
        for workload_id in plan.lapsed:
            attempts.lapse(workload_id)
        for launch in plan.launches:
            attempts.launch(launch, now)
        for growth in plan.growths:
            attempts.grow(growth, now)
        for preemption in plan.preemptions:
            attempts.preempt(preemption, now)

    def _finish(self, now: Instant) -> Outcome:
        self._attempts.close(now)
        for work in self._attempts.waiting.values():
            self._measures.still_waiting(work, now)
        return Outcome(self._policy, self._nodes, self._measures, self._books, self._works, now, self._cycles)


def _rounded_up(instant: Instant, step_ms: int) -> Instant:
    return Instant(-(-instant // step_ms) * step_ms)


def _interleaved(nodes: Sequence[Node]) -> list[Node]:
    """By GPU class in turn, so that whoever looks for a node of one class finds one among the first."""
    by_class: dict[GpuClassName | None, list[Node]] = {}
    for node in nodes:
        by_class.setdefault(node.gpu_class, []).append(node)
    return [node for row in zip_longest(*by_class.values()) for node in row if node is not None]
