"""Pace, from the books: hours that are passed on, moved to a later end or expire are not burnt; hours used are."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.approvals import Change, ProposalKind
from scheduler.domain.pace import pace_of, plan_of
from scheduler.domain.periods import Period
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, AttemptId, HoldId, Instant
from scheduler.domain.workloads import Attempt
from scheduler.ledger.charging import charge
from scheduler.ledger.grants import expire, grant
from scheduler.ledger.holding import hold, release
from scheduler.ledger.holds import Hold
from scheduler.ledger.journal import Transaction
from scheduler.ledger.refunds import refund
from scheduler.ledger.reissue import reissue
from scheduler.ledger.transfers import transfer
from scheduler.lifecycle.awarding.awards import Awards
from scheduler.lifecycle.awarding.periodic import grant_period
from scheduler.lifecycle.views.reader import Views
from scheduler.ports import Books
from tests.ledger.build import WORKLOAD, allowance, attempt
from tests.lifecycle.build import NOON, Company, month, policy
from tests.lifecycle.priced import Desk
from tests.lifecycle.test_grants_in_units import FINANCE, NEXT_YEAR
from tests.lifecycle.test_transfers import of, to
from tests.plugins.migrated import open_migrated

GRANTED = 1_000
PERIOD = Period("2026-11", Instant(0), Instant(MS_PER_HOUR))
MINE = replace(allowance(GRANTED, name="mine"), period=PERIOD.name)
THEIRS = replace(allowance(GRANTED, name="theirs"), holder=Holder(HolderKind.ENGINEER, "e-bob"), period="")
LATER = replace(allowance(GRANTED, name="later"), period="")


def read_pace(seen: Company) -> int:
    return Views(seen.store, seen.world).balance(seen.caller("ada"), NOON).pace


@pytest.fixture
def ada() -> Iterator[Company]:
    base = policy()
    made = Company(replace(base, tiers={n: replace(t, may_transfer=True) for n, t in base.tiers.items()}))
    with made.changing() as batch:
        grant_period(batch, month(NOON))
    yield made
    made.close()


def test_who_passes_all_on_burns_nothing(ada: Company) -> None:
    before = read_pace(ada)
    Awards(ada.store, ada.world, ada.ids).transfer(ada.caller("ada"), to(ada, "bob", hours=100), now=NOON)
    assert ada.world.balances[of(ada, "ada")].available == 0
    assert read_pace(ada) == before > 0


def test_who_has_all_of_it_extended_burns_nothing(ada: Company) -> None:
    before = read_pace(ada)
    desk = Desk(ada)
    holder = Holder(HolderKind.ENGINEER, ada.engineer("ada").id)
    longer = Change(holder, allowance=of(ada, "ada"), until=NEXT_YEAR)
    waiting = desk.proposals.request(ada.caller("ada"), ProposalKind.EXTENSION, longer, "reviews", now=NOON)
    desk.approvals.approve(FINANCE, waiting.id, now=NOON)
    assert ada.world.balances[of(ada, "ada")].available == 0
    assert read_pace(ada) == before > 0


class Model:
    """One allowance in the books, and what of it was used, by this model."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.spent = self.number = 0
        for each in (MINE, THEIRS, LATER):
            books.allowances.add(each)
        self.post(grant(MINE, actor=""))

    def post(self, *posted: Transaction) -> None:
        self.books.journal.post(posted, Instant(1))

    def do(self, what: str, most: int) -> None:
        self.number += 1
        known = self.books.allowances.get(MINE.id)
        assert known is not None
        amount = min(most, known.available)
        if amount == 0:
            return
        at, name = Instant(1), f"{what}-{self.number}"
        if what == "pass on":
            self.post(transfer(MINE, THEIRS, amount, at, transfer_id=name, actor="", memo=""))
        elif what == "extend":
            to_later = replace(LATER, id=AllowanceId(f"later-{self.number}"), amount=amount)
            self.books.allowances.add(to_later)
            self.post(reissue(MINE, to_later, amount, at, actor="", memo=""))
        elif what == "expire":
            self.post(expire(MINE, amount, at, taken_at=Instant(self.number)))
        else:
            self._run(what, amount, at)

    def _run(self, what: str, amount: int, at: Instant) -> None:
        """Held; or half of it charged and the rest released; or half of what was charged given back, too."""
        running = replace(attempt(), id=AttemptId(f"w-1.{self.number}"))
        held = Hold(HoldId(f"h-{self.number}"), WORKLOAD, MINE.id, 0, amount, at, running.id)
        self.post(*hold([held]))
        self.spent += amount
        if what == "hold":
            return
        used = -(-amount // 2)
        self.post(*charge(running, [held], used, at).transactions)
        charged: Attempt = replace(running, charged_gpu_ms=used, charged=used)
        done = replace(held, charged=used)
        self.post(*release([done], at))
        self.spent += used - amount
        if what == "give back":
            self.post(*refund(charged, [done], used // 2, at, "work lost"))
            self.spent -= used // 2


STEPS = st.sampled_from(["pass on", "extend", "expire", "hold", "use", "give back"])


@settings(deadline=None)
@given(steps=st.lists(st.tuples(STEPS, st.integers(1, GRANTED)), max_size=8))
def test_only_use_and_holds_are_spent_whatever_else_becomes_of_the_hours(steps: list[tuple[str, int]]) -> None:
    store = open_migrated()
    with store.writing() as books:
        model = Model(books)
        for what, most in steps:
            model.do(what, most)
            found = books.allowances.balances(ids=[MINE.id])
            assert plan_of(found, PERIOD) == (GRANTED - model.spent, GRANTED)
            assert pace_of(found, PERIOD, Instant(0)) == 1000 * (GRANTED - model.spent) // GRANTED - 1000
    store.close()
