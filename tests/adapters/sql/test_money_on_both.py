"""Prices, statements and exports on both databases: the same month, the same sums."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.cluster import NodeSpan
from scheduler.domain.errors import InvalidInput
from scheduler.domain.money import Currency
from scheduler.domain.records import PriceBookVersion
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, AttemptId, NodeName
from scheduler.ledger.journal import Account, AccountKind, TransactionKind
from scheduler.lifecycle.accounting.price import Pricing
from scheduler.lifecycle.accounting.valued import pieces_of
from scheduler.lifecycle.views.money import MoneyViews
from scheduler.lifecycle.views.reader import Views
from tests.finance.build import H100, at, hardware
from tests.finance.focus_rules import violations
from tests.lifecycle.october import (
    BOOK,
    FINANCE,
    NOVEMBER,
    OCTOBER,
    a_month,
    ledger_micro,
    research_world,
    rows_of,
    total,
)


def test_a_month_exports_and_states_the_same_sum(store: SqlStore) -> None:
    a_month(store)
    rows = rows_of(store)
    world = research_world()
    micro = sum(ledger_micro(store).values())
    assert violations(rows) == []
    assert total(rows, "BilledCost") * 1_000_000 == micro
    assert Views(store, world).statement(FINANCE, "2026-10", NOVEMBER, "company").cost_micro == micro
    assert Views(store, world).month(FINANCE, "2026-10", NOVEMBER).cost_micro == micro
    assert MoneyViews(store, world).general_ledger(FINANCE, "2026-10", NOVEMBER).recovered_micro == micro


def test_the_journal_counts_and_sums_by_kind(store: SqlStore) -> None:
    a_month(store)
    with store.reading() as books:
        kinds = (AccountKind.ALLOWANCE, AccountKind.HELD)
        sums = books.journal.kind_totals(kinds=kinds, ends_at=at("2026-10-20"))
        rebuilt = {
            kind: sum(e.amount for e in books.journal.entries(kinds=[kind], ends_at=at("2026-10-20")))
            for kind in kinds
        }
        charges = books.journal.count(
            transactions=[TransactionKind.CHARGE], starts_at=OCTOBER.starts_at, ends_at=OCTOBER.ends_at
        )
        (terms,) = books.journal.terms_used(starts_at=OCTOBER.starts_at, ends_at=OCTOBER.ends_at)
    assert {kind: sums.get(kind, 0) for kind in kinds} == rebuilt
    assert charges == 6
    assert (terms.gpu_class, terms.pool, terms.first_at) == ("h100", "research", at("2026-10-05T20:10:07"))


def test_entries_of_a_period_are_those_of_all_that_are_dated_in_it(store: SqlStore) -> None:
    """Also where a later one was posted before an earlier one."""
    booked = a_month(store)
    booked.allowance("e-bob", 5, at("2026-10-03"))
    spans = [("2026-10-05", "2026-10-06"), ("2026-10-06T10:59:59", "2026-11-01"), ("2026-10-01", "2026-10-04")]
    with store.reading() as books:
        every = list(books.journal.entries())
        for first, last in [*spans, ("2027-01-01", "2027-02-01")]:
            found = list(books.journal.entries(starts_at=at(first), ends_at=at(last)))
            assert found == [entry for entry in every if at(first) <= entry.at < at(last)]
            assert bool(found) == (first < "2027")


def test_days_of_charges_are_the_journal_s_entries(store: SqlStore) -> None:
    a_month(store)
    span = (at("2026-10-05"), at("2026-10-08"))
    with store.reading() as books:
        found = list(books.journal.charged_by_day(starts_at=span[0], ends_at=span[1]))
        owner = found[0][0]
        own = list(
            books.journal.charged_by_day(
                starts_at=span[0], ends_at=span[1], accounts=[Account(AccountKind.CHARGED, owner)]
            )
        )
        entries = [
            entry
            for entry in books.journal.entries(kinds=[AccountKind.CHARGED], starts_at=span[0], ends_at=span[1])
            if entry.kind is TransactionKind.CHARGE
        ]
    assert sum(amount for _, _, amount in found) == sum(entry.amount for entry in entries) > 0
    assert {(who, day) for who, day, _ in found} == {
        (entry.account.owner, entry.at - entry.at % MS_PER_DAY) for entry in entries
    }
    assert own == [item for item in found if item[0] == owner]


def test_what_attempts_were_charged_for_and_what_one_paid_of_it_are_the_journal_s_entries(store: SqlStore) -> None:
    a_month(store)
    train = AttemptId("w-train.1")
    with store.reading() as books:
        postings = [posting for piece in pieces_of(books, OCTOBER) for posting in piece]
        own = [posting for piece in pieces_of(books, OCTOBER, {"a-e-ada"}) for posting in piece]
        charged = books.journal.charged_gpu_ms(
            [train, AttemptId("none")], starts_at=OCTOBER.starts_at, ends_at=OCTOBER.ends_at
        )
    of_train = [each.gpu_ms for each in postings if (each.attempt_id, each.kind) == (train, TransactionKind.CHARGE)]
    assert charged == {train: sum(of_train)}
    assert own == [posting for posting in postings if posting.payer == "a-e-ada"] != []


def test_readings_add_up_by_attempt_and_by_hour(store: SqlStore) -> None:
    a_month(store)
    hour, end = at("2026-10-05T21:00"), at("2026-10-06")
    with store.reading() as books:
        (use,) = books.samples.use_between(hour, end).items()
        energy = books.samples.energy_between(hour, end)
    assert use[0] == AttemptId("w-train.1")
    assert (use[1].idle_held_ms, use[1].active_ms) == (2 * 20 * 60_000, 2 * 40 * 60_000)
    assert energy == [(hour, use[1].millijoules)]


def test_a_price_book_that_was_applied_is_never_changed(store: SqlStore, raw: Connection) -> None:
    first = PriceBookVersion("h", "prices.yaml", "text", at("2026-10-01"), "fin")
    with store.writing() as books:
        books.prices.add(first)
    with pytest.raises(SQLAlchemyError, match="append-only"):
        raw.exec_driver_sql("UPDATE price_books SET text = 'other'")
    with pytest.raises(SQLAlchemyError, match="append-only"):
        raw.exec_driver_sql("DELETE FROM price_books")
    with store.reading() as books:
        current = books.prices.current()
    assert current is not None
    assert (current.seq, current.text) == (1, "text")


def test_books_that_were_charged_keep_their_currency_and_the_hardware_that_they_had(store: SqlStore) -> None:
    a_month(store)
    world = research_world()
    world.price_book = replace(BOOK, hardware=(hardware("30000", 40_000),))
    with store.writing() as books:
        span = NodeSpan(NodeName("n-1"), H100, OCTOBER.starts_at, None, 8, 0, True)
        books.capacity.change(ended=[], begun=[span])
    found = MoneyViews(store, world).general_ledger(FINANCE, "2026-10", NOVEMBER)
    hours = (OCTOBER.ends_at - OCTOBER.starts_at) // MS_PER_HOUR
    assert [line.debit_micro for line in found.lines if line.account == "depreciation"] == [8 * hours * 750_000]
    dollars = replace(BOOK, currency=Currency("USD"), hash="9" * 64)
    with pytest.raises(InvalidInput, match="the books are kept in EUR"):
        Pricing(store, world).apply(FINANCE, "text", dollars, now=NOVEMBER)
