"""FAULTS.md's invariants as SQL over any database: what each finds is what is wrong."""

import json
from collections import Counter

from sqlalchemy import Connection, text

INVARIANTS = {
    "I1 each transaction sums to 0 per unit": """
        SELECT t.id FROM transactions t JOIN entries e ON e.transaction_seq = t.seq JOIN accounts a ON a.id = e.account_id
        GROUP BY t.id, a.unit HAVING SUM(e.amount) <> 0 OR SUM(e.gpu_ms) <> 0
    """,
    "I1 every transaction has entries": """
        SELECT t.id FROM transactions t LEFT JOIN entries e ON e.transaction_seq = t.seq WHERE e.seq IS NULL
    """,
    "I3 no account is below its floor": """
        SELECT kind || ':' || owner FROM accounts WHERE floor IS NOT NULL AND balance < floor
    """,
    "I3 an allowance's floor is its overdraft, the others of an allowance have none": """
        SELECT a.kind || ':' || a.owner FROM accounts a LEFT JOIN allowances w ON w.id = a.owner
        WHERE (a.kind = 'allowance' AND a.floor <> -w.overdraft)
        OR (a.kind IN ('held', 'expired', 'charged', 'promised', 'forfeited') AND (a.floor IS NULL OR a.floor <> 0))
    """,
    "I4 what a hold was charged and what of it was released is the hold": """
        SELECT h.id FROM holds h LEFT JOIN transactions t ON t.id = 'release:' || h.id
        LEFT JOIN entries e ON e.transaction_seq = t.seq AND e.amount < 0
        WHERE h.charged > h.amount OR (h.state = 'open' AND t.id IS NOT NULL)
        OR (h.state = 'resolved' AND h.charged + COALESCE(-e.amount, 0) <> h.amount)
    """,
    "I4 what an allowance holds is what its open holds have left": """
        SELECT a.owner FROM accounts a LEFT JOIN holds h ON h.allowance_id = a.owner AND h.state = 'open'
        WHERE a.kind = 'held' AND a.unit NOT LIKE 'tokens%'
        GROUP BY a.owner, a.balance HAVING a.balance <> COALESCE(SUM(h.amount - h.charged), 0)
    """,
    "what was promised has vested, was clawed back, or is still promised": """
        SELECT w.id FROM allowances w JOIN accounts p ON p.kind = 'promised' AND p.owner = w.id AND p.unit = w.unit
        LEFT JOIN accounts f ON f.kind = 'forfeited' AND f.owner = w.id AND f.unit = w.unit
        WHERE w.amount <> p.balance + COALESCE(f.balance, 0) + (
            SELECT COALESCE(SUM(e.amount), 0) FROM entries e JOIN transactions t ON t.seq = e.transaction_seq
            JOIN accounts a ON a.id = e.account_id WHERE t.kind = 'vest' AND a.kind = 'allowance' AND a.owner = w.id)
    """,
    "I9 cached balances are the journal rebuilt": """
        SELECT a.kind || ':' || a.owner FROM accounts a LEFT JOIN entries e ON e.account_id = a.id
        GROUP BY a.id, a.kind, a.owner, a.balance HAVING a.balance <> COALESCE(SUM(e.amount), 0)
    """,
    "the numbers of the journal have no gaps": """
        SELECT name FROM (
            SELECT 'entries' AS name, COUNT(*) AS rows_, MIN(seq) AS lowest, MAX(seq) AS highest FROM entries
            UNION ALL SELECT 'transactions', COUNT(*), MIN(seq), MAX(seq) FROM transactions
        ) numbers WHERE rows_ > 0 AND (lowest <> 1 OR highest <> rows_)
    """,
    "an entry counts when its transaction does": """
        SELECT t.id FROM entries e JOIN transactions t ON t.seq = e.transaction_seq WHERE e.at <> t.at
    """,
}


def violations(connection: Connection) -> dict[str, list[str]]:
    """What breaks which invariant: empty where all hold."""
    found = {name: [str(row[0]) for row in connection.execute(text(query))] for name, query in INVARIANTS.items()}
    found["I4 what an allowance holds in tokens is what its open holds have left"] = _tokens_held_otherwise(
        connection
    )
    return {name: wrong for name, wrong in found.items() if wrong}


def _tokens_held_otherwise(connection: Connection) -> list[str]:
    """Allowances whose held account is not what gateways' open holds have left of it. The shares of one are JSON."""
    left: Counter[str] = Counter()
    holds = "SELECT shares, used FROM token_holds WHERE state = 'open'"
    for shares, used in connection.execute(text(holds)):
        for share in json.loads(shares):  # used up in their order
            paid = min(share["tokens"], used)
            left[share["allowance_id"]] += share["tokens"] - paid
            used -= paid  # noqa: PLW2901  # what the next share pays
    accounts = "SELECT owner, balance FROM accounts WHERE kind = 'held' AND unit LIKE 'tokens%'"
    held = Counter({row.owner: row.balance for row in connection.execute(text(accounts))})
    return sorted(owner for owner in {*held, *left} if held[owner] != left[owner])
