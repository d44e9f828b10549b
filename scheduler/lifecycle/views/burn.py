"""Burn rate: what an owner's books lose a day, in hours, money and energy, until when it lasts, and which day jumped."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from scheduler.domain.allowances import AllowanceBalance, Holder
from scheduler.domain.burning import BurnTerms
from scheduler.domain.errors import NotFound
from scheduler.domain.periods import Period
from scheduler.domain.units import MS_PER_DAY, STANDARD_GPU, AttemptId, Instant
from scheduler.finance.burn import (
    LONG_DAYS,
    SHORT_DAYS,
    Jump,
    RunOut,
    jumps,
    per_day,
    run_out,
    since_first_use,
    spread_over_days,
)
from scheduler.finance.prices.price_book import PriceBook
from scheduler.finance.prices.rating import Rating
from scheduler.ledger.journal import Account, AccountKind, TransactionKind
from scheduler.lifecycle.accounting.valued import pieces_of, valued
from scheduler.lifecycle.views.owners import Owner
from scheduler.lifecycle.views.unit_burn import UnitBurn, unit_burns
from scheduler.ports import Books


@dataclass(frozen=True, slots=True)
class BurnDay:
    """A day of UTC. `charged` are standard GPU-milliseconds, unfunded ones left out; what is not known is None."""

    day: Instant
    gpu_ms: int
    charged: int
    cost_micro: int | None
    energy_joules: int | None


@dataclass(frozen=True, slots=True)
class BurnView:
    """`short_…` are a day's mean over the last seven whole days, `long_…` over the last twenty-eight. `basis` says what
    the band rests on."""

    owner: str
    owner_name: str
    available: int
    currency: str | None
    short_gpu_ms: int
    short_charged: int
    short_cost_micro: int | None
    short_energy_joules: int | None
    long_charged: int
    run_out: RunOut | None
    basis: str
    jumps: tuple[Jump, ...]
    days: tuple[BurnDay, ...]
    units: tuple[UnitBurn, ...] = ()
    """The same of allowances in other units."""


def burn_view(books: Books, book: PriceBook | None, owner: Owner, now: Instant, terms: BurnTerms) -> BurnView:
    """Over the last twenty-eight whole days; today is not over, and counts only where it has jumped already."""
    today = now - now % MS_PER_DAY
    period = Period("burn", Instant(today - LONG_DAYS * MS_PER_DAY), Instant(today + MS_PER_DAY))
    balances = books.allowances.balances(
        holders=None if owner.holders is None else sorted(owner.holders), open_at=now
    )
    available = sum(b.available for b in balances if b.allowance.unit == STANDARD_GPU and not b.is_frozen)
    *whole, running = _days(books, book, owner, period)
    days = tuple(whole)
    first = since_first_use([day.gpu_ms for day in days])
    charged = [day.charged for day in days[first:]]
    band = run_out(available, charged, now)
    return BurnView(
        owner=owner.id,
        owner_name=owner.name,
        available=available,
        currency=book.currency if book is not None else None,
        short_gpu_ms=per_day([day.gpu_ms for day in days[first:]], SHORT_DAYS),
        short_charged=per_day(charged, SHORT_DAYS),
        short_cost_micro=_mean([day.cost_micro for day in days[first:]]),
        short_energy_joules=_mean([day.energy_joules for day in days[first:]]),
        long_charged=per_day(charged, LONG_DAYS),
        run_out=band,
        basis=_basis(band, len(charged), running.gpu_ms),
        jumps=jumps([*charged, running.charged], days[first].day, terms) if first < len(days) else (),
        days=days,
        units=unit_burns(books, _all_of(books, owner), now, terms),
    )


def jumps_of_person(books: Books, holder: Holder, now: Instant, terms: BurnTerms) -> tuple[Jump, ...]:
    """The same jumps of a person's own allowances, read without prices and energy: for their page."""
    first_day = Instant(now - now % MS_PER_DAY - LONG_DAYS * MS_PER_DAY)
    payers = [balance.allowance.id for balance in books.allowances.balances(holders=[holder])]
    accounts = [Account(AccountKind.CHARGED, payer) for payer in (*payers, f"overrun/{holder.id}")]
    charged = books.journal.charged_by_day(starts_at=first_day, ends_at=Instant(now + 1), accounts=accounts)
    used = spread_over_days(((day, amount) for _, day, amount in charged), first_day, LONG_DAYS + 1)
    begun = since_first_use(used)
    return jumps(used[begun:], Instant(first_day + begun * MS_PER_DAY), terms)


def _days(books: Books, book: PriceBook | None, owner: Owner, period: Period) -> tuple[BurnDay, ...]:
    """The energy of an attempt that several pay is theirs by the GPU time that each paid."""
    payers = _payers(books, owner)
    count = (period.ends_at - period.starts_at) // MS_PER_DAY
    gpu_ms, charged, cost, energy = ([0] * count for _ in range(4))
    of_payers: dict[AttemptId, int] = defaultdict(int)
    for piece in pieces_of(books, period, payers):
        for posting in piece:
            if posting.kind is TransactionKind.CHARGE:
                day = (posting.at - period.starts_at) // MS_PER_DAY
                gpu_ms[day] += posting.gpu_ms
                charged[day] += 0 if posting.is_unfunded else posting.standard
                if posting.attempt_id is not None:
                    of_payers[posting.attempt_id] += posting.gpu_ms
    is_priced = _add_costs(books, book, period, payers, cost)
    hours = books.samples.hours(attempts=sorted(of_payers), starts_at=period.starts_at, ends_at=period.ends_at)
    is_read = any(hour.use.energy_ms for hour in hours)
    of_all: Mapping[AttemptId, int] = of_payers
    if payers is not None:
        read = sorted({hour.attempt_id for hour in hours if hour.attempt_id is not None})
        of_all = books.journal.charged_gpu_ms(read, starts_at=period.starts_at, ends_at=period.ends_at)
    for hour in hours:
        assert hour.attempt_id is not None, "hours of attempts alone were asked for"
        share = Fraction(of_payers[hour.attempt_id], of_all[hour.attempt_id] or 1)
        energy[(hour.hour - period.starts_at) // MS_PER_DAY] += int(hour.use.millijoules * share)
    return tuple(
        BurnDay(
            Instant(period.starts_at + day * MS_PER_DAY),
            gpu_ms[day],
            charged[day],
            cost[day] if is_priced else None,
            energy[day] // 1_000 if is_read else None,
        )
        for day in range(count)
    )


def _add_costs(
    books: Books, book: PriceBook | None, period: Period, payers: frozenset[str] | None, cost: list[int]
) -> bool:
    """What each day cost. False where there is no price for it."""
    if book is None:
        return False
    try:
        for item in valued(books, Rating(book), period, payers):
            cost[(item.posting.at - period.starts_at) // MS_PER_DAY] += item.worth.micro
    except NotFound:
        return False
    return True


def _all_of(books: Books, owner: Owner) -> list[AllowanceBalance]:
    return books.allowances.balances(holders=None if owner.holders is None else sorted(owner.holders))


def _payers(books: Books, owner: Owner) -> frozenset[str] | None:
    """The owners of the `charged` accounts that are the owner's; None for everybody's."""
    if owner.holders is None:
        return None
    ids = [balance.allowance.id for balance in _all_of(books, owner)]
    beyond = [f"{kind}/{engineer}" for engineer in owner.engineers for kind in ("overrun", "unfunded")]
    return frozenset((*ids, *beyond))


def _mean(days: list[int | None]) -> int | None:
    known = [day for day in days if day is not None]
    return per_day(known, SHORT_DAYS) if len(known) == len(days) and days else None


def _basis(band: RunOut | None, days: int, today_gpu_ms: int) -> str:
    if days == 0:
        return "nothing was used in the last 28 whole days" + (
            "; today counts when it is over" if today_gpu_ms else ""
        )
    if band is None:
        return "nothing is left, or nothing was charged"
    short = "the last whole day" if band.short_days == 1 else f"the last {band.short_days} whole days"
    return f"the mean of {short}" + (
        f", and that of the last {band.long_days}" if band.long_days != band.short_days else ""
    )
