"""Tokens drawn on both databases: many gateways at once, each request again and again, and death around each commit."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import Connection

from scheduler.adapters.sql.store import SqlStore, open_store
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.awards import Award
from scheduler.domain.errors import Conflict, Exhausted, InvalidInput
from scheduler.domain.people import Caller, Role
from scheduler.domain.quantities import TOKENS
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, CommandId, Instant, Unit
from scheduler.ledger.journal import Account, AccountKind
from scheduler.ledger.token_holds import TokenHold, TokenHoldState
from scheduler.lifecycle.awarding import draw_tokens
from scheduler.lifecycle.awarding.draw_tokens import TokenDraws, TokensAsked, release_overdue
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.answered import Command
from scheduler.lifecycle.writing.batch import changing
from tests.adapters.sql.conftest import PATIENT_SECONDS
from tests.adapters.sql.invariants import violations
from tests.adapters.sql.test_racing import RACERS, race
from tests.e2e.crashing import MortalStore
from tests.e2e.dying import Killed
from tests.lifecycle.build import NOON, Company, policy

FINANCE = Caller("fin", frozenset({Role.FINANCE}))
GATEWAY = Caller("gateway:eu", frozenset({Role.GATEWAY}))
LLAMA = Unit("tokens/llama")
ASKED = TokensAsked("ada", "llama", 100)


@pytest.fixture
def company(store: SqlStore) -> Company:
    return Company(store=store)


def grant(company: Company, tokens: int, unit: Unit = LLAMA) -> AllowanceId:
    holder = Holder(HolderKind.ENGINEER, company.engineer("ada").id)
    award = Award(holder, tokens, unit=unit, reason="evaluations")
    return company.commands.grant(FINANCE, award, now=NOON).id


def reborn(company: Company, store: SqlStore | MortalStore) -> TokenDraws:
    """The draws of a process that has just started on these books."""
    world = World(policy=policy())
    with company.store.reading() as books:
        world.load(books, NOON)
    return TokenDraws(store, world, company.ids)


def balances(store: SqlStore, unit: Unit = LLAMA) -> dict[AllowanceId, tuple[int, int, int]]:
    """Of each allowance in the unit: available, held, charged."""
    with store.reading() as books:
        return {
            known.allowance.id: (
                known.available,
                known.held,
                books.journal.balance(Account(AccountKind.CHARGED, known.allowance.id), unit),
            )
            for known in books.allowances.balances(holders=None)
            if known.allowance.unit == unit
        }


@pytest.mark.parametrize(
    ("granted", "fit"), [(1_000, 10), (999, 9), (99, 0)], ids=["what fits exactly", "one too few", "none"]
)
def test_of_many_gateways_racing_for_one_allowance_exactly_those_that_fit_win(
    company: Company, url: str, raw: Connection, granted: int, fit: int
) -> None:
    """Through two processes, each with a mirror of the balances that does not hear of the other's holds."""
    own = grant(company, granted)
    other = open_store(url, migrate=False, patience_seconds=PATIENT_SECONDS)
    draws = [reborn(company, company.store), reborn(company, other)]
    ends = race(RACERS, lambda number: take(draws[number % 2], number))
    other.close()
    assert sum(end is None for end in ends) == fit
    assert {type(end) for end in ends if end is not None} <= {Exhausted}
    assert balances(company.store) == {own: (granted - 100 * fit, 100 * fit, 0)}
    assert violations(raw) == {}


def take(draws: TokenDraws, number: int) -> None:
    draws.hold(GATEWAY, ASKED, now=NOON, command=Command(CommandId(f"answer-{number}"), "hash"))


def test_many_racing_for_what_several_allowances_have_together_use_up_all_of_it(
    company: Company, raw: Connection
) -> None:
    model, any_model = grant(company, 250), grant(company, 750, TOKENS)
    draws = reborn(company, company.store)
    ends = race(RACERS, lambda number: take(draws, number))
    assert sum(end is None for end in ends) == 10
    assert balances(company.store) == {model: (0, 250, 0)}
    assert balances(company.store, TOKENS) == {any_model: (0, 750, 0)}
    assert violations(raw) == {}


def test_one_request_that_is_sent_by_many_at_once_holds_once(company: Company, raw: Connection) -> None:
    own = grant(company, 1_000)
    draws = reborn(company, company.store)
    assert race(16, lambda _: take(draws, 0)) == [None] * 16
    assert balances(company.store) == {own: (900, 100, 0)}
    assert violations(raw) == {}


def test_of_racing_charges_the_highest_total_stands(company: Company, raw: Connection) -> None:
    own = grant(company, 1_000)
    draws = reborn(company, company.store)
    hold = draws.hold(GATEWAY, ASKED, now=NOON)
    totals = [1 + number * 37 % 90 for number in range(RACERS)]
    assert race(RACERS, lambda number: charge(draws, hold, totals[number])) == [None] * RACERS
    assert draws.get(GATEWAY, hold.id).used == max(totals)
    assert balances(company.store) == {own: (900, 100 - max(totals), max(totals))}
    assert violations(raw) == {}


def charge(draws: TokenDraws, hold: TokenHold, total: int) -> None:
    draws.charge(GATEWAY, hold.id, total, now=NOON)


def test_charges_that_race_with_the_release_are_charged_before_it_or_refused(
    company: Company, raw: Connection
) -> None:
    own = grant(company, 1_000)
    draws = reborn(company, company.store)
    hold = draws.hold(GATEWAY, ASKED, now=NOON)

    def run(number: int) -> None:
        if number % 2:
            draws.release(GATEWAY, hold.id, now=NOON)
        else:
            charge(draws, hold, number + 1)

    ends = race(16, run)
    assert {type(end) for end in ends if end is not None} <= {Conflict}
    used = draws.get(GATEWAY, hold.id).used
    assert used == max([number + 1 for number, end in enumerate(ends) if number % 2 == 0 and end is None], default=0)
    assert balances(company.store) == {own: (1_000 - used, 0, used)}
    assert violations(raw) == {}


@dataclass
class DiesAt:
    """The `turn`th time that it comes to this point; then it lives on, as the next process does."""

    point: str
    turn: int

    def reach(self, name: str) -> None:
        if name == self.point:
            self.turn -= 1
            if self.turn == 0:
                raise Killed(name)


@pytest.mark.parametrize("turn", [1, 4, 7, 10], ids=["holding", "charging", "charging more", "releasing"])
@pytest.mark.parametrize("point", ["before a commit", "after a commit"])
def test_a_gateway_that_asks_again_after_each_death_gets_what_one_long_life_would_have_made(
    company: Company, raw: Connection, point: str, turn: int
) -> None:
    own = grant(company, 1_000)
    mortal = MortalStore(company.store, DiesAt(point, turn))
    deaths = 0

    def ask(verb: Callable[[TokenDraws], TokenHold]) -> TokenHold:
        """Three times, as one who loses answers; each time of a new process."""
        nonlocal deaths
        for _ in range(3):
            try:
                answered = verb(reborn(company, mortal))
            except Killed:
                deaths += 1
        return answered

    hold = ask(lambda d: d.hold(GATEWAY, ASKED, now=NOON, command=Command(CommandId("answer"), "hash")))
    ask(lambda d: d.charge(GATEWAY, hold.id, 30, now=NOON))
    ask(lambda d: d.charge(GATEWAY, hold.id, 70, now=NOON))
    last = ask(lambda d: d.release(GATEWAY, hold.id, now=NOON))
    assert deaths == 1
    assert (last.used, last.state) == (70, TokenHoldState.RESOLVED)
    assert balances(company.store) == {own: (930, 0, 70)}
    assert violations(raw) == {}


def test_a_death_while_what_ran_out_is_released_releases_it_the_next_time(company: Company, raw: Connection) -> None:
    own = grant(company, 1_000)
    draws = reborn(company, company.store)
    for number in range(3):
        take(draws, number)
    late = Instant(NOON + MS_PER_HOUR)
    mortal = MortalStore(company.store, DiesAt("before a commit", 1))
    with pytest.raises(Killed), changing(mortal, draws.world, late) as batch:
        release_overdue(batch)
    assert balances(company.store) == {own: (700, 300, 0)}
    with changing(mortal, draws.world, late) as batch:
        assert release_overdue(batch) == 3
    assert balances(company.store) == {own: (1_000, 0, 0)}
    assert violations(raw) == {}


def test_after_an_outage_only_so_many_are_released_in_one_transaction(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant(company, 1_000)
    draws = reborn(company, company.store)
    for number in range(5):
        take(draws, number)
    monkeypatch.setattr(draw_tokens, "RELEASED_AT_ONCE", 2)
    released = []
    for _ in range(4):
        with changing(company.store, draws.world, Instant(NOON + MS_PER_HOUR)) as batch:
            released.append(release_overdue(batch))
    assert released == [2, 2, 1, 0]


def test_a_refused_charge_writes_nothing(company: Company, raw: Connection) -> None:
    own = grant(company, 1_000)
    draws = reborn(company, company.store)
    hold = draws.hold(GATEWAY, replace(ASKED, tokens=50), now=NOON)
    with pytest.raises(InvalidInput):
        draws.charge(GATEWAY, hold.id, 51, now=NOON)
    assert draws.get(GATEWAY, hold.id) == hold
    assert balances(company.store) == {own: (950, 50, 0)}
    assert violations(raw) == {}
