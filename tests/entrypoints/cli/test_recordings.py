"""Recordings as files: CSV and Parquet say the same, and what is broken is named."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scheduler.domain.errors import InvalidInput
from scheduler.domain.periods import to_instant
from scheduler.domain.units import AttemptId, GpuUuid, Instant
from scheduler.entrypoints.cli.packed_recordings import read_packed
from scheduler.entrypoints.cli.recordings import recorded_rows
from scheduler.metering.recorded import Recorded
from tests.entrypoints.cli.read_both_ways import read_recording

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TIMES = [NOON + timedelta(seconds=15 * step, microseconds=step) for step in range(3)]


def parquet(tmp_path: Path, **columns: Any) -> Path:
    file = tmp_path / "recording.parquet"
    values = {"timestamp": pa.array(TIMES, pa.timestamp("us", "UTC")), "gpu_uuid": ["GPU-a"] * 3, **columns}
    pq.write_table(pa.table(values), file)
    return file


def refusal(file: Path) -> str:
    with pytest.raises(InvalidInput) as refused:
        read_recording(file)
    return f"{refused.value.where}: {refused.value}"


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.dictionary(pa.int8(), pa.binary())], ids=str)
def test_text_that_its_writer_calls_bytes_is_text(tmp_path: Path, kind: Any) -> None:
    told = parquet(tmp_path, utilization_percent=[0, 1, 2], attempt=["é-1", None, "a-2"])
    text = read_recording(told)
    in_bytes = {"gpu_uuid": [b"GPU-a"] * 3, "attempt": ["é-1".encode(), None, b"a-2"]}
    is_coded = pa.types.is_dictionary(kind)
    raw = {name: pa.array(cells, pa.binary() if is_coded else kind) for name, cells in in_bytes.items()}
    if is_coded:
        raw = {name: cells.dictionary_encode() for name, cells in raw.items()}
    assert read_recording(parquet(tmp_path, utilization_percent=[0, 1, 2], **raw)) == text


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    assert "no Parquet that can be read" in refusal(parquet(tmp_path, attempt=pa.array([b"\xff", None, b"a"])))


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    file = parquet(
        tmp_path,
        utilization_percent=pa.array([0, None, 40.2]),
        memory_used_bytes=pa.array([1, 2, 3], pa.uint64()),
        power_watts=pa.array([70.5, float("nan"), None]),
        energy_joules=pa.array([Decimal("1.5"), None, Decimal("3.0")]),
        process_count=pa.array([1, None, 2], pa.int8()),
        attempt=pa.array(["a-1", None, ""]).dictionary_encode(),
        hostname=["left", "alone", "here"],
    )
    text = tmp_path / "recording.csv"
    text.write_text(
        "gpu_uuid, timestamp,hostname,utilization_percent,power_watts,energy_joules,process_count,attempt\n"
        "GPU-a,2026-11-20T12:00:00Z,left,0,70.5,1.5,1,a-1\n"
        "\n"
        "GPU-a,2026-11-20T12:00:15.000001Z,alone,,nan,,,\n"
        "GPU-a,2026-11-20T12:00:30.000002Z,here,40.2,,3,2.0,\n"
    )
    assert read_recording(file) == read_recording(text)
    at = to_instant(NOON)
    assert read_recording(text)[0] == Recorded(at, GpuUuid("GPU-a"), (AttemptId("a-1"),), 0, 70_500, 1_500, 1)
    assert read_recording(text)[1] == Recorded(Instant(at + 15_000), GpuUuid("GPU-a"))
    assert read_recording(text)[2].percent == 41


KINDS: dict[str, Any] = {
    "zoned nanoseconds": pa.array(TIMES, pa.timestamp("ns", "America/New_York")),
    "seconds of nowhere": pa.array([at.replace(tzinfo=None) for at in TIMES], pa.timestamp("ns")).cast(
        pa.timestamp("s"), safe=False
    ),
    "seconds since 1970": pa.array([int(at.timestamp()) for at in TIMES]),
    "milliseconds as floats": pa.array([at.timestamp() * 1_000 for at in TIMES]),
    "text": pa.array([at.isoformat(sep=" ") for at in TIMES], pa.large_string()),
    "text once each": pa.array([at.isoformat() for at in TIMES]).dictionary_encode(),
}


@pytest.mark.parametrize("times", KINDS.values(), ids=KINDS)
def test_parquet_has_its_times_in_any_type(tmp_path: Path, times: Any) -> None:
    rows = read_recording(parquet(tmp_path, timestamp=times))
    assert [row.at for row in rows] == [to_instant(NOON) + step * 15_000 for step in range(3)]


@pytest.mark.parametrize("bits", [pa.float16(), pa.float32()], ids=str)
def test_floats_that_are_too_short_for_a_time_are_refused(tmp_path: Path, bits: Any) -> None:
    """Seconds since 1970 in 32 bits are two minutes apart: rows would move, and many become one."""
    file = parquet(tmp_path, timestamp=pa.array([0.0, 15.0, 30.0]).cast(bits))
    assert "timestamp: found a column of" in refusal(file)


SHARES: dict[str, tuple[list[str], bool]] = {
    "shares of 1": (["0", "0.93", "1.0"], True),
    "less than a percent, or shares": (["0", "0.3", ""], True),
    "percent with a part": (["0", "0.93", "1.01"], False),
    "whole": (["0", "1", "1.0"], False),
    "absent": (["", "nan", "0.0"], False),
}


@pytest.mark.parametrize(("cells", "is_refused"), SHARES.values(), ids=SHARES)
@pytest.mark.parametrize("is_parquet", [True, False], ids=["parquet", "csv"])
def test_utilisation_that_may_be_shares_of_1_is_refused_and_never_guessed(
    tmp_path: Path, cells: list[str], is_refused: bool, is_parquet: bool
) -> None:
    file = tmp_path / "shares.csv"
    lines = [f"{at.isoformat()},GPU-a,{cell}" for at, cell in zip(TIMES, cells, strict=True)]
    file.write_text("\n".join(["timestamp,gpu_uuid,utilization_percent", *lines]))
    if is_parquet:
        figures = pa.array([float(cell) if cell else None for cell in cells], pa.float64())
        file = parquet(tmp_path, utilization_percent=figures)
    if is_refused:
        assert "utilization_percent: found no figure above 1" in refusal(file)
    else:
        assert len(read_recording(file)) == 3
    assert [len(device) for device in read_packed(file, any_use_counts=True).values()] == [3]
    assert len(list(recorded_rows(file, any_use_counts=True))) == 3


def test_a_date_without_its_dashes_is_no_number_of_milliseconds(tmp_path: Path) -> None:
    file = tmp_path / "dates.csv"
    file.write_text("timestamp,gpu_uuid\n20261120120000,GPU-a\n")
    assert "timestamp: found '20261120120000'" in refusal(file)


def test_times_of_1970_are_times_in_parquet(tmp_path: Path) -> None:
    times = pa.array([0, 15_000, 30_000], pa.timestamp("ms"))
    assert [row.at for row in read_recording(parquet(tmp_path, timestamp=times))] == [0, 15_000, 30_000]


def test_a_share_of_a_gpu_is_a_row_of_that_gpu(tmp_path: Path) -> None:
    rows = read_recording(parquet(tmp_path, gpu_uuid=["GPU-a::0", "GPU-a::11", "GPU-a"]))
    assert {row.gpu_uuid for row in rows} == {"GPU-a"}


def test_a_broken_cell_of_parquet_is_named_by_row_and_column(tmp_path: Path) -> None:
    assert "recording.parquet: row 2: power_watts: found '-1'" in refusal(parquet(tmp_path, power_watts=[1, -1, 2]))
    assert "row 3: timestamp: found nothing" in refusal(
        parquet(tmp_path, timestamp=pa.array([*TIMES[:2], None], pa.timestamp("us", "UTC")))
    )
    assert "gpu_uuid: found a column of list" in refusal(parquet(tmp_path, gpu_uuid=[["GPU-a"]] * 3))
    assert "attempt: found a column of bool" in refusal(parquet(tmp_path, attempt=[True] * 3))


def test_parquet_that_is_none_is_refused(tmp_path: Path) -> None:
    whole = parquet(tmp_path)
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(whole.read_bytes()[:-40])
    assert "cut.parquet: found no Parquet that can be read" in refusal(cut)
    pq.write_table(pa.table({"timestamp": [1]}), cut)
    assert "found no column gpu_uuid" in refusal(cut)


def test_columns_that_lack_figures_here_and_there_are_read_as_row_by_row_over_several_blocks(tmp_path: Path) -> None:
    """45,000 rows of 5 GPUs in no order; one figure in eleven is not there, and one column begins late."""
    lines = ["energy_joules,note,gpu_uuid,timestamp,attempt,power_watts,process_count"]
    for number in range(45_000):
        energy = "" if number % 11 == 0 else f"{number * 7.25}"
        count = "2" if number > 40_000 else ""
        lines.append(f'{energy},"a, b",GPU-{number % 5},{1_790_000_000 + number},a-{number // 9_000},70.5,{count}')
    file = tmp_path / "many.csv"
    file.write_text("\n".join(lines), encoding="utf-8")
    assert len(read_recording(file)) == 45_000


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\x1f\x8b\x08\x00", "found a gzip file"),
        (b"", "found no column timestamp and no line at all"),
        (b"timestamp;gpu_uuid\n1;GPU-a\n", "found no column timestamp, but 'timestamp;gpu_uuid'"),
    ],
    ids=["gzip", "empty", "semicolons"],
)
def test_a_file_that_is_something_else_is_refused_by_what_it_is(tmp_path: Path, content: bytes, found: str) -> None:
    file = tmp_path / "something.csv"
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match=found):
        read_recording(file)
