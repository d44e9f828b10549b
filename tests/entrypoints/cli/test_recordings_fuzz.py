"""Recordings as others write them: the same readings in any order, form and file are judged the same, and whatever is not
readings is refused in one line with the file and the column, never half read and never with a traceback."""

import csv
import io
import json
import os
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from scheduler.domain.errors import InvalidInput
from scheduler.domain.idleness import IdlePolicy, IdleRule
from scheduler.entrypoints.cli.app import app
from scheduler.entrypoints.cli.judgements import as_object
from scheduler.entrypoints.cli.recorded_cells import COLUMNS
from scheduler.metering.judge import judge
from scheduler.metering.recorded import Recorded
from tests.entrypoints.cli.read_both_ways import read_recording

POLICY = Path(__file__).parents[3] / "policies" / "example.yaml"
IS_SEARCHING = os.environ.get("HYPOTHESIS_PROFILE") == "searching"
EXAMPLES = 1_000 if IS_SEARCHING else 12
RULE = IdleRule("r", policy=IdlePolicy(startup_ms=0))
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ZONES = (UTC, timezone(timedelta(hours=1)), timezone(-timedelta(hours=5, minutes=30)), timezone(timedelta(hours=14)))

Row = dict[str, Any]


def readings() -> list[Row]:
    """Two GPUs for two and a half hours, read every minute: work, rest, a gap in one of them, values that are absent."""
    rows: list[Row] = []
    for gpu, busy_until in (("GPU-a", 20), ("GPU-b", 35)):
        joules = 1_000_000
        for minute in range(150):
            is_busy = minute < busy_until or minute > 140
            joules += 36_000 if is_busy else 4_200
            if gpu == "GPU-b" and 60 <= minute < 68:
                continue
            rows.append(
                {
                    "timestamp": NOON + timedelta(minutes=minute),
                    "gpu_uuid": gpu,
                    "utilization_percent": None if minute == 100 else 90 if is_busy else 0,
                    "power_watts": 600 if is_busy else 70,
                    "energy_joules": None if minute % 10 == 3 else joules,
                    "process_count": 1,
                    "attempt": "a-1" if gpu == "GPU-a" else "a-2",
                }
            )
    return rows


def found(file: Path) -> Any:
    return as_object(judge(read_recording(file), RULE), RULE)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Any:
    file = tmp_path_factory.mktemp("plain") / "plain.csv"
    file.write_text(as_csv(readings(), random.Random(0), is_plain=True), encoding="utf-8")
    told = found(file)
    assert [len(each["stopped_at"]) for each in told["attempts"]] == [1, 1]
    return told


def as_csv(rows: list[Row], chance: random.Random, *, is_plain: bool = False) -> str:
    """As one exporter or another writes it: quoted or not, its columns in any order, with some that nobody knows."""
    columns = list(rows[0])
    if not is_plain:
        columns += ["Hostname", "temperature, °C", ""]
        chance.shuffle(columns)
    is_quoted = not is_plain and chance.random() < 0.5
    text = io.StringIO()
    ends = "\n" if is_plain else chance.choice(("\n", "\r\n"))
    writer = csv.writer(text, quoting=csv.QUOTE_ALL if is_quoted else csv.QUOTE_MINIMAL, lineterminator=ends)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(name, row.get(name, "0x\n,"), chance, is_plain=is_plain) for name in columns])
    return text.getvalue()


def _cell(name: str, value: Any, chance: random.Random, *, is_plain: bool) -> str:
    if is_plain:
        return "" if value is None else value.isoformat() if isinstance(value, datetime) else str(value)
    if value is None:
        return chance.choice(("", "NaN", "nan", "null", "N/A", "[Not Supported]", " "))
    if isinstance(value, datetime):
        return _time(value, chance)
    if name == "gpu_uuid":
        return chance.choice((value, f" {value}", f"{value}::{chance.randrange(9)}"))
    if isinstance(value, int):
        return chance.choice(
            (str(value), f"{value}.0", f"{value:e}" if value < 10**6 else f"{value}.000", f" {value} ")
        )
    return str(value)


def _time(value: datetime, chance: random.Random) -> str:
    zoned = value.astimezone(chance.choice(ZONES))
    seconds = int(value.timestamp())
    forms: list[Callable[[], str]] = [
        zoned.isoformat,
        lambda: zoned.isoformat(" "),
        lambda: value.strftime("%Y-%m-%dT%H:%M:%SZ"),
        lambda: value.strftime("%Y/%m/%d %H:%M:%S.000"),
        lambda: value.strftime("%Y-%m-%d %H:%M:%S UTC"),
        lambda: str(seconds),
        lambda: f"{seconds}.0",
        lambda: str(seconds * 1_000),
        lambda: str(seconds * 10**6),
        lambda: str(seconds * 10**9),
    ]
    return chance.choice(forms)()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_the_same_readings_in_any_form_of_csv_are_judged_the_same(tmp_path: Path, expected: Any, seed: int) -> None:
    chance = random.Random(seed)
    rows = readings()
    rows += chance.sample(rows, 40)
    chance.shuffle(rows)
    file = tmp_path / "form.csv"
    file.write_bytes((b"\xef\xbb\xbf" if chance.random() < 0.5 else b"") + as_csv(rows, chance).encode())
    assert found(file) == expected


STAMPS: dict[str, tuple[Any, Callable[[datetime], Any]]] = {
    "nanoseconds in UTC": (pa.timestamp("ns", "UTC"), lambda at: at),
    "microseconds of another zone": (pa.timestamp("us", "Asia/Kathmandu"), lambda at: at),
    "seconds without a zone": (pa.timestamp("s"), lambda at: at.replace(tzinfo=None)),
    "integers, seconds": (pa.int64(), lambda at: int(at.timestamp())),
    "unsigned integers, nanoseconds": (pa.uint64(), lambda at: int(at.timestamp()) * 10**9),
    "floats, seconds": (pa.float64(), lambda at: at.timestamp()),
    "text": (pa.large_string(), lambda at: at.isoformat()),
}
FIGURES: dict[str, tuple[Any, Callable[[int], Any]]] = {
    "small integers": (pa.int32(), int),
    "unsigned": (pa.uint32(), int),
    "floats": (pa.float64(), float),
    "decimals": (pa.decimal128(18, 3), Decimal),
    "text": (pa.string(), str),
}


@pytest.mark.parametrize(("stamps", "stamp"), STAMPS.values(), ids=STAMPS)
@pytest.mark.parametrize(("figures", "figure"), FIGURES.values(), ids=FIGURES)
def test_the_same_readings_in_any_type_of_parquet_are_judged_the_same(
    tmp_path: Path, expected: Any, stamps: Any, stamp: Any, figures: Any, figure: Any
) -> None:
    rows = readings()
    random.Random(3).shuffle(rows)
    columns = {
        name: pa.array([None if row[name] is None else figure(row[name]) for row in rows], figures)
        for name in ("utilization_percent", "power_watts", "energy_joules", "process_count")
    }
    columns |= {name: pa.array([row[name] for row in rows]).dictionary_encode() for name in ("gpu_uuid", "attempt")}
    columns["timestamp"] = pa.array([stamp(row["timestamp"]) for row in rows], stamps)
    columns["host"] = pa.array([{"rack": 7}] * len(rows))
    file = tmp_path / "typed.parquet"
    pq.write_table(pa.table(columns), file, row_group_size=37)
    assert found(file) == expected


def read_or_refused(file: Path) -> list[Recorded] | InvalidInput:
    try:
        return read_recording(file)
    except InvalidInput as refused:
        return refused


HOSTILE = st.one_of(
    st.sampled_from(
        [
            "",
            "-1",
            "-0",
            "1e999",
            "-inf",
            "NaN",
            "0x10",
            "1_000",
            "١٢",
            "1,5",
            "101",
            "1e-9",
            "9" * 400,
            "=1+1",
            "\x00",
        ]
    ),
    st.text(max_size=12),
)


@settings(max_examples=EXAMPLES * 4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(column=st.sampled_from(COLUMNS), cell=HOSTILE, place=st.integers(0, 9))
@example(column="timestamp", cell="1e999", place=0)
@example(column="timestamp", cell="-1e999", place=0)
@example(column="timestamp", cell="-1e308", place=0)
def test_any_cell_is_read_as_what_it_says_or_refused_with_its_line_and_column(
    tmp_path: Path, column: str, cell: str, place: int
) -> None:
    rows = [{**row, "memory_used_bytes": 1, "memory_total_bytes": 2, "cpu_cores": 0.5} for row in readings()[:10]]
    rows[place][column] = cell
    text = io.StringIO()
    writer = csv.DictWriter(text, list(COLUMNS), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    file = tmp_path / "hostile.csv"
    file.write_text(text.getvalue(), encoding="utf-8", errors="surrogatepass", newline="")
    read = read_or_refused(file)
    if isinstance(read, InvalidInput):
        assert f"{file}" in read.where
        assert read.expected
        return
    assert len(read) == len(rows)
    for value in read[place][3:]:
        assert value is None or value >= 0
    assert judge(read, RULE).devices


@settings(max_examples=EXAMPLES * 4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60), head=st.sampled_from([b"", b"PAR1", b"timestamp,gpu_uuid\n", b"\x1f\x8b"]))
def test_any_bytes_are_a_recording_or_refused(tmp_path: Path, content: bytes, head: bytes) -> None:
    file = tmp_path / "bytes"
    file.write_bytes(head + content)
    read = read_or_refused(file)
    assert not isinstance(read, InvalidInput) or f"{file}" in read.where


@pytest.mark.parametrize("cut", [1, 7, 100, 2_000])
def test_a_parquet_file_that_was_cut_short_is_refused_in_one_line(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "cut.parquet"
    rows = [{name: row[name] for name in ("timestamp", "gpu_uuid", "power_watts")} for row in readings()]
    pq.write_table(pa.Table.from_pylist(rows), file)
    file.write_bytes(file.read_bytes()[:-cut])
    result = CliRunner().invoke(app, ["gpu", "judge", "--samples", str(file), "--policy", str(POLICY), "--json"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cut.parquet" in result.stderr.replace("\n", "")


def test_json_is_one_object_on_standard_output_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "plain.csv"
    file.write_text(as_csv(readings(), random.Random(5)), encoding="utf-8", newline="")
    result = CliRunner().invoke(app, ["gpu", "judge", "--samples", str(file), "--policy", str(POLICY), "--json"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert {each["gpu_uuid"] for each in json.loads(result.stdout)["gpus"]} == {"GPU-a", "GPU-b"}
