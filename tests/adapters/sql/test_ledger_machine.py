"""Any sequence of grants, packages, transfers, holds, charges, refunds, expiries, closes and corrections, and a model.

ALLOT_LEDGER_STEPS sets how long a sequence may be (300; the nightly run takes 10,000), ALLOT_LEDGER_SEED which ones.
"""

import itertools
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings, stateful
from hypothesis import strategies as st
from hypothesis.internal.conjecture import engine
from hypothesis.stateful import (
    Bundle,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from scheduler.adapters.head_folder import HeadFolder
from scheduler.adapters.signing import is_signed, open_key
from scheduler.adapters.sql.evidence import open_evidence
from scheduler.adapters.sql.store import SqlStore, open_store
from scheduler.domain.errors import Conflict, Exhausted
from scheduler.domain.funding import FundingShare
from scheduler.domain.terms import Draw
from scheduler.domain.units import (
    MS_PER_HOUR,
    STANDARD_GPU,
    AllowanceId,
    AttemptId,
    HoldId,
    Instant,
    Unit,
    WorkloadId,
)
from scheduler.domain.workloads import Attempt
from scheduler.finance.proving.relations import TREES
from scheduler.finance.proving.verification import verify
from scheduler.ledger.charging import charge
from scheduler.ledger.grants import expire, grant
from scheduler.ledger.holding import hold, holds_for, release
from scheduler.ledger.journal import Account, AccountKind, TransactionKind
from scheduler.ledger.refunds import refund
from scheduler.ledger.statement import STATED, accounts_of, lines_of, statement
from scheduler.lifecycle.accounting.publish import Publisher
from tests.adapters.sql.attempt_model import RATES, AttemptModel, HoldModel, Rate, Rated, Use
from tests.adapters.sql.awarding import EUR, H100, AllowanceModel, Amount, AwardRules
from tests.adapters.sql.closing import CloseRules
from tests.adapters.sql.invariants import violations
from tests.adapters.sql.values import WORKLOAD
from tests.ledger.build import ADA, allowance
from tests.ledger.build import attempt as an_attempt
from tests.ledger.folding import company_of, folded, folded_lines, sums_of
from tests.plugins.memory import folder_for_databases
from tests.plugins.migrated import put_migrated, share_statements

STEPS = int(os.environ.get("ALLOT_LEDGER_STEPS", "300"))
SEED = int(os.environ.get("ALLOT_LEDGER_SEED", "2"))
PROVEN = {tree.name for tree in TREES}
REFUNDED = text(
    "SELECT a.unit, SUM(e.amount) FROM accounts a JOIN entries e ON e.account_id = a.id WHERE a.kind = 'refunds' GROUP BY 1"
)
"""Asked after every step: what `kind_totals` says, which only a refund can change, is asked after each of those."""


class LedgerMachine(CloseRules):
    """The store and the model, moved side by side."""

    new_url: ClassVar[Callable[[], str]]
    allowances = AwardRules.allowances
    attempts = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.url = type(self).new_url()
        self.store: SqlStore = share_statements(open_store(self.url))
        self.now = 0
        self.number = 0
        self.paid: dict[str, AllowanceModel] = {}
        self.running: dict[str, AttemptModel] = {}
        self.overrun = 0
        self.refunded: dict[str, int] = defaultdict(int)
        self.closed = []
        with self.store.writing() as books:
            books.workloads.add([WORKLOAD])

    @initialize(target=allowances)
    def begin_with_hours(self) -> str:
        return self.grant_hours(10_000, 0)

    @initialize(target=attempts)
    def begin_with_an_attempt(self) -> str:
        return self.launch(1000)

    def tick(self) -> Instant:
        self.now += 1
        return Instant(self.now)

    def fresh(self) -> int:
        self.number += 1
        return self.number

    @rule(target=allowances, amount=Amount, overdraft=st.sampled_from([0, 0, 500]))
    def grant_more(self, amount: int, overdraft: int) -> str:
        name = self.grant_hours(amount, overdraft)
        with self.store.writing() as books:
            known = books.allowances.get(AllowanceId(name))
            assert known is not None
            assert not books.allowances.add(known.allowance)
            books.journal.post([grant(known.allowance, actor="e-9")], self.tick())
            with pytest.raises(Conflict):
                books.journal.post([grant(known.allowance, actor="somebody else")], self.tick())
        return name

    @rule(target=allowances, amount=Amount, unit=st.sampled_from([H100, EUR]))
    def grant_in_another_unit(self, amount: int, unit: Unit) -> str:
        return self.grant_hours(amount, 0, unit)

    def grant_hours(self, amount: int, overdraft: int, unit: Unit = STANDARD_GPU) -> str:
        name = f"a-{self.fresh():05}"
        awarded = allowance(amount, name=name, overdraft=overdraft, unit=unit, starts_at=self.tick())
        with self.store.writing() as books:
            assert books.allowances.add(awarded)
            books.journal.post([grant(awarded, actor="e-9")], Instant(self.now))
        self.paid[name] = AllowanceModel(amount, overdraft, amount, unit=unit)
        return name

    @rule(target=attempts, weight=st.sampled_from([1, 333, 1000, 1500]), payer=allowances, amount=Amount, rate=Rate)
    def launch_another(self, weight: int, payer: str, amount: int, rate: int | None) -> str:
        attempt = self.launch(weight)
        self.hold_or_renew(attempt, {payer: amount}, rate)
        return attempt

    @rule(
        target=attempts,
        weight=st.sampled_from([333, 1000, 1500]),
        units=st.permutations([STANDARD_GPU, H100, EUR, STANDARD_GPU]),
        holds=st.lists(st.tuples(Amount, Rate), min_size=4, max_size=4),
        used=st.lists(Use, min_size=1, max_size=4),
    )
    def run_on_several_units(self, weight: int, units: list[Unit], holds: list[Rated], used: list[Rated]) -> str:
        """One after the other in any order, of standard time at its own terms and at those of pay, at any price."""
        attempt = self.launch(weight)
        for unit, (amount, rate) in zip(units, holds, strict=True):
            self.hold_or_renew(attempt, {self.grant_hours(amount, 0, unit): amount}, rate)
        for gpu_ms, price in used:
            self.use(attempt, gpu_ms, price)
        return attempt

    def launch(self, weight: int) -> str:
        attempt_id = AttemptId(f"t-{self.fresh():05}")
        launched = replace(an_attempt(weight=weight), id=attempt_id)
        with self.store.writing() as books:
            books.attempts.add([launched])
        self.running[attempt_id] = AttemptModel(weight)
        return attempt_id

    @rule(attempt=attempts, first=allowances, second=allowances, amounts=st.tuples(Amount, Amount), rate=Rate)
    def renew(self, attempt: str, first: str, second: str, amounts: tuple[int, int], rate: int | None) -> None:
        self.hold_or_renew(attempt, {first: amounts[0]} | {second: amounts[1]}, rate)

    def draw(self, name: str, rate: int | None) -> Draw | None:
        """A rate of its own: always of what is not standard time, and of pay where the rate says so."""
        unit = Unit(self.paid[name].unit)
        return None if rate is None and unit == STANDARD_GPU else Draw(unit, 1_000 if rate is None else rate)

    def hold_or_renew(self, attempt: str, wanted: dict[str, int], rate: int | None) -> None:
        shares = [FundingShare(AllowanceId(name), amount, self.draw(name, rate)) for name, amount in wanted.items()]
        ids = [HoldId(f"h-{self.fresh():05}") for _ in shares]
        place = len(self.running[attempt].holds)
        made = [
            replace(item, order=place + item.order)
            for item in holds_for(shares, ids, WorkloadId("w-1"), AttemptId(attempt), self.tick())
        ]
        fits = all(self.paid[name].available + self.paid[name].overdraft >= amount for name, amount in wanted.items())
        try:
            with self.store.writing() as books:
                books.holds.open(made)
                books.journal.post(hold(made), Instant(self.now))
        except Exhausted:
            assert not fits
            return
        assert fits
        for share in shares:
            model = self.paid[share.allowance_id]
            model.available -= share.amount
            model.held += share.amount
            exact = None if share.draw is None else Fraction(share.draw.rate, RATES[share.draw.unit])
            self.running[attempt].holds.append(HoldModel(share.allowance_id, share.amount, model.unit, exact))

    @rule(attempt=attempts, gpu_ms=st.integers(0, 8_000), price=Rate)
    def use_more(self, attempt: str, gpu_ms: int, price: int | None) -> None:
        self.use(attempt, gpu_ms, price)

    def use(self, attempt: str, gpu_ms: int, price: int | None) -> None:
        total = self.running[attempt].used + gpu_ms
        self.charge_to(attempt, total, price)
        self.charge_to(attempt, total, price)

    def charge_to(self, attempt: str, total: int, price: int | None) -> None:
        with self.store.writing() as books:
            stored = self.stored(attempt)
            holds = books.holds.of_attempt(stored.id)
            made = charge(stored, holds, total, self.tick(), price)
            if made.transactions:
                books.journal.post(made.transactions, Instant(self.now))
                books.holds.charge(made.from_holds, made.draws)
            books.attempts.save([replace(stored, charged_gpu_ms=made.gpu_ms, charged=made.total)])
        exact = None if price is None else Fraction(price, MS_PER_HOUR)
        for held, part in self.running[attempt].charge(total, exact):
            if held is None:
                self.overrun += part
            else:
                self.paid[held.allowance].held -= part
                self.paid[held.allowance].charged += part

    def stored(self, attempt: str) -> Attempt:
        with self.store.reading() as books:
            found = books.attempts.get(AttemptId(attempt))
        assert found is not None
        return found

    @rule(attempt=consumes(attempts), lost=st.integers(0, 10_000), is_ours=st.booleans())
    def end(self, attempt: str, lost: int, is_ours: bool) -> None:
        stored = self.stored(attempt)
        with self.store.writing() as books:
            holds, at = books.holds.of_attempt(stored.id), self.tick()
            books.journal.post(release(holds, at), at)
            books.holds.resolve([item.id for item in holds], at)
            books.journal.post(refund(stored, holds, lost, at, "lost") if is_ours else [], at)
            for item in holds:
                with pytest.raises(Conflict):
                    books.holds.resolve([item.id], at)
        model = self.running.pop(attempt)
        for held in model.holds:
            self.paid[held.allowance].held -= held.amount - held.charged
            self.paid[held.allowance].available += held.amount - held.charged
        if is_ours:
            self.refund(model, lost)

    def refund(self, model: AttemptModel, lost: int) -> None:
        for held, part in model.refund(lost):
            if held is None:
                self.overrun -= part
                self.refunded[STANDARD_GPU] += part
            else:
                self.paid[held.allowance].available += part
                self.paid[held.allowance].refunded += part
                self.refunded[held.unit] += part
        self.refunds_are_told()

    def refunds_are_told(self) -> None:
        refunds, latest = AccountKind.REFUNDS, Instant(self.now + 1)
        with self.store.reading() as books:
            for unit in RATES:
                told = books.journal.kind_totals(kinds=[refunds], ends_at=latest, unit=unit)
                assert told.get(refunds, 0) == -self.refunded[unit]

    @rule(name=allowances)
    def expire_what_is_left(self, name: str) -> None:
        model = self.paid[name]
        if model.available <= 0:
            return
        with self.store.writing() as books:
            known = books.allowances.get(AllowanceId(name))
            assert known is not None
            taken = expire(known.allowance, known.available, self.tick(), taken_at=Instant(self.now))
            books.journal.post([taken], Instant(self.now))
        model.expired += model.available
        model.available = 0

    @precondition(lambda self: self.number > 5)
    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = share_statements(open_store(self.url, migrate=False))

    @invariant()
    def balances_are_those_of_the_model(self) -> None:
        with self.store.reading() as books:
            stored = {b.allowance.id: (b.available, b.held, b.promised) for b in books.allowances.balances()}
            owed = books.journal.balance(Account(AccountKind.OVERRUN, ADA))
            issued = {unit: books.journal.balance(Account(AccountKind.ISSUED, "tier"), unit) for unit in RATES}
        with self.store._readers.begin() as connection:
            refunded = {unit: int(total) for unit, total in connection.execute(REFUNDED)}
        assert stored == {name: (model.available, model.held, model.promised) for name, model in self.paid.items()}
        granted = {unit: sum(m.granted for m in self.paid.values() if m.unit == unit) for unit in RATES}
        assert owed == -self.overrun
        assert issued == {unit: -amount for unit, amount in granted.items()}
        assert refunded == {unit: -amount for unit, amount in self.refunded.items() if amount}

    def teardown(self) -> None:
        """What the books say in the end: each allowance's statement, and every invariant as SQL."""
        self.refunds_are_told()
        with self.store.reading() as books:
            for name, model in self.paid.items():
                accounts = accounts_of([AllowanceId(name)])
                opening = dict.fromkeys(accounts, 0)
                made = folded(opening, books.journal.entries(accounts=accounts))
                closing = books.journal.totals(
                    ends_at=Instant(self.now + 1), accounts=accounts, unit=Unit(model.unit)
                )
                stated = books.journal.stated(accounts=accounts, starts_at=Instant(0), ends_at=Instant(self.now + 1))
                lines, _ = lines_of(stated)
                assert statement(opening, closing, lines) == made
                assert (made.granted, made.charged, made.expired) == (model.granted, model.charged, model.expired)
                assert (made.refunded, made.available, made.held) == (model.refunded, model.available, model.held)
                assert (made.corrected, made.transferred) == (model.corrected, model.moved)
                assert (made.vested, made.clawed_back) == (model.vested, model.clawed_back)
            everything = books.journal.entries(kinds=STATED)
            simply = folded_lines(everything)
            stated = books.journal.stated(accounts=None, starts_at=Instant(0), ends_at=Instant(self.now + 1))
            assert lines_of(stated)[0] == simply
            for first in (0, len(simply) // 2, len(simply)):
                told = books.journal.company_lines(starts_at=Instant(0), ends_at=Instant(self.now + 1), first=first)
                assert (told.lines, sums_of(told.rest), told.left_out) == company_of(simply, first)
            kinds = {entry.kind for entry in books.journal.entries()}
            assert kinds <= set(TransactionKind)
            assert books.journal.differences() == []
        for starts_at, ends_at, sums in self.closed:
            assert self.sums_between(starts_at, ends_at) == sums, "what was closed has changed"
        with self.store._write() as connection:
            assert violations(connection) == {}
        self.prove()
        self.store.close()

    def prove(self) -> None:
        """I11: the trees over the journal verify, and a second head extends the first."""
        with folder_for_databases() as folder:
            heads = HeadFolder(Path(folder) / "heads")
            publisher = Publisher(self.store, heads, open_key(Path(folder) / "key.pem"), self.tick)
            assert publisher.publish() is not None
            self.grant_hours(1, 0)
            assert publisher.publish() is not None
            with open_evidence(self.url) as evidence:
                found = verify(evidence, heads, is_signed)
            assert list(found.findings) == []
            assert {tree.unanchored for name, tree in found.trees.items() if name in PROVEN} == {0}


@pytest.fixture
def new_url(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Each call makes a database that is migrated."""
    if request.param == "sqlite":
        with folder_for_databases() as folder:
            files = (Path(folder) / f"{number}.db" for number in itertools.count())

            def new_file() -> str:
                put_migrated(file := next(files))
                return f"sqlite:///{file}"

            yield new_file
    else:
        new_database: Callable[..., str] = request.getfixturevalue("new_postgres_database")
        migrated: str = request.getfixturevalue("migrated_postgres_database")
        yield lambda: new_database(migrated)


@pytest.mark.parametrize(
    ("new_url", "examples"),
    [("sqlite", 3), pytest.param("postgresql", 2, marks=pytest.mark.postgres)],
    indirect=["new_url"],
    ids=["sqlite", "postgresql"],
)
def test_the_books_agree_with_a_model_in_plain_integers(
    new_url: Callable[[], str], examples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Hypothesis ends what has drawn more than 8 KiB, which are some 400 steps: more never got to their end.
    for module in (engine, stateful):
        monkeypatch.setattr(module, "BUFFER_SIZE", max(engine.BUFFER_SIZE, STEPS * 64))
    machine = seed(SEED)(type("Machine", (LedgerMachine,), {"new_url": staticmethod(new_url)}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples if STEPS <= 1_000 else 2,  # the first is always the simplest: one rule
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],  # shrinking hundreds of steps takes minutes; the steps printed tell as much
        ),
        _min_steps=STEPS,  # left to itself, a run of few examples ends most of them after a handful of steps
    )
