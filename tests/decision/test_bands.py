"""Bands: between when and when something starts that waits at a limit, for others to end, or for more than its pool has."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.foreseeing.foreseen import Assumed, Forecast
from scheduler.decision.snapshot import Reservation, Snapshot
from scheduler.domain.cluster import Placement
from scheduler.domain.policy import Cohort, Limits
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_DAY, CohortName, Instant, NodeName, WorkloadId
from scheduler.domain.workloads import ArrayPlace, Attempt, AttemptState, Workload
from tests.decision.builders import A100, NOW, attempt, balance, node, nodes, policy, pool, snapshot, workload
from tests.decision.changing import changed
from tests.decision.test_forecasting import HALF, LONGER, SOON, asked, busy, minutes
from tests.decision.worlds import EXAMPLES, snapshots

SHARE = HALF // 8 / 1000
"""The part of a time limit that is used by whoever ends soon."""


def limited(limits: Limits, attempts: list[Attempt], *queued: Workload) -> Snapshot:
    """Two nodes of eight GPUs and one of another class: there is room for all."""
    world = nodes(node("n1"), node("n2"), node("a1", gpu_class=A100))
    owners = [balance("ada"), balance("bob")]
    return snapshot(world, queued, by=policy(limits=limits), attempts=attempts, balances=owners)


LIMITS = {
    "an engineer's": (Limits(gpus_per_engineer=4), Reason.ENGINEER_GPU_LIMIT),
    "a team's": (Limits(gpus_per_team=4), Reason.TEAM_GPU_LIMIT),
}


@pytest.mark.parametrize(("limits", "reason"), LIMITS.values(), ids=LIMITS)
def test_what_is_at_a_gpu_limit_starts_once_enough_that_counts_against_it_has_ended(
    limits: Limits, reason: Reason
) -> None:
    running = attempt("r", "n1", owner="ada", gpus=4, running_for=600)
    found = asked(limited(limits, [running]), workload("w", gpus=2))
    assert (found.ruling.reason, minutes(found.starts)) == (reason, (SOON, 50 * LONGER))


def test_those_before_it_at_the_same_limit_are_served_first() -> None:
    """Each takes all that the limit leaves. Others may wait at the same kind of limit, which is not that one."""
    running = attempt("r", "n1", owner="ada", gpus=4, running_for=600)
    bobs = attempt("s", "n2", owner="bob", gpus=4, running_for=600)
    older, others = workload("v", gpus=4, hours=2, age=60), workload("x", owner="bob", gpus=4, hours=9, age=90)
    world = limited(Limits(gpus_per_engineer=4), [running, bobs], older, others)
    assert minutes(asked(world, workload("w", gpus=4)).starts) == (SOON, (50 + 120) * LONGER)
    assert minutes(asked(world, workload("w", gpus=4, age=90)).starts) == (SOON, 50 * LONGER)


def test_what_runs_on_another_class_counts_against_the_limit_and_so_does_what_is_being_stopped() -> None:
    elsewhere = attempt("r", "a1", owner="ada", gpus=2, gpu_class=A100, running_for=600)
    stopped = attempt("s", "n1", owner="ada", gpus=2, state=AttemptState.STOPPING)
    stopped = replace(stopped, stopping_since=NOW, grace_seconds=60)
    limits, one = Limits(gpus_per_engineer=4), workload("w", gpus=2)
    assert minutes(asked(limited(limits, [elsewhere, stopped]), one).starts) == (SHARE, 1 * LONGER)
    assert minutes(asked(limited(limits, [elsewhere, stopped]), workload("w", gpus=4)).starts) == (SOON, 50 * LONGER)


def test_who_is_to_start_in_somebodys_stead_gives_back_what_counts_against_the_limit() -> None:
    claims = Reservation(WorkloadId("v"), A100, Placement(((NodeName("a1"), 1),)), Instant(NOW + 60_000))
    world = limited(Limits(gpus_per_engineer=8), [], workload("v", gpus=8, hours=2, classes=(A100,)))
    world = replace(world, reservations={claims.workload_id: claims})
    band = pytest.approx((120 * SHARE, 120 * LONGER))
    assert minutes(asked(world, workload("w", gpus=4, classes=(A100,))).starts) == band
    bobs = asked(world, workload("w", owner="bob", gpus=4, classes=(A100,)))
    assert bobs.ruling.reason is Reason.RESOURCES
    assert minutes(bobs.starts) == band


def test_an_index_beyond_those_that_run_at_once_starts_when_they_and_those_before_it_have_ended() -> None:
    running = attempt("sweep-i0", "n1", owner="ada", running_for=600)
    queued = [workload(f"sweep-i{number}", age=60 - number) for number in (1, 2)]
    queued = [replace(each, spec=replace(each.spec, array=ArrayPlace(0, 3, 1))) for each in queued]
    world = limited(Limits(), [running], *queued)
    found = [asked(world, each) for each in queued]
    assert {each.ruling.reason for each in found} == {Reason.ARRAY_LIMIT}
    assert [minutes(each.starts) for each in found] == [(SOON, 50 * LONGER), (SOON, 110 * LONGER)]


def test_what_asks_for_more_than_a_limit_ever_lets_run_or_could_not_be_paid_for_has_no_band() -> None:
    running = attempt("r", "n1", owner="ada", gpus=4)
    world = limited(Limits(gpus_per_engineer=4), [running])
    assert asked(world, workload("w", gpus=5)).starts is None
    assert asked(replace(world, balances={}), workload("w", gpus=4)).starts is None


def following(*leaders: str, hours: float = 1) -> Workload:
    one = workload("w", owner="bob", gpus=2, hours=hours)
    return replace(one, spec=replace(one.spec, after=tuple(WorkloadId(leader) for leader in leaders)))


def after(found: Forecast) -> tuple[float, float]:
    assert found.ruling.reason is Reason.DEPENDENCY
    return minutes(found.starts)


def test_what_follows_others_starts_no_earlier_than_they_may_have_ended() -> None:
    """One of them runs on half of the node, and one waits for all of it."""
    waits = workload("v", gpus=8, hours=2)
    world = replace(busy(gpus=4), queued={waits.id: waits})
    assert after(asked(world, following("r"))) == (SOON, 170 * LONGER), "whom it does not follow has started by then"
    until = 50 * LONGER + 120
    assert after(asked(world, following("v"))) == pytest.approx((SOON + 120 * SHARE, until * LONGER))
    assert after(asked(world, following("r", "v"))) == pytest.approx((SOON + 120 * SHARE, until * LONGER))


def test_nobody_knows_when_somebody_ends_who_is_nowhere_or_may_not_start() -> None:
    waits = workload("v", owner="poor", gpus=8)
    world = replace(busy(gpus=4), queued={waits.id: waits})
    for leaders in (("gone",), ("v",), ("r", "gone")):
        found = asked(world, following(*leaders))
        assert (found.ruling.reason, found.starts) == (Reason.DEPENDENCY, None)


def test_of_those_that_wait_no_more_than_a_few_are_followed() -> None:
    """A chain, each after the one before, and one that follows as many at once."""
    most = Assumed(HALF).leaders_max
    chain = [workload("w0", gpus=1)]
    for number in range(1, most + 2):
        one = workload(f"w{number}", gpus=1)
        chain.append(replace(one, spec=replace(one.spec, after=(chain[-1].id,))))
    world = replace(busy(), queued={each.id: each for each in chain})
    assert asked(world, chain[most]).starts is not None
    assert asked(world, chain[most + 1]).starts is None
    several = [workload(f"v{number}") for number in range(most + 1)]
    world = replace(busy(), queued={each.id: each for each in several})
    assert asked(world, following(*(each.id for each in several[1:]))).starts is not None
    assert asked(world, following(*(each.id for each in several))).starts is None


def test_what_asks_for_more_than_its_pool_has_is_passed_by_others_and_ends_its_band_later() -> None:
    pools = (pool("red", gpus=4, cohort="all"), pool("blue", gpus=4, cohort="all"))
    rules = policy(*pools, cohorts=[Cohort(CohortName("all"))])
    running = attempt("r", "n1", owner="ada", gpus=8, running_for=600)
    blues = workload("b", owner="bob", team="blue", gpus=4, hours=2)
    owners = [balance("ada"), balance("bob")]
    world = snapshot(nodes(node("n1")), [blues], by=rules, attempts=[running], balances=owners)
    assert minutes(asked(world, workload("w", gpus=8, age=60)).starts) == (SOON, 3 * (50 + 120))
    assert minutes(asked(world, workload("w", gpus=4, age=60)).starts) == (SOON, 50 * LONGER)


def test_a_band_ends_no_more_than_a_day_later_for_those_who_are_still_to_come() -> None:
    begins_at = Instant(NOW + 5 * MS_PER_DAY)
    found = asked(busy(gpus=4), replace(workload("w", gpus=4), not_before=begins_at))
    assert found.starts == (begins_at, begins_at + MS_PER_DAY)


@given(st.one_of(snapshots(running=8), changed()))
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_band_begins_before_now_or_ends_before_it_begins(world: Snapshot) -> None:
    for one in world.queued.values():
        starts = asked(world, one).starts
        assert starts is None or world.now <= starts[0] <= starts[1]
