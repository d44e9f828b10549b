"""Spend guards and moves: what is moved starts a second time, and a guard counts that like any start."""

from collections import defaultdict
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide, step
from scheduler.decision.placing.ends import latest_end_if_started
from scheduler.decision.snapshot import Snapshot
from scheduler.domain.allowances import Holder
from scheduler.domain.guards import GuardOf, GuardWindow, PastSpend, SpendGuard, used_by, used_in, windows_from
from scheduler.domain.policy import Policy
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR
from scheduler.domain.workloads import Attempt
from tests.decision.ailing import changes_between
from tests.decision.applying import recorded
from tests.decision.builders import NOW, cold, node, nodes, reasons, victims, workload
from tests.decision.scattered import moves_of, moving, saved, scattered, world
from tests.decision.worlds import EXAMPLES

WHOLE = workload("whole", gpus=8, hours=0.5, age=9)
"""Some four hours."""


def guarded(hard: int, of: GuardOf = GuardOf.ENGINEER) -> Policy:
    return moving(spend_guards=(SpendGuard("daily", of, GuardWindow.DAY, hard=hard * MS_PER_HOUR),))


def fragments() -> list[Attempt]:
    """Somewhat more than an hour of each GPU, with its grace: four of bob's, four of cyd's and six of dan's."""
    return [
        saved("a", "n1", 4),
        saved("b", "n2", 4, minutes_ago=3, owner="cyd"),
        saved("c", "n3", 6, owner="dan"),
    ]


def test_whom_a_guard_does_not_let_start_a_second_time_stays_where_it_is() -> None:
    """Of cyd's four GPUs the first start and the second are 8.1 h."""
    assert victims(decide(world(*fragments(), queued=[WHOLE], by=guarded(9)))) == {"whole": ["b"]}
    assert victims(decide(world(*fragments(), queued=[WHOLE], by=guarded(8)))) == {}


def test_a_teams_guard_counts_the_gang_and_what_is_moved_for_it_together() -> None:
    """14.1 h run, the gang takes 4.1, and the cheapest move 4.0."""
    by = {hard: guarded(hard, GuardOf.TEAM) for hard in (22, 23)}

    assert victims(decide(world(*fragments(), queued=[WHOLE], by=by[22]))) == {}
    assert victims(decide(world(*fragments(), queued=[WHOLE], by=by[23]))) == {"whole": ["b"]}


def test_who_may_start_one_again_but_not_two_leaves_the_moves_to_others() -> None:
    """Both of bob's are the cheapest to move."""
    known = nodes(*(node(f"n{number}", 8) for number in range(8)))
    running = [
        *(saved(f"b{number}", f"n{number}", 4, minutes_ago=1) for number in range(2)),
        *(saved(f"c{number}", f"n{number}", 4, minutes_ago=9, owner=f"c{number}") for number in range(2, 8)),
    ]
    pair = workload("pair", gpus=8, pods=2, hours=0.5)

    def stopped(hard: int) -> dict[str, list[str]]:
        return victims(decide(world(*running, known=known, queued=[pair], by=guarded(hard))))

    assert (stopped(17), stopped(14)) == ({"pair": ["b0", "b1"]}, {"pair": ["c2", "c3"]})


def test_what_is_being_moved_counts_twice_until_it_has_ended() -> None:
    """Cyd's move leaves no room for an hour more, neither in its cycle nor in the next."""
    more = workload("more", owner="cyd")
    for hard, said in ((9, Reason.SPEND_GUARD), (10, Reason.LAUNCHING)):
        plan = decide(world(*fragments(), queued=[WHOLE, more], by=guarded(hard)))
        assert (victims(plan), reasons(plan)["more"]) == ({"whole": ["b"]}, said)

        alone = world(*fragments(), queued=[WHOLE], by=guarded(hard))
        moving_on = recorded(alone, decide(alone))
        next_cycle = replace(moving_on, queued={**moving_on.queued, more.id: more})
        assert reasons(decide(next_cycle))["more"] is said


@settings(max_examples=EXAMPLES, deadline=None)
@given(scattered(), st.sampled_from(GuardOf), st.tuples(st.integers(0, 12), st.integers(0, 24)))
def test_no_guard_is_exceeded_by_moves_and_what_starts_beside_them(
    given: Snapshot, of: GuardOf, left: tuple[int, int]
) -> None:
    """Whose work may be moved has used all but a few hours of the guard, by what is over."""
    guard, today = guarded(50, of).spend_guards[0], windows_from(GuardWindow.DAY, NOW, "UTC")[0]
    holders = [guard.holder(owner, "red") for owner in ("bob", "cyd")]
    past = {holder: (50 - hours) * MS_PER_HOUR for holder, hours in zip(holders, left, strict=True)}
    spent_before = {
        holder: PastSpend(((GuardWindow.DAY, today.starts_at, amount),)) for holder, amount in past.items()
    }
    before = replace(given, policy=replace(given.policy, spend_guards=(guard,)), spent=spent_before)
    state, plan = cold(before), decide(before)
    spent: dict[Holder, int] = defaultdict(int, past)
    for each in before.attempts.values():
        spent[guard.holder(each.owner, each.team)] += used_by(each, today)
    known = {**before.launched, **before.queued}
    launches = [*plan.launches, *(each.launch for each in plan.preemptions), *(move for _, move in moves_of(plan))]
    begin: set[Holder] = set()
    for launch in launches:
        of_it = known[launch.workload_id]
        begin.add(guard.holder(of_it.owner, of_it.team))
        rate = 1_000_000 * launch.placement.pods * of_it.spec.pod.gpus
        until = latest_end_if_started(of_it.spec, NOW)
        spent[guard.holder(of_it.owner, of_it.team)] += used_in(today, rate, NOW, until)
    assert [holder for holder in begin if spent[holder] > 50 * MS_PER_HOUR] == []
    after = recorded(before, plan)
    stepped, expected = step(state, changes_between(before, after), NOW)[1], decide(after)
    assert (stepped.launches, stepped.preemptions) == (expected.launches, expected.preemptions)
