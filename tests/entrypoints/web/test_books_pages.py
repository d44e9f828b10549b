"""Finance: the month, where every GPU-hour went, the checks; and everybody's own statement."""

from dataclasses import replace

from scheduler.domain.money import Currency, Micro
from scheduler.domain.periods import period_named
from scheduler.domain.units import Instant
from scheduler.entrypoints.web.books import course_of
from scheduler.entrypoints.web.folds import FOLDED_FROM
from scheduler.finance.prices.fair_value import FairValue
from scheduler.lifecycle.views.statement_shapes import PriceView
from scheduler.lifecycle.views.unit_shapes import (
    Corrected,
    GrantValueView,
    PackageValueView,
    ReturnedView,
    UnitLine,
    UnitView,
)
from tests.entrypoints.web.conftest import SignIn
from tests.entrypoints.web.reading import read
from tests.entrypoints.web.sample_books import month, statement
from tests.entrypoints.web.sample_people import DAY, FINN, MARA, MONTH_END, MONTH_START, NOW, H
from tests.entrypoints.web.sample_views import SampleService


async def test_the_month_says_what_the_views_say(sign_in: SignIn) -> None:
    async with sign_in(FINN) as client:
        text = read(await client.get("/books")).text
    assert "November 2026" in text
    assert "Charged 452 952.0 h standard GPU-hours; 1 212.0 h refunded" in text
    assert "Unattributed 0.0 GPU-h of 595 200.0 capacity hours" in text
    assert "charged 76.1 %" in text
    assert "research 215 604.8 237 165.3 9 000.0 – – platform" in text
    assert "principal 100 000.0" in text
    assert "Total 452 952.0" in text
    for name, _, detail in month().checks:
        assert name in text
        assert detail in text
    assert text.count("does not hold") == 1


async def test_a_month_without_charges_or_capacity_says_so(service: SampleService, sign_in: SignIn) -> None:
    service.views.month_value = month(
        charged=0, gpu_ms=0, unfunded=0, by_team=(), by_tier=(), by_gpu_class=(), buckets=(), capacity=0, checks=()
    )
    async with sign_in(FINN) as client:
        text = read(await client.get("/books")).text
    assert "Unattributed" not in text
    assert "Refunded 1 212.0 h for work that was lost" in text
    assert "Nothing was charged in this period." in text
    assert "No check has run yet." in text


async def test_a_balance_is_not_drawn_where_lines_of_it_are_missing(service: SampleService, sign_in: SignIn) -> None:
    async with sign_in(FINN) as client:
        whole = read(await client.get("/statement")).text
        service.views.statement_value = statement(lines_left_out=7)
        part = read(await client.get("/statement")).text
        service.views.statement_value = statement(lines=(), lines_left_out=7)
        of_a_lead = read(await client.get("/statement")).text
    assert "The balance, as it was posted" in whole
    assert "The balance, as it was posted" not in part
    assert "and 7 more lines; the CSV has them all." in part
    assert "7 lines: pay data, of which a lead sees the sums." in of_a_lead


async def test_beside_a_statement_of_a_week_are_weeks_whatever_the_policy_s_period_is(
    service: SampleService, sign_in: SignIn
) -> None:
    week = period_named("2026-W45", service.views.policy().time_zone)
    service.views.statement_value = statement(period=week.name, starts_at=week.starts_at, ends_at=week.ends_at)
    async with sign_in(FINN) as client:
        links = read(await client.get("/statement?period=2026-W45")).links
    assert {"/statement?period=2026-W44", "/statement?period=2026-W46"} <= set(links)


async def test_a_statement_says_what_of_its_cost_is_which_correction(service: SampleService, sign_in: SignIn) -> None:
    corrected = Corrected(NOW, "Corrected: prices of 2026-10 by later.yaml", Micro(-83_902_739))
    service.views.statement_value = statement(
        cost_micro=Micro(1_000_000), corrected_micro=Micro(-83_902_739), corrections=(corrected,), currency="EUR"
    )
    async with sign_in(FINN) as client:
        text = read(await client.get("/statement")).text
    assert "of it corrections of closed periods −83.90" in text
    assert "Corrected: prices of 2026-10 by later.yaml −83.90" in text


async def test_a_statement_says_what_came_back_from_idle_work(service: SampleService, sign_in: SignIn) -> None:
    back = ReturnedView(NOW, "t-1", "w-notebook", "notebook", "Idle", "EUR", 1_000_000, "1.00 EUR", 0)
    hours = replace(back, reason="IdleEnded", unit="standard", shown="0.0 h", hours_back_ms=96_000)
    service.views.statement_value = statement(returned=(back, hours))
    async with sign_in(MARA) as client:
        page = read(await client.get("/statement"))
    assert "notebook suspended, since its GPUs were idle 1.00 EUR" in page.text
    assert "notebook ended, since its GPUs were idle 1 min" in page.text
    assert "/workloads/w-notebook" in page.links


async def test_the_months_before_and_after_are_a_link_away(sign_in: SignIn) -> None:
    async with sign_in(FINN) as client:
        page = read(await client.get("/books"))
        odd = await client.get("/books?period=november")
    assert "/books?period=2026-10" in page.links
    assert "/books?period=2026-12" not in page.links
    assert odd.status_code == 422
    assert "names no period" in read(odd).text


async def test_who_may_not_read_the_books_is_told_who_may(sign_in: SignIn) -> None:
    async with sign_in(MARA) as client:
        response = await client.get("/books")
        hours = read(await client.get("/hours"))
    assert response.status_code == 403
    assert "Expected the role finance, auditor or operator." in read(response).text
    assert "/books" not in hours.links
    assert "/statement" in hours.links


async def test_a_statement_adds_up_on_the_page(sign_in: SignIn) -> None:
    view = statement()
    assert view.opening + view.granted - view.charged + view.refunded == view.closing + view.held
    async with sign_in(MARA) as client:
        text = read(await client.get("/statement")).text
    assert "Opening 120.0 Granted +240.0 Charged −141.6 Refunded +0.6 Expired 0.0 Held for what runs −4.3" in text
    assert "Closing 214.7 Ran unfunded, not charged 46.0" in text
    assert "ablation-sweep attempt 1, preempted 8 × a100 90.0 0.55 × 1 −49.5" in text


async def test_a_statement_says_how_the_gpus_were_used_and_what_is_advised(
    service: SampleService, sign_in: SignIn
) -> None:
    async with sign_in(MARA) as client:
        text = read(await client.get("/statement")).text
        assert "How the GPUs were used" in text
        assert "the share of time in which any kernel ran; idle 40.0 % of what was read; 1.50 kWh per useful" in text
        assert "ablation-sweep : It asked for 8 GPUs; 2 were never used" in text.replace("sweep:", "sweep :")
        service.efficiency_value = replace(service.efficiency_value, total=None)
        assert "How the GPUs were used" not in read(await client.get("/statement")).text


def test_the_course_of_a_statement_ends_where_it_closes_with_what_is_held() -> None:
    view = statement()
    course = course_of(view, NOW)
    assert course[0] == (view.starts_at, view.opening)
    assert course[-1][0] == NOW
    assert course_of(view, Instant(view.ends_at + 1))[-1][0] == view.ends_at
    assert course[-1][1] == view.opening + sum(line.amount for line in view.lines)
    assert [at for at, _ in course] == sorted(at for at, _ in course)


async def test_a_long_statement_is_folded_by_team_or_by_day_with_sums_and_has_every_line(
    service: SampleService, sign_in: SignIn
) -> None:
    grant, used, *_ = statement().lines
    lines = [replace(grant, amount=7 * H)] + [
        replace(
            used, at=Instant(MONTH_START + n % 3 * DAY), team=("ops", "research")[n % 2], workload_name=f"job-{n}"
        )
        for n in range(FOLDED_FROM)
    ]
    lines = [replace(line, gpu_ms=H, amount=-H, cost_micro=2_000_000) if line.team else line for line in lines]
    lines[0], lines[1] = replace(lines[0], who="project atlas"), replace(lines[1], who="Mara Lind")
    company = statement(lines=tuple(lines), owner="company", owner_kind="company", currency=Currency("EUR"))
    service.views.statement_value = company
    async with sign_in(FINN) as client:
        page = read(await client.get("/statement?owner=company"))
        service.views.statement_value = replace(company, owner="research", owner_kind="team")
        by_day = read(await client.get("/statement?owner=team:research")).text
        service.views.statement_value = replace(company, starts_at=Instant(MONTH_END - 366 * DAY))
        service.views.statement_value = replace(service.views.statement_value, owner_kind="team")
        by_month = read(await client.get("/statement?owner=team:research&period=2026")).text
        service.views.statement_value = replace(company, lines=tuple(lines[: FOLDED_FROM - 1]))
        short = read(await client.get("/statement?owner=company")).text
    assert "Granted, expired and passed on 1 line +7.0 h" in page.text
    assert "Tier staff, 2026-11 project atlas" in page.text
    assert "attempt 1, ended by itself, Mara Lind" in page.text
    assert "ops 50 lines, 50.0 GPU-hours −50.0 h , 100.00 EUR" in page.text
    assert "research 50 lines, 50.0 GPU-hours −50.0 h , 100.00 EUR" in page.text
    assert [n for n in range(FOLDED_FROM) if f"job-{n} " not in page.text] == []
    assert "2 Nov 33 lines, 33.0 GPU-hours −33.0 h , 66.00 EUR" in by_day
    assert "Nov 2026 101 lines, 100.0 GPU-hours −93.0 h , 200.00 EUR" in by_month
    assert "50 lines" not in short


async def test_an_empty_statement_says_so(service: SampleService, sign_in: SignIn) -> None:
    service.views.statement_value = statement(lines=())
    async with sign_in(MARA) as client:
        assert "Nothing was posted in this period." in read(await client.get("/statement?period=2026-10")).text


async def test_a_line_of_a_statement_names_its_work_once(service: SampleService, sign_in: SignIn) -> None:
    named = replace(statement().lines[1], text="Charged: eval-suite-38, attempt 1")
    service.views.statement_value = statement(lines=(named,))
    async with sign_in(MARA) as client:
        assert "eval-suite-38 Charged, attempt 1" in read(await client.get("/statement")).text


async def test_a_hostile_owner_stays_in_its_link(sign_in: SignIn) -> None:
    async with sign_in(FINN) as client:
        page = read(await client.get("/statement", params={"owner": 'e"><script>'}))
    assert "/statement?period=2026-10&owner=e%22%3E%3Cscript%3E" in page.links


async def test_a_month_with_prices_says_what_it_cost_by_team(service: SampleService, sign_in: SignIn) -> None:
    teams = tuple(
        replace(team, cost_micro=team.charged // 3_600 * 2_500, watts=610, efficiency_permille=780)
        for team in month().by_team
    )
    service.views.month_value = month(
        by_team=teams,
        by_tier=teams,
        by_gpu_class=teams,
        cost_micro=1_132_380_000_000,
        currency="USD",
        price_book="2026-10",
        energy_joules=1_017_000_000_000,
    )
    async with sign_in(FINN) as client:
        text = read(await client.get("/books")).text
    assert "Cost 1 132 380.00 USD price book 2026-10" in text
    assert "Energy 282 500 kWh" in text
    row = text[text.index("research") :][:80]
    assert "610 78.0 % 539 012.00" in row


async def test_a_statement_shows_price_and_cost_where_there_are_any(service: SampleService, sign_in: SignIn) -> None:
    prices = (PriceView(1_100_000, True, 3_600_000), PriceView(2_500_000, False, 3_600_000))
    plain = statement().lines[1]
    charged = replace(plain, prices=prices, cost_micro=3_600_000, energy_joules=3_600_000, efficiency_permille=815)
    service.views.statement_value = statement(
        lines=(charged,), currency="EUR", price_book="prices.yaml", cost_micro=3_600_000, refunded_micro=100_000
    )
    async with sign_in(MARA) as client:
        page = read(await client.get("/statement"))
    assert "Cost by prices.yaml 3.60 EUR of it given back −0.10" in page.text
    assert "1.0 81.5 % 1.10 – 2.50 −8.0 3.60" in page.text
    assert any(link.startswith("/v1/statement/csv?period=") for link in page.links)


async def test_a_statement_shows_what_pay_is_worth_then_and_now_and_what_was_drawn_in_other_units(
    service: SampleService, sign_in: SignIn
) -> None:
    at = statement().starts_at
    package = PackageValueView(
        allowance_id="g-7",
        kind="annual",
        total="480.0 h h100",
        vested="120.0 h h100",
        promised="240.0 h h100",
        clawed_back="120.0 h h100",
        next_at=None,
        value_at_grant=FairValue(at, Micro(1_440_000_000), Currency("EUR"), "list price of h100 on 2026-01-02"),
        value_now=FairValue(at, None, None, "there is no price book"),
    )
    line = UnitLine(
        at, "charge", "Charged: train, attempt 1", -3_000_000, "-3.00 EUR", "t-1", "w-9", 2, "h100", 7_200_000
    )
    unit = UnitView("EUR", {"charged": 3_000_000, "held": 0}, {"charged": "3.00 EUR", "held": "0.00 EUR"}, (line,))
    grant = GrantValueView(
        "g-8", "standard", "40.0 h", "30.0 h", at, None, FairValue(at, Micro(96_000_000), Currency("EUR"), "list"),
        FairValue(at, Micro(80_000_000), Currency("EUR"), "lower list"),
    )  # fmt: skip
    service.views.statement_value = statement(packages=(package,), grants=(grant,), others=(unit,))
    async with sign_in(MARA) as client:
        page = read(await client.get("/statement"))
    assert "480.0 h h100 of pay (g-7): 120.0 h h100 vested, 120.0 h h100 clawed back." in page.text
    assert "When granted worth 1 440.00 EUR (list price of h100 on 2026-01-02)" in page.text
    assert "Now no value is known (there is no price book)" in page.text
    assert "Grant of 40.0 h (g-8): 30.0 h left." in page.text
    assert "When granted worth 96.00 EUR (list) ; Now worth 80.00 EUR (lower list) ." in page.text
    assert "In EUR charged 3.00 EUR When" in page.text
    assert "-3.00 EUR" in page.text
    assert "/workloads/w-9" in page.links
