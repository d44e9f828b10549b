"""Rules of the ledger machine for closing what is over, and for correcting it afterwards."""

from collections import defaultdict

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from scheduler.domain.errors import Conflict
from scheduler.domain.units import Instant, Unit
from scheduler.finance.reconciling.closing import Closing, ClosingState
from scheduler.ledger.corrections import into_open_period
from scheduler.ledger.journal import Account, AccountKind, Transaction, TransactionKind, transfer_entries
from tests.adapters.sql.awarding import Amount, AwardRules


class CloseRules(AwardRules):
    """The part of the machine that closes. `closed` are periods with the sums that their accounts had then."""

    allowances = AwardRules.allowances
    closed: list[tuple[int, int, dict[str, int]]]

    @rule()
    def close_what_is_over(self) -> None:
        """All up to now: its charges never change again."""
        starts_at = self.closed[-1][1] if self.closed else 0
        ends_at = self.tick()
        step = Closing(
            f"period {self.fresh()}", Instant(starts_at), ends_at, ClosingState.CLOSED, ends_at, "e-9", "finance"
        )
        with self.store.writing() as books:
            books.periods.add_step(step)
        self.closed.append((starts_at, ends_at, self.sums_between(starts_at, ends_at)))

    def sums_between(self, starts_at: int, ends_at: int) -> dict[str, int]:
        sums: dict[str, int] = defaultdict(int)
        with self.store.reading() as books:
            for entry in books.journal.entries(starts_at=Instant(starts_at), ends_at=Instant(ends_at)):
                sums[str(entry.account)] += entry.amount
        return dict(sums)

    @precondition(lambda self: self.closed)
    @rule(name=allowances, amount=Amount, place=st.integers(0, 100))
    def correct_what_is_closed(self, name: str, amount: int, place: int) -> None:
        """Dated inside it is refused; moved into the open period it counts there, marked, and only once."""
        model = self.paid[name]
        amount = min(amount, model.available)
        if amount <= 0:
            return
        starts_at, ends_at, _ = self.closed[place % len(self.closed)]
        at = Instant(starts_at + place % (ends_at - starts_at))
        account = Account(AccountKind.ALLOWANCE, name)
        moves = transfer_entries(account, Account(AccountKind.ISSUED, "corrections"), amount, unit=Unit(model.unit))
        wrong = Transaction(f"correction:{self.fresh()}", TransactionKind.CORRECTION, at, moves, actor="e-9")
        with pytest.raises(Conflict), self.store.writing() as books:
            books.journal.post([wrong], self.tick())
        for _ in range(2):
            with self.store.writing() as books:
                right = into_open_period(wrong, books.periods.closed(), self.tick())
                books.journal.post([right], Instant(self.now))
                posted = [e for e in books.journal.entries(accounts=[account]) if e.transaction_id == wrong.id]
            assert [(e.amount, e.corrects_at) for e in posted] == [(-amount, at)]
            assert posted[0].at >= ends_at
        model.available -= amount
        model.corrected -= amount
