"""What tokens are worth: on statements, in FOCUS, for the general ledger, in burn rates and fringe benefits."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

import pytest

from scheduler.adapters.policy_files import read_prices
from scheduler.domain.errors import Conflict, NotFound, Refusal, RefusalCode
from scheduler.domain.money import Micro
from scheduler.domain.periods import iso
from scheduler.domain.quantities import TOKENS
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, Instant, ProjectName, TeamName
from scheduler.finance.focus.columns import NAMES
from scheduler.finance.prices.price_book import PriceBook, TokenRate, UnitPrice
from scheduler.lifecycle.accounting.close_period import Periods
from scheduler.lifecycle.accounting.price import Pricing
from scheduler.lifecycle.awarding.draw_tokens import TokenDraws, TokensAsked
from scheduler.lifecycle.views.money import MoneyViews
from scheduler.lifecycle.views.reader import Views
from scheduler.lifecycle.views.statement_rows import HEADER, statement_rows
from tests.finance.focus_rules import violations as broken_rules
from tests.lifecycle.build import NOON, OPERATOR, Company
from tests.lifecycle.priced import euros
from tests.lifecycle.test_draw_tokens import FINANCE, GATEWAY, grant

MONTH = "2026-11"


def price(effective: int) -> UnitPrice:
    """List is three times, contracted twice the effective price."""
    return UnitPrice(Micro(3 * effective), Micro(2 * effective), Micro(effective))


def prices(*rates: TokenRate) -> PriceBook:
    return replace(euros(), token_rates=rates)


LLAMA_PRICE = TokenRate("llama", Instant(0), None, price(700_001))
ANY_PRICE = TokenRate(None, Instant(0), None, price(400_000))


@pytest.fixture
def company() -> Iterator[Company]:
    made = Company()
    made.world.price_book = prices(LLAMA_PRICE, ANY_PRICE)
    yield made
    made.close_in_balance()


def draw(company: Company, model: str, tokens: int, *more: int, project: str | None = None) -> str:
    draws = TokenDraws(company.store, company.world, company.ids)
    name = None if project is None else ProjectName(project)
    hold = draws.hold(GATEWAY, TokensAsked("ada", model, max(tokens, *more, 1), name), now=company.now)
    for total in (tokens, *more):
        draws.charge(GATEWAY, hold.id, total, now=company.now)
    draws.release(GATEWAY, hold.id, now=company.now)
    return hold.id


def focus(company: Company) -> list[Mapping[str, str | None]]:
    with MoneyViews(company.store, company.world).focus(FINANCE, MONTH, company.now) as export:
        return [{name: cell or None for name, cell in zip(NAMES, row, strict=True)} for row in export.rows]


def test_a_charge_is_worth_its_model_s_price_of_a_million_on_the_statement_and_in_its_csv(company: Company) -> None:
    grant(company, 5_000_000)
    draw(company, "llama", 1_000_000, 1_500_003)
    view = Views(company.store, company.world).statement(OPERATOR, MONTH, NOON, "ada")
    (tokens,) = view.others
    charges = [line for line in tokens.lines if line.kind == "charge"]
    assert [(line.quantity, line.cost_micro, line.per_million_micro) for line in charges] == [
        (-1_000_000, 700_001, 700_001),
        (-500_003, 350_002, 700_001),
    ]
    assert (view.cost_micro, view.charged_micro) == (1_050_003, 1_050_003)
    rows = [dict(zip(HEADER, row, strict=True)) for row in statement_rows(view)]
    assert [
        (row["cost"], row["currency"], row["price_per_million_tokens"], row["unit"])
        for row in rows
        if row["kind"] == "charge"
    ] == [("0.700001", "EUR", "0.700001", "tokens/llama"), ("0.350002", "EUR", "0.700001", "tokens/llama")]


def test_focus_has_a_row_for_each_charge_and_its_sum_is_the_ledger_s_to_the_micro_unit(company: Company) -> None:
    own, of_any = grant(company, 1_000_003), grant(company, 9_000_000, TOKENS)
    first = draw(company, "llama", 999_999, 1_500_007)
    draw(company, "other, with a comma", 77)
    found = focus(company)
    assert broken_rules(found) == []
    usage = [row for row in found if row["ChargeCategory"] == "Usage"]
    assert [
        (row["x_LedgerAccount"], row["x_Model"], row["x_DrawnUnit"], row["ConsumedQuantity"], row["PricingQuantity"])
        for row in usage
    ] == [
        (own, "llama", "tokens/llama", "999999", "0.999999"),
        (own, "llama", "tokens/llama", "4", "0.000004"),
        (of_any, "llama", "tokens", "500004", "0.500004"),
        (of_any, "other, with a comma", "tokens", "77", "0.000077"),
    ]
    engineer = company.engineer("ada").id
    assert {(row["SubAccountId"], row["Tags"]) for row in usage} == {
        (engineer, '{"kind":"tokens","project":"personal","team":"research"}')
    }
    assert (usage[0]["PricingUnit"], usage[0]["ConsumedUnit"], usage[0]["SkuPriceId"]) == (
        "1000000 Tokens",
        "Tokens",
        "tokens/llama/1970-01-01",
    )
    assert usage[0]["ChargeDescription"] == f"Tokens of llama, {first}"
    assert {row["ServiceCategory"] for row in found} == {"AI and Machine Learning"}
    billed = sum((Decimal(row["BilledCost"] or 0) for row in found), Decimal(0))
    cost = Views(company.store, company.world).statement(OPERATOR, MONTH, NOON, "company").cost_micro
    assert cost is not None
    assert billed * 1_000_000 == cost == sum((700_000, 2, 350_003, 30))


def test_a_rate_begins_on_the_day_of_the_file_s_own_clock(company: Company) -> None:
    berlin = (
        FILE.replace("1970-01-01", "2026-01-01") + "time_zone: Europe/Berlin\ntokens: [{from: 2026-11-01, list: 1}]\n"
    )
    company.world.price_book = read_prices(berlin, "berlin")
    grant(company, 5_000_000)
    draw(company, "llama", 2_000_000)
    (row,) = focus(company)
    assert row["SkuPriceId"] == "tokens/llama/2026-11-01"
    (benefit,) = MoneyViews(company.store, company.world).fringe(FINANCE, "2026", "ada").rows
    assert benefit.rate_since == "2026-11-01"


def test_the_general_ledger_recharges_tokens_to_the_team_of_their_day(company: Company) -> None:
    grant(company, 5_000_000)
    draw(company, "llama", 2_000_000)
    ada = company.engineer("ada")
    with company.changing() as batch:
        batch.books.people.save([replace(ada, team=TeamName("evals"))])
    lines = MoneyViews(company.store, company.world).general_ledger(FINANCE, MONTH, NOON).lines
    recharged = [line for line in lines if line.entry == "recharge"]
    assert [(line.account, line.cost_centre, line.debit_micro, line.credit_micro) for line in recharged] == [
        ("compute-expense", "research", 1_400_002, 0),
        ("compute-recovery", "platform", 0, 1_400_002),
    ]


def test_the_burn_rate_in_money_has_the_tokens(company: Company) -> None:
    grant(company, 5_000_000)
    draw(company, "llama", 2_000_000)
    later = Instant(NOON + MS_PER_DAY)
    burn = MoneyViews(company.store, company.world).burn(OPERATOR, later, "ada")
    assert [day.cost_micro for day in burn.days if day.cost_micro] == [1_400_002]


def test_the_fringe_benefit_statement_has_tokens_at_list_price_by_use(company: Company) -> None:
    grant(company, 5_000_000)
    draw(company, "llama", 1_000_000)
    draw(company, "llama", 2_000_000, project="aurora")
    found = MoneyViews(company.store, company.world).fringe(FINANCE, "2026", "ada")
    assert [
        (
            row.use,
            row.activity,
            row.attested_by,
            row.model,
            row.tokens,
            row.gpu_ms,
            row.value_micro,
            row.excluded_micro,
        )
        for row in found.rows
    ] == [
        ("business", "inference", "", "llama", 2_000_000, 0, 4_200_006, 0),
        ("personal", "inference", "", "llama", 1_000_000, 0, 2_100_003, 0),
    ]
    assert (found.value_micro, found.includable_micro) == (6_300_009, 6_300_009)


def test_a_book_without_prices_of_tokens_gives_them_away_and_shows_them(company: Company) -> None:
    company.world.price_book = prices()
    grant(company, 5_000_000)
    draw(company, "llama", 2_000_000)
    (row,) = focus(company)
    assert broken_rules([row]) == []
    assert (row["BilledCost"], row["ListUnitPrice"], row["ConsumedQuantity"]) == ("0", "0", "2000000")
    assert Views(company.store, company.world).statement(OPERATOR, MONTH, NOON, "ada").cost_micro == 0


def test_one_that_prices_some_and_not_the_model_that_was_drawn_is_refused_by_the_hour(company: Company) -> None:
    company.world.price_book = prices(LLAMA_PRICE)
    grant(company, 5_000_000, TOKENS)
    draw(company, "llama", 10)
    company.now = Instant(NOON + MS_PER_HOUR + 7)
    draw(company, "other", 10)
    with (
        pytest.raises(NotFound) as refused,
        MoneyViews(company.store, company.world).focus(FINANCE, MONTH, company.now),
    ):
        pytest.fail("it is refused before there is a row")
    hour = iso(Instant(NOON + MS_PER_HOUR))
    assert refused.value.code is RefusalCode.PRICE_MISSING
    assert refused.value.message == f"there is no price for tokens of other in the hour from {hour}"
    view = Views(company.store, company.world).statement(OPERATOR, MONTH, company.now, "ada")
    assert (view.cost_micro, view.no_cost_because) == (None, refused.value.message)


FILE = """
version: 1
currency: EUR
billing: {account_id: a, account_name: A}
rates: [{gpu_class: h100, from: 1970-01-01, list: 6.00, contracted: 4.00, effective: 2.00,
         off_peak: {list: 1.50, contracted: 1.00, effective: 0.50}}]
off_peak: {hours: [14]}
"""


def test_a_price_that_changes_in_a_closed_period_is_a_correction_in_the_open_one(company: Company) -> None:
    pricing = Pricing(company.store, company.world)
    company.world.price_book = None
    free, later = FILE, FILE + "tokens: [{model: llama, from: 2026-01-01, list: 1.00}]\n"
    pricing.apply(FINANCE, free, read_prices(free, "free"), now=NOON)
    own = grant(company, 5_000_000)
    draw(company, "llama", 2_500_000)
    company.now = Instant(NOON + 40 * MS_PER_DAY)
    Periods(company.store, company.world).close(FINANCE, MONTH, now=company.now)
    with pytest.raises(Conflict) as refused:
        pricing.apply(FINANCE, later, read_prices(later, "later"), now=company.now)
    assert refused.value.code is RefusalCode.RATE_CLOSED
    assert "the price of tokens of llama at 2026-11-01T00:00:00Z would change" in refused.value.message
    pricing.apply(FINANCE, later, read_prices(later, "later"), now=company.now, corrects=True)
    assert [row["BilledCost"] for row in focus(company)] == ["0"], "the closed month stays as it was"
    with MoneyViews(company.store, company.world).focus(FINANCE, "2026-12", company.now) as export:
        rows = [dict(zip(NAMES, row, strict=True)) for row in export.rows]
    assert [(row["x_LedgerAccount"], row["ChargeClass"], row["BilledCost"]) for row in rows] == [
        (own, "Correction", "2.5")
    ]


def test_tokens_that_get_a_price_from_a_day_on_cost_nothing_before_it_whether_their_month_is_closed_or_open(
    company: Company,
) -> None:
    pricing = Pricing(company.store, company.world)
    company.world.price_book = None
    free, later = FILE, FILE + "tokens: [{model: llama, from: 2026-12-20, list: 1.00}]\n"
    pricing.apply(FINANCE, free, read_prices(free, "free"), now=NOON)
    grant(company, 5_000_000, TOKENS)
    draw(company, "other", 1_000_000)
    company.now = Instant(NOON + 20 * MS_PER_DAY)
    Periods(company.store, company.world).close(FINANCE, MONTH, now=company.now)
    pricing.apply(FINANCE, later, read_prices(later, "later"), now=company.now)
    draw(company, "other", 1_000_000)
    company.now = Instant(NOON + 40 * MS_PER_DAY)
    draw(company, "llama", 1_000_000)
    money = MoneyViews(company.store, company.world)
    with money.focus(FINANCE, "2026-12", company.now) as export:
        billed = [dict(zip(NAMES, row, strict=True))["BilledCost"] for row in export.rows]
    assert (billed, [row["BilledCost"] for row in focus(company)]) == (["0", "1"], ["0"])
    corrected = later.replace("effective: 2.00", "effective: 3.00")
    pricing.apply(FINANCE, corrected, read_prices(corrected, "corrected"), now=company.now, corrects=True)


@pytest.mark.parametrize(
    ("tokens", "code", "said"),
    [
        ("[{from: 2026-01-01, list: 1, model: ''}]", RefusalCode.INVALID_PRICES, "a model's name"),
        ("[{from: 2026-01-01, list: -1}]", RefusalCode.INVALID_PRICES, "an amount of at least 0"),
        (
            "[{from: 2026-01-01, until: 2026-02-01, list: 1}, {from: 2026-03-01, list: 1}]",
            RefusalCode.PRICE_GAP,
            "a gap",
        ),
        (
            "[{model: m, from: 2026-01-01, until: 2026-04-01, list: 1}, {model: m, from: 2026-03-01, list: 1}]",
            RefusalCode.PRICE_OVERLAP,
            "an overlap",
        ),
    ],
    ids=["no name", "below zero", "a gap", "an overlap"],
)
def test_rates_of_tokens_that_are_wrong_are_refused_with_their_place(
    tokens: str, code: RefusalCode, said: str
) -> None:
    with pytest.raises(Refusal) as refused:
        read_prices(FILE + f"tokens: {tokens}\n", "prices.yaml")
    assert refused.value.code is code
    assert "tokens[" in str(refused.value)
    assert said in str(refused.value)


def test_the_unit_of_tokens_of_any_model_has_the_price_of_every_model(company: Company) -> None:
    grant(company, 1_000_000, TOKENS)
    (value,) = Views(company.store, company.world).statement(OPERATOR, MONTH, NOON, "ada").grants
    assert (value.unit, value.value_now.value_micro) == ("tokens", 1_200_000)


def test_the_books_of_a_month_tell_what_of_its_cost_are_tokens(company: Company) -> None:
    grant(company, 5_000_000)
    draw(company, "llama", 2_000_000)
    month = Views(company.store, company.world).month(FINANCE, MONTH, NOON)
    assert (month.cost_micro, month.tokens_micro, month.by_team) == (1_400_002, 1_400_002, ())
