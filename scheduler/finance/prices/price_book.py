"""The price book: what an hour of a GPU costs from when on, by class, pool and time of day; and what it is made of.

Prices are micro-units per physical GPU-hour: an hour of a class costs what it costs, whoever is in a hurry; the class
factor moves hours, not money. Every quarter of an hour has one price: offsets of time zones are multiples of it.

- *list* is the public price, *contracted* the agreed one, *effective* what is charged. All three are kept because a
  FOCUS export has them.
- `off_peak` prices hold at the hours that the book names, on its own wall clock.
- Electricity is measured energy × PUE × the tariff of the hour; hardware is its price over its life.
- Tokens have prices per million of a model, the same at all hours. Until the first of its rates begins, a book gives
  tokens away; from then on it has to price each that is drawn.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Protocol, TypeVar
from zoneinfo import ZoneInfo

from scheduler.domain.errors import InvalidInput, NotFound, RefusalCode
from scheduler.domain.money import Currency, Micro
from scheduler.domain.periods import iso, to_datetime
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, Instant, PerMille, PoolName

GRID_MS = MS_PER_HOUR // 4
"""Within a quarter of an hour of the clock no price changes."""


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """Micro-units per GPU-hour, or per million tokens."""

    list: Micro
    contracted: Micro
    effective: Micro


@dataclass(frozen=True, slots=True)
class Rate:
    """A class's price in [starts_at, ends_at); `pool` None is every pool without a rate of its own."""

    gpu_class: GpuClassName
    pool: PoolName | None
    starts_at: Instant
    ends_at: Instant | None
    peak: UnitPrice
    off_peak: UnitPrice | None = None


@dataclass(frozen=True, slots=True)
class TokenRate:
    """What a million tokens of a model cost in [starts_at, ends_at); `model` None is every model without a rate of its
    own."""

    model: str | None
    starts_at: Instant
    ends_at: Instant | None
    price: UnitPrice


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a kilowatt-hour costs in each of the 24 hours of the wall clock, and how much the building draws per watt."""

    starts_at: Instant
    ends_at: Instant | None
    micro_per_kwh: tuple[Micro, ...]
    pue: PerMille


@dataclass(frozen=True, slots=True)
class Hardware:
    """What one GPU with its share of the node costs, written off in a straight line."""

    gpu_class: GpuClassName
    starts_at: Instant
    ends_at: Instant | None
    micro_per_gpu: Micro
    life_hours: int

    @property
    def micro_per_hour(self) -> Micro:
        """The quantised factor: products with it are exact."""
        return Micro(self.micro_per_gpu // self.life_hours)


@dataclass(frozen=True, slots=True)
class OffPeak:
    """The hours of the wall clock, and the days of the week (Monday is 0), at which off-peak prices hold."""

    hours: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Billing:
    """Who is billed and by whom, as exports name them."""

    account_id: str
    account_name: str
    service_provider: str
    host_provider: str
    invoice_issuer: str


@dataclass(frozen=True, slots=True)
class Frozen:
    """A closed period, and the book under which it was closed."""

    starts_at: Instant
    ends_at: Instant
    book: "PriceBook"


class Span(Protocol):
    """Anything that holds from one instant to another."""

    @property
    def starts_at(self) -> Instant: ...

    @property
    def ends_at(self) -> Instant | None: ...


class Flaw(StrEnum):
    """How spans that should follow one another do not."""

    GAP = "gap"
    OVERLAP = "overlap"


FLAW_CODES: Mapping[Flaw, RefusalCode] = {
    Flaw.GAP: RefusalCode.PRICE_GAP,
    Flaw.OVERLAP: RefusalCode.PRICE_OVERLAP,
}


def flaws(spans: Sequence[Span]) -> list[tuple[int, Flaw, str]]:
    """Where spans, given in the order of their starts, leave a gap or overlap: (index of the later, which, how)."""
    found = []
    for index in range(1, len(spans)):
        ends_at, starts_at = spans[index - 1].ends_at, spans[index].starts_at
        if ends_at is None or ends_at > starts_at:
            until = iso(ends_at) if ends_at is not None else "further notice"
            found.append((index, Flaw.OVERLAP, f"begins at {iso(starts_at)}, the one before holds until {until}"))
        elif ends_at < starts_at:
            found.append((index, Flaw.GAP, f"nothing holds from {iso(ends_at)} to {iso(starts_at)}"))
    return found


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Raises InvalidInput (`price-gap`, `price-overlap`) unless the rates of each class and pool, those of each model,
    the tariffs and the hardware of each class follow one another without a gap or an overlap."""

    name: str
    hash: str
    currency: Currency
    time_zone: str
    rates: tuple[Rate, ...]
    billing: Billing
    off_peak: OffPeak = OffPeak()
    tariffs: tuple[Tariff, ...] = ()
    hardware: tuple[Hardware, ...] = ()
    token_rates: tuple[TokenRate, ...] = ()
    frozen: tuple["Frozen", ...] = ()
    """What was closed under earlier books keeps their prices: corrections are postings of the open period."""

    def __post_init__(self) -> None:
        for what, spans in self._sequences():
            for _, flaw, how in flaws(sorted(spans, key=lambda span: span.starts_at)):
                raise InvalidInput(
                    f"the {what} leave a {flaw.value}: {how}" if flaw is Flaw.GAP else f"the {what} overlap: {how}",
                    code=FLAW_CODES[flaw],
                    where="prices",
                    expected="each to begin where the one before ends",
                )

    def _sequences(self) -> Iterable[tuple[str, Sequence[Span]]]:
        by_key: dict[tuple[str, str], list[Span]] = {}
        for rate in self.rates:
            by_key.setdefault((rate.gpu_class, rate.pool or ""), []).append(rate)
        for (gpu_class, pool), rates in by_key.items():
            yield f"prices of {gpu_class}{f' in {pool}' if pool else ''}", rates
        for model in {item.model for item in self.token_rates}:
            rates_of_model = [item for item in self.token_rates if item.model == model]
            yield f"prices of tokens{f' of {model}' if model else ''}", rates_of_model
        yield "tariffs", self.tariffs
        for gpu_class in {item.gpu_class for item in self.hardware}:
            yield f"hardware of {gpu_class}", [item for item in self.hardware if item.gpu_class == gpu_class]

    def succeeded_by(self, later: "PriceBook", closed: Iterable[tuple[Instant, Instant]]) -> "PriceBook":
        """The later book, with what is closed by now as it stands."""
        kept = tuple(Frozen(start, end, self.standing_at(start)) for start, end in closed)
        return replace(later, frozen=kept)

    def standing_at(self, at: Instant) -> "PriceBook":
        """The book that holds then: an earlier one where the period is closed."""
        for span in self.frozen:
            if span.starts_at <= at < span.ends_at:
                return span.book
        return self

    def standing_over(self, starts_at: Instant, ends_at: Instant) -> Iterator[tuple[Instant, Instant, "PriceBook"]]:
        """[starts_at, ends_at) cut at the bounds of closed periods, each piece with the book that holds in it."""
        bounds = {at for span in self.frozen for at in (span.starts_at, span.ends_at) if starts_at < at < ends_at}
        for begins, ends in pairwise(sorted({starts_at, ends_at, *bounds})):
            yield begins, ends, self.standing_at(begins)

    def uncosted(self) -> Iterator[tuple[str, Instant, Instant]]:
        """What a book that has costs lacks of them: (which, from, until), of hours that its rates price."""
        if self.tariffs:
            yield from _outside("electricity", self.tariffs, _whole(self.rates))
        for gpu_class in sorted({item.gpu_class for item in self.hardware}):
            rates = [rate for rate in self.rates if rate.gpu_class == gpu_class]
            items = [item for item in self.hardware if item.gpu_class == gpu_class]
            if rates:
                yield from _outside(f"hardware of {gpu_class}", items, _whole(rates))

    @property
    def alone(self) -> "PriceBook":
        """Without what was closed under earlier ones."""
        return replace(self, frozen=())

    def rate_at(self, gpu_class: GpuClassName, pool: PoolName, at: Instant) -> Rate | None:
        """The pool's own rate, else the one of every pool."""
        own = _holding((r for r in self.rates if r.gpu_class == gpu_class and r.pool == pool), at)
        return own or _holding((r for r in self.rates if r.gpu_class == gpu_class and r.pool is None), at)

    def token_rate_at(self, model: str, at: Instant) -> TokenRate | None:
        """The model's own rate, else the one of every model; in the empty name it is the latter. Before any rate of
        tokens begins they have none, and cost nothing."""
        if all(at < rate.starts_at for rate in self.token_rates):
            return FREE_TOKENS
        own = _holding((r for r in self.token_rates if r.model == model), at)
        return own or _holding((r for r in self.token_rates if r.model is None), at)

    def is_off_peak(self, at: Instant) -> bool:
        local = self._wall_clock(at)
        return local.hour in self.off_peak.hours or local.weekday() in self.off_peak.weekdays

    def day_of(self, at: Instant) -> str:
        """The day on the book's wall clock: a rate from 2026-01-01 begins then, whatever day UTC has."""
        return self._wall_clock(at).date().isoformat()

    def tariff_at(self, at: Instant) -> Tariff | None:
        return _holding(self.tariffs, at)

    def micro_per_kwh(self, at: Instant) -> Micro | None:
        """What a kilowatt-hour at the GPU costs then, the building's share included: the tariff × PUE, floored."""
        book = self.standing_at(at)
        tariff = book.tariff_at(at)
        if tariff is None:
            return None
        return Micro(tariff.micro_per_kwh[book._wall_clock(at).hour] * tariff.pue // 1000)

    def hardware_at(self, gpu_class: GpuClassName, at: Instant) -> Hardware | None:
        known = self.standing_at(at).hardware
        return _holding((item for item in known if item.gpu_class == gpu_class), at)

    def _wall_clock(self, at: Instant) -> datetime:
        return to_datetime(at).astimezone(ZoneInfo(self.time_zone))


FREE_TOKENS = TokenRate(None, Instant(0), None, UnitPrice(Micro(0), Micro(0), Micro(0)))
"""What tokens cost where a book does not price any yet."""


def in_force(
    applied: Sequence[tuple[Instant, PriceBook]], closings: Sequence[tuple[Instant, Instant, Instant]]
) -> PriceBook | None:
    """The book in force, of those applied (when, which), the oldest first; `closings` are (when closed, start, end)."""
    book: PriceBook | None = None
    for at, later in applied:
        closed = [(start, end) for closed_at, start, end in closings if closed_at <= at]
        book = later if book is None else book.succeeded_by(later, closed)
    return book


def _whole(spans: Sequence[Span]) -> tuple[Instant, Instant]:
    """From the first beginning to the last end."""
    ends = [END_OF_TIME if span.ends_at is None else span.ends_at for span in spans]
    return min(span.starts_at for span in spans), max(ends)


def _outside(
    what: str, spans: Sequence[Span], priced: tuple[Instant, Instant]
) -> Iterator[tuple[str, Instant, Instant]]:
    """Before the first and after the last of spans that follow one another."""
    starts_at, ends_at = _whole(spans)
    if priced[0] < starts_at:
        yield what, priced[0], min(starts_at, priced[1])
    if ends_at < priced[1]:
        yield what, max(ends_at, priced[0]), priced[1]


END_OF_TIME = Instant(2**62)
"""Later than anything is dated."""

S = TypeVar("S", bound=Span)


def _holding(spans: Iterable[S], at: Instant) -> S | None:
    return next((s for s in spans if s.starts_at <= at and (s.ends_at is None or at < s.ends_at)), None)


class Unpriced(NotFound):
    """A price that the book has not (`price-missing`). Of several, that of the earliest `hour` is told, whatever order the
    books were read in."""

    def __init__(self, message: str, hour: Instant) -> None:
        super().__init__(
            f"{message} in the hour from {iso(hour)}",
            code=RefusalCode.PRICE_MISSING,
            expected="a price book that covers every hour of the period",
            remedy="add the price with `allot prices apply FILE`; nothing was written",
        )
        self.hour = hour


def first_unpriced(found: Iterable[Unpriced | None]) -> Unpriced | None:
    """The earliest; by its words among those of one hour."""
    return min((each for each in found if each is not None), key=lambda each: (each.hour, each.message), default=None)


def unpriced(gpu_class: str, pool: str, at: Instant) -> Unpriced:
    """The refusal of anything that would need a price that the book has not."""
    return _unpriced(f"{gpu_class} in the pool {pool}", at)


def unpriced_tokens(model: str, at: Instant) -> Unpriced:
    """The same of tokens."""
    return _unpriced(f"tokens of {model}", at)


def _unpriced(what: str, at: Instant) -> Unpriced:
    return Unpriced(f"there is no price for {what}", Instant(at - at % MS_PER_HOUR))
