"""Bookings for which there are too few GPUs: no GPU is promised twice, each has what there is, and pays for that alone."""

from dataclasses import replace

import pytest

from scheduler.domain.bookings import BookingTerms
from scheduler.domain.funding import FundingShare
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, NodeName, PerMille
from scheduler.domain.workloads import Workload, WorkloadState
from scheduler.lifecycle.running.limits import limits_are_due
from tests.lifecycle.build import Company, changes, job_seen, later, pod_seen, policy
from tests.lifecycle.test_beyond_bookings import conserved, cycle, end_pods, open_spans, owed
from tests.lifecycle.test_bookings import book, cordon, pass_time, shown, stands_on


def have(company: Company, name: str, gpus: int) -> None:
    like = company.world.nodes[NodeName("n1")]
    company.world.put_node(NodeName(name), replace(like, name=NodeName(name), gpus=gpus))


@pytest.mark.parametrize("in_hours", [0, 48], ids=["active", "ahead"])
def test_two_bookings_that_lose_their_nodes_at_once_are_not_promised_the_same_gpus(
    company: Company, in_hours: float
) -> None:
    company.grant("ada", 100)
    first, second = book(company, in_hours=in_hours), book(company, in_hours=in_hours)
    pass_time(company, 0)
    have(company, "n2", 4)
    cordon(company, "n0")
    cordon(company, "n1")
    pass_time(company, 0.1)

    assert [stands_on(company, each) for each in (first, second)] == [{"n2": 1}, {"n1": 1}]
    assert company.world.verdicts[first.id].reason is Reason.BOOKING_MOVED
    assert company.world.verdicts[second.id].reason is Reason.BOOKING_AT_RISK
    assert not limits_are_due(company.world, company.now)


def test_two_bookings_that_begin_where_somebody_still_runs_are_not_promised_the_same_gpus(company: Company) -> None:
    """Each of the two stands beside work that is late, and one other node is free."""
    grant = company.grant("ada", 10)
    late = {node: launch_alone(company, grant, node, hours=1) for node in ("n0", "n1")}
    company.grant("ada", 100)
    first, second = book(company, in_hours=1), book(company, in_hours=1)
    have(company, "n2", 4)
    for node, workload in late.items():
        begin(company, workload, node, late_s=600)
    company.now = later(company.now, 3600)
    pass_time(company, 0)

    assert [stands_on(company, each) for each in (first, second)] == [{"n2": 1}, {"n1": 1}]


def launch_alone(company: Company, grant: AllowanceId, node: str, *, hours: int) -> Workload:
    """Work of nobody's booking on two GPUs of the node, which is to be gone after so long."""
    workload = company.submit(time_limit_ms=hours * MS_PER_HOUR, grace_seconds=0)
    company.launch(workload, FundingShare(grant, 2 * hours * MS_PER_HOUR), node=node)
    company.give_job(workload)
    return workload


def begin(company: Company, workload: Workload, node: str, late_s: int = 0) -> None:
    pod = pod_seen(workload, started_at=later(company.now, late_s), node=NodeName(node))
    company.see(changes(job_seen(workload, is_suspended=False), pod))


def test_of_two_bookings_of_a_node_the_one_that_began_first_keeps_its_gpus(company: Company) -> None:
    """What was to be gone as the second begins stays for half an hour on two of four: the first has had its two since an
    hour, and pays for them; the second has its own, and pays, from when that is gone."""
    have(company, "n1", 0)
    grant = company.grant("ada", 100)
    open_spans(company)
    late = launch_alone(company, grant, "n0", hours=1)
    begin(company, late, "n0")
    start = company.now
    first, second = book(company, gpus=2, in_hours=0, hours=3), book(company, gpus=2, in_hours=1, hours=2)
    cycle(company, start)
    cycle(company, later(start, 3600))
    company.now = later(start, 5400)
    end_pods(company, late, start, finished_at=company.now)
    cycle(company, company.now)
    cycle(company, later(start, 3 * 3600))

    assert shown(company, first).charged == 2 * 3 * MS_PER_HOUR
    assert shown(company, second).charged == 2 * 1.5 * MS_PER_HOUR
    assert conserved(company) == (owed(company)[1], 0, 0)


@pytest.fixture
def of_three(company: Company) -> Workload:
    """Six GPUs, as three parts of two: four on one node and two on another, of which two more are free."""
    company.grant("ada", 100)
    booking = book(company, gpus=6, in_hours=1, hours=2)
    assert stands_on(company, booking) == {"n0": 2, "n1": 1}
    return booking


def test_a_booking_has_in_place_of_a_lost_node_as_many_gpus_as_there_are(
    company: Company, of_three: Workload
) -> None:
    pass_time(company, 1.5)
    cordon(company, "n0")
    pass_time(company, 0)

    assert stands_on(company, of_three) == {"n0": 1, "n1": 2}
    seen = shown(company, of_three)
    assert seen.notice.startswith("Not kept: 2 × h100 on n0 are lost")
    assert seen.late_fee == 0
    assert not limits_are_due(company.world, company.now), "it is said once"
    pass_time(company, 1)
    have(company, "n2", 2)
    pass_time(company, 0)
    assert stands_on(company, of_three) == {"n1": 2, "n2": 1}
    assert company.world.verdicts[of_three.id].reason is Reason.BOOKING_MOVED
    pass_time(company, 0.5)
    assert shown(company, of_three).charged == (6 * 0.5 + 4 * 1 + 6 * 0.5) * MS_PER_HOUR


def test_a_booking_begins_with_as_many_gpus_as_there_are(company: Company, of_three: Workload) -> None:
    cordon(company, "n0")
    pass_time(company, 1)

    assert company.workload(of_three.id).state is WorkloadState.RUNNING
    assert shown(company, of_three).notice.startswith("Not kept: 2 × h100 on n0 are lost")
    assert stands_on(company, of_three) == {"n0": 1, "n1": 2}
    pass_time(company, 2)
    assert shown(company, of_three).charged == 4 * 2 * MS_PER_HOUR
    assert company.workload(of_three.id).state_reason is Reason.COMPLETED


@pytest.mark.parametrize("is_active", [True, False])
def test_who_has_fewer_gpus_than_were_booked_gives_them_back_for_what_they_had(
    company: Company, of_three: Workload, *, is_active: bool
) -> None:
    company.world.put_policy(replace(policy(), bookings=BookingTerms(late_cost=PerMille(1000))))
    cordon(company, "n0")
    pass_time(company, 2 if is_active else 0)

    company.commands.cancel(company.caller("ada"), of_three.id, now=company.now)
    assert shown(company, of_three).charged == (4 * MS_PER_HOUR if is_active else 0)


def test_a_node_that_is_smaller_than_what_is_booked_of_it_is_told_and_replaced(company: Company) -> None:
    """One of its GPUs is ill: the kubelet offers it no longer."""
    company.grant("ada", 100)
    booking = book(company)
    have(company, "n1", 3)
    have(company, "n0", 3)
    pass_time(company, 0)
    assert shown(company, booking).notice.startswith("Not kept: 1 × h100 on n0 are lost")
    have(company, "n2", 4)
    pass_time(company, 0)
    assert stands_on(company, booking) == {"n2": 1}


def test_a_booking_of_a_node_that_is_too_small_at_its_start_has_what_is_left(company: Company) -> None:
    company.grant("ada", 100)
    have(company, "n1", 0)
    booking = book(company, in_hours=1)
    have(company, "n0", 3)
    pass_time(company, 3)
    assert shown(company, booking).charged == 3 * 2 * MS_PER_HOUR


def test_where_a_node_is_too_small_for_two_bookings_the_later_one_is_told(company: Company) -> None:
    company.grant("ada", 100)
    have(company, "n1", 0)
    first, second = book(company, gpus=2), book(company, gpus=2, in_hours=49)
    have(company, "n0", 3)
    pass_time(company, 0)
    assert shown(company, first).notice == ""
    assert shown(company, second).notice.startswith("Not kept: 1 × h100 on n0 are lost")
