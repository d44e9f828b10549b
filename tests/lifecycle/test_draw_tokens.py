"""Tokens drawn by a gateway: held, charged by cumulative totals, released; each once, and nothing half-written."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.allowances import AllowanceSource, Holder, HolderKind, Purpose
from scheduler.domain.awards import Award
from scheduler.domain.errors import Refusal, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.quantities import TOKENS
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    AllowanceId,
    CommandId,
    EngineerId,
    Instant,
    ProjectName,
    Unit,
)
from scheduler.ledger.token_holds import (
    TokenHold,
    TokenHoldState,
    TokenShare,
    charge_tokens,
    hold_tokens,
    release_tokens,
)
from scheduler.lifecycle.awarding.awards import Awards
from scheduler.lifecycle.awarding.draw_tokens import LASTS_MS_MAX, TokenDraws, TokensAsked, release_overdue
from scheduler.lifecycle.awarding.expire import expire_due
from scheduler.lifecycle.views.reader import Views
from scheduler.lifecycle.writing.answered import Command
from tests.lifecycle.build import NOON, OPERATOR, Company
from tests.lifecycle.priced import euros

FINANCE = Caller("fin", frozenset({Role.FINANCE}))
PEOPLE = Caller("pat", frozenset({Role.PEOPLE}))
GATEWAY = Caller("gateway:eu", frozenset({Role.GATEWAY}))
LLAMA = Unit("tokens/llama")


@pytest.fixture
def company() -> Iterator[Company]:
    made = Company()
    made.world.price_book = euros()
    yield made
    made.close_in_balance()


@pytest.fixture
def draws(company: Company) -> TokenDraws:
    return TokenDraws(company.store, company.world, company.ids)


def grant(company: Company, tokens: int, unit: Unit = LLAMA, **fields: object) -> AllowanceId:
    asked: dict[str, object] = {
        "holder": Holder(HolderKind.ENGINEER, company.engineer("ada").id),
        "amount": tokens,
        "unit": unit,
        "reason": "evaluations",
        **fields,
    }
    award = Award(**asked)  # type: ignore[arg-type]  # by name
    caller = PEOPLE if award.source is AllowanceSource.COMPENSATION else FINANCE
    return company.commands.grant(caller, award, now=company.now).id


def wish(tokens: int = 900, **fields: object) -> TokensAsked:
    return TokensAsked("ada", "llama", tokens, **fields)  # type: ignore[arg-type]  # by name


def balance(company: Company, allowance: AllowanceId) -> tuple[int, int]:
    known = company.world.balances[allowance]
    return known.available, known.held


def transactions(company: Company) -> int:
    with company.store._write() as connection:
        return int(connection.exec_driver_sql("SELECT COUNT(*) FROM transactions").scalar_one())


def test_tokens_are_held_charged_and_released_and_the_statement_says_so(company: Company, draws: TokenDraws) -> None:
    own = grant(company, 1_000)
    hold = draws.hold(GATEWAY, wish(), now=NOON)
    assert balance(company, own) == (100, 900)
    assert draws.charge(GATEWAY, hold.id, 250, now=NOON).used == 250
    assert draws.charge(GATEWAY, hold.id, 400, now=NOON).used == 400
    released = draws.release(GATEWAY, hold.id, now=NOON)
    assert (released.state, released.tokens, released.used) == (TokenHoldState.RESOLVED, 900, 400)
    assert balance(company, own) == (600, 0)
    (view,) = Views(company.store, company.world).statement(OPERATOR, "2026-11", NOON, "ada").others
    assert (view.unit, view.quantities["charged"], view.quantities["closing"]) == ("tokens/llama", 400, 600)
    charges = [(line.quantity, line.text) for line in view.lines if line.kind == "charge"]
    assert charges == [(-250, f"Charged: llama, {hold.id}"), (-150, f"Charged: llama, {hold.id}")]
    (burn,) = Views(company.store, company.world).balance(company.caller("ada"), NOON).units
    assert (burn.left_quantity, burn.charged_quantity) == (600, 400)


def test_each_verb_done_twice_is_done_once(company: Company, draws: TokenDraws) -> None:
    own = grant(company, 1_000)
    command = Command(CommandId("gateway:eu:1"), "hash")
    first = draws.hold(GATEWAY, wish(), now=NOON, command=command)
    assert draws.hold(GATEWAY, wish(), now=NOON, command=command) == first
    for _ in range(2):
        draws.charge(GATEWAY, first.id, 400, now=NOON)
        assert draws.charge(GATEWAY, first.id, 250, now=NOON).used == 400, (
            "a total that comes late takes nothing back"
        )
    made = [draws.release(GATEWAY, first.id, now=NOON) for _ in range(2)]
    assert made[0] == made[1] == draws.charge(GATEWAY, first.id, 400, now=NOON) == draws.get(GATEWAY, first.id)
    assert balance(company, own) == (600, 0)


def test_the_model_s_own_go_first_and_a_project_s_before_the_person_s(company: Company, draws: TokenDraws) -> None:
    any_model = grant(company, 500, TOKENS)
    own = grant(company, 300)
    other = grant(company, 500, Unit("tokens/other"))
    project = grant(company, 200, holder=Holder(HolderKind.PROJECT, "aurora"))
    paid = draws.hold(GATEWAY, wish(700, project=ProjectName("aurora")), now=NOON).shares
    assert [(share.allowance_id, share.tokens) for share in paid] == [(project, 200), (own, 300), (any_model, 200)]
    assert balance(company, other) == (500, 0)
    personal = draws.hold(GATEWAY, wish(300), now=NOON).shares
    assert [share.allowance_id for share in personal] == [any_model], "personal work is its owner's"


def test_pay_pays_project_work_by_its_owner_s_word_alone(company: Company, draws: TokenDraws) -> None:
    grant(company, 900, source=AllowanceSource.COMPENSATION, purposes=frozenset({Purpose.PERSONAL}))
    with pytest.raises(Refusal) as refused:
        draws.hold(GATEWAY, wish(1, project=ProjectName("aurora")), now=NOON)
    assert refused.value.code is RefusalCode.ALLOWANCE_SHORT
    held = draws.hold(GATEWAY, wish(1, project=ProjectName("aurora"), uses_compensation=True), now=NOON)
    assert held.tokens == 1


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (wish(0), RefusalCode.INVALID_AMOUNT),
        (wish(-1), RefusalCode.INVALID_AMOUNT),
        (wish(2**63), RefusalCode.INVALID_AMOUNT),
        (wish(1_001), RefusalCode.ALLOWANCE_SHORT),
        (TokensAsked("ada", "other", 1), RefusalCode.ALLOWANCE_SHORT),
        (TokensAsked("nobody", "llama", 1), RefusalCode.UNKNOWN_ENGINEER),
        (wish(1, project=ProjectName("nothing")), RefusalCode.UNKNOWN_PROJECT),
        (wish(1, lasts_ms=LASTS_MS_MAX + 1), RefusalCode.INVALID_VALUE),
    ],
    ids=["nothing", "less", "2 to the 63", "too many", "another model", "nobody", "no project", "too long"],
)
def test_what_cannot_be_held_is_refused_and_nothing_is_written(
    company: Company, draws: TokenDraws, asked: TokensAsked, code: RefusalCode
) -> None:
    own = grant(company, 1_000)
    before = transactions(company)
    with pytest.raises(Refusal) as refused:
        draws.hold(GATEWAY, asked, now=NOON)
    assert refused.value.code is code
    assert (balance(company, own), transactions(company)) == ((1_000, 0), before)


def test_more_than_is_held_a_resolved_hold_and_another_gateway_s_are_refused(
    company: Company, draws: TokenDraws
) -> None:
    grant(company, 1_000)
    hold = draws.hold(GATEWAY, wish(), now=NOON)
    other = Caller("gateway:us", frozenset({Role.GATEWAY}))
    before = transactions(company)
    for caller, total, code in (
        (GATEWAY, 901, RefusalCode.HOLD_EXCEEDED),
        (GATEWAY, 0, RefusalCode.INVALID_AMOUNT),
        (other, 1, RefusalCode.UNKNOWN_HOLD),
        (FINANCE, 1, RefusalCode.ROLE_REQUIRED),
    ):
        with pytest.raises(Refusal) as refused:
            draws.charge(caller, hold.id, total, now=NOON)
        assert refused.value.code is code
    assert transactions(company) == before
    draws.release(GATEWAY, hold.id, now=NOON)
    with pytest.raises(Refusal) as over:
        draws.charge(GATEWAY, hold.id, 1, now=NOON)
    assert over.value.code is RefusalCode.WRONG_STATE


def test_what_is_over_is_not_drawn_and_what_is_held_outlives_its_allowance(
    company: Company, draws: TokenDraws
) -> None:
    until = Instant(NOON + MS_PER_HOUR // 2)
    own = grant(company, 1_000, expires_at=until)
    hold = draws.hold(GATEWAY, wish(), now=NOON)
    company.now = until
    with company.changing() as batch:
        assert expire_due(batch) == 1
    assert balance(company, own) == (0, 900)
    with pytest.raises(Refusal):
        draws.hold(GATEWAY, wish(1), now=until)
    assert draws.charge(GATEWAY, hold.id, 500, now=until).used == 500
    draws.release(GATEWAY, hold.id, now=until)
    company.now = Instant(until + 1)
    with company.changing() as batch:
        assert expire_due(batch) == 1, "what came back expires"


def test_what_is_frozen_is_not_drawn(company: Company, draws: TokenDraws) -> None:
    own = grant(company, 1_000)
    Awards(company.store, company.world, company.ids).freeze(FINANCE, own, "a dispute", is_frozen=True, now=NOON)
    with pytest.raises(Refusal) as refused:
        draws.hold(GATEWAY, wish(1), now=NOON)
    assert refused.value.code is RefusalCode.ALLOWANCE_SHORT


def test_what_no_gateway_resolved_comes_back(company: Company, draws: TokenDraws) -> None:
    own = grant(company, 1_000)
    hold = draws.hold(GATEWAY, wish(), now=NOON)
    draws.charge(GATEWAY, hold.id, 100, now=NOON)
    for now, made in ((hold.expires_at - 1, 0), (hold.expires_at, 1), (hold.expires_at + MS_PER_DAY, 0)):
        company.now = Instant(now)
        with company.changing() as batch:
            assert release_overdue(batch) == made
    assert balance(company, own) == (900, 0)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=4), st.lists(st.integers(1, 200), max_size=6), st.booleans())
def test_what_is_held_is_charged_or_comes_back(parts: list[int], totals: list[int], is_released: bool) -> None:
    shares = tuple(TokenShare(AllowanceId(f"g-{place}"), TOKENS, tokens) for place, tokens in enumerate(parts))
    hold = TokenHold("t-1", EngineerId("e-1"), "m", None, shares, NOON, Instant(NOON + 1), "gateway")
    posted = hold_tokens(hold)
    for total in totals:
        if total <= hold.tokens:
            hold, made = charge_tokens(hold, total, NOON)
            posted += made
    if is_released:
        hold, made = release_tokens(hold, NOON)
        posted += made
    moved: dict[str, int] = {}
    for each in posted:
        for entry in each.entries:
            moved[entry.account.kind.value] = moved.get(entry.account.kind.value, 0) + entry.amount
    used = max([total for total in totals if total <= sum(parts)], default=0)
    assert moved.get("charged", 0) == hold.used == used
    assert moved["held"] == (0 if is_released else sum(parts) - used)
    assert moved["allowance"] == -used - moved["held"]
    assert len({each.id for each in posted}) == len(posted)
