"""What a company's statement, a month's page and an engineer's statement say in money is what each posting is worth by
itself, added up: whatever prices change inside an attempt, on the hour of the clock or in the middle of a charge."""

import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.money import Micro
from scheduler.domain.units import MS_PER_HOUR, AttemptId, EngineerId, Instant, Unit
from scheduler.finance.prices.postings import worth_of
from scheduler.finance.prices.price_book import OffPeak, PriceBook, Unpriced, first_unpriced
from scheduler.finance.prices.rating import Rating
from scheduler.ledger.journal import Account, AccountKind, Entry, Transaction, TransactionKind
from scheduler.lifecycle.accounting.valued import pieces_of
from scheduler.lifecycle.views.reader import Views
from tests.finance.build import at, book, rate
from tests.lifecycle.booked import Booked
from tests.lifecycle.october import A100, DAY, FINANCE, NIGHT, NOVEMBER, OCTOBER, charged_in_october, research_world
from tests.plugins.migrated import open_migrated

WEEKEND = OffPeak(weekdays=frozenset({5, 6}))
PEOPLE = ("ada", "bob")


@dataclass
class Simply:
    """The sums of a month, posting by posting, each by its attempt as it is in the books."""

    total: int = 0
    charged: int = 0
    of_owner: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    of_class: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    of_line: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    missing: Unpriced | None = None


def simply(store: SqlStore, prices: PriceBook) -> Simply:
    sums, rating = Simply(), Rating(prices)
    for posting, attempt in charged_in_october(store):
        try:
            micro = worth_of(rating, posting, attempt).micro
        except Unpriced as missing:
            sums.missing = first_unpriced((sums.missing, missing))
            continue
        sums.total += micro
        sums.charged += micro if posting.kind is TransactionKind.CHARGE else 0
        if attempt is not None:
            sums.of_owner[attempt.owner] += micro
            sums.of_class[attempt.gpu_class] += micro
            sums.of_line[posting.kind.value, attempt.id] += micro
    return sums


@contextmanager
def a_busy_month(chance: random.Random) -> Iterator[SqlStore]:
    """Attempts of two people on two GPU classes: funded, beyond their holds and unfunded, some resized, some refunded, each
    charged a few times at odd instants; and a correction of money."""
    store = open_migrated()
    booked = Booked(store)
    allowances = {name: booked.allowance(f"e-{name}", 1_000_000, at("2026-10-01")) for name in PEOPLE}
    for number in range(7):
        owner = chance.choice(PEOPLE)
        start = Instant(at("2026-10-08T12:00") + chance.randrange(7 * DAY))
        holds = ((allowances[owner], chance.randrange(1, 20)),) if chance.random() < 0.8 else ()
        attempt = booked.start(
            *(f"t{number}", f"e-{owner}", start, *holds),
            gpus=chance.randrange(1, 9),
            gpu_class=chance.choice(("h100", A100)),
            weight=chance.randrange(1, 2000),
        )
        end = start
        for _ in range(chance.randrange(1, 5)):
            if chance.random() < 0.2:
                booked.resize(attempt, Instant(end + chance.randrange(1, MS_PER_HOUR)), chance.randrange(1, 4))
                end = Instant(end + MS_PER_HOUR)
            end = Instant(end + chance.choice((1, 1_000, MS_PER_HOUR, chance.randrange(1, 30 * MS_PER_HOUR))))
            booked.run(attempt, end)
        if chance.random() < 0.7:
            booked.end(attempt, end, lost_gpu_ms=chance.randrange(2) * chance.randrange(1, MS_PER_HOUR))
    corrected = Transaction(
        "corrected",
        TransactionKind.CORRECTION,
        at("2026-10-20"),
        tuple(
            Entry(Account(AccountKind.CORRECTED, who), sign * 1_234_567, Unit("EUR-micro"))
            for who, sign in (("platform", -1), (allowances["ada"], 1))
        ),
    )
    with store.writing() as books:
        books.journal.post([corrected], at("2026-10-20"))
    yield store
    store.close()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    prices=st.lists(st.integers(1, 9_999_999), min_size=4, max_size=4),
    since=st.sampled_from(["2026-01-01", "2026-01-01", "2026-01-01", "2026-10-11"]),
    off_peak=st.sampled_from([NIGHT, WEEKEND, OffPeak()]),
    time_zone=st.sampled_from(["UTC", "Asia/Kathmandu", "Europe/Berlin"]),
)
def test_sums_in_money_are_those_of_every_posting_by_itself(
    seed: int, prices: list[int], since: str, off_peak: OffPeak, time_zone: str
) -> None:
    told = [f"{price / 1e6:.6f}" for price in prices]
    rates = (
        rate(since, "2026-10-12", told[0], off_peak=told[1] if off_peak != OffPeak() else None),
        rate("2026-10-12", None, told[2]),
        replace(rate("2026-01-01", None, told[3]), gpu_class=A100),
    )
    by = book(*rates, off_peak=off_peak, time_zone=time_zone)
    world = research_world()
    world.price_book = by
    with a_busy_month(random.Random(seed)) as store:
        known, views = simply(store, by), Views(store, world)
        company = views.statement(FINANCE, "2026-10", NOVEMBER, "company")
        month = views.month(FINANCE, "2026-10", NOVEMBER)
        people = {name: views.statement(FINANCE, "2026-10", NOVEMBER, name) for name in PEOPLE}
    if known.missing is not None:
        assert (company.cost_micro, month.cost_micro) == (None, None)
        assert (company.no_cost_because, month.no_cost_because) == (known.missing.message, known.missing.message)
        return
    assert (company.cost_micro, month.cost_micro, company.charged_micro) == (known.total, known.total, known.charged)
    for found in (company, *people.values()):
        worth = {(line.kind, line.attempt_id): line.cost_micro for line in found.lines if line.attempt_id}
        assert worth == {key: known.of_line[key] for key in worth}
    by_class = {share.name: share.cost_micro for share in month.by_gpu_class if share.name in known.of_class}
    assert by_class == known.of_class
    of_people = {EngineerId(f"e-{name}"): found.cost_micro for name, found in people.items()}
    correction = {EngineerId("e-ada"): Micro(1_234_567)}
    assert of_people == {who: known.of_owner[who] + correction.get(who, 0) for who in of_people}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_somebody_paid_is_found_on_their_own_accounts_without_reading_everybodys(seed: int) -> None:
    with a_busy_month(random.Random(seed)) as store, store.reading() as books:
        everybodys = [posting for piece in pieces_of(books, OCTOBER) for posting in piece]
        payers = sorted({posting.payer for posting in everybodys})
        for some in (payers[::2], payers[1::2], payers[:1], [], ["nobody", "overrun/nobody"]):
            found = [posting for piece in pieces_of(books, OCTOBER, frozenset(some)) for posting in piece]
            assert found == [posting for posting in everybodys if posting.payer in some]
        charged: dict[AttemptId, int] = defaultdict(int)
        for posting in everybodys:
            if posting.kind is TransactionKind.CHARGE and posting.attempt_id is not None:
                charged[posting.attempt_id] += posting.gpu_ms
        named = [*charged, AttemptId("w-unknown.1")]
        within = {"starts_at": OCTOBER.starts_at, "ends_at": OCTOBER.ends_at}
        assert books.journal.charged_gpu_ms(named, **within) == charged
        assert books.journal.charged_gpu_ms([], **within) == {}
