"""Of one engineer's work so much grows old at once: who begins to, who waits for a place, and who is woken when."""

from dataclasses import replace

from scheduler.decision.decide import decide, step
from scheduler.decision.ordering.ageing import Ageing
from scheduler.decision.snapshot import Changes, Reservation, Snapshot
from scheduler.domain.cluster import Placement
from scheduler.domain.policy import WithinPool
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, Instant, NodeName, TeamName, WorkloadId
from scheduler.domain.usage import ages_at, begins_to_age, reordering_at
from scheduler.domain.workloads import AttemptState, Workload
from tests.decision.applying import ended, recorded
from tests.decision.builders import (
    H100,
    NOW,
    SPARE,
    URGENT,
    attempt,
    balance,
    cold,
    node,
    nodes,
    placements,
    policy,
    pool,
    reasons,
    snapshot,
    victims,
    workload,
)

RED = pool("red", ageing_ms=MS_PER_HOUR, ageing_per_engineer=2)
FULL = nodes(node("n1", 1, accepts_work=False))
OLD_AT = ages_at(NOW, RED.ageing_ms)


def young(name: str, *, owner: str = "ada", age: int = 0) -> Workload:
    """It waits, and does not grow old yet."""
    return workload(name, owner=owner, age=age, ages_from=None)


def waiting(*queued: Workload) -> Snapshot:
    return snapshot(FULL, queued, by=policy(RED))


def test_of_ones_work_what_waits_longest_begins_to_grow_old_first_and_no_more_than_the_pool_lets() -> None:
    plan = decide(waiting(young("w1"), young("w2", age=9), young("w3", age=5), young("b", owner="bob")))

    assert plan.ageing == ("b", "w2", "w3")
    assert not plan.is_empty


def test_what_grows_old_already_holds_one_of_the_places() -> None:
    assert decide(waiting(workload("known"), young("w1"), young("w2"))).ageing == ("w1",)
    assert decide(waiting(workload("known"), workload("other"), workload("more"), young("w1"))).ageing == ()


def test_what_begins_to_grow_old_does_so_since_it_waits_or_since_queues_were_last_re_ordered() -> None:
    just_now, long_ago = young("w1"), young("w2", age=7200)
    assert begins_to_age(just_now, Instant(NOW + 1000)) == NOW
    assert begins_to_age(long_ago, NOW) == reordering_at(NOW)
    once_recorded = recorded(waiting(just_now, long_ago), decide(waiting(just_now, long_ago)))
    assert decide(once_recorded).ageing == ()


def test_whoever_is_next_begins_when_one_of_them_waits_no_more() -> None:
    world = waiting(workload("w1"), workload("w2"), young("w3"), young("w4"))
    state = cold(world)
    later = Instant(NOW + MS_PER_MINUTE)

    assert step(state, Changes(queued={WorkloadId("w2"): None}), later)[1].ageing == ("w3",)
    assert step(state, Changes(queued={WorkloadId("w3"): None}), later)[1].ageing == ("w4",)


def test_whoever_is_next_begins_when_one_of_them_is_old_though_that_never_starts() -> None:
    state = cold(waiting(workload("w1", owner="ada"), workload("w2", age=1), young("w3")))

    assert step(state, Changes(), Instant(OLD_AT - 1))[1].ageing == ()
    assert step(state, Changes(), OLD_AT)[1].ageing == ("w3",)
    assert state.queue() == ["w2", "w1", "w3"]


def test_a_place_is_held_while_it_waits_for_its_victims_or_for_another_try() -> None:
    tries_again = workload("w1", not_before=Instant(NOW + MS_PER_MINUTE))
    state = cold(waiting(tries_again, workload("w2"), young("w3")))
    assert step(state, Changes(), NOW)[1].ageing == ()
    assert step(state, Changes(), Instant(NOW + 2 * MS_PER_MINUTE))[1].ageing == ()
    assert step(state, Changes(), OLD_AT)[1].ageing == ("w3",)

    still_held = cold(
        waiting(replace(tries_again, not_before=Instant(OLD_AT + MS_PER_HOUR)), young("w2"), young("w3"))
    )
    assert step(still_held, Changes(), Instant(OLD_AT - 1))[1].ageing == ("w2",)
    assert step(still_held, Changes(), OLD_AT)[1].ageing == ("w2", "w3")


def test_what_may_not_start_yet_does_not_begin_to_grow_old() -> None:
    begins = replace(young("w1"), not_before=Instant(NOW + MS_PER_MINUTE), eligible_at=Instant(NOW + MS_PER_MINUTE))
    state = cold(waiting(begins))

    assert step(state, Changes(), NOW)[1].ageing == ()
    assert step(state, Changes(), Instant(NOW + MS_PER_MINUTE))[1].ageing == ("w1",)


def test_what_is_cancelled_before_it_may_start_had_no_place_and_leaves_that_of_others_alone() -> None:
    begins = replace(young("w1"), not_before=Instant(NOW + MS_PER_HOUR))
    state = cold(waiting(begins, young("w2")))

    assert step(state, Changes(queued={begins.id: None}), NOW)[1].ageing == ("w2",)


def test_who_began_to_wait_anew_begins_to_grow_old_anew() -> None:
    resumed = replace(workload("w1", age=30 * 24 * 3600), eligible_at=NOW)

    assert resumed.grows_old_from is None
    assert decide(waiting(resumed)).ageing == ("w1",)


def test_without_a_pool_nobody_grows_old() -> None:
    stray = replace(workload("w1", age=7200), team=TeamName("nobody"))
    state = cold(waiting(stray, replace(young("w2"), team=TeamName("nobody"))))

    assert step(state, Changes(), OLD_AT)[1].ageing == ()
    assert step(state, Changes(queued={stray.id: None}), OLD_AT)[1].ageing == ()


def test_who_is_old_is_due_once() -> None:
    ageing = Ageing(policy(RED))
    first, second, gone = workload("w1"), workload("w2"), workload("w3")
    for each in (first, second, gone):
        ageing.wait(each, is_in_line=True)
    ageing.leave(gone)

    assert list(ageing.pop_due(Instant(OLD_AT - 1))) == []
    assert list(ageing.pop_due(OLD_AT)) == ["w1", "w2"]
    assert list(ageing.pop_due(OLD_AT)) == []
    assert ageing.is_old(first)


def test_a_backlog_grows_old_a_few_at_a_time_and_keeps_nobody_else_waiting() -> None:
    """Before, what was left of it went before urgent work from `ageing_hours` on, until all of it was done."""
    rules = policy(pool("red", gpus=1, ageing_ms=MS_PER_DAY, ageing_per_engineer=1, within_pool=WithinPool.NEVER))
    backlog = [workload(f"a{number}", priority_class=SPARE, ages_from=None) for number in range(100)]
    world = snapshot(nodes(node("n1", 1)), backlog, balances=[balance("ada"), balance("bob")], by=rules)
    waited: dict[str, int] = {}
    for hour in range(72):
        now = Instant(NOW + hour * MS_PER_HOUR)
        urgent = replace(workload(f"u{hour}", owner="bob", priority_class=URGENT, ages_from=None), submitted_at=now)
        world = replace(world, now=now, attempts={})
        if hour % 3 == 0:
            world = replace(world, queued={**world.queued, urgent.id: urgent})
        plan = decide(world)
        waited |= {each.workload_id: now - world.queued[each.workload_id].submitted_at for each in plan.launches}
        world = recorded(world, plan)

    assert len(waited) == 72
    assert {wait for name, wait in waited.items() if name.startswith("u")} == {0}


def test_preemption_makes_nobody_younger() -> None:
    """Not even who started at once: it begins to grow old all the same, and that is kept."""
    one = workload("w1", priority_class=SPARE, ages_from=None)
    world = snapshot(nodes(node("n1", 1)), [one], by=policy(RED))
    world = recorded(world, decide(world))
    world = recorded(chosen := _beside(world, workload("urgent", priority_class=URGENT)), decide(chosen))
    fresh = replace(workload("fresh", priority_class=URGENT), submitted_at=OLD_AT)
    later = _beside(replace(ended(world), now=OLD_AT, queued=ended(world).queued, reservations={}), fresh)

    assert later.queued[one.id].grows_old_from == NOW
    assert one.id in cold(later).queue()[:2]


def _beside(world: Snapshot, more: Workload) -> Snapshot:
    return replace(world, queued={**world.queued, more.id: more})


def test_among_what_is_old_the_first_is_who_grew_old_first_and_not_who_waits_longest_beside_more_of_their_own() -> (
    None
):
    behind = replace(workload("ada", age=30 * 24 * 3600), ages_from=Instant(NOW - 2 * MS_PER_HOUR))
    other = workload("bob", owner="bob", age=3 * 3600)

    assert placements(decide(snapshot(nodes(node("n1", 1)), [behind, other], by=policy(RED)))) == {"bob": {"n1": 1}}


def test_what_waited_long_without_growing_old_falls_to_its_betters_when_it_runs() -> None:
    waited = replace(workload("r", priority_class=SPARE, age=9 * 24 * 3600), ages_from=Instant(NOW - MS_PER_DAY))
    runs = attempt("r", "n1", priority_class=SPARE, running_for=60, submitted_at=waited.submitted_at)
    better = workload("urgent", priority_class=URGENT)
    launched = {waited.id: waited}
    world = snapshot(
        nodes(node("n1", 1)), [better], attempts=[runs], launched=launched, by=policy(pool("red", gpus=1))
    )

    assert victims(decide(world)) == {"urgent": ["r"]}


def test_who_is_owed_nominal_quota_and_is_old_goes_first_though_others_of_its_pool_have_taken_that() -> None:
    """With what they run its pool would borrow two GPUs for it, and blue none for what is more urgent."""
    red, blue = (pool(name, gpus=8, cohort="all", ageing_ms=MS_PER_HOUR) for name in ("red", "blue"))
    runs = attempt("r", "n1", gpus=6, owner="cyd")
    queued = [workload("old", gpus=4, age=7200), workload("new", team="blue", gpus=4, priority_class=URGENT)]
    for wants, expected in ((4, "old"), (9, "new")):  # beyond its nominal quota it is owed nothing
        queued[0] = workload("old", gpus=wants, age=7200)
        known = nodes(node("n1", 6), node("n2", wants))
        lends = pool("green", gpus=8, cohort="all")
        plan = decide(snapshot(known, queued, attempts=[runs], by=policy(red, blue, lends)))
        assert placements(plan) == {expected: {"n2": 1}}


def test_who_is_old_and_waits_for_quota_that_no_end_gives_back_waits_on() -> None:
    """All of it is promised to one whose place another still leaves; somebody of another pool starts meanwhile."""
    held = Reservation(WorkloadId("p"), H100, Placement(((NodeName("n2"), 1),)), Instant(NOW + MS_PER_HOUR))
    queued = [
        workload("old", gpus=4, age=7200),
        workload("p", gpus=4, priority_class=URGENT),
        workload("b", team="blue"),
    ]
    by = policy(pool("red", gpus=4, ageing_ms=MS_PER_HOUR), pool("blue"))
    world = snapshot(nodes(node("n1", 4), node("n2", 4)), queued, by=by, reservations=[held])

    full = attempt("left", "n2", gpus=4, state=AttemptState.STOPPING, is_funded=False)
    plan = decide(replace(world, attempts={full.id: full}))
    assert (placements(plan), reasons(plan)["old"]) == ({"b": {"n1": 1}}, Reason.QUOTA)


def test_it_is_explained_whether_a_workload_grows_old_and_behind_how_many_it_does_not() -> None:
    state = cold(waiting(workload("w1"), young("w2"), young("w3"), young("w4"), young("b", owner="bob")))

    def explained(name: str) -> tuple[Instant | None, int, int]:
        known = state.explain(WorkloadId(name))
        assert known is not None
        return (known.ages_at, known.ages_behind, known.ageing_at_once)

    assert explained("w1") == (OLD_AT, 0, 2)
    assert explained("w2") == explained("b") == (None, 0, 2)
    assert explained("w3") == (None, 2, 2)
    assert explained("w4") == (None, 3, 2)
