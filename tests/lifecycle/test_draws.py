"""Work that hours of a class, money and standard hours pay for together, from the decision to the last charge."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from scheduler.decision.decide import step
from scheduler.decision.state import State
from scheduler.domain.allowances import Purpose
from scheduler.domain.cluster import GpuClass
from scheduler.domain.money import Micro
from scheduler.domain.observations import PodPhase
from scheduler.domain.people import Caller, Role
from scheduler.domain.quantities import class_unit
from scheduler.domain.reasons import Reason
from scheduler.domain.units import (
    MS_PER_HOUR,
    MS_PER_MINUTE,
    STANDARD_GPU,
    AllowanceId,
    AttemptId,
    Instant,
    PerMille,
    Unit,
)
from scheduler.domain.vesting import VestingPart
from scheduler.domain.workloads import Workload, WorkloadState
from scheduler.finance.focus.columns import NAMES
from scheduler.finance.focus.rows import FocusRows, Used
from scheduler.finance.prices.postings import Posting
from scheduler.finance.prices.price_book import UnitPrice
from scheduler.finance.prices.rating import Rating
from scheduler.ledger.journal import AccountKind
from scheduler.lifecycle.accounting.valued import pieces_of
from scheduler.lifecycle.awarding.awards import Awards
from scheduler.lifecycle.awarding.compensate import Package
from scheduler.lifecycle.memory.period_names import period_of
from scheduler.lifecycle.running.keep import keep_funded
from scheduler.lifecycle.running.record import record, stop_attempt
from scheduler.lifecycle.views.months import month_view
from scheduler.lifecycle.views.reader import Views
from scheduler.ports import Books
from tests.lifecycle.build import H100, NOON, ROLLING, Company, changes, job_seen, later, pod_seen, policy
from tests.lifecycle.priced import EUR, euros

PEOPLE = Caller("pat", frozenset({Role.PEOPLE}))
HOUR = MS_PER_HOUR
OF_H100 = class_unit(H100)


@pytest.fixture
def company() -> Iterator[Company]:
    made = Company()
    made.world.price_book = euros()
    yield made
    made.close_in_balance()


def pay(company: Company, amount: int, unit: Unit, expires_in_hours: int = 1000) -> AllowanceId:
    asked = Package(
        company.engineer("ada").id,
        amount,
        unit=unit,
        parts=(VestingPart(company.now, amount),),
        purposes=frozenset({Purpose.PERSONAL}),
        expires_at=Instant(company.now + expires_in_hours * HOUR),
    )
    return Awards(company.store, company.world, company.ids).compensate(PEOPLE, asked, now=company.now).id


def decide(company: Company) -> list[Reason]:
    """One decision from cold, recorded. Returns what those that wait were told."""
    company.world.prices_at(company.now)
    _, plan = step(State(), company.world.everything(), company.now)
    with company.changing() as batch:
        assert record(batch, plan, company.ids.new) == []
    return [verdict.reason for verdict in plan.verdicts]


def start(company: Company, workload: Workload) -> None:
    company.give_job(workload)
    pod = pod_seen(workload, started_at=company.now)
    company.see(changes(job_seen(workload, is_suspended=False, active=1), pod))


def finish(company: Company, workload: Workload, started_at: Instant) -> None:
    end = company.now
    company.now = later(end, 5)
    pod = pod_seen(workload, started_at=started_at, phase=PodPhase.SUCCEEDED, finished_at=end, exit_code=0)
    company.see(changes(pod, job_seen(workload, is_suspended=False, is_complete=True)))
    assert company.workload(workload.id).state is WorkloadState.COMPLETED


def charged(company: Company) -> dict[str, tuple[str, int, int]]:
    """What stands in each `charged` account: unit, amount, physical GPU-milliseconds."""
    found: dict[str, tuple[str, int, int]] = {}
    with company.store.reading() as books:
        for entry in books.journal.entries(kinds=[AccountKind.CHARGED]):
            _, amount, gpu_ms = found.get(entry.account.owner, ("", 0, 0))
            found[entry.account.owner] = (entry.unit, amount + entry.amount, gpu_ms + entry.gpu_ms)
    return found


def test_one_job_is_paid_in_hours_of_its_class_then_in_money_then_in_standard_hours(company: Company) -> None:
    hours, money = pay(company, HOUR, OF_H100, 100), pay(company, 3_000_000, EUR, 200)
    standard = pay(company, 10 * HOUR, STANDARD_GPU, 300)
    workload = company.submit(project=None)  # 2 GPUs for 2 h: 1 h of the class, 1.5 h of 3 EUR at 2, 1.5 h standard
    assert decide(company) == [Reason.LAUNCHING]
    assert {a: (b.available, b.held) for a, b in company.world.balances.items()} == {
        hours: (0, HOUR),
        money: (0, 3_000_000),
        standard: (10 * HOUR - 3 * HOUR // 2, 3 * HOUR // 2),
    }
    began = company.now
    start(company, workload)
    company.now = Instant(began + 105 * MS_PER_MINUTE)
    finish(company, workload, began)
    assert charged(company) == {
        hours: (OF_H100, HOUR, HOUR),
        money: (EUR, 3_000_000, 3 * HOUR // 2 + 1),  # a millisecond at 2 EUR an hour is less than a micro-unit
        standard: (STANDARD_GPU, HOUR - 1, HOUR - 1),
    }
    assert company.available(standard) == 9 * HOUR + 1
    with company.store.reading() as books:
        assert books.holds.open_ones() == []
        assert books.journal.differences() == []


def test_money_is_charged_at_the_price_of_the_hour_in_which_the_gpus_ran(company: Company) -> None:
    money = pay(company, 20_000_000, EUR)
    workload = company.submit(project=None, time_limit_ms=4 * HOUR)
    assert decide(company) == [Reason.LAUNCHING]
    assert company.available(money) == 20_000_000 - 16_000_000, "held at the highest price of the book"
    began = company.now
    assert began == NOON
    start(company, workload)
    company.now = Instant(began + 3 * HOUR)  # of which the third hour, from 14:00, is off-peak
    finish(company, workload, began)
    assert charged(company) == {money: (EUR, 2 * (2 * 2_000_000 + 500_000), 6 * HOUR)}
    assert company.available(money) == 11_000_000


def test_what_idle_work_gives_back_is_told_in_each_unit_that_it_was_held_in(company: Company) -> None:
    pay(company, HOUR, OF_H100, 100)
    pay(company, 3_000_000, EUR, 200)
    pay(company, 10 * HOUR, STANDARD_GPU, 300)
    workload = company.submit(project=None)  # holds 1 h of the class, 1.5 h of 3 EUR at 2, 1.5 h standard
    assert decide(company) == [Reason.LAUNCHING]
    began = company.now
    start(company, workload)
    company.now = Instant(began + HOUR)
    (attempt,) = company.world.attempts.values()
    with company.changing() as batch:
        stop_attempt(
            batch,
            attempt,
            Reason.IDLE_ENDED,
            {"minutes": 30, "gpus": 2, "came_back": "up to 2 h of GPU time comes back"},
        )
    company.see(
        changes(
            pod_seen(workload, started_at=began, finished_at=company.now, is_gone=True),
            job_seen(workload, is_suspended=True, is_confirmed_suspended=True, attempt_id=attempt.id),
        )
    )
    view = Views(company.store, company.world).statement(PEOPLE, "2026-11", company.now, "ada")
    assert {(each.shown, each.quantity, each.hours_back_ms) for each in view.returned} == {
        ("1.00 EUR", 1_000_000, 0),
        ("1.5 h", 3 * HOUR // 2, 3 * HOUR // 2),
    }
    assert {each.reason for each in view.returned} == {"IdleEnded"}


def test_the_statement_the_burn_rate_and_the_export_tell_each_draw_in_its_unit(company: Company) -> None:
    hours, money = pay(company, HOUR, OF_H100, 100), pay(company, 20_000_000, EUR, 200)
    workload = company.submit(project=None)
    assert decide(company) == [Reason.LAUNCHING]
    began = company.now
    start(company, workload)
    company.now = Instant(began + HOUR)
    finish(company, workload, began)
    view = Views(company.store, company.world).statement(PEOPLE, "2026-11", company.now, "ada")
    assert (view.gpu_ms, view.charged, view.charged_micro) == (2 * HOUR, 0, 2 * 2_000_000)
    lines = [line for other in view.others for line in other.lines if line.kind == "charge"]
    assert [(line.text, line.shown, line.gpu_ms, line.gpus, line.cost_micro) for line in lines] == [
        ("Charged: train, attempt 1", "-2.00 EUR", HOUR, 2, 2_000_000),
        ("Charged: train, attempt 1", "-1.0 h h100", HOUR, 2, 2_000_000),
    ]
    with company.store.reading() as books:
        month = month_view(books, company.world, period_of(company.world, "2026-11", company.now), company.now)
        assert (month.gpu_ms, month.charged, month.cost_micro) == (2 * HOUR, 0, 4_000_000)
        rows = export_rows(books, company)
    assert sum(int(row["x_GpuMs"]) for row in rows if row["x_GpuMs"]) == 2 * HOUR
    assert sum(Decimal(row["BilledCost"]) for row in rows) == 4
    drawn = {
        (row["x_LedgerAccount"], row["x_DrawnUnit"], row["x_DrawnAmount"], row["x_StandardGpuMs"]) for row in rows
    }
    assert drawn == {(hours, "gpu/h100", str(HOUR), "0"), (money, "EUR", "2000000", "0")}


def export_rows(books: Books, company: Company) -> list[dict[str, str]]:
    book = company.world.price_book
    assert book is not None
    made = FocusRows(Rating(book), "UTC")
    period = period_of(company.world, "2026-11", company.now)
    rows = [
        row for piece in pieces_of(books, period) for used in with_attempts(books, piece) for row in made.rows(used)
    ]
    return [dict(zip(NAMES, row, strict=True)) for row in [*rows, *made.adjustments()]]


def with_attempts(books: Books, postings: list[Posting]) -> list[Used]:
    attempts = books.attempts.many([each.attempt_id for each in postings if each.attempt_id is not None])
    return [Used(each, attempts.get(each.attempt_id or AttemptId(""))) for each in postings]


def test_a_rolling_hold_is_renewed_in_money_when_the_hours_are_gone(company: Company) -> None:
    standard, money = pay(company, 3 * HOUR // 4, STANDARD_GPU, 100), pay(company, 10_000_000, EUR, 200)
    workload = company.submit(project=None, priority_class=ROLLING)  # a slice of 2 GPUs × 15 min × 1.5
    assert decide(company) == [Reason.LAUNCHING]
    began = company.now
    start(company, workload)
    company.now = Instant(began + 14 * MS_PER_MINUTE)
    with company.changing() as batch:
        assert keep_funded(batch).renewed == 1
    assert company.available(money) == 9_000_000, "half a GPU-hour at 2 EUR, whoever is in a hurry"
    company.now = Instant(began + 20 * MS_PER_MINUTE)
    finish(company, workload, began)
    assert charged(company) == {
        standard: (STANDARD_GPU, 3 * HOUR // 4, HOUR // 2),
        money: (EUR, 333_333, HOUR // 6),
    }


def test_money_alone_that_is_short_is_a_verdict_in_hours(company: Company) -> None:
    pay(company, 7_999_999, EUR)
    workload = company.submit(project=None)
    assert decide(company) == [Reason.ALLOWANCE_SHORT]
    assert company.world.verdicts[workload.id].evidence["short_hours"] == "0.1", (
        "a millionth of an hour is short, too"
    )


def test_money_without_a_price_pays_nothing(company: Company) -> None:
    pay(company, 10**12, EUR)
    book = company.world.price_book
    assert book is not None
    company.world.price_book = replace(book, rates=())
    company.submit(project=None)
    assert decide(company) == [Reason.ALLOWANCE_SHORT]


def test_a_new_price_has_those_judged_anew_that_wait_for_money(company: Company) -> None:
    pay(company, 7_999_999, EUR)
    company.submit(project=None)
    company.world.prices_at(company.now)
    state, plan = step(State(), company.world.everything(), company.now)
    assert [verdict.reason for verdict in plan.verdicts] == [Reason.ALLOWANCE_SHORT]
    book = company.world.price_book
    assert book is not None
    company.world.price_book = replace(book, rates=(replace(book.rates[0], peak=UnitPrice(*[Micro(1_900_000)] * 3)),))
    company.world.prices_at(company.now)
    _, plan = step(state, company.world.take_changes(), company.now)
    assert [launch.funding[0].amount for launch in plan.launches] == [7_600_000]


def test_pay_is_charged_at_the_weight_of_its_day_where_the_policy_weighs_the_class_more_now(company: Company) -> None:
    pay_of_before = pay(company, 10 * HOUR, STANDARD_GPU)
    heavier = replace(policy(), gpu_classes={H100: GpuClass(H100, PerMille(2500), (("gpu", "h100"),))})
    company.world.put_policy(heavier)
    pay_of_now = pay(company, 10 * HOUR, STANDARD_GPU, 2000)
    workload = company.submit(project=None, time_limit_ms=6 * HOUR)
    assert decide(company) == [Reason.LAUNCHING]
    assert company.available(pay_of_before) == 0
    assert company.available(pay_of_now) == 5 * HOUR, "2 GPU-hours at 2.5"
    began = company.now
    start(company, workload)
    company.now = Instant(began + 3 * HOUR)
    finish(company, workload, began)
    assert charged(company) == {pay_of_before: (STANDARD_GPU, 6 * HOUR, 6 * HOUR)}
    assert company.available(pay_of_now) == 10 * HOUR
