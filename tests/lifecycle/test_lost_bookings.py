"""Bookings whose nodes are lost, cordoned or smaller in their window: what they cannot give is not charged."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.cluster import Node, PodRequest
from scheduler.domain.observations import PodPhase
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, Instant, NodeName
from scheduler.domain.workloads import WorkloadState
from scheduler.finance.reconciling.reconciliation import DifferenceKind
from scheduler.lifecycle.accounting.close_period import Periods
from scheduler.lifecycle.running.limits import limits_are_due
from scheduler.lifecycle.sensing.census import Census
from tests.lifecycle.build import NOON, Company, changes, job_seen, later, pod_seen
from tests.lifecycle.test_beyond_bookings import AUDITOR, BOOKED_GPUS, GPUS, booked, conserved, cycle, end_pods, owed
from tests.lifecycle.test_bookings import book, cordon, pass_time, shown, stands_on
from tests.lifecycle.test_inside_bookings import run_inside

HOUR = 3600


@pytest.fixture
def alone(company: Company) -> Company:
    """With no other node that has GPUs."""
    leave_alone(company)
    return company


def leave_alone(company: Company) -> None:
    company.world.put_node(NodeName("n1"), replace(company.world.nodes[NodeName("n1")], gpus=0))


def lose(company: Company, name: str = "n0") -> Node:
    node = company.world.nodes[NodeName(name)]
    company.world.put_node(node.name, None)
    return node


@pytest.mark.parametrize("is_gone", [False, True], ids=["cordoned", "lost"])
def test_a_booking_is_not_charged_for_a_node_from_when_it_was_lost(alone: Company, *, is_gone: bool) -> None:
    company = alone
    grant = company.grant("ada", 20)
    census = Census(company.store, company.world, company.now)
    census.run(company.now)
    booking = book(company, in_hours=0, hours=2)
    pass_time(company, 1)
    if is_gone:
        lose(company)
    else:
        cordon(company, "n0")
    assert limits_are_due(company.world, company.now)
    pass_time(company, 0)
    assert not limits_are_due(company.world, company.now), "it is said once"
    assert shown(company, booking).notice.startswith("Not kept: 4 × h100 on n0 are lost")
    assert shown(company, booking).late_fee == 0
    census.run(company.now)
    pass_time(company, 3)
    census.run(company.now)

    charged = BOOKED_GPUS * MS_PER_HOUR
    assert shown(company, booking).charged == shown(company, booking).unused == charged
    assert company.available(grant) == 20 * MS_PER_HOUR - charged
    assert conserved(company) == (charged, 0, 0)
    found = Periods(company.store, company.world).reconciliation(AUDITOR, "2026-11", company.now)
    assert (found.charged, found.booked_unused, found.differences) == (charged, charged, ())


def test_a_node_that_is_back_is_charged_again(alone: Company) -> None:
    company = alone
    company.grant("ada", 20)
    booking = book(company, in_hours=0, hours=2)
    pass_time(company, 0.5)
    cordon(company, "n0")
    pass_time(company, 0.5)
    cordon(company, "n0", is_cordoned=False)
    pass_time(company, 0.5)
    assert company.world.verdicts[booking.id].reason is Reason.BOOKING_MOVED
    pass_time(company, 0.5)

    assert shown(company, booking).charged == BOOKED_GPUS * 1.5 * MS_PER_HOUR


def test_over_a_pause_in_what_it_has_it_is_charged_for_each_day_by_itself(alone: Company) -> None:
    """From ten in the evening for thirty hours, without its node around the first midnight, and charged at its end."""
    company = alone
    company.grant("ada", 200)
    book(company, in_hours=10, hours=30)
    pass_time(company, 11)
    cordon(company, "n0")
    pass_time(company, 2)
    cordon(company, "n0", is_cordoned=False)
    pass_time(company, 27)

    midnight = NOON + MS_PER_DAY // 2
    with company.store.reading() as books:
        days = [Instant(midnight + each * MS_PER_DAY) for each in range(-1, 3)]
        charged = [sum(books.periods.charged(*day).values()) for day in pairwise(days)]
    assert charged == [BOOKED_GPUS * hours * MS_PER_HOUR for hours in (1, 23, 4)]


@pytest.mark.parametrize("gpus_elsewhere", [0, 4])
def test_what_runs_on_inside_a_cordoned_node_is_the_bookings_until_it_has_ended(
    company: Company, gpus_elsewhere: int
) -> None:
    """Then it has others in its place, where there are any."""
    company.world.put_node(NodeName("n1"), replace(company.world.nodes[NodeName("n1")], gpus=gpus_elsewhere))
    company.grant("ada", 20)
    booking = book(company, in_hours=0, hours=3)
    pass_time(company, 0)
    workload = run_inside(company, booking, 0, time_limit_ms=2 * MS_PER_HOUR)
    start = company.now
    pass_time(company, 1)
    cordon(company, "n0")
    pass_time(company, 1)
    pod = pod_seen(workload, started_at=start, finished_at=company.now, phase=PodPhase.SUCCEEDED, exit_code=0)
    company.see(changes(pod, job_seen(workload, is_suspended=False, is_complete=True)))
    pass_time(company, 1)

    seen = shown(company, booking)
    assert seen.charged == (BOOKED_GPUS + GPUS + gpus_elsewhere) * MS_PER_HOUR
    assert (seen.used_inside, seen.unused) == (GPUS * 2 * MS_PER_HOUR, seen.charged - GPUS * 2 * MS_PER_HOUR)


def test_a_booking_that_loses_a_node_in_its_window_has_another_in_its_place(company: Company) -> None:
    """What runs inside on a node that it keeps runs on."""
    grant = company.grant("ada", 100)
    company.world.put_node(NodeName("n0"), replace(company.world.nodes[NodeName("n0")], gpus=2))
    n1 = company.world.nodes[NodeName("n1")]
    company.world.put_node(NodeName("n2"), replace(n1, name=NodeName("n2")))
    booking = book(company, gpus=6, in_hours=0, hours=2)
    assert stands_on(company, booking) == {"n0": 1, "n1": 2}
    pass_time(company, 0)
    workload = run_inside(company, booking, 0, time_limit_ms=MS_PER_HOUR)
    pass_time(company, 0.5)
    lose(company, "n1")
    pass_time(company, 0.25)

    assert stands_on(company, booking) == {"n0": 1, "n2": 2}
    verdict = company.world.verdicts[booking.id]
    assert (verdict.reason, verdict.evidence["lost"]) == (Reason.BOOKING_MOVED, "n1")
    assert company.workload(workload.id).state is WorkloadState.RUNNING
    pass_time(company, 1.5)
    assert shown(company, booking).charged == 6 * 2 * MS_PER_HOUR
    assert company.available(grant) == (100 - 6 * 2) * MS_PER_HOUR


def test_a_booking_that_lost_gpus_of_a_node_costs_nothing_to_give_back(company: Company) -> None:
    company.world.put_node(NodeName("n0"), replace(company.world.nodes[NodeName("n0")], gpus=8))
    grant = company.grant("ada", 40)
    booking = book(company, gpus=8, in_hours=0, hours=2)
    pass_time(company, 1)
    company.world.put_node(NodeName("n0"), replace(company.world.nodes[NodeName("n0")], gpus=2))
    pass_time(company, 0)
    assert shown(company, booking).late_fee == 0

    company.commands.cancel(company.caller("ada"), booking.id, now=company.now)

    assert company.available(grant) == 40 * MS_PER_HOUR - 8 * MS_PER_HOUR


@pytest.mark.parametrize("gpus", [GPUS, BOOKED_GPUS], ids=["beside what rests", "on all of it"])
def test_a_node_that_dies_under_work_inside_is_charged_until_that_was_known_and_not_until_its_pods_are(
    alone: Company, gpus: int
) -> None:
    """Its node stops answering at half past; the cluster gives up on the pod, which was last seen before, five minutes
    later."""
    company = alone
    company.grant("ada", 20)
    census = Census(company.store, company.world, company.now)
    census.run(company.now)
    booking = book(company, in_hours=0, hours=2)
    pass_time(company, 0)
    workload = run_inside(company, booking, 0, time_limit_ms=MS_PER_HOUR, pod=PodRequest(gpus, 4000, 8000))
    start = company.now
    pass_time(company, 0.5)
    cordon(company, "n0")
    pass_time(company, 0)
    assert not limits_are_due(company.world, company.now)
    cycle(company, later(company.now, 330))
    end = later(start, 1770)
    pod = pod_seen(workload, started_at=start, finished_at=end, phase=PodPhase.SUCCEEDED, exit_code=0)
    company.see(changes(pod, job_seen(workload, is_suspended=False, is_complete=True)))
    cycle(company, company.now)
    cycle(company, later(start, 2 * 3600))

    assert shown(company, booking).charged == BOOKED_GPUS * MS_PER_HOUR // 2
    assert conserved(company) == (BOOKED_GPUS * MS_PER_HOUR // 2, 0, 0)


def test_what_was_charged_for_a_dead_node_before_that_was_known_stays_charged(alone: Company) -> None:
    """Of an hour and a half that the cluster did not give up on its pod, all but the last ten minutes are charged."""
    company = alone
    company.grant("ada", 20)
    booking = book(company, in_hours=0, hours=3)
    cycle(company, company.now)
    workload = run_inside(company, booking, 0, time_limit_ms=MS_PER_HOUR)
    start = company.now
    cordon(company, "n0")
    cycle(company, start)
    cycle(company, later(start, 5400))
    end_pods(company, workload, start, finished_at=later(start, 60))
    cycle(company, later(start, 5400))
    cycle(company, later(start, 3 * 3600))

    assert shown(company, booking).charged == GPUS * 80 * MS_PER_MINUTE
    assert owed(company) == (0, GPUS * 80 * MS_PER_MINUTE)


STATES = ("sound", "cordoned", "gone", "smaller")


@given(
    length=st.integers(1, 30 * HOUR),
    became=st.lists(
        st.tuples(st.integers(1, 32 * HOUR), st.sampled_from(STATES)), max_size=6, unique_by=lambda change: change[0]
    ),
    cycles=st.lists(st.integers(0, 40 * HOUR), max_size=6),
    inside=st.none() | st.integers(0, 20 * HOUR),
    has_other=st.booleans(),
)
def test_whatever_becomes_of_its_node_a_booking_is_charged_for_what_it_had_and_all_is_explained(
    length: int, became: list[tuple[int, str]], cycles: list[int], inside: int | None, *, has_other: bool
) -> None:
    """Each change of the node is seen at once; `inside` is how long work ran there on two GPUs, unless the node is gone.
    Where it `has_other`, the booking goes there as soon as the node takes no work and none is left inside."""
    company = Company()
    try:
        if not has_other:
            leave_alone(company)
        company.grant("ada", 1000)
        census = Census(company.store, company.world, company.now)
        census.run(company.now)
        start, sound = company.now, company.world.nodes[NodeName("n0")]
        nodes = {
            "sound": sound,
            "cordoned": replace(sound, accepts_work=False),
            "gone": None,
            "smaller": replace(sound, gpus=3),
        }
        booking = booked(company, 0, length)
        cycle(company, start)
        runs = inside is not None and inside < length
        work = run_inside(company, booking, 0, time_limit_ms=MS_PER_HOUR) if runs else None
        events = [(at, 1, what) for at, what in became] + [(at, 2, "") for at in cycles]
        events += [(inside, 0, "ended")] if work is not None and inside is not None else []
        had, since, expected = BOOKED_GPUS, 0, 0
        state, is_moved = "sound", False
        for at, _, what in [*sorted(events), (41 * HOUR, 2, "")]:
            until = min(at, length)
            expected += had * max(0, until - since)
            since = max(since, until)
            company.now = later(start, at)
            state = what if what in nodes else state
            if what in nodes:
                company.world.put_node(sound.name, nodes[what])
            if work is not None and (what == "ended" or state == "gone"):
                pod = pod_seen(work, started_at=start, finished_at=company.now, phase=PodPhase.SUCCEEDED, exit_code=0)
                company.see(changes(pod, job_seen(work, is_suspended=False, is_complete=True)))
                work = None
            cycle(company, company.now)
            census.run(company.now)
            here = {"sound": BOOKED_GPUS, "smaller": 3, "cordoned": 0, "gone": 0}[state]
            is_moved = is_moved or (has_other and here == 0 and work is None and at < length)
            had = BOOKED_GPUS if is_moved else max(here, GPUS if work is not None else 0)

        assert owed(company) == (0, 1000 * expected)
        assert conserved(company) == (1000 * expected, 0, 0)
        found = Periods(company.store, company.world).reconciliation(AUDITOR, "2026-11", company.now)
        assert {each.kind for each in found.differences} <= {DifferenceKind.EVIDENCE_LOST}
        assert found.charged == found.held_by_pods + found.booked_unused
    finally:
        company.close()
