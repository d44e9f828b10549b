"""Bookings in both databases: what is done with them by hand, and what becomes of them, is charged alike in both."""

import pytest

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.errors import Refusal, RefusalCode
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR
from tests.lifecycle.build import Company
from tests.lifecycle.test_bookings import book, pass_time, shown
from tests.lifecycle.test_books_of_bookings import HOUR, Happens, assert_the_books_tie, live_through

HISTORIES: dict[str, list[Happens]] = {
    "cancelled before, and half way": [(1, ("cancel", 0)), (2 * HOUR, ("cancel", 1)), (60, ("book", 6, 0, HOUR))],
    "moved, and short of GPUs": [
        (60, ("change_nodes", ["n0", "n1"], "cordoned")),
        (2 * HOUR, ("change_nodes", ["n2"], "smaller")),
        (HOUR, ("change_nodes", ["n0"], "sound")),
    ],
    "lost under work inside, over a restart": [
        (HOUR, ("pass",)),
        (60, ("run_inside", 0, HOUR)),
        (601, ("change_nodes", ["n0"], "dead")),
        (60, ("restart",)),
    ],
    "slept through": [(10 * HOUR, ("restart",))],
    "beside work that stays too long": [(1, ("run_alone", "n0", 4, 1800, 2 * HOUR)), (2 * HOUR, ("restart",))],
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=list(HISTORIES))
def test_what_becomes_of_bookings_is_charged_as_they_had_it(store: SqlStore, history: list[Happens]) -> None:
    assert_the_books_tie(live_through(Company(store=store), history))


def test_a_booking_is_given_back_for_its_fee_and_neither_extended_nor_given_back_again(store: SqlStore) -> None:
    company = Company(store=store)
    grant = company.grant("ada", 20)
    booking = book(company, in_hours=1, hours=2)
    pass_time(company, 2)
    ada = company.caller("ada")
    with pytest.raises(Refusal) as refused:
        company.commands.extend(ada, booking.id, MS_PER_HOUR, now=company.now)
    assert refused.value.code is RefusalCode.WRONG_STATE
    for _ in range(2):
        company.commands.cancel(ada, booking.id, now=company.now)

    assert company.workload(booking.id).state_reason is Reason.CANCELLED
    assert shown(company, booking).charged == 4 * MS_PER_HOUR + 2 * MS_PER_HOUR
    assert company.available(grant) == (20 - 6) * MS_PER_HOUR
