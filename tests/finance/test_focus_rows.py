"""Rows of FOCUS, one posting at a time: amounts, months, and what ties rounding to the ledger."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from scheduler.domain.quantities import class_unit
from scheduler.domain.units import MS_PER_HOUR, AttemptId, GpuUuid, Instant, NodeName
from scheduler.domain.workloads import Workload
from scheduler.finance.focus.columns import NAMES
from scheduler.finance.focus.rows import FocusRows, Used
from scheduler.finance.prices.postings import Posting
from scheduler.finance.prices.rating import Rating
from scheduler.ledger.journal import TransactionKind
from scheduler.metering.use import HourOfUse, Use
from tests.finance.build import H100, at, book, rate
from tests.finance.test_fringe import BUSINESS, PERSONAL
from tests.ledger.build import attempt

MIDNIGHT, EARLIER = at("2026-10-02"), at("2026-10-01T12:00")
PRICES = book(rate("2026-01-01", "2026-10-02", "3.60"), rate("2026-10-02", None, "7.20"))
"""Twice the price from that midnight on."""
RAN = replace(attempt(gpus=1), id=AttemptId("w-1.1"))


def charge(gpu_ms: int, amount: int, when: Instant, payer: str = "a-1") -> Posting:
    return Posting(TransactionKind.CHARGE, "c-1", when, payer, RAN.id, gpu_ms, amount)


def rows(*postings: Posting, hours: tuple[HourOfUse, ...] = ()) -> list[Mapping[str, str]]:
    made = FocusRows(Rating(PRICES), "UTC")
    found = [row for each in postings for row in made.rows(Used(each, RAN, hours=hours))]
    return [dict(zip(NAMES, row, strict=True)) for row in (*found, *made.adjustments())]


def test_the_amounts_of_a_posting_s_rows_add_up_to_its_own_however_odd_it_is() -> None:
    found = rows(charge(3, 10, MIDNIGHT))
    assert [
        (row["x_GpuMs"], row["x_DrawnAmount"], row["x_EffectiveUnitPrice"]) for row in found if row["x_GpuMs"]
    ] == [
        ("2", "6", "3.6"),
        ("1", "4", "7.2"),
    ]


def test_what_another_unit_paid_is_no_standard_time() -> None:
    (row, *_) = rows(replace(charge(MS_PER_HOUR, 7, EARLIER), unit=class_unit(H100)))
    assert (row["x_StandardGpuMs"], row["x_DrawnAmount"], row["x_DrawnUnit"]) == ("0", "7", "gpu/h100")
    (row, *_) = rows(charge(MS_PER_HOUR, 7, EARLIER))
    assert (row["x_StandardGpuMs"], row["x_DrawnUnit"]) == ("7", "standard")


@pytest.mark.parametrize(
    ("gpu_ms", "quantity"),
    [(1, "0.000000278"), (5, "0.000001389"), (2, "0.000000556"), (MS_PER_HOUR, "1")],
)
def test_a_quantity_is_rounded_to_the_ninth_decimal_half_away_from_zero(gpu_ms: int, quantity: str) -> None:
    (row, *_) = rows(charge(gpu_ms, gpu_ms, at("2026-10-01T12:00")))
    assert row["PricingQuantity"] == quantity


def test_each_row_and_each_rounding_is_of_the_month_of_its_posting() -> None:
    found = rows(charge(1, 1, at("2026-10-31T23:59")), charge(1, 1, at("2026-11-01T00:01")))
    kinds = [(row["ChargeCategory"], row["BillingPeriodStart"][:7]) for row in found]
    assert kinds == [(kind, month) for kind in ("Usage", "Adjustment") for month in ("2026-10", "2026-11")]


def test_the_rounding_of_an_overrun_is_the_engineer_s_and_that_of_an_allowance_nobody_s() -> None:
    day = at("2026-10-01T12:00")
    found = rows(charge(1, 1, day, "overrun/e-ada"), charge(1, 1, day, "tier/e-bob/2026-10"))
    rounding = {row["x_LedgerAccount"]: row["SubAccountId"] for row in found if row["ChargeCategory"] == "Adjustment"}
    assert rounding == {"overrun/e-ada": "e-ada", "tier/e-bob/2026-10": ""}


def test_a_refund_says_why_and_a_charge_of_no_time_has_the_price_of_its_own_instant() -> None:
    refund = Posting(TransactionKind.REFUND, "r-1", MIDNIGHT, "a-1", RAN.id, -1_000, -1_000, memo="its node failed")
    (row, *_) = rows(refund)
    assert (row["ChargeDescription"], row["ChargeCategory"]) == ("Work lost, given back: its node failed", "Credit")
    (row, *_) = rows(replace(refund, memo=""))
    assert row["ChargeDescription"] == "Work lost, given back"
    late = replace(charge(0, 1, at("2026-10-03")), corrects_at=at("2026-10-01"))
    (row, *_) = rows(late)
    assert (row["x_EffectiveUnitPrice"], row["ChargeClass"], row["x_DrawnAmount"]) == ("3.6", "Correction", "1")


def test_what_ran_unfunded_held_nothing_that_could_have_been_used() -> None:
    hour = at("2026-10-01T11:00")
    rested = HourOfUse(
        GpuUuid("GPU-a"),
        NodeName("n1"),
        hour,
        RAN.id,
        Use(idle_held_ms=MS_PER_HOUR // 4, active_ms=MS_PER_HOUR * 3 // 4),
    )
    asked = charge(MS_PER_HOUR, MS_PER_HOUR, Instant(hour + MS_PER_HOUR - 1))
    held = rows(asked, hours=(rested,))
    assert [(row["CapacityReservationStatus"], row["x_GpuMs"]) for row in held] == [
        ("Used", str(MS_PER_HOUR * 3 // 4)),
        ("Unused", str(MS_PER_HOUR // 4)),
    ]
    (free, *_) = rows(replace(asked, payer="unfunded/e-ada"), hours=(rested,))
    assert (free["CapacityReservationStatus"], free["x_GpuMs"], free["BilledCost"]) == ("", str(MS_PER_HOUR), "0")


def test_a_row_is_tagged_with_its_work_and_named_by_the_first_day_of_its_rate() -> None:
    workload = Workload(RAN.workload_id, RAN.owner, RAN.team, PERSONAL, EARLIER)
    made = FocusRows(Rating(PRICES), "UTC")
    told = []
    for each in (PERSONAL, BUSINESS):
        (row,) = made.rows(Used(charge(MS_PER_HOUR, 1, EARLIER), RAN, replace(workload, spec=each)))
        told.append(dict(zip(NAMES, row, strict=True)))
    tags = [json.loads(row["Tags"]) for row in told]
    assert [(of["kind"], of["project"], of["team"]) for of in tags] == [
        ("job", "personal", "research"),
        ("job", "atlas", "research"),
    ]
    assert {row["SkuPriceId"] for row in told} == {"gpu-hour/h100/research/2026-01-01/peak"}
