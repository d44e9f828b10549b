"""Bookings that begin or end while the service is down: they are charged from the cycle that sees them begin."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.bookings import BookingPhase
from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import PodPhase
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, Instant, NodeName
from scheduler.domain.workloads import Workload, WorkloadState
from scheduler.lifecycle.running.keep import CHARGE_BEHIND_MS
from scheduler.lifecycle.running.limits import limits_are_due
from tests.lifecycle.build import Company, changes, job_seen, later, pod_seen
from tests.lifecycle.test_beyond_bookings import (
    BOOKED_GPUS,
    GPUS,
    booked,
    conserved,
    cycle,
    open_spans,
    owed,
)
from tests.lifecycle.test_bookings import book, pass_time, shown, sleep_until
from tests.lifecycle.test_rehearsing import Watcher


def outlasting(company: Company, grant: AllowanceId, hours: int) -> Workload:
    """Work of nobody's booking, which runs on two GPUs from noon on, and was to be gone after so long."""
    workload = company.submit(time_limit_ms=hours * MS_PER_HOUR, grace_seconds=0)
    company.launch(workload, FundingShare(grant, GPUS * hours * MS_PER_HOUR))
    company.give_job(workload)
    company.see(changes(job_seen(workload, is_suspended=False), pod_seen(workload, started_at=company.now)))
    return workload


def complete(company: Company, workload: Workload, start: Instant, end: Instant) -> None:
    pod = pod_seen(workload, started_at=start, finished_at=end, phase=PodPhase.SUCCEEDED, exit_code=0)
    company.see(changes(pod, job_seen(workload, is_suspended=False, is_complete=True)))


def test_an_overlap_that_was_over_before_the_service_was_up_again_is_charged_to_who_outlasted_alone(
    company: Company,
) -> None:
    """Ten minutes into the booking it is gone; an hour into it there is the first cycle."""
    grant = company.grant("ada", 100)
    open_spans(company)
    late = outlasting(company, grant, 1)
    booked(company, 0, 4 * 3600)
    booking = booked(company, 3600, 2 * 3600)
    cycle(company, company.now)

    company.now = later(company.now, 2 * 3600)
    complete(company, late, Instant(company.now - 2 * MS_PER_HOUR), later(company.now, -50 * 60))
    cycle(company, company.now)
    cycle(company, later(company.now, 2 * 3600))

    late_ms = GPUS * 600_000
    assert shown(company, booking).charged == BOOKED_GPUS * MS_PER_HOUR
    charged = GPUS * MS_PER_HOUR + late_ms + BOOKED_GPUS * (4 + 1) * MS_PER_HOUR
    assert owed(company)[0] == late_ms
    assert conserved(company)[2] == 0
    assert owed(company)[1] == conserved(company)[0] == charged


@given(
    ended=st.integers(3600, 7 * 3600),
    reported=st.sampled_from([0, 1, 60, 5 * 3600]),
    length=st.integers(1, 4 * 3600),
    cycles=st.lists(st.integers(0, 16 * 3600), max_size=6),
)
def test_however_late_a_cycle_is_who_outlasts_a_begin_and_the_booking_are_not_both_charged(
    ended: int, reported: int, length: int, cycles: list[int]
) -> None:
    """What ended and nobody heard of, for the service was down, is heard of before the next cycle."""
    unheard = range(ended + CHARGE_BEHIND_MS // 1000 + 1, ended + reported)
    company = Company()
    try:
        grant = company.grant("ada", 1000)
        open_spans(company)
        late = outlasting(company, grant, 1)
        booked(company, 0, 12 * 3600)
        booked(company, 3600, length)
        start = company.now
        heard = [(at, 1) for at in [0, *cycles, 17 * 3600] if at not in unheard]
        for at, kind in sorted([*heard, (ended + reported, 0)]):
            company.now = later(start, at)
            if kind:
                cycle(company, company.now)
            else:
                complete(company, late, start, later(start, ended))
        cycle(company, company.now)

        assert conserved(company) == (owed(company)[1], 0, 0)
    finally:
        company.close()


def test_a_begin_that_the_service_slept_through_is_charged_from_when_work_can_start_inside(company: Company) -> None:
    grant = company.grant("ada", 20)
    booking = book(company, in_hours=1, hours=2)

    sleep_until(company, later(company.now, 5400))
    assert shown(company, booking).phase is BookingPhase.ACTIVE
    pass_time(company, 1.5)

    assert shown(company, booking).charged == BOOKED_GPUS * 1.5 * MS_PER_HOUR
    assert company.available(grant) == (20 - BOOKED_GPUS * 1.5) * MS_PER_HOUR


def test_a_booking_that_the_service_slept_through_costs_nothing(company: Company) -> None:
    grant = company.grant("ada", 20)
    booking = book(company, in_hours=1, hours=2)

    sleep_until(company, later(company.now, 4 * 3600))

    ended = company.workload(booking.id)
    assert (ended.state, ended.state_reason) == (WorkloadState.CANCELLED, Reason.BOOKING_MISSED)
    seen = shown(company, booking)
    assert (seen.charged, seen.phase) == (0, BookingPhase.CANCELLED)
    assert seen.notice.startswith("Called off: neither this service nor its cluster was there")
    assert company.available(grant) == 20 * MS_PER_HOUR


def test_a_booking_of_which_others_had_every_gpu_throughout_is_called_off_and_costs_nothing(company: Company) -> None:
    """Who was to be gone at its start was still there at its end."""
    company.world.put_node(NodeName("n1"), replace(company.world.nodes[NodeName("n1")], gpus=0))
    company.world.put_node(NodeName("n0"), replace(company.world.nodes[NodeName("n0")], gpus=GPUS))
    grant = company.grant("ada", 20)
    late = outlasting(company, grant, 1)
    start = company.now
    booking = book(company, gpus=GPUS, in_hours=1, hours=2)
    left = company.available(grant)
    pass_time(company, 2)
    pass_time(company, 1.1)

    assert company.workload(booking.id).state_reason is Reason.BOOKING_MISSED
    assert shown(company, booking).notice.startswith("Called off: its nodes were lost or others still had its GPUs")
    assert company.available(grant) == left + GPUS * 2 * MS_PER_HOUR
    complete(company, late, start, company.now)


def test_a_window_that_comes_while_the_cluster_is_away_begins_as_that_is_back(company: Company) -> None:
    """Nobody could start anything: it is not charged, and costs nothing to give back meanwhile."""
    grant = company.grant("ada", 20)
    booking = book(company, in_hours=1, hours=2)
    watcher = Watcher(company)
    watcher.cluster.is_reachable = False
    company.now = later(company.now, 3600 + 1800)
    watcher.look()
    assert not limits_are_due(company.world, company.now)
    assert company.workload(booking.id).state is WorkloadState.LAUNCHING
    assert shown(company, booking).late_fee == 0
    watcher.cluster.is_reachable = True
    watcher.look()
    pass_time(company, 0)
    assert company.workload(booking.id).state is WorkloadState.RUNNING
    assert shown(company, booking).late_fee > 0
    pass_time(company, 2)

    assert shown(company, booking).charged == BOOKED_GPUS * 1.5 * MS_PER_HOUR
    assert company.available(grant) == (20 - BOOKED_GPUS * 1.5) * MS_PER_HOUR


def test_that_the_cluster_is_away_for_a_while_in_its_midst_changes_no_charge(company: Company) -> None:
    company.grant("ada", 20)
    booking = book(company, in_hours=0, hours=2)
    pass_time(company, 0.5)
    company.world.rounds.is_cluster_away = True
    pass_time(company, 2)

    assert shown(company, booking).charged == BOOKED_GPUS * 2 * MS_PER_HOUR


def test_a_whole_window_while_the_cluster_is_away_is_called_off_at_no_cost(company: Company) -> None:
    grant = company.grant("ada", 20)
    booking = book(company, in_hours=1, hours=2)
    company.world.rounds.is_cluster_away = True
    pass_time(company, 3)

    assert company.workload(booking.id).state_reason is Reason.BOOKING_MISSED
    assert company.available(grant) == 20 * MS_PER_HOUR


def test_an_end_that_the_service_slept_through_is_its_end(company: Company) -> None:
    """Whatever is done with it first: charged, given back, or passed."""
    company.grant("ada", 20)
    booking = book(company, in_hours=0, hours=2)
    pass_time(company, 0)

    company.now = later(company.now, 5 * 3600)
    assert shown(company, booking).late_fee == 0
    company.commands.cancel(company.caller("ada"), booking.id, now=company.now)

    assert shown(company, booking).charged == BOOKED_GPUS * 2 * MS_PER_HOUR
    assert owed(company) == (0, BOOKED_GPUS * 2 * MS_PER_HOUR)


@pytest.mark.parametrize("is_begun", [True, False])
def test_given_back_late_costs_its_share_of_the_time_that_is_ahead_alone(company: Company, *, is_begun: bool) -> None:
    """Of two hours the service slept through the first; half an hour is left of them."""
    grant = company.grant("ada", 20)
    booking = book(company, in_hours=1, hours=2)
    start = company.now
    if is_begun:
        sleep_until(company, later(start, 2 * 3600))
    company.now = later(start, 9000)
    fee = BOOKED_GPUS * MS_PER_HOUR // 4
    assert shown(company, booking).late_fee == fee

    company.commands.cancel(company.caller("ada"), booking.id, now=company.now)

    used = BOOKED_GPUS * MS_PER_HOUR // 2 if is_begun else 0
    assert shown(company, booking).charged == used + fee
    assert company.available(grant) == 20 * MS_PER_HOUR - used - fee


def test_a_booking_begins_once_the_nodes_are_known(company: Company) -> None:
    company.grant("ada", 20)
    booking = book(company, in_hours=1, hours=2)
    nodes = list(company.world.nodes.values())
    for node in nodes:
        company.world.put_node(node.name, None)
    sleep_until(company, later(company.now, 3600))
    assert company.workload(booking.id).state is WorkloadState.LAUNCHING
    for node in nodes:
        company.world.put_node(node.name, replace(node))
    sleep_until(company, later(company.now, 60))
    assert company.workload(booking.id).state is WorkloadState.RUNNING
