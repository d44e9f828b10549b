"""FOCUS 1.4 as a checker: the specification's column rules as data, and its changes since 1.2.

`focus_columns_1_2.csv` is taken from the FinOps Open Cost and Usage Specification 1.2 (Joint Development Foundation
Projects, CC BY 4.0): of its 57 columns the feature level, nullability, type, format and allowed values. The rows are
read as a file has them: text by column, None where null.
"""

import csv
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

RULES_FILE = Path(__file__).with_name("focus_columns_1_2.csv")
GONE = {"ProviderName", "PublisherName"}
MANDATORY_NAMES = {"ServiceProviderName", "HostProviderName", "InvoiceIssuerName"}
MANDATORY = {
    "BilledCost", "ContractedCost", "EffectiveCost", "ListCost", "BillingAccountId", "BillingAccountName",
    "BillingCurrency", "BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd",
    "ChargeCategory", "ChargeClass", "ChargeDescription", "PricingQuantity", "PricingUnit", "ServiceCategory",
    "ServiceName", "ServiceProviderName", "HostProviderName", "InvoiceIssuerName",
}  # fmt: skip
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
DECIMAL = re.compile(r"-?\d+(\.\d+)?")
PRODUCTS = (
    ("ListUnitPrice", "ListCost"),
    ("ContractedUnitPrice", "ContractedCost"),
    ("x_EffectiveUnitPrice", "EffectiveCost"),
)

Row = Mapping[str, str | None]


@dataclass(frozen=True)
class Rule:
    allows_nulls: bool
    data_type: str
    allowed: frozenset[str] = frozenset()


def rules() -> dict[str, Rule]:
    """By column."""
    with RULES_FILE.open(encoding="utf-8", newline="") as file:
        found = {
            row["column"]: Rule(
                row["allows_nulls"] == "True",
                row["data_type"],
                frozenset(value for value in row["allowed_values"].split(";") if value),
            )
            for row in csv.DictReader(file)
            if row["column"] not in GONE
        }
    return found | dict.fromkeys(MANDATORY_NAMES, Rule(allows_nulls=False, data_type="String"))


def violations(rows: Iterable[Row]) -> list[str]:
    """Everything that the rows break, each with its row's number."""
    known = rules()
    return [f"row {number}: {problem}" for number, row in enumerate(rows, 1) for problem in _of_row(row, known)]


def _of_row(row: Row, known: Mapping[str, Rule]) -> Iterable[str]:
    yield from (f"{name} is missing" for name in sorted(MANDATORY - row.keys()))
    yield from (f"{name} is gone since 1.2" for name in GONE & row.keys())
    yield from (f"{name} is no column of FOCUS" for name in row if name not in known and not name.startswith("x_"))
    for name, rule in known.items():
        value = row.get(name)
        if name in row and value is None and not rule.allows_nulls:
            yield f"{name} is null"
        elif value is not None:
            yield from _of_cell(name, value, rule)
    yield from _of_costs(row)
    yield from _conditional(row)


def _of_cell(name: str, value: str, rule: Rule) -> Iterable[str]:
    if rule.data_type == "Decimal" and not DECIMAL.fullmatch(value):
        yield f"{name} is no plain decimal: {value}"
    if rule.data_type == "Decimal" and name.endswith("UnitPrice") and value.startswith("-"):
        yield f"{name} is below zero"
    if rule.data_type == "Date/Time" and not TIME.fullmatch(value):
        yield f"{name} is no time of the format: {value}"
    if rule.allowed and value not in rule.allowed:
        yield f"{name} is {value!r}"
    if rule.data_type == "JSON":
        object_ = json.loads(value)
        if not isinstance(object_, dict) or not all(isinstance(v, str | int | bool) for v in object_.values()):
            yield f"{name} is no flat object"


def _of_costs(row: Row) -> Iterable[str]:
    quantity = row["PricingQuantity"]
    for price, cost in PRODUCTS:
        unit_price, product = row.get(price), row[cost]
        assert product is not None
        if (
            unit_price is not None
            and quantity is not None
            and Decimal(unit_price) * Decimal(quantity) != Decimal(product)
        ):
            yield f"{price} × PricingQuantity is not {cost}: {unit_price} × {quantity} ≠ {product}"


def _conditional(row: Row) -> Iterable[str]:
    """Nullability that depends on other columns: FOCUS, the normative requirements of each."""
    is_usage = row["ChargeCategory"] == "Usage"
    start, end = row["ChargePeriodStart"] or "", row["ChargePeriodEnd"] or ""
    if start >= end or (row["BillingPeriodStart"] or "") >= (row["BillingPeriodEnd"] or ""):
        yield f"a period ends before it starts: {start} to {end}"
    for name, unit in (("PricingQuantity", "PricingUnit"), ("ConsumedQuantity", "ConsumedUnit")):
        if (row.get(name) is None) != (row.get(unit) is None):
            yield f"{name} without {unit}, or the other way round"
        if is_usage and row.get(name) is None:
            yield f"{name} of usage is null"
    for name in ("SkuId", "SkuPriceId", "ListUnitPrice", "ContractedUnitPrice", "PricingCategory"):
        if is_usage and row.get(name) is None:
            yield f"{name} of usage is null"
    if (row.get("CapacityReservationId") is None) != (row.get("CapacityReservationStatus") is None):
        yield "a reservation without its status, or the other way round"
    if row.get("ResourceId") is None and (row.get("ResourceType") or row.get("ResourceName")):
        yield "a resource's name or type without its id"
    if (row.get("SubAccountId") is None) != (row.get("SubAccountType") is None):
        yield "a sub account without its type, or the other way round"
    if row["PricingUnit"] not in {None, "GPU-Hours", "1000000 Tokens"}:
        yield f"PricingUnit is {row['PricingUnit']}"
