"""Inside a booking: what runs there ends with it, for from then on its owner owes for it."""

from dataclasses import replace

import pytest

from scheduler.decision.plan import Launch, Plan
from scheduler.domain.cluster import Placement
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, NodeName, PoolName
from scheduler.domain.workloads import Workload, WorkloadState
from scheduler.lifecycle.running.limits import limits_are_due
from scheduler.lifecycle.running.record import record
from tests.lifecycle.build import H100, Company, changes, job_seen, later, pod_seen
from tests.lifecycle.test_bookings import book, pass_time


def run_inside(company: Company, booking: Workload, started_late_s: int | None, **fields: object) -> Workload:
    """Work that could use its time limit and grace before the booking is over, had its pods started when it was launched;
    None: none has."""
    workload = company.submit("ada", project=None, **fields)
    placement = Placement(((NodeName("n0"), 1),))
    launch = Launch(workload.id, H100, placement, PoolName("research"), (), booking_id=booking.id)
    with company.changing() as batch:
        assert record(batch, Plan(company.now, launches=(launch,)), company.ids.new) == []
    company.give_job(workload)
    if started_late_s is not None:
        start = later(company.now, started_late_s)
        company.see(changes(job_seen(workload, is_suspended=False), pod_seen(workload, started_at=start)))
    return workload


@pytest.mark.parametrize("late_s", [20, 600, None], ids=["20 s", "10 min", "not at all"])
def test_what_starts_late_inside_a_booking_ends_with_it_by_its_grace(company: Company, late_s: int | None) -> None:
    """From the booking's end on its owner would owe for it."""
    company.grant("ada", 20)
    booking = book(company, in_hours=0, hours=2)
    pass_time(company, 1.9)
    limit_ms = 5 * MS_PER_MINUTE
    workload = run_inside(company, booking, late_s, time_limit_ms=limit_ms, grace_seconds=60)
    ends_in_s = 6 * 60

    company.now = later(company.now, ends_in_s - 60 - 1)
    assert not limits_are_due(company.world, company.now)
    company.now = later(company.now, 1)
    pass_time(company, 0)
    stopping = company.workload(workload.id)
    assert (stopping.state, stopping.state_reason) == (WorkloadState.STOPPING, Reason.BOOKING_ENDED)
    assert company.world.verdicts[workload.id].evidence == {"booking": booking.id}
    assert not limits_are_due(company.world, company.now), "it is told once"


def test_what_runs_inside_a_booking_that_nobody_saw_end_is_stopped_at_once(company: Company) -> None:
    """The scheduler was down meanwhile."""
    company.grant("ada", 20)
    booking = book(company, in_hours=0, hours=2)
    pass_time(company, 0.5)
    workload = run_inside(company, booking, 600, time_limit_ms=MS_PER_HOUR)
    with company.changing() as batch:
        (running,) = [each for each in company.world.attempts.values() if each.is_inside]
        batch.put_attempt(replace(running, time_limit_ms=9 * MS_PER_HOUR))

    pass_time(company, 3)

    assert company.workload(booking.id).state is WorkloadState.COMPLETED
    assert company.workload(workload.id).state_reason is Reason.BOOKING_ENDED
    assert not limits_are_due(company.world, company.now)


def test_what_started_in_time_inside_a_booking_ends_at_its_own_time_limit(company: Company) -> None:
    company.grant("ada", 20)
    booking = book(company, in_hours=0, hours=2)
    pass_time(company, 0.5)
    workload = run_inside(company, booking, 600, time_limit_ms=MS_PER_HOUR)

    pass_time(company, 1.17)

    assert company.workload(workload.id).state_reason is Reason.TIME_LIMIT
