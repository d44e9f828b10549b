"""Postings as rows of FOCUS: exact products, and one rounding Adjustment per ledger account and billing period.

Every posting of use becomes one row for each price that held, GPU that was seen, and whether it was used. A row's
quantity is rounded to nine decimals, its costs are exact products with it; what their sum differs from the ledger's
micro-units is one more row for each account, so that the export and the ledger have the same sum to the micro-unit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from scheduler.domain.money import MICRO_PER_UNIT, Micro, decimal_text
from scheduler.domain.pay_rates import rate_paid
from scheduler.domain.periods import Period, PeriodLength, iso, period_at
from scheduler.domain.quantities import unit_label
from scheduler.domain.sizes import pods_at
from scheduler.domain.terms import KeptTerms
from scheduler.domain.units import MS_PER_HOUR, MS_PER_SECOND, STANDARD_GPU, Instant
from scheduler.domain.workloads import Attempt, Workload
from scheduler.finance.focus.columns import COST_PLACES, PRICE_PLACES, QUANTITY_PLACES, in_order, json_text
from scheduler.finance.focus.idleness import rest_by_gpu
from scheduler.finance.focus.tokens import SERVICE, nano_millions, tags_of, token_cells
from scheduler.finance.prices.postings import FREE, Posting, worth_of
from scheduler.finance.prices.price_book import UnitPrice
from scheduler.finance.prices.rating import Part, Rating
from scheduler.ledger.journal import TransactionKind
from scheduler.ledger.token_holds import TokenHold
from scheduler.metering.use import HourOfUse

_PER_MICRO = 10 ** (COST_PLACES - PRICE_PLACES)
_NANO = 10**QUANTITY_PLACES
GPU_HOURS, GPU_SECONDS = "GPU-Hours", "GPU-Seconds"


@dataclass(frozen=True, slots=True)
class Used:
    """A posting with what stands behind it: its attempt, workload, and the readings of its GPUs; of tokens the hold
    that they were charged to. `kept` are the terms of its grant that the payer pays at, where those are cheaper."""

    posting: Posting
    attempt: Attempt | None = None
    workload: Workload | None = None
    hours: Sequence[HourOfUse] = ()
    hold: TokenHold | None = None
    kept: KeptTerms | None = None


@dataclass(slots=True)
class _Account:
    """What was exported of a ledger account in a billing period (10⁻¹⁵ units), and what the ledger has (micro)."""

    exported: int = 0
    ledger: int = 0
    service: Mapping[str, str] = field(default_factory=dict)
    """Where it is not GPU time: an allowance is in one unit."""


@dataclass(frozen=True, slots=True)
class _Share:
    """What a row has of its posting."""

    gpu_ms: int
    amount: int
    gpu_uuid: str | None
    is_unused: bool


class FocusRows:
    """Rows of one export. `time_zone` is the one in which months, the billing periods, begin."""

    def __init__(self, rating: Rating, time_zone: str) -> None:
        self._rating = rating
        self._time_zone = time_zone
        self._months: dict[str, Period] = {}
        self._headings: dict[str, dict[str, str]] = {}
        self._month: Period | None = None
        self._accounts: dict[tuple[str, str], _Account] = {}

    def rows(self, used: Used) -> Iterator[tuple[str, ...]]:
        """The rows of one posting. Raises NotFound (`price-missing`)."""
        posting = used.posting
        month = self._month_of(posting.at)
        worth = worth_of(self._rating, posting, used.attempt)
        account = self._accounts.setdefault((posting.payer, month.name), _Account())
        account.ledger += worth.micro
        if worth.tokens is not None:
            account.exported += nano_millions(posting.amount) * worth.tokens.price.effective
            account.service = SERVICE
            yield in_order(
                {
                    **self._frame(used, month),
                    **_charge_period(posting.at, Instant(posting.at + 1)),
                    **token_cells(posting, worth.tokens.price, self._rating.book.day_of(worth.tokens.starts_at)),
                }
            )
            return
        if posting.kind is TransactionKind.REFUND or posting.money is not None or used.attempt is None:
            account.exported += worth.micro * _PER_MICRO
            yield in_order({**self._frame(used, month), **_flat(used, worth.micro)})
            return
        frame = self._frame(used, month)
        before = 0
        for part in worth.parts or (self._nothing(used.attempt, posting),):
            unit = part.priced.unit
            if posting.is_unfunded:
                unit = UnitPrice(unit.list, unit.contracted, FREE.effective)
            of_part = frame | _priced(used.attempt, part, unit, self._rating.book.day_of(part.priced.starts_at))
            for share in _shares(used, part, before):
                nano = _nano_hours(share.gpu_ms)
                account.exported += nano * unit.effective
                yield in_order(of_part | _usage(used, share, nano, unit))
            before += part.gpu_ms

    def adjustments(self) -> Iterator[tuple[str, ...]]:
        """After all postings: what ties each account's exact products to the ledger's micro-units."""
        for (payer, name), account in sorted(self._accounts.items()):
            difference = account.ledger * _PER_MICRO - account.exported
            if difference:
                cells = {
                    **self._of_period(self._months[name]),
                    **account.service,
                    **_costs(difference),
                    "ChargeCategory": "Adjustment",
                    "ChargeDescription": "Rounding of exact products to the ledger's micro-units",
                    "ChargeFrequency": "One-Time",
                    "x_LedgerAccount": payer,
                    **_sub_account(payer.partition("/")[2] if payer.startswith("overrun/") else ""),
                    **_charge_period(self._months[name].starts_at, self._months[name].ends_at),
                }
                yield in_order(cells)

    def _nothing(self, attempt: Attempt, posting: Posting) -> Part:
        """A posting of no physical time at the price of its instant."""
        at = posting.at if posting.corrects_at is None else posting.corrects_at
        priced = self._rating.price_at(attempt.gpu_class, attempt.pool, at)
        assert priced is not None, "valuing the posting would have refused it"
        return Part(at, Instant(at + 1), 0, priced)

    def _month_of(self, at: Instant) -> Period:
        if self._month is None or not self._month.contains(at):
            self._month = period_at(at, PeriodLength.MONTH, self._time_zone)
            self._months[self._month.name] = self._month
        return self._month

    def _of_period(self, month: Period) -> dict[str, str]:
        """What every row of a billing period has, made once."""
        if month.name not in self._headings:
            self._headings[month.name] = self._heading(month)
        return self._headings[month.name]

    def _heading(self, month: Period) -> dict[str, str]:
        billing = self._rating.book.billing
        return {
            "BillingAccountId": billing.account_id,
            "BillingAccountName": billing.account_name,
            "BillingCurrency": self._rating.book.currency,
            "BillingPeriodStart": iso(month.starts_at),
            "BillingPeriodEnd": iso(month.ends_at),
            "HostProviderName": billing.host_provider,
            "InvoiceIssuerName": billing.invoice_issuer,
            "ServiceProviderName": billing.service_provider,
            "ServiceCategory": "Compute",
            "ServiceSubcategory": "Containers",
            "ServiceName": "GPU time",
        }

    def _frame(self, used: Used, month: Period) -> dict[str, str]:
        """What every row of a posting has."""
        posting, attempt = used.posting, used.attempt
        cells = {
            **self._of_period(month),
            "x_LedgerAccount": posting.payer,
            "x_TransactionId": posting.transaction_id,
        }
        if posting.is_correction:
            cells["ChargeClass"] = "Correction"
        if used.hold is not None:
            cells |= {**_sub_account(used.hold.owner), "Tags": json_text(tags_of(used.hold))}
        if posting.model is not None:
            cells["x_DrawnUnit"] = unit_label(posting.unit)
        if attempt is None:
            return cells
        weight, class_factor = rate_paid(attempt, used.kept)
        return cells | {
            **_sub_account(attempt.owner),
            "x_DrawnUnit": unit_label(posting.unit),
            "Tags": _tags(attempt, used.workload),
            "x_AttemptId": attempt.id,
            "x_WorkloadId": attempt.workload_id,
            "x_GpuClass": attempt.gpu_class,
            "x_Pool": attempt.pool,
            "x_WeightPerMille": str(weight),
            "x_ClassFactorPerMille": str(class_factor),
        }


def _priced(attempt: Attempt, part: Part, unit: UnitPrice, since: str) -> dict[str, str]:
    """What all rows of a part have: its price, and when it holds; `since` is the first day of its rate."""
    sku = f"gpu-hour/{attempt.gpu_class}/{attempt.pool}"
    time_of_day = "off-peak" if part.priced.is_off_peak else "peak"
    return {
        "ListUnitPrice": decimal_text(unit.list),
        "ContractedUnitPrice": decimal_text(unit.contracted),
        "x_EffectiveUnitPrice": decimal_text(unit.effective),
        "PricingUnit": GPU_HOURS,
        "PricingCategory": "Dynamic" if part.priced.is_off_peak else "Standard",
        "ConsumedUnit": GPU_SECONDS,
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "SkuId": sku,
        "SkuMeter": "GPU time",
        "SkuPriceId": f"{sku}/{since}/{time_of_day}",
        "SkuPriceDetails": _details(attempt.gpu_class, since, time_of_day),
        **_charge_period(part.start, part.end),
    }


@lru_cache(1_024)
def _details(gpu_class: str, since: str, time_of_day: str) -> str:
    return json_text({"x_GpuClass": gpu_class, "x_Since": since, "x_TimeOfDay": time_of_day})


def _usage(used: Used, share: _Share, nano: int, unit: UnitPrice) -> dict[str, str]:
    """What one row alone has: its quantity and costs, its GPU, and whether it was used."""
    posting, attempt = used.posting, used.attempt
    assert attempt is not None, "use has an attempt"
    name = used.workload.spec.name if used.workload is not None else attempt.workload_id
    effective = decimal_text(nano * unit.effective, COST_PLACES)
    cells = {
        "BilledCost": effective,
        "EffectiveCost": effective,
        "ContractedCost": decimal_text(nano * unit.contracted, COST_PLACES),
        "ListCost": decimal_text(nano * unit.list, COST_PLACES),
        "PricingQuantity": decimal_text(nano, QUANTITY_PLACES),
        "ConsumedQuantity": decimal_text(share.gpu_ms, 3),
        "ChargeDescription": f"GPU time of {name}, attempt {attempt.number}",
        "x_GpuMs": str(share.gpu_ms),
        "x_StandardGpuMs": str(share.amount if posting.unit == STANDARD_GPU else 0),
        "x_DrawnAmount": str(share.amount),
    }
    if share.gpu_uuid is not None:
        cells |= {"ResourceId": share.gpu_uuid, "ResourceName": share.gpu_uuid, "ResourceType": "GPU"}
    if not posting.is_unfunded:
        cells["CapacityReservationId"] = attempt.id
        cells["CapacityReservationStatus"] = "Unused" if share.is_unused else "Used"
    return cells


def _flat(used: Used, micro: Micro) -> dict[str, str]:
    """A refund, or a correction of money or of hours alone: an amount of the ledger, without a price of its own."""
    posting = used.posting
    is_refund = posting.kind is TransactionKind.REFUND
    what = "Work lost, given back" if is_refund else "Correction of a closed period"
    return {
        **_costs(micro * _PER_MICRO),
        "ChargeCategory": "Credit" if is_refund else "Adjustment",
        "ChargeFrequency": "One-Time",
        "ChargeDescription": f"{what}: {posting.memo}" if posting.memo else what,
        "x_GpuMs": str(posting.gpu_ms),
        "x_StandardGpuMs": str(0 if posting.money is not None else posting.standard),
        "x_DrawnAmount": str(0 if posting.money is not None else posting.amount),
        **_charge_period(posting.at, Instant(posting.at + 1)),
    }


def _costs(value: int) -> dict[str, str]:
    """All four costs of a row that has no quantity: the same amount."""
    text = decimal_text(value, COST_PLACES)
    return dict.fromkeys(("BilledCost", "EffectiveCost", "ContractedCost", "ListCost"), text)


def _shares(used: Used, part: Part, before: int) -> Iterator[_Share]:
    """The part by GPU and by whether it was used; its amount divided as its time is, cumulatively: `before` is the
    time of the parts before it."""
    posting, attempt = used.posting, used.attempt
    assert attempt is not None, "use has an attempt"
    if part.gpu_ms <= 0:
        amount = _portion(posting, before + part.gpu_ms) - _portion(posting, before)
        yield _Share(part.gpu_ms, amount if part.gpu_ms else posting.amount, None, is_unused=False)
        return
    rests = rest_by_gpu(_read_meanwhile(used, part), pods_at(attempt, part.start) * attempt.pod.gpus)
    placed, amount = 0, _portion(posting, before)
    for number, (gpu_uuid, rest) in enumerate(rests.items(), 1):
        until = part.gpu_ms * number // len(rests)
        gpu_ms = until - placed
        unused = 0 if posting.is_unfunded else rest.unused(gpu_ms, part.start, part.end)
        for share_ms, is_unused in ((gpu_ms - unused, False), (unused, True)):
            if share_ms:
                placed += share_ms
                upto = _portion(posting, before + placed)
                yield _Share(share_ms, upto - amount, gpu_uuid, is_unused)
                amount = upto


def _read_meanwhile(used: Used, part: Part) -> Sequence[HourOfUse]:
    """What was read of its GPUs. Those of an attempt that was resized come and go: only the hours of the part tell of
    the part, and where it was resized within one of them, which GPU had what is not told."""
    attempt = used.attempt
    if attempt is None or not attempt.past_sizes:
        return used.hours
    first = part.start - part.start % MS_PER_HOUR
    return [hour for hour in used.hours if first <= hour.hour < part.end]


def _portion(posting: Posting, gpu_ms: int) -> int:
    return posting.amount * gpu_ms // posting.gpu_ms if posting.gpu_ms else 0


def _nano_hours(gpu_ms: int) -> int:
    """GPU-hours in 10⁻⁹, rounded half away from zero."""
    rounded = (abs(gpu_ms) * _NANO + MS_PER_HOUR // 2) // MS_PER_HOUR
    return rounded if gpu_ms >= 0 else -rounded


def _charge_period(start: Instant, end: Instant) -> dict[str, str]:
    """Whole seconds around [start, end)."""
    first = start - start % MS_PER_SECOND
    last = -(-end // MS_PER_SECOND) * MS_PER_SECOND
    return {
        "ChargePeriodStart": _second(first),
        "ChargePeriodEnd": _second(max(last, first + MS_PER_SECOND)),
    }


@lru_cache(4_096)
def _second(at: int) -> str:
    """Charges of many attempts end at the same instants, and begin where others end."""
    return iso(Instant(at))


def _sub_account(engineer: str) -> dict[str, str]:
    """By the opaque id: exports leave the house, names do not."""
    if not engineer:
        return {}
    return {"SubAccountId": engineer, "SubAccountName": engineer, "SubAccountType": "Engineer"}


def _tags(attempt: Attempt, workload: Workload | None) -> str:
    of = None if workload is None else (workload.spec.kind.value, workload.spec.project or "personal")
    return _tags_text(attempt.team, attempt.pool, attempt.priority_class, of)


@lru_cache(1_024)
def _tags_text(team: str, pool: str, priority_class: str, of: tuple[str, str] | None) -> str:
    tags = {"team": team, "pool": pool, "priority_class": priority_class}
    if of is not None:
        tags["kind"], tags["project"] = of
    return json_text(tags)


assert COST_PLACES == QUANTITY_PLACES + PRICE_PLACES
assert MICRO_PER_UNIT == 10**PRICE_PLACES
