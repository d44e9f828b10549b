"""Rolling holds and a service that was away: its books are those of one that was always there."""

from dataclasses import dataclass

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scheduler.domain.allowances import Allowance, AllowanceSource, HolderKind, holder_of
from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import PodPhase
from scheduler.domain.periods import PeriodLength, period_at
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, AllowanceId, Instant
from scheduler.domain.workloads import AttemptState, Workload
from scheduler.ledger.grants import grant
from scheduler.ledger.journal import Account, AccountKind
from scheduler.lifecycle.awarding.expire import expire_due, next_expiry
from scheduler.lifecycle.running.keep import keep_funded, renew_slices
from scheduler.lifecycle.running.limits import enforce_limits
from scheduler.lifecycle.running.record import stop_attempt
from tests.lifecycle.build import NOON, ROLLING, SPOT, Company, changes, job_seen, later, pod_seen

SLICE = {ROLLING: 2 * 15 * MS_PER_MINUTE * 3 // 2, SPOT: 2 * 15 * MS_PER_MINUTE}


def start(company: Company, workload: Workload, grant: AllowanceId) -> None:
    company.launch(workload, FundingShare(grant, SLICE[workload.spec.priority_class]), node="n0")
    company.give_job(workload)
    company.see(changes(job_seen(workload, is_suspended=False, active=1), pod_seen(workload, started_at=company.now)))


def end(company: Company, workload: Workload, began: Instant, ended: Instant) -> None:
    pod = pod_seen(workload, started_at=began, finished_at=ended, phase=PodPhase.SUCCEEDED)
    company.see(changes(pod, job_seen(workload, is_suspended=False, is_complete=True)))


def come_round(company: Company, now: Instant) -> None:
    """What a service does at a time: its periodic work and the limits of its cycle."""
    company.now = now
    if next_expiry(company.world, now) is not None:
        with company.changing() as batch:
            renew_slices(batch)
        with company.changing() as batch:
            expire_due(batch)
    with company.changing() as batch:
        keep_funded(batch)


def charges(company: Company) -> dict[tuple[str, str], tuple[int, int]]:
    """What each account was charged on each day, in standard and in physical time."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    with company.store.reading() as books:
        assert books.journal.differences() == []
        for entry in books.journal.entries(kinds=[AccountKind.CHARGED]):
            day = period_at(entry.at, PeriodLength.DAY, "UTC").name
            standard, physical = found.get((entry.account.owner, day), (0, 0))
            found[entry.account.owner, day] = (standard + entry.amount, physical + entry.gpu_ms)
    return found


def owed(company: Company) -> int:
    with company.store.reading() as books:
        return -books.journal.balance(Account(AccountKind.OVERRUN, company.engineer("ada").id))


def test_hours_that_are_there_pay_for_what_ran_while_the_service_was_down(company: Company) -> None:
    grant = company.grant("ada", 20)
    workload = company.submit(priority_class=ROLLING, time_limit_ms=8 * MS_PER_HOUR)
    start(company, workload, grant)
    began = company.now

    come_round(company, later(began, 5 * 3600))
    company.now = later(began, 6 * 3600)
    end(company, workload, began, company.now)

    assert owed(company) == 0
    assert company.available(grant) == (20 - 6 * 2 * 3 // 2) * MS_PER_HOUR


def test_hours_pay_for_what_ended_while_the_service_was_down(company: Company) -> None:
    grant = company.grant("ada", 20)
    workload = company.submit(priority_class=ROLLING, time_limit_ms=8 * MS_PER_HOUR)
    start(company, workload, grant)
    began = company.now
    company.now = later(began, 6 * 3600)
    end(company, workload, began, later(began, 4 * 3600))
    assert owed(company) == 0
    assert company.available(grant) == (20 - 12) * MS_PER_HOUR


def test_what_is_being_stopped_is_renewed_no_more_however_late_it_ends(company: Company) -> None:
    """It was to end within its slice: what it ran beyond that is owed, and the hours that are left stay its owner's."""
    grant = company.grant("ada", 20)
    workload = company.submit(priority_class=ROLLING, time_limit_ms=8 * MS_PER_HOUR)
    start(company, workload, grant)
    began = company.now
    company.now = later(began, 10 * 60)
    (attempt,) = company.world.attempts.values()
    with company.changing() as batch:
        stop_attempt(batch, attempt, Reason.CANCELLED, {})
    company.now = later(began, 20 * 60)
    end(company, workload, began, company.now)
    assert owed(company) == 5 * MS_PER_MINUTE * 2 * 3 // 2
    assert company.available(grant) == 20 * MS_PER_HOUR - SLICE[ROLLING]


def test_what_ran_beyond_its_time_limit_meanwhile_is_paid_by_hours_too(company: Company) -> None:
    grant = company.grant("ada", 20)
    workload = company.submit(priority_class=ROLLING, time_limit_ms=2 * MS_PER_HOUR)
    start(company, workload, grant)
    began = company.now
    company.now = later(began, 4 * 3600)
    with company.changing() as batch:
        enforce_limits(batch)
    assert company.workload(workload.id).state_reason is Reason.TIME_LIMIT
    end(company, workload, began, company.now)
    assert owed(company) == 0


@pytest.mark.parametrize("priority_class", [ROLLING, SPOT], ids=str)
def test_what_no_hours_paid_for_is_owed_or_unfunded_as_its_class_says(company: Company, priority_class: str) -> None:
    """An hour was left when the service went; it came back after four."""
    grant = company.grant("ada", 1)
    workload = company.submit(priority_class=priority_class, time_limit_ms=8 * MS_PER_HOUR)
    slices = MS_PER_HOUR // SLICE[workload.spec.priority_class]
    start(company, workload, grant)
    began = company.now

    come_round(company, later(began, 4 * 3600))
    company.now = later(began, 4 * 3600)
    end(company, workload, began, company.now)

    covered, rate = slices * SLICE[workload.spec.priority_class], SLICE[workload.spec.priority_class] // 15
    beyond = 4 * 60 * rate - covered
    is_unfunded = priority_class == SPOT
    assert owed(company) == (0 if is_unfunded else beyond)
    with company.store.reading() as books:
        unfunded = books.journal.balance(Account(AccountKind.CHARGED, f"unfunded/{company.engineer('ada').id}"))
    assert unfunded == (beyond if is_unfunded else 0)


def allow(company: Company, hours_ms: int, starts_at: Instant, expires_at: Instant | None = None) -> AllowanceId:
    holder = holder_of(HolderKind.ENGINEER, company.engineer("ada").id)
    made = Allowance(
        AllowanceId(f"of-{starts_at}"),
        holder,
        AllowanceSource.TIER,
        hours_ms,
        starts_at,
        expires_at,
        granted_at=starts_at,
    )
    with company.changing() as batch:
        batch.add_allowance(made)
        batch.post(grant(made, actor="policy", memo="a period"))
    return made.id


def test_hours_of_a_later_day_pay_from_that_day_on_and_not_for_what_ran_before(company: Company) -> None:
    turn = later(NOON, 2 * 3600)
    first, second = allow(company, MS_PER_HOUR, NOON, turn), allow(company, 20 * MS_PER_HOUR, turn)
    workload = company.submit(priority_class=ROLLING, time_limit_ms=8 * MS_PER_HOUR)
    start(company, workload, first)

    come_round(company, later(NOON, 5 * 3600))
    held = 20 * MS_PER_HOUR - company.available(second)
    company.now = later(NOON, 6 * 3600)
    end(company, workload, NOON, company.now)

    assert held == 13 * SLICE[ROLLING], "three hours and the slice that runs"
    assert owed(company) == 6 * MS_PER_HOUR - SLICE[ROLLING]
    assert company.available(second) == (20 - 4 * 3) * MS_PER_HOUR


@dataclass(frozen=True)
class History:
    """In minutes from noon: two periods with their hours, what runs (its class, from when, until when), and when there was
    a round: each minute, or at these alone. Ends are heard of at the first round after them, in their order: what one gives
    back is there for the next."""

    turn: int
    hours: tuple[int, int]
    works: tuple[tuple[str, int, int], ...]
    rounds: tuple[int, ...]

    @property
    def over(self) -> int:
        return max(self.turn, *(until for _, _, until in self.works), *self.rounds) + 1


@st.composite
def histories(draw: st.DrawFn) -> History:
    works = []
    for _ in range(draw(st.integers(1, 2))):
        began = draw(st.integers(0, 30))
        works.append((draw(st.sampled_from([ROLLING, SPOT])), began, began + draw(st.integers(1, 150))))
    last = max(until for _, _, until in works)
    rounds = tuple(sorted(draw(st.sets(st.integers(1, last + 60), max_size=6))))
    # Of two that ended unheard, nobody knows which needed the last hours first.
    hours = (draw(st.integers(1, 12)), draw(st.sampled_from([1, 5, 12]))) if len(works) == 1 else (40, 40)
    return History(draw(st.integers(1, last + 60)), hours, tuple(works), rounds)


def live(company: Company, history: History, rounds: tuple[int, ...]) -> bool:
    """Returns whether everything ran to its end, and nothing was decided beside that."""
    turn = later(NOON, history.turn * 60)
    # All that starts has its first slice from the first period, whenever that is: a launch is not what is examined.
    first = allow(company, history.hours[0] * MS_PER_HOUR, NOON, turn)
    allow(company, history.hours[1] * MS_PER_HOUR, turn)
    running: dict[int, tuple[Workload, Instant]] = {}
    ended: set[int] = set()
    for minute in range(history.over + 1):
        company.now = later(NOON, minute * 60)
        for number, (name, began, _) in enumerate(history.works):
            if minute == began:
                workload = company.submit(priority_class=name, time_limit_ms=12 * MS_PER_HOUR)
                start(company, workload, first)
                running[number] = workload, company.now
        if minute not in rounds and minute != history.over:
            continue
        for number in sorted(range(len(history.works)), key=lambda each: history.works[each][2]):
            until = history.works[number][2]
            if number in running and number not in ended and until <= minute:
                end(company, *running[number], later(NOON, until * 60))
                ended.add(number)
        come_round(company, company.now)
        if any(each.state is AttemptState.STOPPING for each in company.world.attempts.values()):
            return False
    return True


@given(history=histories())
def test_late_rounds_leave_the_charges_that_punctual_ones_do(history: History) -> None:
    """Day by day, to the millisecond, and across the end of a period, where hours were enough for what nobody stopped."""
    assume(all(began < history.turn for _, began, _ in history.works))
    punctual, late = Company(), Company()
    try:
        assume(live(punctual, history, tuple(range(1, history.over))))
        assert live(late, history, history.rounds)
        assert charges(late) == charges(punctual)
        assert owed(late) == 0
    finally:
        punctual.close()
        late.close()
