"""What an agent costs a node, as it was measured last: the figure of docs/benchmarks.md keeps to its bound."""

from pathlib import Path

import orjson

STORED = Path(__file__).parents[2] / "benchmarks" / "results" / "agent_footprint.json"


def test_eight_gpus_take_less_than_a_hundredth_of_a_core_and_a_hundred_megabytes() -> None:
    measured = orjson.loads(STORED.read_bytes())
    assert measured["gpus"] == 8
    assert measured["windows"] >= 8 * (measured["seconds"] // 15 - 1)
    assert 0 < measured["core_percent"] < 1
    assert 0 < measured["memory_mebibytes"] * 2**20 < 100 * 10**6
