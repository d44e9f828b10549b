"""A month as FOCUS: every row by the specification's rules, and the sum to the micro-unit what the ledger has."""

import csv
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.adapters.exports.focus_files import write_csv
from scheduler.adapters.exports.focus_parquet import write_parquet
from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.domain.money import Micro
from scheduler.domain.periods import period_named
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, Instant, Unit
from scheduler.finance.csv_text import safe
from scheduler.finance.focus.columns import COLUMNS, NAMES, ColumnKind
from scheduler.ledger.journal import Account, AccountKind, Entry, Transaction, TransactionKind
from scheduler.lifecycle.accounting.export_focus import focus_export
from tests.finance.build import at, book, rate
from tests.finance.focus_rules import violations
from tests.lifecycle.booked import Booked
from tests.lifecycle.october import A100, BOOK, DAY, NIGHT, NOVEMBER, OCTOBER, a_month, ledger_micro, rows_of, total
from tests.plugins.migrated import open_migrated


@pytest.fixture
def store() -> Iterator[SqlStore]:
    opened = open_migrated()
    yield opened
    opened.close()


def test_every_row_keeps_to_the_specification(store: SqlStore) -> None:
    a_month(store)
    assert violations(rows_of(store)) == []


def test_the_checker_finds_what_is_wrong(store: SqlStore) -> None:
    a_month(store)
    good = rows_of(store)[0]
    for change, problem in (
        ({"ChargeCategory": "Consumption"}, "ChargeCategory is"),
        ({"BilledCost": None}, "BilledCost is null"),
        ({"ListCost": "1E+2"}, "ListCost is no plain decimal"),
        ({"ChargePeriodStart": "2026-10-05 20:10:07"}, "no time of the format"),
        ({"ContractedCost": "1"}, "ContractedUnitPrice × PricingQuantity"),
        ({"ProviderName": "Acme"}, "gone since 1.2"),
    ):
        assert any(problem in found for found in violations([{**good, **change}])), problem


def test_the_sum_is_the_ledger_s_to_the_micro_unit_for_every_account(store: SqlStore) -> None:
    a_month(store)
    rows = rows_of(store)
    by_account: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        by_account[row["x_LedgerAccount"] or ""] += Decimal(row["BilledCost"] or 0)
    expected = ledger_micro(store)
    assert {account: int(cost * 1_000_000) for account, cost in by_account.items()} == expected
    assert all(cost * 1_000_000 == int(cost * 1_000_000) for cost in by_account.values())
    assert sum(expected.values()) > 0


def test_one_adjustment_an_account_ties_what_rounding_left(store: SqlStore) -> None:
    a_month(store)
    rounding = [row for row in rows_of(store) if (row["ChargeDescription"] or "").startswith("Rounding")]
    accounts = [row["x_LedgerAccount"] for row in rounding]
    assert len(accounts) == len(set(accounts)) > 0
    assert all(row["ChargeCategory"] == "Adjustment" and row["PricingQuantity"] is None for row in rounding)
    assert all(abs(Decimal(row["BilledCost"] or 0)) < Decimal("0.00001") for row in rounding)


def test_physical_and_standard_time_are_the_journal_s_own(store: SqlStore) -> None:
    a_month(store)
    usage = [row for row in rows_of(store) if row["ChargeCategory"] == "Usage"]
    with store.reading() as books:
        entries = list(
            books.journal.entries(kinds=[AccountKind.CHARGED], starts_at=OCTOBER.starts_at, ends_at=OCTOBER.ends_at)
        )
    assert total(usage, "x_GpuMs") == sum(entry.gpu_ms for entry in entries)
    assert total(usage, "x_StandardGpuMs") == sum(entry.amount for entry in entries)
    assert total(usage, "ConsumedQuantity") * 1000 == sum(entry.gpu_ms for entry in entries)


def test_what_was_held_and_rested_is_unused_by_gpu(store: SqlStore) -> None:
    a_month(store)
    unused = [row for row in rows_of(store) if row["CapacityReservationStatus"] == "Unused"]
    assert {row["ResourceId"] for row in unused} == {"GPU-a", "GPU-b"}
    # A third of what was charged of the hour in which they rested for twenty minutes, on two GPUs.
    assert float(total(unused, "x_GpuMs")) == pytest.approx(2 * MS_PER_HOUR / 3, rel=0.01)
    assert {row["CapacityReservationId"] for row in unused} == {"w-train.1"}


def test_off_peak_hours_are_rows_of_their_own(store: SqlStore) -> None:
    a_month(store)
    night = [row for row in rows_of(store) if row["PricingCategory"] == "Dynamic"]
    assert {row["x_EffectiveUnitPrice"] for row in night} == {"1.111117"}
    assert min(row["ChargePeriodStart"] or "" for row in night) == "2026-10-05T22:00:00Z"


def test_unfunded_use_has_a_list_cost_and_is_billed_to_nobody(store: SqlStore) -> None:
    a_month(store)
    (free,) = (row for row in rows_of(store) if row["x_LedgerAccount"] == "unfunded/e-bob")
    assert (free["BilledCost"], free["EffectiveCost"], free["CapacityReservationStatus"]) == ("0", "0", None)
    assert Decimal(free["ListCost"] or 0) > 0


def test_a_refund_is_a_credit_of_what_the_last_of_the_attempt_cost(store: SqlStore) -> None:
    a_month(store)
    credits_ = [row for row in rows_of(store) if row["ChargeCategory"] == "Credit"]
    assert [row["x_GpuMs"] for row in credits_] == ["-1234567"]
    assert credits_[0]["BilledCost"] == f"-{1_234_567 * 1_111_117 // MS_PER_HOUR / 1_000_000:.6f}"
    assert credits_[0]["ListUnitPrice"] is None


def test_a_correction_of_money_is_an_adjustment_of_class_correction(store: SqlStore) -> None:
    a_month(store)
    payer, platform = Account(AccountKind.CORRECTED, "a-e-ada"), Account(AccountKind.CORRECTED, "platform")
    unit = Unit("EUR-micro")
    corrected = Transaction(
        "correct:1",
        TransactionKind.CORRECTION,
        at("2026-10-20"),
        (Entry(payer, -1_500_000, unit), Entry(platform, 1_500_000, unit)),
        memo="prices of 2026-09",
    )
    with store.writing() as books:
        books.journal.post([corrected], at("2026-10-20"))
    rows = rows_of(store)
    (row,) = (row for row in rows if row["ChargeClass"] == "Correction")
    assert (row["ChargeCategory"], row["BilledCost"]) == ("Adjustment", "-1.5")
    assert violations(rows) == []
    assert total(rows, "BilledCost") * 1_000_000 == sum(ledger_micro(store).values())


def test_people_are_opaque_and_never_named(store: SqlStore) -> None:
    a_month(store)
    rows = rows_of(store)
    assert {row["SubAccountId"] for row in rows if row["ChargeCategory"] == "Usage"} == {"e-ada", "e-bob"}
    assert all(row["SubAccountId"] == row["SubAccountName"] for row in rows)


def test_a_period_is_refused_at_its_first_hour_without_a_price(store: SqlStore) -> None:
    a_month(store)
    later = book(rate("2026-10-06", None, "2.00"))
    with store.reading() as books, pytest.raises(NotFound, match="2026-10-01T00:00:00Z") as refused:
        focus_export(books, later, OCTOBER, "UTC", NOVEMBER)
    assert refused.value.code is RefusalCode.PRICE_MISSING


def test_a_class_without_a_price_is_refused_at_the_first_hour_that_used_it(store: SqlStore) -> None:
    a_month(store)
    other = book(rate("2026-10-06", None, "2.00"), replace(rate("2026-01-01", None, "1.00"), gpu_class=A100))
    with store.reading() as books, pytest.raises(NotFound, match=r"h100.*2026-10-05T20:00:00Z"):
        focus_export(books, other, OCTOBER, "UTC", NOVEMBER)


def test_of_several_classes_without_a_price_the_earliest_hour_is_named(store: SqlStore) -> None:
    """Not that of the class whose name comes first."""
    booked = a_month(store)
    later = booked.start("other", "e-ada", at("2026-10-08T10:00"), gpus=1, gpu_class="A100")
    booked.run(later, at("2026-10-08T11:00"))
    third = book(replace(rate("2026-01-01", None, "1.00"), gpu_class=GpuClassName("L4")))
    with store.reading() as books, pytest.raises(NotFound, match=r"h100.*2026-10-05T20:00:00Z"):
        focus_export(books, third, OCTOBER, "UTC", NOVEMBER)


def test_an_empty_period_without_prices_is_refused_too(store: SqlStore) -> None:
    empty = period_named("2025-03", "UTC")
    with store.reading() as books, pytest.raises(NotFound, match="2025-03-01T00:00:00Z") as refused:
        focus_export(books, BOOK, empty, "UTC", NOVEMBER)
    assert refused.value.code is RefusalCode.PRICE_MISSING


def test_csv_cells_are_no_formulas_and_decimals_are_plain(store: SqlStore, tmp_path: Path) -> None:
    a_month(store)
    path = tmp_path / "focus.csv"
    with store.reading() as books:
        write_csv(path, focus_export(books, BOOK, OCTOBER, "UTC", NOVEMBER).rows)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    decimals = {column.name for column in COLUMNS if column.kind in {ColumnKind.DECIMAL, ColumnKind.WHOLE}}
    assert len(rows) == len(rows_of(store))
    for row in rows:
        assert not any(c.startswith(("=", "+", "-", "@", "\t")) for name, c in row.items() if name not in decimals)
        assert not any("E" in row[name] or "e" in row[name] for name in decimals)
    assert [p.name for p in tmp_path.iterdir()] == ["focus.csv"]


ODD = (
    "a, b",
    'say "so"',
    "two\nlines",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "'quoted",
    "ünï→",
    "; DROP",
    "a\r\nb",
)


def test_a_name_of_whatever_characters_is_one_cell_and_no_formula(store: SqlStore, tmp_path: Path) -> None:
    booked = Booked(store)
    for number, title in enumerate(ODD):
        free = booked.start(f"n{number}", "e-bob", at("2026-10-07T10:00"), title=title)
        booked.run(free, at("2026-10-07T11:00"))
    for write, name in ((write_csv, "focus.csv"), (write_parquet, "focus.parquet")):
        with store.reading() as books:
            write(tmp_path / name, focus_export(books, BOOK, OCTOBER, "UTC", NOVEMBER).rows)
    with (tmp_path / "focus.csv").open(newline="", encoding="utf-8") as file:
        read = [row["ChargeDescription"] for row in csv.DictReader(file)]
    told = [f"GPU time of {title}, attempt 1" for title in ODD]
    assert read == told == pq.read_table(tmp_path / "focus.parquet")["ChargeDescription"].to_pylist()
    assert [safe(title)[0] for title in ODD if title[0] in "=+-@\t\r\n"] == ["'"] * 7
    assert [safe(wide) for wide in ("\uff1d1", "\uff0b1", "\uff0d1", "\uff201")] == [
        "'\uff1d1",
        "'\uff0b1",
        "'\uff0d1",
        "'\uff201",
    ]


def test_parquet_has_the_types_and_the_same_sum(store: SqlStore, tmp_path: Path) -> None:
    a_month(store)
    path = tmp_path / "focus.parquet"
    with store.reading() as books:
        write_parquet(path, focus_export(books, BOOK, OCTOBER, "UTC", NOVEMBER).rows)
    table = pq.read_table(path)
    schema = table.schema
    assert pa.types.is_decimal128(schema.field("BilledCost").type)
    assert schema.field("ChargePeriodStart").type == pa.timestamp("ms", tz="UTC")
    assert sum(table["BilledCost"].to_pylist()) == total(rows_of(store), "BilledCost")
    assert table["ChargeClass"].null_count == table.num_rows
    assert table["ChargeDescription"][0].as_py().startswith("GPU time of =cmd")


def test_an_export_that_fails_leaves_nothing_behind(store: SqlStore, tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[str, ...]]:
        yield ("",) * len(NAMES)
        raise NotFound("the server went away")

    for write, name in ((write_csv, "focus.csv"), (write_parquet, "focus.parquet")):
        with pytest.raises(NotFound):
            write(tmp_path / name, broken())
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), peak=st.integers(1, 9_999_999), night=st.integers(1, 9_999_999))
def test_whatever_happened_the_sums_tie(seed: int, peak: int, night: int) -> None:
    chance = random.Random(seed)
    prices = book(rate("2026-01-01", None, f"{peak / 1e6:.6f}", off_peak=f"{night / 1e6:.6f}"), off_peak=NIGHT)
    opened = open_migrated()
    booked = Booked(opened)
    ada = booked.allowance("e-ada", 1_000_000, at("2026-10-01"))
    for number in range(6):
        start = Instant(at("2026-10-02") + chance.randrange(20 * DAY))
        holds = ((ada, chance.randrange(1, 20)),) if chance.random() < 0.8 else ()
        attempt = booked.start(
            f"t{number}", "e-ada", start, *holds, gpus=chance.randrange(1, 9), weight=chance.randrange(1, 2000)
        )
        end = start
        for _ in range(chance.randrange(1, 4)):
            end = Instant(end + chance.randrange(1, 2 * MS_PER_HOUR))
            booked.run(attempt, end)
        booked.end(attempt, end, lost_gpu_ms=chance.randrange(2) * chance.randrange(1, MS_PER_HOUR))
    rows = rows_of(opened, prices)
    assert violations(rows) == []
    assert total(rows, "BilledCost") * 1_000_000 == sum(Micro(v) for v in ledger_micro(opened, prices).values())
    opened.close()
