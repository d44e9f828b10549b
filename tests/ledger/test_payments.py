import pytest

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.money import Currency
from scheduler.domain.quantities import money_unit
from scheduler.domain.units import AMOUNT_MAX, Instant
from scheduler.ledger.journal import Account, AccountKind, Entry, Transaction, TransactionKind
from scheduler.ledger.payments import payment
from tests.ledger.build import ADA

EURO = Currency("EUR")


def paid(micro: int) -> Transaction:
    return payment("p-1", ADA, micro, EURO, Instant(9), actor="fin", memo="payroll")


@pytest.mark.parametrize("micro", [1, -1, AMOUNT_MAX - 1, 1 - AMOUNT_MAX])
def test_what_was_paid_or_paid_back_moves_in_its_currency(micro: int) -> None:
    made = paid(micro)
    assert (made.id, made.kind, made.at, made.actor, made.memo) == (
        "payment:p-1",
        TransactionKind.PAYMENT,
        Instant(9),
        "fin",
        "payroll",
    )
    assert made.entries == (
        Entry(Account(AccountKind.PAID, "platform"), -micro, unit=money_unit("EUR")),
        Entry(Account(AccountKind.PAID, ADA), micro, unit=money_unit("EUR")),
    )


@pytest.mark.parametrize("micro", [0, AMOUNT_MAX, -AMOUNT_MAX])
def test_nothing_and_more_than_the_books_can_hold_cannot_be_paid(micro: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        paid(micro)
    assert refused.value.code is RefusalCode.INVALID_AMOUNT
