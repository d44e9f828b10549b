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


@pytest.mark.parametrize("name", ["samples_http", "samples_http-postgresql"])
def test_over_http_one_replica_keeps_up_with_less_than_half_of_a_core(name: str) -> None:
    measured = orjson.loads((STORED / f"{name}.json").read_bytes())
    assert (measured["nodes"], measured["is_kept_up_with"]) == (1_000, True)
    assert measured["windows_per_second_of_processor"] >= 2 * 533


@pytest.mark.parametrize("name", ["samples", "samples-postgresql"])
def test_what_a_gpu_takes_of_the_disk_in_a_year_is_stated(name: str) -> None:
    measured = orjson.loads((STORED / f"{name}.json").read_bytes())
    windows_a_year = 365 * 86_400 // 15
    assert measured["megabytes_per_gpu_year_of_windows"] == pytest.approx(
        measured["bytes_per_window"] * windows_a_year / 1e6, rel=0.03
    )
    assert measured["megabytes_per_gpu_year_of_hours"] > 0
