"""Beyond a booking's end: what still runs of the work inside pays for itself, and each GPU-millisecond is charged once."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.bookings import BookingPhase
from scheduler.domain.cluster import NodeSpan
from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import PodPhase
from scheduler.domain.people import Caller, Role
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, Instant
from scheduler.domain.workloads import Workload
from scheduler.finance.reconciling.conservation import total
from scheduler.finance.reconciling.reconciliation import DifferenceKind
from scheduler.ledger.journal import Account, AccountKind
from scheduler.lifecycle.accounting.close_period import Periods
from scheduler.lifecycle.asking.booking import BookingWish
from scheduler.lifecycle.running.keep import CHARGE_BEHIND_MS, keep_funded
from scheduler.lifecycle.running.limits import enforce_limits, limits_are_due
from scheduler.lifecycle.running.observe import look_again
from scheduler.lifecycle.views.conservation import node_accounts
from tests.lifecycle.build import FULL, H100, NOON, Company, changes, job_seen, later, pod_seen
from tests.lifecycle.test_bookings import book, pass_time, shown
from tests.lifecycle.test_inside_bookings import run_inside

AUDITOR = Caller("aud", frozenset({Role.AUDITOR}))
BOOKED_GPUS, GPUS = 4, 2


def owed(company: Company) -> tuple[int, int]:
    """What ada owes beyond what was held for her, and the physical time that all charges come to."""
    with company.store.reading() as books:
        overrun = -books.journal.balance(Account(AccountKind.OVERRUN, company.engineer("ada").id))
        charged = sum(books.periods.charged(Instant(0), Instant(NOON * 2)).values())
        assert books.journal.differences() == []
    return overrun, charged


def end_pods(company: Company, workload: Workload, start: Instant, **stamps: Instant | int) -> None:
    ended = pod_seen(workload, started_at=start, phase=PodPhase.FAILED, exit_code=143, **stamps)
    at_rest = job_seen(workload, is_suspended=True, is_confirmed_suspended=True, generation=2)
    company.see(changes(ended, at_rest))


def test_what_nobody_stopped_in_time_pays_for_what_lies_beyond_its_booking(company: Company) -> None:
    """The service was down for an hour, across the booking's end."""
    grant = company.grant("ada", 20)
    booking = book(company, in_hours=0, hours=2)
    pass_time(company, 0.5)
    workload = run_inside(company, booking, 0, time_limit_ms=MS_PER_HOUR)
    start = company.now
    pass_time(company, 2.5)
    assert company.workload(workload.id).state_reason is Reason.TIME_LIMIT

    company.now = later(company.now, 20)
    end_pods(company, workload, start, finished_at=company.now)

    beyond_ms = MS_PER_HOUR + 20_000
    assert owed(company) == (GPUS * beyond_ms, BOOKED_GPUS * 2 * MS_PER_HOUR + GPUS * beyond_ms)
    assert company.available(grant) == (20 - 8) * MS_PER_HOUR
    assert shown(company, booking).used_inside == GPUS * 1.5 * MS_PER_HOUR


def test_a_month_with_a_booking_reconciles_whoever_ran_inside_and_however_late_it_ended(company: Company) -> None:
    """No agent reads anything here: what pods ran for is `evidence-lost`, and what was booked and not used is neither."""
    company.grant("ada", 20)
    booking = book(company, in_hours=0, hours=2)
    pass_time(company, 0.5)
    workload = run_inside(company, booking, 0, time_limit_ms=MS_PER_HOUR)
    start = company.now
    pass_time(company, 2.5)
    end_pods(company, workload, start, finished_at=company.now)

    found = Periods(company.store, company.world).reconciliation(AUDITOR, "2026-11", company.now)

    held = GPUS * int(2.5 * MS_PER_HOUR)
    assert (found.charged, found.held_by_pods) == (BOOKED_GPUS * 2 * MS_PER_HOUR + GPUS * MS_PER_HOUR, held)
    assert found.charged == found.held_by_pods + found.booked_unused
    assert [(each.kind, each.gpu_ms) for each in found.differences] == [(DifferenceKind.EVIDENCE_LOST, held)]


@pytest.mark.parametrize("hours", [0.2, 1, 1.5, 2.4], ids=str)
def test_while_a_booking_is_active_what_is_not_charged_yet_is_no_difference(company: Company, hours: float) -> None:
    company.grant("ada", 20)
    booking = book(company, in_hours=0, hours=2)
    pass_time(company, 0)
    workload = run_inside(company, booking, 0, time_limit_ms=MS_PER_HOUR)
    start = company.now
    for _ in range(4):
        cycle(company, later(company.now, int(hours * 900)))

    running = Periods(company.store, company.world).reconciliation(AUDITOR, "2026-11", company.now)
    end_pods(company, workload, start, finished_at=company.now)
    ended = Periods(company.store, company.world).reconciliation(AUDITOR, "2026-11", company.now)

    for found in (running, ended):
        assert found.charged == found.held_by_pods + found.booked_unused
        assert {each.kind for each in found.differences} <= {DifferenceKind.EVIDENCE_LOST}
        late_ms = max(0, company.now - start - 2 * MS_PER_HOUR)
        all_ms = BOOKED_GPUS * (company.now - start - late_ms) + GPUS * late_ms
        assert found.charged + found.not_yet_charged == all_ms


@dataclass(frozen=True)
class Ran:
    """Work inside, in seconds from the booking's start: its pod ran until `ended`, was told to end at `told` with a grace
    that may have been shorter than it took, and was reported so much later."""

    began: int
    ended: int
    told: int
    grace: int
    reported: int

    @property
    def billed_until(self) -> int:
        return min(self.ended, self.told + self.grace)


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[Ran], list[int]]:
    """How long the booking is, what ran inside, and when there was a cycle: at any time, or for hours at none. The first
    sees it begin. Between an end and its report there is none but while charges are still behind: the service was down."""
    length = draw(st.integers(1, 30 * 3600))
    first = draw(st.sampled_from([0, 1, 3600, 29 * 3600]))
    ran = []
    for _ in range(draw(st.integers(0, 2)) if first < length else 0):
        began = draw(st.integers(first, length - 1))
        ended = began + draw(st.integers(0, 30 * 3600))
        told = draw(st.integers(began, ended))
        reported = ended + draw(st.sampled_from([0, 1, 60, 5 * 3600]))
        ran.append(Ran(began, ended, told, draw(st.sampled_from([0, 30, 100_000])), reported))
    cycles = draw(st.lists(st.integers(first, 70 * 3600), max_size=8))
    return length, ran, [first, *(at for at in cycles if not any(is_unheard(each, at) for each in ran))]


def is_unheard(ran: Ran, at: int) -> bool:
    """Whether it has ended for so long that it would be charged beyond that, and nobody has heard of it."""
    return ran.billed_until + CHARGE_BEHIND_MS // 1000 < at < ran.reported


def cycle(company: Company, now: Instant) -> None:
    company.now = now
    with company.changing() as batch:
        enforce_limits(batch)
        keep_funded(batch)
    with company.changing() as batch:
        look_again(batch)


def booked(company: Company, begins: int, length: int, since: Instant = NOON) -> Workload:
    wish = BookingWish(H100, BOOKED_GPUS, later(since, begins), 1000 * length, None, priority_class=FULL)
    return company.commands.book(company.caller("ada"), wish, now=since)


def live(company: Company, length: int, ran: list[Ran], cycles: list[int], next_s: int = 0) -> None:
    """The history, in the order in which the service hears of it; in the end it has heard everything. `next_s`: how long
    the booking is that begins where this one ends; 0: none."""
    booking = booked(company, 0, length)
    if next_s:
        booked(company, 0, length + next_s)
        booked(company, length, next_s)
    began: dict[int, Workload] = {}
    last = max([length + next_s, *cycles, *(each.reported for each in ran)])
    heard = [(at, 2, -1) for at in [*cycles, last, last]]
    heard += [(each.began, 3, number) for number, each in enumerate(ran)]
    heard += [(each.reported, 4 if each.reported == each.began else 1, number) for number, each in enumerate(ran)]
    for at, kind, number in sorted(heard):
        company.now = later(NOON, at)
        if kind == 3:
            began[number] = run_inside(company, booking, 0, time_limit_ms=MS_PER_HOUR)
        elif kind == 2:
            cycle(company, company.now)
        else:
            each = ran[number]
            stamps = {"finished_at": later(NOON, each.ended), "deleted_at": later(NOON, each.told)}
            end_pods(company, began[number], later(NOON, each.began), grace_seconds=each.grace, **stamps)
    cycle(company, company.now)


@given(history=histories())
def test_however_late_a_cycle_is_each_gpu_millisecond_is_charged_once_and_explained(
    history: tuple[int, list[Ran], list[int]],
) -> None:
    """Bookings and attempts together are charged what pods ran and what was booked and not used; of each node every
    millisecond is somebody's, and the month has nothing that nobody was charged for."""
    length, ran, cycles = history
    company = Company()
    try:
        company.grant("ada", 1000)
        open_spans(company)
        live(company, *history)

        beyond = sum(max(0, each.billed_until - max(each.began, length)) for each in ran)
        overhead = sum(max(0, each.ended - max(each.billed_until, length)) for each in ran)
        charged = 1000 * (BOOKED_GPUS * max(0, length - cycles[0]) + GPUS * beyond)
        assert owed(company) == (1000 * GPUS * beyond, charged)
        assert conserved(company) == (charged, 1000 * GPUS * overhead, 0)
        found = Periods(company.store, company.world).reconciliation(AUDITOR, "2026-11", company.now)
        lost = {each.kind for each in found.differences} - {DifferenceKind.EVIDENCE_LOST}
        assert lost == ({DifferenceKind.OVERHEAD} if overhead else set())
        assert found.held_by_pods == 1000 * GPUS * sum(each.ended - each.began for each in ran)
        assert found.charged == found.held_by_pods + found.booked_unused - 1000 * GPUS * overhead
    finally:
        company.close()


@given(history=histories(), hours=st.integers(1, 40))
def test_however_long_who_was_inside_stays_into_the_next_booking_no_gpu_is_charged_twice(
    history: tuple[int, list[Ran], list[int]], hours: int
) -> None:
    """It begins on the same node at once, for the other one is booked; or, where the service is down then, as it is up."""
    length, ran, cycles = history
    company = Company()
    try:
        company.grant("ada", 1000)
        open_spans(company)
        live(company, length, ran, cycles, next_s=3600 * hours)

        overhead = sum(max(0, each.ended - max(each.billed_until, length)) for each in ran)
        assert conserved(company) == (owed(company)[1], 1000 * GPUS * overhead, 0)
    finally:
        company.close()


@pytest.mark.parametrize("is_inside", [True, False], ids=["of the booking before", "of nobody's booking"])
def test_a_booking_is_charged_for_gpus_that_somebody_still_has_from_when_they_are_free(
    company: Company, *, is_inside: bool
) -> None:
    """Two of its four are in use for the first ten minutes of its two hours, and the other node is booked: what runs there
    is charged for them, and nobody for the same time again."""
    grant = company.grant("ada", 100)
    open_spans(company)
    if is_inside:
        before_it = book(company, in_hours=0, hours=1)
        pass_time(company, 0)
        workload = run_inside(company, before_it, 0, time_limit_ms=MS_PER_HOUR)
    else:
        workload = company.submit(time_limit_ms=MS_PER_HOUR, grace_seconds=0)
        company.launch(workload, FundingShare(grant, GPUS * MS_PER_HOUR))
        company.give_job(workload)
        company.see(changes(job_seen(workload, is_suspended=False), pod_seen(workload, started_at=NOON)))
    book(company, in_hours=0, hours=4)
    booking = book(company, in_hours=1, hours=2)
    cycle(company, NOON)

    cycle(company, later(NOON, 3600))
    assert shown(company, booking).phase is BookingPhase.ACTIVE
    assert not limits_are_due(company.world, later(company.now, 60)), "there is nothing to take yet"
    company.now = later(NOON, 4200)
    end_pods(company, workload, NOON, finished_at=company.now)
    assert limits_are_due(company.world, company.now)
    cycle(company, company.now)
    assert not limits_are_due(company.world, company.now)
    cycle(company, later(NOON, 4 * 3600))

    late_ms = GPUS * 10 * MS_PER_MINUTE
    seen = shown(company, booking)
    assert seen.charged == seen.unused == BOOKED_GPUS * 2 * MS_PER_HOUR - late_ms
    before = (BOOKED_GPUS if is_inside else GPUS) * MS_PER_HOUR
    charged = before + BOOKED_GPUS * 4 * MS_PER_HOUR + BOOKED_GPUS * 2 * MS_PER_HOUR
    assert owed(company) == (late_ms, charged)
    assert conserved(company) == (charged, 0, 0)
    assert company.available(grant) == 100 * MS_PER_HOUR - (charged - late_ms)


def open_spans(company: Company) -> None:
    """The nodes are known from noon on."""
    with company.store.writing() as books:
        spans = [NodeSpan(name, H100, NOON, None, 4, 0, True) for name in company.world.nodes]
        books.capacity.change(ended=[], begun=spans)


def conserved(company: Company) -> tuple[int, int, int]:
    """Physical GPU-milliseconds of the nodes that were charged, the platform's, and nobody's."""
    with company.store.reading() as books:
        whole = total(node_accounts(books, NOON, later(NOON, 80 * 3600)))
    return whole.charged, whole.overhead, whole.unexplained
