"""Rating: what a posting of the journal is worth.

A posting covers the time that ends at its instant and is its GPU-milliseconds ÷ GPUs long, by the GPUs that its attempt
had then; where the price changes within, its GPU-milliseconds are divided as that time is. The ledger's amount is the
exact product, floored once a posting to the micro-unit: whatever period a statement is made for, the same posting is
worth the same.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, pairwise

from scheduler.domain.money import Micro
from scheduler.domain.quantities import money_unit
from scheduler.domain.sizes import last_use
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, GpuClassName, Instant, PoolName
from scheduler.domain.workloads import Attempt
from scheduler.finance.prices.price_book import (
    GRID_MS,
    Frozen,
    PriceBook,
    Rate,
    TokenRate,
    UnitPrice,
    unpriced,
    unpriced_tokens,
)

MILLION = 1_000_000
"""Tokens are priced by the million."""

_BLOCK_MS = 8 * MS_PER_DAY
"""Prices are looked up a block of days at a time, and kept."""


@dataclass(frozen=True, slots=True)
class Priced:
    """A price as it holds at some time; `starts_at` tells the rate that it stands in from the next one."""

    unit: UnitPrice
    is_off_peak: bool
    starts_at: Instant


@dataclass(frozen=True, slots=True)
class Part:
    """A share of a posting at one price."""

    start: Instant
    end: Instant
    gpu_ms: int
    priced: Priced


class Rating:
    """A price book, asked often: prices are remembered as stretches in which they stay the same."""

    def __init__(self, book: PriceBook) -> None:
        self.book = book
        self.money_unit = money_unit(book.currency)
        self._blocks: dict[tuple[str, str, int], tuple[list[Instant], list[Priced | None]]] = {}
        self._quarters: dict[tuple[str, str, int], tuple[Instant, Priced | None]] = {}

    def parts(self, gpu_class: GpuClassName, pool: PoolName, gpus: int, gpu_ms: int, at: Instant) -> tuple[Part, ...]:
        """A posting of `gpu_ms` at `at`, cut where its price changes. Raises NotFound (`price-missing`)."""
        end = Instant(at + 1)
        start = Instant(end - max(1, -(-abs(gpu_ms) // max(1, gpus))))
        return self._between(gpu_class, pool, gpu_ms, start, end)

    def single(self, gpu_class: GpuClassName, pool: PoolName, gpus: int, gpu_ms: int, at: Instant) -> Priced | None:
        """The price of a posting that stands at one price throughout, as most do; None where it is to be cut."""
        quarter = at // GRID_MS
        known = self._quarters.get((gpu_class, pool, quarter))
        if known is None:
            known = self._quarters[gpu_class, pool, quarter] = self._since(gpu_class, pool, at)
        since, priced = known
        return priced if at + 1 + (-abs(gpu_ms) // (gpus or 1)) >= since else None

    def parts_of(self, attempt: Attempt, gpu_ms: int, at: Instant) -> tuple[Part, ...]:
        """The same of an attempt, cut where its size changed, too."""
        sign = 1 if gpu_ms >= 0 else -1
        found: list[Part] = []
        for each in last_use(attempt, abs(gpu_ms), Instant(at + 1)):
            found += self._between(attempt.gpu_class, attempt.pool, sign * each.gpu_ms, each.start, each.end)
        return tuple(found)

    def _since(self, gpu_class: GpuClassName, pool: PoolName, at: Instant) -> tuple[Instant, Priced | None]:
        """The price that holds then, and since when it does, within its block."""
        starts, prices = self._block(gpu_class, pool, at // _BLOCK_MS)
        place = bisect_right(starts, at) - 1
        return starts[place], prices[place]

    def _between(
        self, gpu_class: GpuClassName, pool: PoolName, gpu_ms: int, start: Instant, end: Instant
    ) -> tuple[Part, ...]:
        """GPU-milliseconds spread evenly over [start, end), cut where the price changes."""
        found: list[Part] = []
        placed = 0
        for begins, ends, priced in self._stretches(gpu_class, pool, start, end):
            if priced is None:
                raise unpriced(gpu_class, pool, Instant(begins))
            until = abs(gpu_ms) * (ends - start) // (end - start)
            share = until - placed if gpu_ms >= 0 else placed - until
            if found and found[-1].priced == priced:
                found[-1] = Part(found[-1].start, Instant(ends), found[-1].gpu_ms + share, priced)
            elif share:
                found.append(Part(Instant(begins), Instant(ends), share, priced))
            placed = until
        return tuple(found)

    def price_at(self, gpu_class: GpuClassName, pool: PoolName, at: Instant) -> Priced | None:
        """The price that holds then; None where the book has none."""
        book = self.book.standing_at(at)
        return _priced(book, book.rate_at(gpu_class, pool, at), at)

    def cost(self, gpu_class: GpuClassName, pool: PoolName, gpus: int, span: tuple[Instant, Instant]) -> Micro | None:
        """What so many GPUs cost for so long, floored once; None where some of that time has no price."""
        found = 0
        for begins, ends, priced in self._stretches(gpu_class, pool, *span):
            if priced is None:
                return None
            found += (ends - begins) * priced.unit.effective
        return Micro(gpus * found // MS_PER_HOUR)

    def dearest(
        self, gpu_class: GpuClassName, pool: PoolName, gpus: int, lasts_ms: int, starts: tuple[Instant, Instant]
    ) -> Micro | None:
        """The most that so many GPUs cost for so long, whenever of that band they start; None where some of that time has
        no price. It is most where start or end is at an end of the band, or where the price turns."""
        first, last = starts
        turns = [begins for begins, _, _ in self._stretches(gpu_class, pool, first, last + lasts_ms)]
        inside = {at for turn in turns for at in (turn, turn - lasts_ms) if first < at < last}
        costs = [
            self.cost(gpu_class, pool, gpus, (Instant(at), Instant(at + lasts_ms))) for at in {first, last, *inside}
        ]
        known = [cost for cost in costs if cost is not None]
        return max(known) if len(known) == len(costs) else None

    def tokens_at(self, model: str, at: Instant) -> TokenRate:
        """What tokens of the model cost then. Raises NotFound (`price-missing`)."""
        rate = self.book.standing_at(at).token_rate_at(model, at)
        if rate is None:
            raise unpriced_tokens(model, at)
        return rate

    def same_until(self, gpu_class: GpuClassName, pool: PoolName, since: Instant, until: Instant) -> Instant:
        """The end of the stretch from `since` in which the effective price stays as it is then: `until` at the latest."""
        first: int | None = None
        for place, (begins, _, priced) in enumerate(self._stretches(gpu_class, pool, since, until)):
            price = priced.unit.effective if priced is not None else None
            if place and price != first:
                return Instant(begins)
            first = price
        return until

    def _stretches(
        self, gpu_class: GpuClassName, pool: PoolName, start: int, end: int
    ) -> Iterator[tuple[int, int, Priced | None]]:
        """[start, end) in stretches of one price."""
        at = start
        while at < end:
            block = at // _BLOCK_MS
            starts, prices = self._block(gpu_class, pool, block)
            place = bisect_right(starts, at) - 1
            block_end = (block + 1) * _BLOCK_MS
            until = min(end, starts[place + 1] if place + 1 < len(starts) else block_end)
            yield at, until, prices[place]
            at = until

    def _block(
        self, gpu_class: GpuClassName, pool: PoolName, block: int
    ) -> tuple[list[Instant], list[Priced | None]]:
        key = (gpu_class, pool, block)
        known = self._blocks.get(key)
        if known is None:
            known = self._blocks[key] = self._read(gpu_class, pool, block)
        return known

    def _read(self, gpu_class: GpuClassName, pool: PoolName, block: int) -> tuple[list[Instant], list[Priced | None]]:
        starts: list[Instant] = []
        prices: list[Priced | None] = []
        first, last = block * _BLOCK_MS, (block + 1) * _BLOCK_MS
        bounds = {at for at in self._bounds(gpu_class) if first < at < last}
        for begins, ends in pairwise(sorted({first, last, *bounds})):
            book = self.book.standing_at(Instant(begins))
            rate = book.rate_at(gpu_class, pool, Instant(begins))
            has_hours = rate is not None and rate.off_peak is not None
            for at in range(begins, ends, GRID_MS if has_hours else ends - begins):
                priced = _priced(book, rate, Instant(at))
                if not prices or priced != prices[-1]:
                    starts.append(Instant(at))
                    prices.append(priced)
        return starts, prices

    def _bounds(self, gpu_class: GpuClassName) -> Iterator[int]:
        """Where another book or another rate may begin to hold, on the grid."""
        books = (self.book, *(span.book for span in self.book.frozen))
        rates = (rate for book in books for rate in book.rates if rate.gpu_class == gpu_class)
        for span in chain[Frozen | Rate](self.book.frozen, rates):
            for at in (span.starts_at, span.ends_at):
                if at is not None:
                    yield -(-at // GRID_MS) * GRID_MS


def _priced(book: PriceBook, rate: Rate | None, at: Instant) -> Priced | None:
    """The price at which this rate of the book holds then."""
    if rate is None:
        return None
    is_off_peak = rate.off_peak is not None and book.is_off_peak(at)
    unit = rate.off_peak if is_off_peak and rate.off_peak is not None else rate.peak
    return Priced(unit, is_off_peak, rate.starts_at)


def charged_micro(parts: tuple[Part, ...]) -> Micro:
    """What the ledger has for a posting: the exact product at the effective price, floored (towards zero) once."""
    exact = sum(part.gpu_ms * part.priced.unit.effective for part in parts)
    return Micro(exact // MS_PER_HOUR if exact >= 0 else -(-exact // MS_PER_HOUR))


def tokens_micro(tokens: int, price: Micro) -> Micro:
    """What so many tokens cost at a price per million, floored once a posting."""
    return Micro(tokens * price // MILLION)
