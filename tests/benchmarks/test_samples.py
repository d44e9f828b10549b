"""What one replica takes of windows, as it was measured last, on both databases: the figures of docs/benchmarks.md."""

from pathlib import Path

import orjson
import pytest

STORED = Path(__file__).parents[2] / "benchmarks" / "results"


@pytest.mark.parametrize("name", ["samples", "samples-postgresql"])
def test_a_thousand_nodes_of_eight_gpus_are_kept_up_with(name: str) -> None:
    measured = orjson.loads((STORED / f"{name}.json").read_bytes())
    assert measured["nodes"] == 1_000
    assert measured["windows"] % (8 * measured["nodes"]) == 0
    assert measured["windows_per_second"] >= 8 * measured["nodes"] / 15


def test_what_a_gpu_takes_of_the_disk_in_a_year_is_stated() -> None:
    measured = orjson.loads((STORED / "samples.json").read_bytes())
    windows_a_year = 365 * 86_400 // 15
    assert measured["megabytes_per_gpu_year_of_windows"] == pytest.approx(
        measured["bytes_per_window"] * windows_a_year / 1e6, rel=0.02
    )
    assert measured["megabytes_per_gpu_year_of_hours"] > 0
