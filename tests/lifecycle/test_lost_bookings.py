"""Bookings whose nodes are lost, cordoned or smaller in their window: what they cannot give is not charged."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.cluster import Node
from scheduler.domain.observations import PodPhase
from scheduler.domain.units import MS_PER_HOUR, NodeName
from scheduler.finance.reconciling.reconciliation import DifferenceKind
from scheduler.lifecycle.accounting.close_period import Periods
from scheduler.lifecycle.running.keep import limits_are_due
from scheduler.lifecycle.sensing.census import Census
from tests.lifecycle.build import Company, changes, job_seen, later, pod_seen
from tests.lifecycle.test_beyond_bookings import AUDITOR, BOOKED_GPUS, GPUS, booked, conserved, cycle, owed
from tests.lifecycle.test_bookings import book, cordon, pass_time, shown
from tests.lifecycle.test_inside_bookings import run_inside

HOUR = 3600


def lose(company: Company, name: str = "n0") -> Node:
    node = company.world.nodes[NodeName(name)]
    company.world.put_node(node.name, None)
    return node


@pytest.mark.parametrize("is_gone", [False, True], ids=["cordoned", "lost"])
def test_a_booking_is_not_charged_for_a_node_from_when_it_was_lost(company: Company, *, is_gone: bool) -> None:
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
    assert not limits_are_due(company.world, company.now)
    census.run(company.now)
    pass_time(company, 3)
    census.run(company.now)

    charged = BOOKED_GPUS * MS_PER_HOUR
    assert shown(company, booking).charged == shown(company, booking).unused == charged
    assert company.available(grant) == 20 * MS_PER_HOUR - charged
    assert conserved(company) == (charged, 0, 0)
    found = Periods(company.store, company.world).reconciliation(AUDITOR, "2026-11", company.now)
    assert (found.charged, found.booked_unused, found.differences) == (charged, charged, ())


def test_a_node_that_is_back_is_charged_again(company: Company) -> None:
    company.grant("ada", 20)
    booking = book(company, in_hours=0, hours=2)
    pass_time(company, 0.5)
    cordon(company, "n0")
    pass_time(company, 0.5)
    cordon(company, "n0", is_cordoned=False)
    pass_time(company, 1)

    assert shown(company, booking).charged == BOOKED_GPUS * 1.5 * MS_PER_HOUR


def test_what_runs_on_inside_a_cordoned_node_is_the_bookings_until_it_has_ended(company: Company) -> None:
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
    assert seen.charged == BOOKED_GPUS * MS_PER_HOUR + GPUS * MS_PER_HOUR
    assert (seen.used_inside, seen.unused) == (GPUS * 2 * MS_PER_HOUR, seen.charged - GPUS * 2 * MS_PER_HOUR)


def test_given_back_a_booking_that_lost_a_node_costs_its_share_of_what_it_still_has(company: Company) -> None:
    company.world.put_node(NodeName("n0"), replace(company.world.nodes[NodeName("n0")], gpus=8))
    grant = company.grant("ada", 40)
    booking = book(company, gpus=8, in_hours=0, hours=2)
    pass_time(company, 1)
    company.world.put_node(NodeName("n0"), replace(company.world.nodes[NodeName("n0")], gpus=2))
    pass_time(company, 0)
    fee = 2 * MS_PER_HOUR // 2
    assert shown(company, booking).late_fee == fee

    company.commands.cancel(company.caller("ada"), booking.id, now=company.now)

    assert company.available(grant) == 40 * MS_PER_HOUR - 8 * MS_PER_HOUR - fee


STATES = ("sound", "cordoned", "gone", "smaller")


@given(
    length=st.integers(1, 30 * HOUR),
    became=st.lists(
        st.tuples(st.integers(1, 32 * HOUR), st.sampled_from(STATES)), max_size=6, unique_by=lambda change: change[0]
    ),
    cycles=st.lists(st.integers(0, 40 * HOUR), max_size=6),
    inside=st.none() | st.integers(0, 20 * HOUR),
)
def test_whatever_becomes_of_its_node_a_booking_is_charged_for_what_it_had_and_all_is_explained(
    length: int, became: list[tuple[int, str]], cycles: list[int], inside: int | None
) -> None:
    """Each change of the node is seen at once; `inside` is how long work ran there on two GPUs, unless the node is gone."""
    company = Company()
    try:
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
        state = "sound"
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
            had = max(here, GPUS if work is not None else 0)

        assert owed(company) == (0, 1000 * expected)
        assert conserved(company) == (1000 * expected, 0, 0)
        found = Periods(company.store, company.world).reconciliation(AUDITOR, "2026-11", company.now)
        assert {each.kind for each in found.differences} <= {DifferenceKind.EVIDENCE_LOST}
        assert found.charged == found.held_by_pods + found.booked_unused
    finally:
        company.close()
