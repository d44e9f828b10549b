"""What was written after the last published head is proven by nothing yet: it must at least agree with itself."""

import sqlite3

import pytest

from scheduler.ledger.canonical import hash_of_values
from tests.adapters.sql.tampering import Original, first, look, loosen, named


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE entries SET amount = amount + 1 WHERE seq = 52", ("transactions", 26)),
        ("UPDATE transactions SET memo = 'x' WHERE seq = 26", ("transactions", 26)),
        ("UPDATE transactions SET corrects_at = 1 WHERE seq = 26", ("transactions", 26)),
        ("UPDATE entries SET at = at + 1 WHERE seq = 52", ("entries", 52)),
        ("UPDATE entries SET account_id = 4711 WHERE seq = 52", ("entries", 52)),
        ("DELETE FROM entries WHERE seq IN (51, 52)", ("entries", 51)),
        ("DELETE FROM transactions WHERE seq = 26", ("transactions", 26)),
    ],
)
def test_rows_after_the_last_head_must_at_least_agree_with_themselves(
    copy: Original, open_copy: sqlite3.Connection, statement: str, expected: tuple[str, int]
) -> None:
    numbers = open_copy.execute("SELECT transaction_seq FROM entries WHERE seq IN (51, 52)").fetchall()
    assert numbers == [(26,), (26,)], "the example is about a transaction that no head is over"
    open_copy.execute(statement)
    assert first(look(copy.database, copy.heads)) == expected


@pytest.mark.parametrize("column", ["amount", "gpu_ms"])
def test_what_does_not_sum_to_zero_is_named_though_its_hash_was_made_anew(
    copy: Original, open_copy: sqlite3.Connection, column: str
) -> None:
    """In standard time, and in physical."""
    open_copy.execute(named("UPDATE entries SET {} = {} + 1 WHERE seq = 52", column, column))
    found = open_copy.execute("SELECT * FROM transactions WHERE seq = 26")
    columns = [each[0] for each in found.description]
    row = dict(zip(columns, found.fetchone(), strict=True))
    lines = open_copy.execute(
        "SELECT a.kind, a.owner, a.unit, e.amount, e.gpu_ms FROM entries e JOIN accounts a ON a.id = e.account_id "
        "WHERE e.transaction_seq = 26 ORDER BY e.seq"
    ).fetchall()
    open_copy.execute("UPDATE transactions SET body_hash = ? WHERE seq = 26", (hash_of_values(row, lines),))
    told = look(copy.database, copy.heads)
    assert first(told) == ("transactions", 26)
    assert "its entries do not sum to zero" in {finding.detail for finding in told.findings}


def test_an_amount_that_is_no_number_is_named_by_its_own_row(copy: Original, open_copy: sqlite3.Connection) -> None:
    loosen(open_copy, "entries")
    open_copy.execute("UPDATE entries SET amount = 'much' WHERE seq = 52")
    told = look(copy.database, copy.heads)
    named_rows = {finding.row for finding in told.findings if finding.detail == "it moves what is no whole number"}
    assert named_rows == {52}
