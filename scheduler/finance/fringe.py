"""Fringe benefits: what compute that a person's own allowances paid was worth, by purpose and who attested it.

It states facts and a first sorting, never a treatment: counsel decides that. The fair-market rate is the list price of
the hour, by the price book that it names. Sorted as excluded is what its owner attested to be business use; without an
attestation, work for a project is shown as business that nobody attested, and counts as includable until somebody does.

What the person paid in the year is taken off what is includable: off personal use first, then off business that nobody
attested, row by row. What was paid beyond that stands beside the rows and makes nothing negative.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from scheduler.domain.money import Micro
from scheduler.domain.units import MS_PER_HOUR, Instant
from scheduler.domain.workloads import Activity, Attempt, AttestedUse, WorkloadSpec
from scheduler.finance.prices.price_book import TokenRate
from scheduler.finance.prices.rating import Part, tokens_micro

COUNSEL_DECIDES = (
    "This statement lists units, rates and values. Whether and how they are taxed is decided by counsel, not by it."
)
BUSINESS_BASIS = "attested business use (in the United States: a working condition fringe, IRC § 132(d))"


@dataclass(frozen=True, slots=True)
class FringeKey:
    """What has a row of its own."""

    activity: str
    use: str
    attested_by: str
    gpu_class: str
    model: str
    rate_micro: Micro
    rate_since: str


@dataclass(frozen=True, slots=True)
class FringeRow:
    """`value` = `gpu_ms` × the fair-market rate of an hour, or `tokens` of a `model` × that of a million, floored; it is
    `excluded` on a `basis`, or `includable` less what the employee paid. A refund has taken its time back."""

    activity: str
    use: str
    attested_by: str
    gpu_class: str
    gpu_ms: int
    rate_micro: Micro
    rate_source: str
    rate_since: str
    value_micro: Micro
    paid_micro: Micro
    excluded_micro: Micro
    basis: str
    includable_micro: Micro
    model: str = ""
    tokens: int = 0


class Fringe:
    """A person's rows while their postings go by."""

    def __init__(self, source: str, day_of: Callable[[Instant], str]) -> None:
        """`source` names the price book, `day_of` tells days of its wall clock."""
        self._source = source
        self._day_of = day_of
        self._units: dict[FringeKey, int] = {}
        """GPU-milliseconds, or tokens."""

    def add(self, spec: WorkloadSpec | None, attempt: Attempt, parts: tuple[Part, ...]) -> None:
        """`spec` is None where the workload is not known any more: then nothing is attested."""
        activity = spec.activity.value if spec is not None and spec.activity is not None else "not said"
        attested = spec.attested_use if spec is not None else None
        implied = AttestedUse.PERSONAL if spec is None or spec.project is None else AttestedUse.BUSINESS
        for part in parts:
            key = FringeKey(
                activity,
                (attested or implied).value,
                attempt.owner if attested is not None else "",
                attempt.gpu_class,
                "",
                part.priced.unit.list,
                self._day_of(part.priced.starts_at),
            )
            self._units[key] = self._units.get(key, 0) + part.gpu_ms

    def add_tokens(self, model: str, tokens: int, rate: TokenRate, *, is_personal: bool) -> None:
        """What a gateway drew: answers of a model, which nobody attests."""
        use = AttestedUse.PERSONAL if is_personal else AttestedUse.BUSINESS
        key = FringeKey(
            Activity.INFERENCE.value, use.value, "", "", model, rate.price.list, self._day_of(rate.starts_at)
        )
        self._units[key] = self._units.get(key, 0) + tokens

    def rows(self, paid: int = 0) -> tuple[FringeRow, ...]:
        """`paid` is what the person paid in the year."""
        ordered = sorted(self._units.items(), key=lambda item: (item[0].use, item[0].activity, item[0].gpu_class))
        rows = [self._row(key, units) for key, units in ordered if units]
        return _less_paid(rows, paid)

    def _row(self, key: FringeKey, units: int) -> FringeRow:
        value = tokens_micro(units, key.rate_micro) if key.model else Micro(units * key.rate_micro // MS_PER_HOUR)
        is_excluded = key.use == AttestedUse.BUSINESS.value and key.attested_by != ""
        return FringeRow(
            activity=key.activity,
            use=key.use,
            attested_by=key.attested_by,
            gpu_class=key.gpu_class,
            gpu_ms=0 if key.model else units,
            rate_micro=key.rate_micro,
            rate_source=f"list price, {self._source}",
            rate_since=key.rate_since,
            value_micro=value,
            paid_micro=Micro(0),
            excluded_micro=value if is_excluded else Micro(0),
            basis=BUSINESS_BASIS if is_excluded else "",
            includable_micro=Micro(0) if is_excluded else value,
            model=key.model,
            tokens=units if key.model else 0,
        )


def _less_paid(rows: list[FringeRow], paid: int) -> tuple[FringeRow, ...]:
    """The rows with their shares of what was paid; personal use comes first."""
    shares: dict[int, int] = {}
    for place in sorted(range(len(rows)), key=lambda place: (rows[place].use != AttestedUse.PERSONAL.value, place)):
        shares[place] = min(paid, max(0, rows[place].includable_micro))
        paid -= shares[place]
    return tuple(
        replace(row, paid_micro=Micro(shares[place]), includable_micro=Micro(row.includable_micro - shares[place]))
        for place, row in enumerate(rows)
    )
