"""Bytes of a price file to a price book, or to every problem that they have, each with its place."""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from scheduler.adapters.policy_files import price_keys as keys
from scheduler.adapters.policy_files.document import parse, quoted
from scheduler.adapters.policy_files.kinds import Reading, did_you_mean
from scheduler.adapters.policy_files.problems import Problem, Problems, refusal
from scheduler.adapters.policy_files.sections import Field, Record
from scheduler.domain.errors import RefusalCode
from scheduler.domain.money import CURRENCIES, Currency, Micro
from scheduler.domain.periods import to_instant
from scheduler.domain.units import GpuClassName, Instant, PerMille, PoolName
from scheduler.finance.prices.price_book import (
    FLAW_CODES,
    Billing,
    Flaw,
    Hardware,
    OffPeak,
    PriceBook,
    Rate,
    Tariff,
    TokenRate,
    UnitPrice,
    flaws,
)

HOURS_PER_MONTH = 730


def read_prices(source: bytes | str, name: str) -> PriceBook:
    """The price book of a file. Raises InvalidInput: `unknown-currency`, `price-gap` or `price-overlap` where that is
    what is wrong first, else `invalid-prices`."""
    book, problems, code = _read(source, name)
    if book is None:
        raise refusal(name, problems, code)
    return book


def check_prices(source: bytes | str, name: str) -> tuple[PriceBook | None, tuple[Problem, ...]]:
    """The price book, or None and everything that is wrong with the file, in its order."""
    book, problems, _ = _read(source, name)
    return book, problems


def _read(source: bytes | str, name: str) -> tuple[PriceBook | None, tuple[Problem, ...], RefusalCode]:
    data = source.encode("utf-8", errors="surrogatepass") if isinstance(source, str) else source
    problems = Problems()
    code = RefusalCode.INVALID_PRICES
    root = parse(data, problems)
    record = keys.PRICES.read(root, "", Reading(problems)) if root is not None else None
    if record is not None and not problems:
        code = _Rules(record, Reading(problems)).check() or code
    if record is None or problems:
        return None, problems.in_order(), code
    return _Maker(record).book(name, hashlib.sha256(data).hexdigest()), (), code


class _Rules:
    """What no single value can break. `check` gives the code of the first broken rule that has one of its own."""

    def __init__(self, record: Record, reading: Reading) -> None:
        self._record = record
        self._reading = reading
        self._code: RefusalCode | None = None

    def check(self) -> RefusalCode | None:
        self._check_currency()
        zone = self._record.value(keys.TIME_ZONE)
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            expected = "a zone of the IANA time zone database, such as Europe/Berlin"
            self._reading.refuse(self._record.mark_of(keys.TIME_ZONE), keys.TIME_ZONE.key, quoted(zone), expected)
            return self._code
        for tariff in self._record.value(keys.TARIFFS):
            if tariff.gives(keys.PER_KWH) == tariff.gives(keys.BY_HOUR):
                self._reading.refuse(tariff.mark, tariff.path, "both or neither", "`per_kwh` or `by_hour`")
        by_key: dict[tuple[str, str, str], list[Record]] = {}
        for rate in self._record.value(keys.RATES):
            key = ("rates", rate.value(keys.RATE_CLASS), rate.find(keys.RATE_POOL) or "")
            by_key.setdefault(key, []).append(rate)
        for rate in self._record.find(keys.TOKENS) or ():
            by_key.setdefault(("tokens", rate.find(keys.TOKEN_MODEL) or "", ""), []).append(rate)
        for tariff in self._record.value(keys.TARIFFS):
            by_key.setdefault(("electricity", "", ""), []).append(tariff)
        for item in self._record.value(keys.HARDWARES):
            by_key.setdefault(("hardware", item.value(keys.HARDWARE_CLASS), ""), []).append(item)
        for records in by_key.values():
            self._check_sequence(records)
        return self._code

    def _check_currency(self) -> None:
        currency = self._record.value(keys.CURRENCY)
        if currency not in CURRENCIES:
            self._code = RefusalCode.UNKNOWN_CURRENCY
            seen = f"the unknown currency {quoted(currency)}{did_you_mean(currency, sorted(CURRENCIES))}"
            self._reading.refuse(
                self._record.mark_of(keys.CURRENCY), keys.CURRENCY.key, seen, keys.CURRENCY.kind.expected
            )

    def _check_sequence(self, records: Sequence[Record]) -> None:
        zone = self._record.value(keys.TIME_ZONE)
        ordered = sorted(records, key=lambda record: record.value(keys.FROM))
        spans = [_Bounds(*span) for span in _spans(ordered, zone)]
        for record, span in zip(ordered, spans, strict=True):
            if span.ends_at is not None and span.ends_at <= span.starts_at:
                until = f"until {record.find(keys.UNTIL)}" if record.gives(keys.UNTIL) else "the same `from` again"
                self._flaw(record, until, "a day after `from`", RefusalCode.PRICE_OVERLAP)
                return
        for index, flaw, how in flaws(spans):
            self._flaw(
                ordered[index],
                f"{'a' if flaw is Flaw.GAP else 'an'} {flaw.value}: {how}",
                "the `until` of the one before",
                FLAW_CODES[flaw],
            )

    def _flaw(self, record: Record, seen: str, expected: str, code: RefusalCode) -> None:
        self._code = self._code or code
        self._reading.refuse(record.mark_of(keys.FROM), f"{record.path}.from", seen, expected)


class _Bounds:
    """A span as `flaws` compares it."""

    def __init__(self, starts_at: Instant, ends_at: Instant | None) -> None:
        self.starts_at = starts_at
        self.ends_at = ends_at


def _midnight(day: date, zone: str) -> Instant:
    return to_instant(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)))


def _spans(records: Sequence[Record], zone: str) -> list[tuple[Instant, Instant | None]]:
    """From when to when each holds, in the order given: what says no `until` holds until the next begins."""
    spans: list[tuple[Instant, Instant | None]] = []
    for index, record in enumerate(records):
        until = record.find(keys.UNTIL)
        if until is None and index + 1 < len(records):
            until = records[index + 1].value(keys.FROM)
        ends_at = _midnight(until, zone) if until is not None else None
        spans.append((_midnight(record.value(keys.FROM), zone), ends_at))
    return spans


class _Maker:
    """The domain's values from a record without problems."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._zone = record.value(keys.TIME_ZONE)

    def book(self, name: str, digest: str) -> PriceBook:
        off_peak = self._record.find(keys.WHEN)
        return PriceBook(
            name=name,
            hash=digest,
            currency=Currency(self._record.value(keys.CURRENCY)),
            time_zone=self._zone,
            rates=self._rates(),
            billing=_billing(self._record.value(keys.WHO)),
            off_peak=OffPeak() if off_peak is None else _off_peak(off_peak),
            tariffs=tuple(
                Tariff(start, end, _by_hour(record), PerMille(record.value(keys.PUE)))
                for record, (start, end) in self._dated(self._record.value(keys.TARIFFS))
            ),
            hardware=self._hardware(),
            token_rates=self._token_rates(),
        )

    def _dated(self, records: Sequence[Record]) -> list[tuple[Record, tuple[Instant, Instant | None]]]:
        ordered = sorted(records, key=lambda record: record.value(keys.FROM))
        return list(zip(ordered, _spans(ordered, self._zone), strict=True))

    def _rates(self) -> tuple[Rate, ...]:
        by_key: dict[tuple[str, str | None], list[Record]] = {}
        for record in self._record.value(keys.RATES):
            by_key.setdefault((record.value(keys.RATE_CLASS), record.find(keys.RATE_POOL)), []).append(record)
        return tuple(
            Rate(
                gpu_class=GpuClassName(gpu_class),
                pool=None if pool is None else PoolName(pool),
                starts_at=start,
                ends_at=end,
                peak=_unit_price(record),
                off_peak=_off_peak_price(record),
            )
            for (gpu_class, pool), records in by_key.items()
            for record, (start, end) in self._dated(records)
        )

    def _token_rates(self) -> tuple[TokenRate, ...]:
        by_model: dict[str | None, list[Record]] = {}
        for record in self._record.find(keys.TOKENS) or ():
            by_model.setdefault(record.find(keys.TOKEN_MODEL), []).append(record)
        return tuple(
            TokenRate(model, start, end, _unit_price(record, keys.TOKEN_LIST))
            for model, records in by_model.items()
            for record, (start, end) in self._dated(records)
        )

    def _hardware(self) -> tuple[Hardware, ...]:
        by_class: dict[str, list[Record]] = {}
        for record in self._record.value(keys.HARDWARES):
            by_class.setdefault(record.value(keys.HARDWARE_CLASS), []).append(record)
        return tuple(
            Hardware(
                gpu_class=GpuClassName(gpu_class),
                starts_at=start,
                ends_at=end,
                micro_per_gpu=Micro(record.value(keys.COST_PER_GPU)),
                life_hours=record.value(keys.LIFE) * HOURS_PER_MONTH,
            )
            for gpu_class, records in by_class.items()
            for record, (start, end) in self._dated(records)
        )


def _unit_price(record: Record, list_field: Field[int] = keys.LIST) -> UnitPrice:
    list_price = record.value(list_field)
    contracted = _first(record.find(keys.CONTRACTED), list_price)
    effective = _first(record.find(keys.EFFECTIVE), contracted)
    return UnitPrice(Micro(list_price), Micro(contracted), Micro(effective))


def _off_peak_price(record: Record) -> UnitPrice | None:
    prices = record.find(keys.RATE_OFF_PEAK)
    return None if prices is None else _unit_price(prices)


def _first(given: int | None, otherwise: int) -> int:
    return otherwise if given is None else given


def _off_peak(record: Record) -> OffPeak:
    return OffPeak(
        hours=frozenset(record.value(keys.HOURS)),
        weekdays=frozenset(list(keys.Weekday).index(day) for day in record.value(keys.DAYS)),
    )


def _by_hour(record: Record) -> tuple[Micro, ...]:
    given = record.find(keys.BY_HOUR)
    return tuple(map(Micro, given)) if given is not None else (Micro(record.value(keys.PER_KWH)),) * 24


def _billing(record: Record) -> Billing:
    name = record.value(keys.ACCOUNT_NAME)

    def named(field: Field[str]) -> str:
        return record.find(field) or name

    return Billing(
        account_id=record.value(keys.ACCOUNT_ID),
        account_name=name,
        service_provider=named(keys.SERVICE_PROVIDER),
        host_provider=named(keys.HOST_PROVIDER),
        invoice_issuer=named(keys.INVOICE_ISSUER),
    )
