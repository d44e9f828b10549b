"""What follows from the journal's rows: cached balances, floors, and that transactions balance.

Rows under a head are what they were when they were posted, and were checked then; what came after it is checked here.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scheduler.finance.proving.findings import Finding, FindingCode, Findings
from scheduler.finance.proving.relations import ACCOUNTS, ENTRIES, TRANSACTIONS, Relation, Values
from scheduler.ledger.canonical import hash_of_values
from scheduler.ledger.holds import HoldState
from scheduler.ledger.journal import AccountKind

_ENTRY = tuple(ENTRIES.columns.index(name) for name in ("transaction_seq", "account_id", "at", "amount", "gpu_ms"))
_CONTRA = frozenset(kind.value for kind in AccountKind if kind.may_go_below_zero)


@dataclass(slots=True)
class _Account:
    """As the database has it: nothing of it is known to be of the type that it should be."""

    kind: object
    owner: object
    unit: object
    balance: object
    floor: object


class Sums:
    """Adds up as rows come by; `compare` tells what does not follow."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._accounts: dict[int, _Account] = {}
        self._totals: dict[object, int] = defaultdict(int)
        self._fresh: dict[object, Values] = {}
        self._fresh_entries: dict[object, list[Values]] = defaultdict(list)
        self._overdrafts: dict[object, object] = {}
        self._held: dict[object, int] = defaultdict(int)

    def take(self, tree: Relation, rows: Sequence[Values], anchored: int) -> None:
        if tree is ENTRIES:
            self._take_entries(rows, anchored)
        elif tree is TRANSACTIONS:
            self._fresh.update((row[0], row) for row in rows_after(rows, anchored))
        elif tree is ACCOUNTS:
            for account_id, *rest in rows:
                if type(account_id) is int:
                    self._accounts[account_id] = _Account(*map(_plain, rest))

    def take_sealed(self, relation: Relation, rows: Sequence[Values]) -> None:
        if relation.name == "allowances":
            overdraft = relation.columns.index("overdraft")
            self._overdrafts.update((row[0], row[overdraft]) for row in rows if isinstance(row[0], str))
        elif relation.name == "holds":
            allowance, amount, charged, state = (
                relation.columns.index(name) for name in ("allowance_id", "amount", "charged", "state")
            )
            for row in rows:
                if row[state] == HoldState.OPEN.value and _are_whole(row[amount], row[charged]):
                    self._held[str(row[allowance])] += _whole(row[amount]) - _whole(row[charged])

    def compare(self) -> None:
        """Tell everything that does not follow."""
        for account_id, account in sorted(self._accounts.items()):
            for code, detail in self._wrong_with(account_id, account):
                name = f"{account.kind}:{account.owner}"
                self._findings.add(Finding(code, f"{name} {detail}", ACCOUNTS.name, account_id, name))
        for unknown in self._totals.keys() - self._accounts.keys():
            self._off(ENTRIES, None, f"entries stand on account {unknown!r}, which is not there")
        for seq, row in self._fresh.items():
            self._check_fresh(seq, row)
        for seq in self._fresh_entries.keys() - self._fresh.keys():
            self._off(ENTRIES, self._fresh_entries[seq][0][0], f"its transaction {seq!r} is not there")

    # balances

    def _take_entries(self, rows: Sequence[Values], anchored: int) -> None:
        transaction, account, _, amount, _ = _ENTRY
        sums: dict[object, int] = defaultdict(int)
        try:
            for row in rows:
                sums[row[account]] += row[amount]  # type: ignore[operator]  # no number? told below
        except TypeError:
            sums = defaultdict(int)
            for row in rows:
                if _are_whole(row[account], row[amount]):
                    sums[row[account]] += _whole(row[amount])
                else:
                    self._off(ENTRIES, row[0], "it moves what is no whole number")
        for account_id, total in sums.items():
            self._totals[account_id] += total
        for row in rows_after(rows, anchored):
            self._fresh_entries[_plain(row[transaction])].append(row)

    def _wrong_with(self, account_id: int, account: _Account) -> Iterator[tuple[FindingCode, str]]:
        total = self._totals.get(account_id, 0)
        if type(account.balance) is not int or account.balance != total:
            yield FindingCode.BALANCE_DIFFERS, f"is kept as {account.balance!r}; its entries add up to {total}"
        if account.kind == AccountKind.HELD.value and total != self._held.get(account.owner, 0):
            held = self._held.get(account.owner, 0)
            yield FindingCode.BALANCE_DIFFERS, f"has {total} by its entries; its open holds have {held} left"
        floor: object = None if account.kind in _CONTRA else 0
        if account.kind == AccountKind.ALLOWANCE.value and account.owner in self._overdrafts:
            overdraft = self._overdrafts[account.owner]
            floor = -overdraft if isinstance(overdraft, int) else overdraft
        if type(account.floor) is not type(floor) or account.floor != floor:
            yield FindingCode.FLOOR_DIFFERS, f"has the floor {account.floor!r} where {floor!r} was awarded"

    # transactions after the last head

    def _check_fresh(self, seq: object, row: Values) -> None:
        """Its entries balance, are dated as it is, and are those that its hash was made over."""
        transaction = dict(zip(TRANSACTIONS.columns, row, strict=True))
        entries = self._fresh_entries.get(seq, [])
        sums: dict[object, list[int]] = defaultdict(lambda: [0, 0])
        lines: list[list[object]] = []
        for entry in entries:
            _, account_id, at, amount, gpu_ms = (entry[place] for place in _ENTRY)
            account = self._accounts.get(account_id) if type(account_id) is int else None
            if account is None or not _are_whole(at, amount, gpu_ms):
                self._off(ENTRIES, entry[0], "it is no entry of ours")
                return
            if at != transaction["at"]:
                self._off(ENTRIES, entry[0], "it is dated otherwise than its transaction")
            lines.append([account.kind, account.owner, account.unit, amount, gpu_ms])
            both = sums[_plain(account.unit)]
            both[0] += _whole(amount)
            both[1] += _whole(gpu_ms)
        if not entries or any(amount or gpu_ms for amount, gpu_ms in sums.values()):
            self._off(TRANSACTIONS, seq, "its entries do not sum to zero")
        elif transaction["body_hash"] != hash_of_values(transaction, lines):
            self._off(TRANSACTIONS, seq, "it is not what its own hash was made over")

    def _off(self, relation: Relation, key: object, detail: str) -> None:
        row = key if key is None or type(key) is int else str(key)[:200]
        self._findings.add(Finding(FindingCode.UNBALANCED, detail, relation.name, row))


def rows_after(rows: Sequence[Values], anchored: int) -> Sequence[Values]:
    """Those that no head is over. Rows come in the order of their keys: the last tells of nearly all of a million."""
    last = rows[-1][0] if rows else 0
    if type(last) is int and last <= anchored and all(type(row[0]) is int for row in rows):
        return ()
    return [row for row in rows if type(row[0]) is not int or row[0] > anchored]


def _are_whole(*values: object) -> bool:
    return all(type(value) is int for value in values)


def _whole(value: object) -> int:
    assert isinstance(value, int), "asked before"
    return value


def _plain(value: object) -> object:
    return value if isinstance(value, int | str | None) else repr(value)
