"""The columns of an export in their order, and how each is written.

The twenty-one mandatory columns of FOCUS 1.4, those of the conditional ones that apply here, and our own with the
prefix `x_`. A cell is text, empty where it is null: a decimal in plain notation, an instant as `2026-10-01T00:00:00Z`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

COST_PLACES: Final = 15
"""Decimals of a cost: those of a quantity and of a unit price together, so that their product is exact."""

QUANTITY_PLACES: Final = 9
"""A quantity is the one factor that is rounded: GPU-milliseconds are no finite number of hours."""

PRICE_PLACES: Final = 6


class ColumnKind(StrEnum):
    TEXT = "text"
    DECIMAL = "decimal"
    TIME = "time"
    JSON = "json"
    WHOLE = "whole"
    """A whole number of 64 bits: our own columns alone."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    kind: ColumnKind = ColumnKind.TEXT


_T, _D, _I, _J, _W = ColumnKind.TEXT, ColumnKind.DECIMAL, ColumnKind.TIME, ColumnKind.JSON, ColumnKind.WHOLE

MANDATORY: Final = (
    Column("BilledCost", _D),
    Column("BillingAccountId"),
    Column("BillingAccountName"),
    Column("BillingCurrency"),
    Column("BillingPeriodEnd", _I),
    Column("BillingPeriodStart", _I),
    Column("ChargeCategory"),
    Column("ChargeClass"),
    Column("ChargeDescription"),
    Column("ChargePeriodEnd", _I),
    Column("ChargePeriodStart", _I),
    Column("ContractedCost", _D),
    Column("EffectiveCost", _D),
    Column("HostProviderName"),
    Column("InvoiceIssuerName"),
    Column("ListCost", _D),
    Column("PricingQuantity", _D),
    Column("PricingUnit"),
    Column("ServiceCategory"),
    Column("ServiceName"),
    Column("ServiceProviderName"),
)

CONDITIONAL: Final = (
    Column("CapacityReservationId"),
    Column("CapacityReservationStatus"),
    Column("ChargeFrequency"),
    Column("ConsumedQuantity", _D),
    Column("ConsumedUnit"),
    Column("ContractedUnitPrice", _D),
    Column("ListUnitPrice", _D),
    Column("PricingCategory"),
    Column("ResourceId"),
    Column("ResourceName"),
    Column("ResourceType"),
    Column("ServiceSubcategory"),
    Column("SkuId"),
    Column("SkuMeter"),
    Column("SkuPriceDetails", _J),
    Column("SkuPriceId"),
    Column("SubAccountId"),
    Column("SubAccountName"),
    Column("SubAccountType"),
    Column("Tags", _J),
)

OWN: Final = (
    Column("x_AttemptId"),
    Column("x_ClassFactorPerMille", _W),
    Column("x_DrawnAmount", _W),
    Column("x_DrawnUnit"),
    Column("x_EffectiveUnitPrice", _D),
    Column("x_GpuClass"),
    Column("x_GpuMs", _W),
    Column("x_LedgerAccount"),
    Column("x_Model"),
    Column("x_Pool"),
    Column("x_StandardGpuMs", _W),
    Column("x_TransactionId"),
    Column("x_WeightPerMille", _W),
    Column("x_WorkloadId"),
)

COLUMNS: Final = (*MANDATORY, *CONDITIONAL, *OWN)
NAMES: Final = tuple(column.name for column in COLUMNS)


def json_text(value: Mapping[str, str]) -> str:
    """A cell of the kind JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


Cells = Mapping[str, str]
"""The cells of a row that are not null."""


def in_order(cells: Cells) -> tuple[str, ...]:
    """The row as it is written. A cell of no column is a mistake of ours."""
    unknown = cells.keys() - _KNOWN
    assert not unknown, f"no column is called {sorted(unknown)}"
    return tuple(map(cells.get, NAMES, _NULLS))


_KNOWN = frozenset(NAMES)
_NULLS = ("",) * len(NAMES)
