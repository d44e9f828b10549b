"""What a hold of tokens moves: set aside share by share, charged in funding order, and the rest released once."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.errors import Conflict, InvalidInput, RefusalCode
from scheduler.domain.units import AllowanceId, EngineerId, Instant, Unit
from scheduler.ledger.journal import Account, AccountKind, Transaction, TransactionKind
from scheduler.ledger.token_holds import (
    TokenHold,
    TokenHoldState,
    TokenShare,
    charge_tokens,
    hold_tokens,
    release_tokens,
)

LLAMA, ANY = Unit("tokens/llama"), Unit("tokens")
OPENED, LATER = Instant(1_000), Instant(2_000)


def token_hold(*tokens: int) -> TokenHold:
    shares = tuple(
        TokenShare(AllowanceId(f"a-{place}"), ANY if place else LLAMA, amount) for place, amount in enumerate(tokens)
    )
    return TokenHold("t-1", EngineerId("e-ada"), "llama", None, shares, OPENED, Instant(9_000), by="gateway:eu")


def moved(made: list[Transaction]) -> list[tuple[str, str, str, Unit, int]]:
    """Each transaction's id, where it takes from, where it puts, in which unit, and how much."""
    found = []
    for each in made:
        source, target = each.entries
        assert source.amount == -target.amount
        found.append((each.id, str(source.account), str(target.account), target.unit, target.amount))
    return found


def test_each_share_is_set_aside_in_its_own_unit_when_it_is_opened() -> None:
    made = hold_tokens(token_hold(100, 50))
    assert moved(made) == [
        ("hold:t-1:0", "allowance:a-0", "held:a-0", LLAMA, 100),
        ("hold:t-1:1", "allowance:a-1", "held:a-1", ANY, 50),
    ]
    assert {(each.kind, each.at, each.memo) for each in made} == {(TransactionKind.HOLD, OPENED, "llama, t-1")}


def test_charges_use_up_the_shares_in_their_order_and_the_rest_goes_back() -> None:
    hold, first = charge_tokens(token_hold(100, 50), 70, LATER)
    assert moved(first) == [("charge:t-1:70:0", "held:a-0", "charged:a-0", LLAMA, 70)]
    hold, second = charge_tokens(hold, 120, LATER)
    assert moved(second) == [
        ("charge:t-1:120:0", "held:a-0", "charged:a-0", LLAMA, 30),
        ("charge:t-1:120:1", "held:a-1", "charged:a-1", ANY, 20),
    ]
    hold, last = release_tokens(hold, LATER)
    assert moved(last) == [("release:t-1:1", "held:a-1", "allowance:a-1", ANY, 30)]
    assert (hold.used, hold.state, hold.resolved_at) == (120, TokenHoldState.RESOLVED, LATER)


@pytest.mark.parametrize("total", [70, 69, 0])
def test_a_total_at_or_below_what_was_charged_posts_nothing(total: int) -> None:
    hold = replace(token_hold(100), used=70)
    assert charge_tokens(hold, total, LATER) == (hold, [])


def test_everything_that_is_held_may_be_charged_and_nothing_beyond() -> None:
    hold, made = charge_tokens(token_hold(100, 50), 150, LATER)
    assert sum(amount for *_, amount in moved(made)) == 150
    assert release_tokens(hold, LATER)[1] == []
    with pytest.raises(InvalidInput) as refused:
        charge_tokens(token_hold(100, 50), 151, LATER)
    assert refused.value.code is RefusalCode.HOLD_EXCEEDED


def test_what_is_resolved_is_neither_charged_nor_released_again() -> None:
    resolved, _ = release_tokens(replace(token_hold(100), used=70), LATER)
    assert release_tokens(resolved, Instant(3_000)) == (resolved, [])
    with pytest.raises(Conflict):
        charge_tokens(resolved, 71, LATER)


def test_a_charge_that_was_posted_before_its_hold_was_resolved_may_be_repeated() -> None:
    resolved, _ = release_tokens(replace(token_hold(100), used=70), LATER)
    assert charge_tokens(resolved, 70, LATER) == (resolved, [])


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.lists(st.integers(0, 160), max_size=6))
def test_whatever_is_charged_and_in_whatever_order_what_was_held_is_charged_or_back(
    tokens: list[int], totals: list[int]
) -> None:
    hold = token_hold(*tokens)
    posted = hold_tokens(hold)
    for total in totals:
        hold, made = charge_tokens(hold, min(total, hold.tokens), LATER)
        posted += made
    posted += release_tokens(hold, LATER)[1]
    assert len({each.id for each in posted}) == len(posted)
    sums: dict[Account, int] = {}
    for entry in (entry for each in posted for entry in each.entries):
        assert entry.amount != 0
        sums[entry.account] = sums.get(entry.account, 0) + entry.amount
    assert {amount for account, amount in sums.items() if account.kind is AccountKind.HELD} == {0}
    charged = sum(amount for account, amount in sums.items() if account.kind is AccountKind.CHARGED)
    assert charged == max([0, *(min(total, sum(tokens)) for total in totals)])
