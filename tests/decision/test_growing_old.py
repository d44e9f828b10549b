"""Growing old, through generated histories: everybody does in bounded time, and nobody by having more of their own."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide, step
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.decision.state import State
from scheduler.domain.policy import Pool, WithinPool
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, EngineerId, Instant, WorkloadId
from scheduler.domain.usage import REORDERED_EVERY_MS
from scheduler.domain.workloads import Workload
from tests.decision.applying import ended, recorded
from tests.decision.builders import (
    NOW,
    SPARE,
    STANDARD,
    URGENT,
    balance,
    everything,
    node,
    nodes,
    policy,
    pool,
    snapshot,
    workload,
)
from tests.decision.worlds import EXAMPLES

CYCLE_MS = 7 * MS_PER_MINUTE
"""So that cycles fall between two re-orderings, and two of these between two cycles."""

LATE_MS = CYCLE_MS + REORDERED_EVERY_MS
"""By how much each round may be late: a cycle, and the next full five minutes."""

OWNERS = ("ada", "bob")


@dataclass(frozen=True)
class Happening:
    """What comes before a cycle: so many workloads of an owner, and one of those that wait is cancelled."""

    owner: str
    count: int
    gpus: int
    priority_class: int
    cancelled: int | None


happenings = st.builds(
    Happening,
    st.sampled_from(OWNERS),
    st.integers(0, 4),
    st.sampled_from([1, 2]),
    st.integers(0, 2),
    st.one_of(st.none(), st.integers(0, 9)),
)
pools = st.builds(
    lambda hours, at_once, within: pool(
        "red", gpus=8, ageing_ms=hours * MS_PER_HOUR, ageing_per_engineer=at_once, within_pool=within
    ),
    st.sampled_from([1, 2]),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([WithinPool.NEVER, WithinPool.LOWER_PRIORITY]),
)


class History:
    """What happens, cycle by cycle, for as long as the last may need to grow old."""

    def __init__(self, red: Pool, gpus: int, happening: Sequence[Happening]) -> None:
        self.state = State()
        self.before = snapshot(
            nodes(node("n1", 2, accepts_work=gpus > 0)),
            balances=[balance(each, 10**6) for each in OWNERS],
            by=policy(red),
        )
        self.happening = happening
        self.world = self.before
        step(self.state, everything(self.world), NOW)

    def cycles(self) -> Iterator[tuple[Snapshot, Plan]]:
        """The world as it was decided on, and what was decided."""
        for number in range(len(self.happening) + 40):
            now = Instant(NOW + (number + 1) * CYCLE_MS)
            self.world = _over(self.world, now)
            if number < len(self.happening):
                self._happen(self.happening[number], number)
            plan = step(self.state, _between(self.before, self.world), now)[1]
            yield self.world, plan
            self.before, self.world = self.world, recorded(self.world, plan)

    def is_old(self, workload_id: WorkloadId) -> bool:
        return self.state.index.ageing.is_old(self.state.index.queued[workload_id])

    def _happen(self, happens: Happening, number: int) -> None:
        queued = dict(self.world.queued)
        if happens.cancelled is not None and queued:
            del queued[sorted(queued)[happens.cancelled % len(queued)]]
        terms = [SPARE, STANDARD, URGENT][happens.priority_class]
        for each in range(happens.count):
            made = workload(f"w{number:02}-{each}", owner=happens.owner, gpus=happens.gpus, priority_class=terms)
            queued[made.id] = replace(made, submitted_at=self.world.now, ages_from=None)
        kept = {name: each for name, each in self.world.reservations.items() if name in queued}
        self.world = replace(self.world, queued=queued, reservations=kept)


def _over(world: Snapshot, now: Instant) -> Snapshot:
    """What ran to its limit has ended; what was stopped has, too, and waits again."""
    live = {each.id: each for each in world.attempts.values() if each.launched_at + each.time_limit_ms > now}
    return replace(ended(replace(world, attempts=live)), now=now)


def _between(before: Snapshot, after: Snapshot) -> Changes:
    fields = ("queued", "attempts", "launched", "balances", "reservations")
    changes: dict[str, Any] = {name: _differing(getattr(before, name), getattr(after, name)) for name in fields}
    return Changes(**changes)


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    changed = {name: each for name, each in after.items() if before.get(name) != each}
    return changed | dict.fromkeys(before.keys() - after.keys())


any_happening = st.lists(happenings, min_size=1, max_size=12)


@given(pools, st.sampled_from([0, 2]), any_happening)
@settings(max_examples=EXAMPLES, deadline=None)
def test_everybody_who_waits_grows_old_in_bounded_time(red: Pool, gpus: int, happening: list[Happening]) -> None:
    """A round of `ageing_hours` for each `ageing_per_engineer` of their own that came before, and one for itself."""
    history, before = History(red, gpus, happening), dict[WorkloadId, int]()
    for world, _ in history.cycles():
        known = {**world.launched, **world.queued}.values()
        for each in world.queued.values():
            if each.id not in before:
                before[each.id] = sum(_is_before(other, each) for other in known)
            rounds = before[each.id] // red.ageing_per_engineer + 1
            if world.now - each.submitted_at >= rounds * (red.ageing_ms + LATE_MS):
                assert history.is_old(each.id)


def _is_before(other: Workload, one: Workload) -> bool:
    return other.owner == one.owner and (other.submitted_at, other.id) < (one.submitted_at, one.id)


@given(pools, st.sampled_from([0, 2]), any_happening)
@settings(max_examples=EXAMPLES, deadline=None)
def test_however_much_somebody_submits_no_more_of_it_becomes_old_in_a_round_than_the_pool_lets(
    red: Pool, gpus: int, happening: list[Happening]
) -> None:
    """But for what was stopped and waits again: it keeps its age, and its place was another's meanwhile."""
    history = History(replace(red, within_pool=WithinPool.NEVER), gpus, happening)
    became_old: dict[EngineerId, dict[WorkloadId, Instant]] = defaultdict(dict)
    for world, _ in history.cycles():
        for each in world.queued.values():
            if history.is_old(each.id):
                became_old[each.owner].setdefault(each.id, world.now)
    for instants in became_old.values():
        in_order = sorted(instants.values())
        for earlier, later in zip(in_order, in_order[red.ageing_per_engineer :], strict=False):
            assert later - earlier >= red.ageing_ms - LATE_MS


@given(pools, st.integers(2, 6))
@settings(max_examples=EXAMPLES, deadline=None)
def test_of_work_that_is_cut_into_pieces_never_more_is_old_than_of_the_same_in_one(red: Pool, pieces: int) -> None:
    def old_by_then(count: int) -> list[float]:
        history = History(red, 0, [Happening("ada", count, 1, 0, None)])
        return [sum(map(history.is_old, world.queued)) / count for world, _ in history.cycles()]

    assert all(cut <= whole for cut, whole in zip(old_by_then(pieces), old_by_then(1), strict=True))


@given(pools, any_happening)
@settings(max_examples=EXAMPLES, deadline=None)
def test_steps_through_a_history_let_the_same_grow_old_as_cold_decisions_do(
    red: Pool, happening: list[Happening]
) -> None:
    for world, plan in History(red, 2, happening).cycles():
        cold = decide(world)
        assert (plan.ageing, plan.launches, plan.preemptions) == (cold.ageing, cold.launches, cold.preemptions)
