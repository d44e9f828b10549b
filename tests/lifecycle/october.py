"""A month of charges at prices that change by night, who may see it, and what the books have of it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.allowances import HolderKind
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.periods import period_named
from scheduler.domain.units import MS_PER_HOUR, EngineerId, GpuClassName, TeamName, TierName
from scheduler.domain.workloads import Attempt
from scheduler.finance.focus.columns import NAMES
from scheduler.finance.prices.postings import CHARGED_SIDE, WORTH, Posting, charged_posting, worth_of
from scheduler.finance.prices.price_book import OffPeak, PriceBook
from scheduler.finance.prices.rating import Rating
from scheduler.lifecycle.accounting.export_focus import focus_export
from scheduler.lifecycle.memory.world import World
from tests.finance.build import at, book, rate
from tests.lifecycle.booked import Booked
from tests.lifecycle.build import policy

OCTOBER = period_named("2026-10", "UTC")
NOVEMBER = at("2026-11-15")
A100 = GpuClassName("a100")
NIGHT = OffPeak(hours=frozenset({22, 23, 0, 1, 2, 3, 4, 5}))
BOOK = book(rate("2026-01-01", None, "2.333333", off_peak="1.111117"), off_peak=NIGHT)
DAY = 24 * MS_PER_HOUR

Cells = Mapping[str, str | None]

FINANCE = Caller("fin", frozenset({Role.FINANCE}))
ADA = Caller("ada", frozenset({Role.ENGINEER}), EngineerId("e-ada"), TeamName("research"))
LEAD = Caller("lea", frozenset({Role.ENGINEER, Role.LEAD}), EngineerId("e-lea"), TeamName("research"))


def a_month(store: SqlStore) -> Booked:
    """Charges of a person, a team and a project, over a night; an overrun, unfunded use, a refund, readings."""
    booked = Booked(store)
    start = at("2026-10-01")
    ada = booked.allowance("e-ada", 300, start)
    team = booked.allowance("research", 10, start, HolderKind.TEAM)
    project = booked.allowance("aurora", 100, start, HolderKind.PROJECT)
    first = booked.start(
        "train", "e-ada", at("2026-10-05T20:10:07"), (team, 2), (ada, 20), gpus=2, title="=cmd|' /C'!A0"
    )
    for end in ("2026-10-05T21:10:01", "2026-10-05T22:10:01", "2026-10-05T23:15:03"):
        booked.run(first, at(end))
    booked.end(first, at("2026-10-05T23:15:03"), lost_gpu_ms=1_234_567)
    for gpu in ("GPU-a", "GPU-b"):
        booked.read(first, at("2026-10-05T21:00"), gpu, resting_minutes=20)
    over = booked.start("over", "e-ada", at("2026-10-06T10:00"), (project, 1), gpus=3)
    booked.run(over, at("2026-10-06T10:59:59"))
    booked.end(over, at("2026-10-06T10:59:59"))
    free = booked.start("free", "e-bob", at("2026-10-07T10:00"), gpus=1)
    booked.run(free, at("2026-10-07T10:17:31"))
    late = booked.start("late", "e-ada", at("2026-10-31T23:30"), (ada, 2), gpus=1)
    booked.run(late, at("2026-11-01"))
    booked.run(late, at("2026-11-01T00:30"))
    return booked


def rows_of(store: SqlStore, prices: PriceBook = BOOK) -> list[Cells]:
    with store.reading() as books:
        export = focus_export(books, prices, OCTOBER, "UTC", NOVEMBER)
        return [{name: cell or None for name, cell in zip(NAMES, row, strict=True)} for row in export.rows]


def total(rows: list[Cells], name: str) -> Decimal:
    return sum((Decimal(row[name] or 0) for row in rows), Decimal(0))


def charged_in_october(store: SqlStore) -> Iterator[tuple[Posting, Attempt | None]]:
    """Each posting of what was charged, given back or corrected, with its attempt as it is in the books."""
    with store.reading() as books:
        for entry in books.journal.entries(
            kinds=CHARGED_SIDE, transactions=WORTH, starts_at=OCTOBER.starts_at, ends_at=OCTOBER.ends_at
        ):
            posting = charged_posting(entry)
            if posting is not None:
                yield posting, books.attempts.get(posting.attempt_id) if posting.attempt_id is not None else None


def ledger_micro(store: SqlStore, prices: PriceBook = BOOK) -> dict[str, int]:
    """What the ledger has of each account, from its postings alone."""
    sums: dict[str, int] = defaultdict(int)
    for posting, attempt in charged_in_october(store):
        sums[posting.payer] += worth_of(Rating(prices), posting, attempt).micro
    return sums


def research_world() -> World:
    world = World()
    world.put_policy(policy())
    world.price_book = BOOK
    staff = TierName("staff")
    world.put_people(
        [Engineer(EngineerId(f"e-{n}"), n, TeamName("research"), staff, n.title()) for n in ("ada", "bob")]
    )
    return world
