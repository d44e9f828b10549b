"""The walks in the pages, typed as they stand, each on the quiet simulated company that its page starts."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, fences, named, read
from tests.docs.walking import Step, Walk, command_of, serving, steps_of

WALKS = (ROOT / "README.md", ROOT / "docs" / "engineers.md")
FINANCE = ROOT / "docs" / "finance.md"
PORT = "8411"


@pytest.mark.parametrize("page", WALKS, ids=named)
def test_every_command_of_the_walk_does_what_the_page_says(page: Path, tmp_path: Path) -> None:
    assert len(list(steps_of(page))) > 10
    with serving(command_of(page, "allot serve"), PORT, tmp_path) as walk:
        walk.follow(page)


def test_the_walk_for_finance_leads_a_line_of_a_statement_down_to_its_pods(tmp_path: Path) -> None:
    # The page waits for a job of a quarter of an hour: here that is seconds.
    with serving(command_of(FINANCE, "allot serve"), PORT, tmp_path, ALLOT_FACTOR="400") as walk:
        assert walk.follow(FINANCE) > 5
        pods, entries, gpus, sums = (_asked(walk, tmp_path / "walk.db", query) for query in _queries(FINANCE))
    gpu_ms = sum(row["gpus"] * (row["ended_at"] - row["started_at"]) for row in pods)
    charged = [row for row in entries if row["account"] == "charged"]
    assert [(row["gpu_ms"], row["amount"]) for row in charged] == [(gpu_ms, gpu_ms * 600 * 1000 // 1_000_000)]
    assert 0 < len(gpus) <= 8
    assert [tuple(row) for row in sums] == [(0, 0)]


def test_output_that_differs_in_more_than_numbers_and_ids_is_found(tmp_path: Path) -> None:
    walk = Walk({"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    walk.take(Step("echo 'w-abcdef12  train  22 min  0.3 h  on n-1'", ("w-xyzxyz99 train 1 h 7 min 9.5 h … n-3",)))
    assert walk.ids == {"w-xyzxyz99": "w-abcdef12"}
    walk.take(Step("echo w-xyzxyz99", ("w-xyzxyz99",)))
    with pytest.raises(AssertionError, match=r"missing: .*fails"):
        walk.take(Step("echo train runs 1 h", ("train fails 1 h",)))
    with pytest.raises(AssertionError, match="false"):
        walk.take(Step("false", ()))


def _queries(page: Path) -> list[str]:
    return [fence.text for fence in fences(read(page)) if fence.language == "sql"]


def _asked(walk: Walk, database: Path, query: str) -> list[sqlite3.Row]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(walk.here(query)).fetchall()
