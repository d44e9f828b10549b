import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.units import AMOUNT_MAX, AllowanceId, EngineerId, Instant, Unit
from scheduler.ledger.canonical import body_hash, canonical_bytes
from scheduler.ledger.journal import (
    Account,
    AccountKind,
    Entry,
    Transaction,
    TransactionKind,
    charged_beyond,
    charged_to,
    transfer_entries,
)

A = Account(AccountKind.ALLOWANCE, "a-1")
B = Account(AccountKind.HELD, "a-1")


def transaction(*entries: Entry, memo: str = "") -> Transaction:
    return Transaction("t-1", TransactionKind.HOLD, Instant(5), entries, memo=memo)


UNBALANCED = {
    "no entries at all": (),
    "one side only": (Entry(A, 1),),
    "a sum that is off by one": (Entry(A, -2), Entry(B, 1)),
    "two units that balance only together": (Entry(A, -1), Entry(B, 1, Unit("tokens"))),
    "physical time that does not balance": (Entry(A, -1, gpu_ms=-1), Entry(B, 1, gpu_ms=2)),
}


@pytest.mark.parametrize("entries", UNBALANCED.values(), ids=UNBALANCED)
def test_entries_that_do_not_balance_cannot_be_built(entries: tuple[Entry, ...]) -> None:
    with pytest.raises(InvalidInput, match="do not balance") as refused:
        transaction(*entries)
    assert refused.value.code is RefusalCode.INVALID_AMOUNT


def test_units_never_mix_in_a_transaction_even_where_each_balances() -> None:
    hours, tokens = transfer_entries(A, B, 1), transfer_entries(A, B, 1, unit=Unit("tokens"))
    for entries in ([*hours, *tokens], [*hours, *tokens, *hours]):
        with pytest.raises(InvalidInput) as refused:
            transaction(*entries)
        assert refused.value.code is RefusalCode.UNIT_MISMATCH


@pytest.mark.parametrize("amount", [AMOUNT_MAX, -AMOUNT_MAX, 2**63 - 1])
def test_an_amount_that_no_column_could_sum_is_refused(amount: int) -> None:
    with pytest.raises(InvalidInput, match="does not fit the journal"):
        transaction(*transfer_entries(A, B, amount))
    with pytest.raises(InvalidInput, match="does not fit the journal"):
        transaction(*transfer_entries(A, B, 0, gpu_ms=amount))


@given(st.integers(-AMOUNT_MAX + 1, AMOUNT_MAX - 1), st.integers(-AMOUNT_MAX + 1, AMOUNT_MAX - 1))
def test_a_transfer_always_balances(amount: int, gpu_ms: int) -> None:
    taken, given_to = transaction(*transfer_entries(A, B, amount, gpu_ms=gpu_ms)).entries
    assert (taken.amount + given_to.amount, taken.gpu_ms + given_to.gpu_ms) == (0, 0)
    assert (given_to.account, given_to.amount) == (B, amount)


def test_only_contra_accounts_may_go_below_zero() -> None:
    below = {kind for kind in AccountKind if kind.may_go_below_zero}
    assert below == {
        AccountKind.ISSUED,
        AccountKind.OVERRUN,
        AccountKind.UNFUNDED,
        AccountKind.REFUNDS,
        AccountKind.CORRECTED,
        AccountKind.PAID,
    }


def test_charges_tell_who_paid_by_the_owner_of_their_account() -> None:
    engineer = EngineerId("e-1")
    assert str(charged_to(AllowanceId("a-1"))) == "charged:a-1"
    assert str(charged_beyond(AccountKind.OVERRUN, engineer)) == "charged:overrun/e-1"
    assert str(charged_beyond(AccountKind.UNFUNDED, engineer)) == "charged:unfunded/e-1"


def test_the_canonical_bytes_of_a_transaction_are_what_they_were() -> None:
    """Hashes of old journals depend on it: this text may never change."""
    made = transaction(*transfer_entries(A, B, 7, gpu_ms=3), memo="für „Ada“")
    assert canonical_bytes(made).decode() == (
        '["t-1","hold",5,null,null,"","für „Ada“",'
        '[["allowance","a-1","standard-gpu-ms",-7,-3],["held","a-1","standard-gpu-ms",7,3]]]'
    )
    assert body_hash(made) == "9c71b0f06acdf6f7f756c2fbf74048877c1a97f2e883cd15530d615d955c060a"


def test_every_difference_changes_the_hash() -> None:
    made = transaction(*transfer_entries(A, B, 7))
    others = [
        transaction(*transfer_entries(A, B, 8)),
        transaction(*transfer_entries(B, A, 7)),
        transaction(*transfer_entries(A, B, 7, gpu_ms=1)),
        transaction(*transfer_entries(A, B, 7, unit=Unit("tokens"))),
        transaction(*transfer_entries(A, B, 7), memo="other"),
    ]
    assert len({body_hash(other) for other in (made, *others)}) == len(others) + 1
