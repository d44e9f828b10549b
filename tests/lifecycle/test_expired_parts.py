"""What is left at an allowance's end, and what comes to it or goes of it after that: all of it expires, once, and each part
as of when it was left."""

from scheduler.domain.units import MS_PER_HOUR, AllowanceId, Instant
from scheduler.ledger.journal import (
    Account,
    AccountKind,
    Transaction,
    TransactionKind,
    available_on,
    held_on,
    transfer_entries,
)
from scheduler.lifecycle.awarding.expire import expire_due
from tests.lifecycle.build import NOON, Company

HOUR = MS_PER_HOUR
END = Instant(NOON + 100 * HOUR)


def after_end(hours: int) -> Instant:
    return Instant(END + hours * HOUR)


def lived(company: Company, *moves: tuple[Instant, int]) -> list[tuple[Instant, int]]:
    """Of ten hours that end, of which `moves` are held, or come back where above 0. Returns when how many expired."""
    allowance = company.grant("ada", 10, expires_at=END)
    for number, (at, hours) in enumerate(moves):
        company.now = at
        _move(company, allowance, number, hours)
    company.now = after_end(50)
    with company.changing() as batch:
        expire_due(batch)
    with company.store.reading() as books:
        assert books.journal.balance(available_on(allowance)) == 0
        expired = books.journal.entries(accounts=[Account(AccountKind.EXPIRED, allowance)])
        return [(each.at, each.amount // HOUR) for each in expired]


def _move(company: Company, allowance: AllowanceId, number: int, hours: int) -> None:
    own, held = available_on(allowance), held_on(allowance)
    source, target = (held, own) if hours > 0 else (own, held)
    kind = TransactionKind.RELEASE if hours > 0 else TransactionKind.HOLD
    moved = transfer_entries(source, target, abs(hours) * HOUR)
    with company.changing() as batch:
        batch.post(Transaction(f"move:{number}", kind, company.now, moved))


def test_what_was_held_after_the_end_does_not_expire(company: Company) -> None:
    assert lived(company, (after_end(1), -4)) == [(END - 1, 6)]


def test_what_comes_back_at_the_end_itself_was_not_there_before_it(company: Company) -> None:
    assert lived(company, (NOON, -4), (END, 4)) == [(END - 1, 6), (END, 4)]


def test_what_came_back_and_went_again_expires_as_far_as_it_is_left(company: Company) -> None:
    moves = (NOON, -10), (after_end(1), 5), (after_end(2), -3), (after_end(3), 1)
    assert lived(company, *moves) == [(after_end(1), 3)]


def test_what_comes_back_in_the_moment_in_which_the_rest_expired_expires_in_it_too(company: Company) -> None:
    allowance = company.grant("ada", 10, expires_at=END)
    company.now = NOON
    _move(company, allowance, 0, -4)
    company.now = after_end(1)
    for returned in (0, 3, 1):
        if returned:
            _move(company, allowance, returned, returned)
        with company.changing() as batch:
            assert expire_due(batch) == 1
    with company.store.reading() as books:
        expired = books.journal.entries(accounts=[Account(AccountKind.EXPIRED, allowance)])
        assert [(each.at, each.amount // HOUR) for each in expired] == [
            (END - 1, 6),
            (after_end(1), 3),
            (after_end(1), 1),
        ]
