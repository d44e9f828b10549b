"""Pay that keeps cheaper weights than those of today: what statements, explanations and the export say of its rate."""

import csv
import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import step
from scheduler.decision.plan import Launch, Plan, Preemption, Victim
from scheduler.decision.state import State
from scheduler.domain.cluster import GpuClass, Placement
from scheduler.domain.funding import FundingShare
from scheduler.domain.periods import period_named
from scheduler.domain.policy import Policy
from scheduler.domain.terms import Draw
from scheduler.domain.units import MS_PER_HOUR, STANDARD_GPU, AllowanceId, NodeName, PerMille, PoolName, WorkloadId
from scheduler.finance.csv_text import csv_lines
from scheduler.finance.focus.columns import NAMES
from scheduler.lifecycle.accounting.export_focus import focus_rows
from scheduler.lifecycle.awarding.awards import Awards
from scheduler.lifecycle.running.record import record
from scheduler.lifecycle.views.quotes import quote_view
from scheduler.lifecycle.views.reader import Views
from scheduler.lifecycle.views.statement_rows import HEADER, statement_rows
from scheduler.lifecycle.views.statement_shapes import StatementLine, StatementView
from scheduler.lifecycle.views.workloads import attempt_views
from tests.lifecycle.build import H100, NOON, OPERATOR, Company, changes, job_seen, job_spec, later, pod_seen, policy
from tests.lifecycle.priced import euros
from tests.lifecycle.test_compensation import PEOPLE, package

KEPT = Draw(STANDARD_GPU, 1_000_000)
"""At the weight and the factor of the day of the grant: 1 × 1."""


def dearer() -> Policy:
    return replace(policy(), gpu_classes={H100: GpuClass(H100, PerMille(2000), (("gpu", "h100"),))})


def paid(company: Company) -> tuple[AllowanceId, AllowanceId]:
    """Pay of before the weight was raised, and hours of after."""
    awards = Awards(company.store, company.world, company.ids)
    terms = replace(package(company), months=0, cliff_months=0)
    pay = awards.compensate(PEOPLE, terms, now=NOON).id
    company.administration.apply_policy(OPERATOR, "dearer", dearer(), now=NOON)
    return pay, company.grant("ada", 100)


def run(company: Company, seconds: int, *shares: FundingShare, is_lost: bool = False) -> WorkloadId:
    """A job on two GPUs for so long; `is_lost`: preempted at its end, its last checkpoint half-way."""
    workload = company.submit("ada")
    assert company.launch(workload, *shares) == []
    company.give_job(workload)
    start = company.now
    company.see(changes(job_seen(workload, is_suspended=False, active=1), pod_seen(workload, started_at=start)))
    if is_lost:
        company.now = later(start, seconds // 2)
        company.commands.record_checkpoint(company.caller("ada"), workload.id, now=company.now)
    company.now = later(start, seconds)
    if is_lost:
        preempt(company, workload.id)
        end = job_seen(workload, is_confirmed_suspended=True)
    else:
        end = job_seen(workload, is_suspended=False, is_complete=True)
    company.see(changes(pod_seen(workload, started_at=start, finished_at=company.now, is_gone=True), end))
    return workload.id


def preempt(company: Company, victim: WorkloadId) -> None:
    """For a job of Bob's."""
    hours = company.grant("bob", 10)
    preemptor = company.submit("bob")
    placement = Placement(((NodeName("n0"), 1),))
    launch = Launch(preemptor.id, H100, placement, PoolName("research"), (FundingShare(hours, 8 * MS_PER_HOUR),))
    attempt = company.world.live_attempt(victim)
    assert attempt is not None
    victims = (Victim(attempt.id, victim, "InPool", "urgent over standard"),)
    with company.changing() as batch:
        made = Plan(company.now, preemptions=(Preemption(launch, victims, later(company.now, 300)),))
        assert record(batch, made, company.ids.new) == []


@pytest.fixture
def company() -> Iterator[Company]:
    with closing(Company()) as made:
        yield made


def statement(company: Company, owner: str | None = "ada") -> StatementView:
    return Views(company.store, company.world).statement(OPERATOR, "2026-11", company.now, owner)


def of_attempts(view: StatementView) -> list[StatementLine]:
    return [line for line in view.lines if line.attempt_id]


def require_ties(line: StatementLine) -> None:
    """GPU-hours × weight × class factor are its amount, to what one millisecond costs for each posting of a few."""
    amount = abs(line.amount) + abs(line.overrun) + abs(line.unfunded)
    assert abs(line.gpu_ms * line.weight * line.class_factor // 1_000_000 - amount) <= 6, line


def test_a_line_that_pay_paid_shows_the_weight_that_it_paid_at(company: Company) -> None:
    pay, _ = paid(company)
    run(company, 720, FundingShare(pay, MS_PER_HOUR, KEPT))
    (line,) = of_attempts(statement(company))
    assert (line.weight, line.class_factor, line.gpu_ms, line.amount) == (1000, 1000, 1_440_000, -1_440_000)
    assert line.text == "Charged: train, attempt 1, at the terms of its grant"
    (of_company,) = of_attempts(statement(company, "company"))
    assert of_company == line


def test_a_line_of_anything_else_shows_the_weight_of_its_attempt(company: Company) -> None:
    _, hours = paid(company)
    run(company, 720, FundingShare(hours, MS_PER_HOUR))
    (line,) = of_attempts(statement(company))
    assert (line.weight, line.gpu_ms, line.amount) == (2000, 1_440_000, -2_880_000)
    assert line.text == "Charged: train, attempt 1"


def test_what_two_rates_paid_is_two_lines_that_add_up_to_it(company: Company) -> None:
    company.world.price_book = euros()
    pay, hours = paid(company)
    run(company, 3600, FundingShare(pay, MS_PER_HOUR // 2, KEPT), FundingShare(hours, 4 * MS_PER_HOUR))
    view = statement(company)
    cheap, dear = of_attempts(view)
    assert [(each.weight, each.gpu_ms, each.amount) for each in (cheap, dear)] == [
        (1000, MS_PER_HOUR // 2, -MS_PER_HOUR // 2),
        (2000, 3 * MS_PER_HOUR // 2, -3 * MS_PER_HOUR),
    ]
    assert view.charged == 7 * MS_PER_HOUR // 2
    assert (cheap.cost_micro, dear.cost_micro) == (1_000_000, 3_000_000)
    assert [sum(p.gpu_ms for p in each.prices) for each in (cheap, dear)] == [cheap.gpu_ms, dear.gpu_ms]


def test_the_csv_has_the_weight_that_was_paid_at(company: Company) -> None:
    pay, _ = paid(company)
    run(company, 720, FundingShare(pay, MS_PER_HOUR, KEPT))
    rows = csv.DictReader(io.StringIO("".join(csv_lines(HEADER, statement_rows(statement(company))))))
    assert [row["weight_per_mille"] for row in rows if row["attempt_id"]] == ["1000"]


@pytest.mark.parametrize(
    ("sees_pay", "drawn"), [(True, ("0.4 h of pay at the terms of its grant for 0.8 h",)), (False, ())]
)
def test_an_explanation_says_what_pay_paid_and_for_how_much_to_whoever_sees_pay(
    company: Company, sees_pay: bool, drawn: tuple[str, ...]
) -> None:
    pay, _ = paid(company)
    workload_id = run(company, 720, FundingShare(pay, MS_PER_HOUR, KEPT))
    with company.store.reading() as books:
        (attempt,) = attempt_views(books, workload_id, company.now, sees_pay=sees_pay)
    assert (attempt.charged, attempt.drawn) == (2_880_000, drawn)


def test_a_focus_row_has_the_weight_that_its_payer_paid_at(company: Company) -> None:
    pay, hours = paid(company)
    run(company, 3600, FundingShare(pay, MS_PER_HOUR // 2, KEPT), FundingShare(hours, 4 * MS_PER_HOUR))
    with company.store.reading() as books:
        found = focus_rows(books, euros(), period_named("2026-11", "UTC"), "UTC")
        rows = [dict(zip(NAMES, row, strict=True)) for row in found]
    used = [row for row in rows if row["ChargeCategory"] == "Usage"]
    for row in used:
        due = int(row["x_GpuMs"]) * int(row["x_WeightPerMille"]) * int(row["x_ClassFactorPerMille"]) // 1_000_000
        assert due == int(row["x_StandardGpuMs"])
    assert {row["x_WeightPerMille"] for row in used} == {"1000", "2000"}


HALF_HOURS = st.integers(0, 4).map(lambda number: number * MS_PER_HOUR // 2)


@settings(deadline=None, max_examples=25)
@given(of_pay=HALF_HOURS, of_hours=HALF_HOURS, seconds=st.integers(1, 7200), is_lost=st.booleans())
def test_every_line_is_gpu_hours_by_its_weight_and_factor(
    of_pay: int, of_hours: int, seconds: int, is_lost: bool
) -> None:
    with closing(Company()) as company:
        pay, hours = paid(company)
        shares = [FundingShare(pay, of_pay, KEPT), FundingShare(hours, of_hours)]
        run(company, seconds, *(share for share in shares if share.amount), is_lost=is_lost)
        for owner in ("ada", "company"):
            view = statement(company, owner)
            lines = of_attempts(view)
            for line in lines:
                require_ties(line)
            charged = [line for line in lines if line.kind == "charge"]
            assert sum(line.gpu_ms for line in charged) == view.gpu_ms == 2_000 * seconds
            assert -sum(line.amount for line in charged) == view.charged
            assert sum(line.overrun for line in lines) == view.overrun
            assert sum(line.unfunded for line in lines) == view.unfunded


def test_a_quote_says_for_how_much_pay_pays(company: Company) -> None:
    pay, hours = paid(company)
    state = step(State(), company.world.everything(), company.now)[0]
    spec = replace(job_spec(), project=None, time_limit_ms=MS_PER_HOUR)
    found = quote_view(company.world, state, company.engineer("ada"), spec, company.now)
    assert (found.asked, found.held) == (4 * MS_PER_HOUR, 4 * MS_PER_HOUR)
    (payer,) = found.payers
    assert (payer.allowance_id, payer.shown) == (pay, "2.0 h")
    assert payer.terms == "for 4.0 h at the terms of its grant"
    of_project = quote_view(company.world, state, company.engineer("ada"), job_spec(), company.now)
    assert [(each.allowance_id, each.terms) for each in of_project.payers] == [(hours, "")]
