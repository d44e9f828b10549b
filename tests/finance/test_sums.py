"""What follows from the journal's rows: each thing that does not is told, of rows that no head is over."""

import pytest

from scheduler.domain.units import STANDARD_GPU, Instant
from scheduler.finance.proving.findings import FindingCode, Findings
from scheduler.finance.proving.relations import ACCOUNTS, ENTRIES, TRANSACTIONS, TREES, Values
from scheduler.finance.proving.sums import Sums
from scheduler.ledger.canonical import body_hash, hash_of_values
from scheduler.ledger.grants import grant
from tests.ledger.build import allowance

Rows = list[Values]
Told = list[tuple[FindingCode, str, int | str | None]]

AT = Instant(0)
GRANT = grant(allowance(100), actor="fin")
TRANSACTION = (1, GRANT.id, "grant", AT, AT, None, None, "fin", "", body_hash(GRANT), None)
TRANSACTION_ROWS: Rows = [TRANSACTION]
ENTRY_ROWS: Rows = [(1, 1, 1, AT, -100, 0), (2, 1, 2, AT, 100, 0)]
TIMED_ROW = (2, 1, 2, AT, 100, 7)
ACCOUNT_ROWS: Rows = [(1, "issued", "tier", STANDARD_GPU, -100, None), (2, "allowance", "a-1", STANDARD_GPU, 100, 0)]
UNDER_A_HEAD = 99


def rehashed(*entries: Values) -> Rows:
    """The transaction as an intruder writes it who makes its hash anew, over these entries."""
    owners = {row[0]: row[1:4] for row in ACCOUNT_ROWS}
    lines = [[*owners[account], amount, gpu_ms] for _, _, account, _, amount, gpu_ms in entries]
    made = hash_of_values(dict(zip(TRANSACTIONS.columns, TRANSACTION, strict=True)), lines)
    return [(*TRANSACTION[:9], made, None)]


def told(
    transactions: Rows = TRANSACTION_ROWS,
    entries: Rows = ENTRY_ROWS,
    accounts: Rows = ACCOUNT_ROWS,
    anchored: int = 0,
) -> Told:
    findings = Findings([tree.name for tree in TREES])
    sums = Sums(findings)
    for tree, rows in ((TRANSACTIONS, transactions), (ENTRIES, entries), (ACCOUNTS, accounts)):
        sums.take(tree, rows, anchored)
    sums.compare()
    return [(finding.code, finding.table, finding.row) for finding in findings.in_order()]


def test_of_sound_books_nothing_is_told() -> None:
    assert told() == told(anchored=UNDER_A_HEAD) == []


OFF: dict[str, tuple[Rows, Rows, Told]] = {
    "a transaction without entries": (
        [TRANSACTION, (2, *TRANSACTION[1:])],
        ENTRY_ROWS,
        [(FindingCode.UNBALANCED, "transactions", 2)],
    ),
    "a transaction that its hash was not made over": (
        [(*TRANSACTION[:7], "ada", *TRANSACTION[8:])],
        ENTRY_ROWS,
        [(FindingCode.UNBALANCED, "transactions", 1)],
    ),
    "entries without their transaction": (
        [],
        ENTRY_ROWS,
        [(FindingCode.UNBALANCED, "entries", 1)],
    ),
    "a transaction without entries, its hash made anew": (
        [TRANSACTION, (2, *rehashed()[0][1:])],
        ENTRY_ROWS,
        [(FindingCode.UNBALANCED, "transactions", 2)],
    ),
    "physical time that does not come to zero, the hash made anew": (
        rehashed(ENTRY_ROWS[0], TIMED_ROW),
        [ENTRY_ROWS[0], TIMED_ROW],
        [(FindingCode.UNBALANCED, "transactions", 1)],
    ),
    "an entry of another date": (
        TRANSACTION_ROWS,
        [(1, 1, 1, AT, -100, 0), (2, 1, 2, AT + 1, 100, 0)],
        [(FindingCode.UNBALANCED, "entries", 2)],
    ),
}


@pytest.mark.parametrize("case", OFF)
def test_what_came_after_the_last_head_is_looked_at_by_itself(case: str) -> None:
    transactions, entries, expected = OFF[case]
    assert told(transactions, entries) == expected
    assert told(transactions, entries, anchored=UNDER_A_HEAD) == [], "its leaves are compared instead"


def test_entries_on_an_account_that_is_not_there_are_told_under_a_head_too() -> None:
    elsewhere: Rows = [*ENTRY_ROWS, (3, 1, 7, AT, 5, 0)]
    assert told(entries=elsewhere, anchored=UNDER_A_HEAD) == [(FindingCode.UNBALANCED, "entries", None)]


@pytest.mark.parametrize(("balance", "floor"), [(100, 1), (100, None), (100, False), (99, 0), (100.0, 0)])
def test_a_balance_and_a_floor_are_the_whole_numbers_that_follow(balance: object, floor: object) -> None:
    accounts: Rows = [ACCOUNT_ROWS[0], (2, "allowance", "a-1", STANDARD_GPU, balance, floor)]
    code = FindingCode.FLOOR_DIFFERS if balance == 100 and type(balance) is int else FindingCode.BALANCE_DIFFERS
    assert told(accounts=accounts, anchored=UNDER_A_HEAD) == [(code, "accounts", 2)]
