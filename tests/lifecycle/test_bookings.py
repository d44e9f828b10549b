"""A booking's money and time: held when it is made, charged from its start, and what a late cancellation costs."""

from dataclasses import replace

import pytest

from scheduler.decision.plan import Launch, Plan
from scheduler.decision.snapshot import Reservation
from scheduler.domain.bookings import BookingPhase, BookingTerms
from scheduler.domain.cluster import Placement
from scheduler.domain.errors import Refusal, RefusalCode
from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import PodPhase
from scheduler.domain.reasons import Reason
from scheduler.domain.units import (
    MS_PER_HOUR,
    MS_PER_MINUTE,
    Instant,
    NodeName,
    PerMille,
    PoolName,
    PriorityClassName,
)
from scheduler.domain.workloads import AttemptState, Workload, WorkloadState
from scheduler.ledger.journal import Account, AccountKind
from scheduler.lifecycle.asking.booking import BookingWish
from scheduler.lifecycle.running.limits import enforce_limits, limits_are_due
from scheduler.lifecycle.running.record import record
from scheduler.lifecycle.views.bookings import BookingView, booking_of
from tests.lifecycle.build import H100, Company, changes, job_seen, later, pod_seen, policy


def book(
    company: Company, *, gpus: int = 4, in_hours: float = 48, hours: float = 2, subject: str = "ada"
) -> Workload:
    wish = BookingWish(
        H100,
        gpus,
        Instant(company.now + int(in_hours * MS_PER_HOUR)),
        int(hours * MS_PER_HOUR),
        None,
        priority_class=PriorityClassName("standard"),
    )
    return company.commands.book(company.caller(subject), wish, now=company.now)


def shown(company: Company, booking: Workload) -> BookingView:
    with company.store.reading() as books:
        return booking_of(books, company.world, company.caller("ada"), booking.id, company.now)


def pass_time(company: Company, hours: float) -> None:
    """While the service is up: it sees every booking begin."""
    until = Instant(company.now + int(hours * MS_PER_HOUR))
    begins = {each.launched_at for each in company.world.attempts.values() if each.is_booking}
    for at in sorted({company.now, until, *(each for each in begins if company.now < each < until)}):
        sleep_until(company, at)


def sleep_until(company: Company, at: Instant) -> None:
    """With the service down until then: there is one cycle, at its end."""
    company.now = at
    if limits_are_due(company.world, company.now):
        with company.changing() as batch:
            enforce_limits(batch)


def refused(company: Company, **asked: float) -> Refusal:
    with pytest.raises(Refusal) as caught:
        book(company, **asked)  # type: ignore[arg-type]  # by name
    return caught.value


def test_its_whole_window_is_held_at_once_and_charged_used_or_not(company: Company) -> None:
    grant = company.grant("ada", 20)
    booking = book(company)
    assert company.workload(booking.id).state_reason is Reason.BOOKING_MADE
    assert company.available(grant) == 12 * MS_PER_HOUR
    assert shown(company, booking).phase is BookingPhase.BOOKED

    pass_time(company, 48.5)
    seen = shown(company, booking)
    assert (seen.phase, seen.unused) == (BookingPhase.ACTIVE, 0.5 * 4 * MS_PER_HOUR)
    assert company.workload(booking.id).state is WorkloadState.RUNNING

    pass_time(company, 1.5)
    seen = shown(company, booking)
    assert (seen.phase, seen.charged, seen.unused) == (BookingPhase.OVER, 8 * MS_PER_HOUR, 8 * MS_PER_HOUR)
    assert company.world.attempts == {}
    with company.store.reading() as books:
        assert books.journal.balance(Account(AccountKind.CHARGED, grant)) == 8 * MS_PER_HOUR
        assert books.journal.balance(Account(AccountKind.HELD, grant)) == 0
        assert books.journal.differences() == []
        assert books.holds.open_ones() == []


def test_cancelled_in_time_it_costs_nothing(company: Company) -> None:
    grant = company.grant("ada", 20)
    booking = book(company)

    company.commands.cancel(company.caller("ada"), booking.id, now=company.now)

    assert company.available(grant) == 20 * MS_PER_HOUR
    assert shown(company, booking).phase is BookingPhase.CANCELLED


@pytest.mark.parametrize(("cost", "charged_hours"), [(500, 4), (1000, 8), (0, 0)])
def test_cancelled_late_it_costs_the_policys_share_of_what_is_not_used(
    company: Company, cost: int, charged_hours: int
) -> None:
    company.world.put_policy(replace(policy(), bookings=BookingTerms(late_cost=PerMille(cost))))
    grant = company.grant("ada", 20)
    booking = book(company)
    pass_time(company, 25)
    assert shown(company, booking).late_fee == charged_hours * MS_PER_HOUR

    company.commands.cancel(company.caller("ada"), booking.id, now=company.now)

    assert company.available(grant) == (20 - charged_hours) * MS_PER_HOUR
    assert shown(company, booking).charged == charged_hours * MS_PER_HOUR
    with company.store.reading() as books:
        assert books.journal.differences() == []


def test_cancelled_half_way_what_passed_stays_charged_and_the_rest_costs_its_share(company: Company) -> None:
    grant = company.grant("ada", 20)
    booking = book(company, in_hours=0)
    pass_time(company, 1)

    company.commands.cancel(company.caller("ada"), booking.id, now=company.now)

    assert company.available(grant) == (20 - 4 - 2) * MS_PER_HOUR
    assert shown(company, booking).unused == 4 * MS_PER_HOUR


def test_what_runs_inside_it_is_not_paid_for_again(company: Company) -> None:
    grant = company.grant("ada", 20)
    booking = book(company, in_hours=0, hours=4)
    pass_time(company, 0.1)
    workload = company.submit(project=None, time_limit_ms=MS_PER_HOUR)
    launch = Launch(
        workload.id, H100, Placement(((NodeName("n0"), 1),)), PoolName("research"), (), booking_id=booking.id
    )
    with company.changing() as batch:
        assert record(batch, Plan(company.now, launches=(launch,)), company.ids.new) == []
    company.give_job(workload)
    start, end = later(company.now, 10), later(company.now, 610)
    company.see(changes(job_seen(workload, is_suspended=False), pod_seen(workload, started_at=start)))
    assert shown(company, booking).runs_inside == (workload.id,)
    with pytest.raises(Refusal, match=f"it pays for what runs inside: {workload.id}"):
        company.commands.cancel(company.caller("ada"), booking.id, now=company.now)
    company.now = later(company.now, 620)
    company.see(
        changes(
            pod_seen(workload, started_at=start, finished_at=end, phase=PodPhase.SUCCEEDED, exit_code=0),
            job_seen(workload, is_suspended=False, is_complete=True),
        )
    )

    assert company.available(grant) == 4 * MS_PER_HOUR
    assert shown(company, booking).used_inside == 2 * 600_000
    pass_time(company, 4)
    assert company.available(grant) == 4 * MS_PER_HOUR
    assert shown(company, booking).charged == 16 * MS_PER_HOUR


def test_more_than_the_pool_owns_cannot_be_booked_for_one_time(company: Company) -> None:
    company.grant("ada", 200)
    book(company, gpus=8)

    refusal = refused(company, gpus=1, in_hours=49)

    assert refusal.code is RefusalCode.BOOKING_OVER_QUOTA
    assert "8 are booked in that time" in str(refusal)
    assert book(company, gpus=8, in_hours=50).id, "from the end of the other on they are free"


def test_what_runs_may_run_to_its_time_limit_so_its_gpus_cannot_be_booked_before(company: Company) -> None:
    company.grant("ada", 200)
    running = company.submit(time_limit_ms=3 * MS_PER_HOUR)
    company.launch(running)

    refusal = refused(company, gpus=8, in_hours=1)

    assert refusal.code is RefusalCode.BOOKING_CONFLICT
    assert refusal.expected == "at most 4 GPUs in that time"
    assert book(company, gpus=8, in_hours=4).id


def test_what_has_not_started_yet_may_start_now_so_its_gpus_cannot_be_booked_before(company: Company) -> None:
    """Its image takes half an hour to come: it may run for three hours from when it is there."""
    company.grant("ada", 200)
    company.launch(company.submit(time_limit_ms=3 * MS_PER_HOUR, grace_seconds=0))
    company.now = later(company.now, 1800)

    assert refused(company, gpus=8, in_hours=2.9).code is RefusalCode.BOOKING_CONFLICT
    assert book(company, gpus=8, in_hours=3).id


def test_what_should_have_ended_by_now_is_where_nothing_can_be_booked_at_once(company: Company) -> None:
    company.grant("ada", 200)
    company.launch(company.submit(time_limit_ms=3 * MS_PER_HOUR))
    (overdue,) = company.world.attempts.values()
    with company.changing() as batch:
        batch.put_attempt(replace(overdue, started_at=company.now, state=AttemptState.STOPPING))
    company.now = later(company.now, 4 * 3600)

    assert refused(company, gpus=8, in_hours=0).code is RefusalCode.BOOKING_CONFLICT
    assert stands_on(company, book(company, gpus=4, in_hours=0)) == {"n1": 1}


def test_what_waits_for_its_victims_may_start_late_so_its_gpus_cannot_be_booked_before(company: Company) -> None:
    """Its victims have five and a half minutes to end."""
    company.grant("ada", 200)
    waiting = company.submit(time_limit_ms=3 * MS_PER_HOUR, grace_seconds=0)
    kept = Reservation(waiting.id, H100, Placement(((NodeName("n0"), 1),)), later(company.now, 330))
    with company.changing() as batch:
        batch.reserve(waiting.id, kept)

    assert refused(company, gpus=8, in_hours=3 + 329 / 3600).code is RefusalCode.BOOKING_CONFLICT
    assert book(company, gpus=8, in_hours=3 + 330 / 3600).id


@pytest.mark.parametrize(("in_hours", "hours"), [(-1, 2), (24 * 91, 2)])
def test_a_window_outside_the_policys_horizon_is_refused(company: Company, in_hours: float, hours: float) -> None:
    company.grant("ada", 200)

    assert refused(company, in_hours=in_hours, hours=hours).code is RefusalCode.INVALID_WINDOW


def test_a_policy_may_take_no_bookings(company: Company) -> None:
    company.world.put_policy(replace(policy(), bookings=BookingTerms(horizon_ms=0)))

    assert refused(company).code is RefusalCode.INVALID_WINDOW


def test_hours_that_are_not_there_cannot_be_booked(company: Company) -> None:
    company.grant("ada", 7)

    assert refused(company).code is RefusalCode.ALLOWANCE_SHORT


def test_nothing_is_extended_into_a_booking(company: Company) -> None:
    company.grant("ada", 200)
    running = company.submit(time_limit_ms=3 * MS_PER_HOUR)
    company.launch(running)
    book(company, gpus=8, in_hours=4)

    with pytest.raises(Refusal) as caught:
        company.commands.extend(company.caller("ada"), running.id, 2 * MS_PER_HOUR, now=company.now)
    assert caught.value.code is RefusalCode.BOOKING_CONFLICT
    assert caught.value.expected == "at most 59 minutes more"
    company.commands.extend(company.caller("ada"), running.id, 59 * MS_PER_MINUTE, now=company.now)


def test_a_booking_is_not_extended_but_booked_anew(company: Company) -> None:
    company.grant("ada", 200)
    booking = book(company)

    with pytest.raises(Refusal) as caught:
        company.commands.extend(company.caller("ada"), booking.id, MS_PER_HOUR, now=company.now)
    assert caught.value.code is RefusalCode.WRONG_STATE


def test_to_another_team_a_booking_does_not_exist(company: Company) -> None:
    company.grant("ada", 200)
    booking = book(company)
    stranger = replace(company.caller("bob"), team=None)

    with pytest.raises(Refusal) as caught, company.store.reading() as books:
        booking_of(books, company.world, stranger, booking.id, company.now)
    assert caught.value.code is RefusalCode.UNKNOWN_BOOKING


def cordon(company: Company, name: str, *, is_cordoned: bool = True) -> None:
    known = company.world.nodes[NodeName(name)]
    company.world.put_node(known.name, replace(known, accepts_work=not is_cordoned))


def stands_on(company: Company, booking: Workload) -> dict[str, int]:
    attempt = company.world.live_attempt(booking.id)
    assert attempt is not None
    return dict(attempt.placement.pods_by_node)


@pytest.mark.parametrize("is_gone", [False, True], ids=["cordoned", "lost"])
def test_a_booking_whose_node_goes_before_its_start_is_placed_anew(company: Company, *, is_gone: bool) -> None:
    grant = company.grant("ada", 100)
    booking = book(company)
    left = company.available(grant)
    (on,) = stands_on(company, booking)
    if is_gone:
        company.world.put_node(NodeName(on), None)
    else:
        cordon(company, on)
    pass_time(company, 1)

    (elsewhere,) = stands_on(company, booking)
    assert elsewhere != on
    verdict = company.world.verdicts[booking.id]
    assert (verdict.reason, verdict.evidence["lost"]) == (Reason.BOOKING_MOVED, on)
    assert company.available(grant) == left
    assert not limits_are_due(company.world, company.now)
    pass_time(company, 48)
    assert company.workload(booking.id).state is WorkloadState.RUNNING


def test_a_booking_that_cannot_be_kept_is_told_so_and_costs_nothing_to_give_back(company: Company) -> None:
    grant = company.grant("ada", 100)
    first, _second = book(company, in_hours=2), book(company, in_hours=2)
    (on,) = stands_on(company, first)
    cordon(company, on)
    pass_time(company, 1)
    assert company.world.verdicts[first.id].reason is Reason.BOOKING_AT_RISK
    assert not limits_are_due(company.world, company.now), "it is said once"
    view = shown(company, first)
    assert (view.late_fee, view.notice.split(":")[0]) == (0, "Not kept")

    before = company.available(grant)
    company.commands.cancel(company.caller("ada"), first.id, now=company.now)
    assert company.available(grant) == before + 8 * MS_PER_HOUR


def test_a_booking_at_risk_is_kept_again_once_its_node_is_back(company: Company) -> None:
    company.grant("ada", 100)
    first, _second = book(company), book(company)
    (on,) = stands_on(company, first)
    cordon(company, on)
    pass_time(company, 1)
    cordon(company, on, is_cordoned=False)
    pass_time(company, 1)
    assert company.world.verdicts[first.id].reason is Reason.BOOKING_MOVED
    assert stands_on(company, first) == {on: 1}


def test_a_booking_that_is_not_kept_at_its_start_is_called_off_at_no_cost(company: Company) -> None:
    grant = company.grant("ada", 100)
    first, _second = book(company), book(company)
    before = company.available(grant)
    (on,) = stands_on(company, first)
    cordon(company, on)
    pass_time(company, 48)
    ended = company.workload(first.id)
    assert (ended.state, ended.state_reason) == (WorkloadState.CANCELLED, Reason.BOOKING_AT_RISK)
    assert company.available(grant) == before + 8 * MS_PER_HOUR


@pytest.mark.parametrize(("other_hours", "kept_on"), [(1, "n1"), (3, "n0")], ids=["free", "in use"])
def test_where_what_started_late_is_still_there_a_booking_begins_on_other_nodes_if_any_are_free(
    company: Company, other_hours: int, kept_on: str
) -> None:
    """The image of what was to end as it begins took ten minutes to come."""
    grant = company.grant("ada", 100)
    late = company.submit(time_limit_ms=2 * MS_PER_HOUR, grace_seconds=0)
    company.launch(late, FundingShare(grant, 4 * MS_PER_HOUR))
    booking = book(company, in_hours=2, hours=3)
    assert stands_on(company, booking) == {"n0": 1}
    other = company.submit(time_limit_ms=other_hours * MS_PER_HOUR, grace_seconds=0)
    company.launch(other, FundingShare(grant, other_hours * 2 * MS_PER_HOUR), node="n1")
    company.give_job(late)
    company.see(changes(job_seen(late, is_suspended=False), pod_seen(late, started_at=later(company.now, 600))))
    company.give_job(other)
    pod = pod_seen(other, started_at=company.now, node=NodeName("n1"))
    company.see(changes(job_seen(other, is_suspended=False), pod))
    if other_hours == 1:
        company.now = later(company.now, 3600)
        ended = replace(pod, finished_at=company.now, phase=PodPhase.SUCCEEDED)
        company.see(changes(ended, job_seen(other, is_suspended=False, is_complete=True)))

    pass_time(company, 1 if other_hours == 1 else 2)
    assert company.workload(booking.id).state is WorkloadState.RUNNING
    assert stands_on(company, booking) == {kept_on: 1}
    with company.store.reading() as books:
        told = [each for each in books.verdicts.of_workload(booking.id) if each.reason is Reason.BOOKING_MOVED]
    assert [each.evidence["lost"] for each in told] == (["n0"] if kept_on == "n1" else [])


def test_nothing_is_extended_while_somebody_has_gpus_of_its_class_kept_free(company: Company) -> None:
    grant = company.grant("ada", 100)
    running, waiting = company.submit(), company.submit()
    company.launch(running, FundingShare(grant, 4 * MS_PER_HOUR))
    company.give_job(running)
    company.see(changes(job_seen(running, is_suspended=False, active=1), pod_seen(running, started_at=company.now)))
    company.commands.extend(company.caller("ada"), running.id, MS_PER_HOUR, now=company.now)
    with company.changing() as batch:
        batch.say(waiting.id, Reason.RESOURCES, {"gpu_class": H100})

    with pytest.raises(Refusal) as caught:
        company.commands.extend(company.caller("ada"), running.id, MS_PER_HOUR, now=company.now)
    assert caught.value.code is RefusalCode.RESERVED_AHEAD
