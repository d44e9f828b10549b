"""The walks in the pages, typed as they stand, each on the quiet simulated company that its page starts."""

import json
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.docs.markdown import ROOT, fences, read, section
from tests.docs.walking import ON_KUBERNETES, SECONDS, SIMULATED, Step, Walk, command_of, serving, steps_of

README = read(ROOT / "README.md")
WALKS = {"readme": section(README, SIMULATED), "engineers": read(ROOT / "docs" / "engineers.md")}
FINANCE = ROOT / "docs" / "finance.md"
PORT = "8411"


@pytest.mark.parametrize("page", WALKS)
def test_every_command_of_the_walk_does_what_the_page_says(page: str, tmp_path: Path) -> None:
    with serving(command_of(WALKS[page], "allot serve"), PORT, tmp_path) as walk:
        assert walk.follow(WALKS[page]) > 10


@pytest.mark.parametrize("walked", [SIMULATED, ON_KUBERNETES])
def test_both_walks_of_the_readme_grant_submit_explain_preempt_balance_and_state(walked: str) -> None:
    steps = list(steps_of(section(README, walked)))
    verbs = {step.command.partition("allot ")[2].partition(" ")[0] for step in steps}
    assert {"grant", "submit", "explain", "balance", "statement"} <= verbs
    assert any(line.startswith("Preempted by") for step in steps for line in step.output)


def test_the_walk_for_finance_leads_a_line_of_a_statement_down_to_its_pods(tmp_path: Path) -> None:
    # The page waits for a job of a quarter of an hour, here of twelve seconds: a busy machine reads its GPUs, too.
    with serving(command_of(read(FINANCE), "allot serve"), PORT, tmp_path, ALLOT_FACTOR="75") as walk:
        assert walk.follow(read(FINANCE)) > 5
        pods, entries, gpus, sums = (_asked(walk, tmp_path / "walk.db", query) for query in _queries(FINANCE))
        key = json.loads(_typed(walk, "allot audit head --json"))["key"]
        elsewhere = _taken_away(tmp_path)
    verify = f"allot audit verify --database sqlite:///{elsewhere}/walk.db --public-key {key} --json"
    proven = json.loads(_typed(walk, verify))
    assert (proven["ok"], proven["key_pinned"], proven["first_bad_row"]) == (True, True, None)
    with closing(sqlite3.connect(elsewhere / "walk.db")) as connection:
        connection.execute("DROP TRIGGER entries_no_update")
        connection.execute("UPDATE entries SET amount = amount + 1 WHERE seq = 3")
        connection.commit()
    altered = json.loads(_typed(walk, verify, code=1))["first_bad_row"]
    assert (altered["table"], altered["row"]) == ("entries", 3)
    gpu_ms = sum(row["gpus"] * (row["ended_at"] - row["started_at"]) for row in pods)
    charged = [row for row in entries if row["account"] == "charged"]
    assert [(row["gpu_ms"], row["amount"]) for row in charged] == [(gpu_ms, gpu_ms * 600 * 1000 // 1_000_000)]
    assert 0 < len(gpus) <= 8
    assert [tuple(row) for row in sums] == [(0, 0)]


WHO = {
    "allot prices": "olga",
    "allot grant compensation": "pablo",
    "allot vesting": "pablo",
    "allot statement offer": "pablo",
}
"""Who has the right to what the page's other commands do; bao does the rest."""


def test_every_other_command_for_finance_works_as_it_stands(tmp_path: Path) -> None:
    """The blocks that show commands without their output: each is typed, in the order of the page."""
    page = read(FINANCE)
    (tmp_path / "policies").symlink_to(ROOT / "policies")
    with serving(command_of(page, "allot serve"), PORT, tmp_path) as walk:
        typed = 0
        for line in _shell_lines(page):
            who = next((name for beginning, name in WHO.items() if line.startswith(beginning)), "bao")
            _typed(walk, f"allot login --as {who}")
            if "--key company.pem" in line:
                _typed(walk, "allot login --as pablo")
                _write_key(tmp_path / "company.pem", json.loads(_typed(walk, "allot audit head --json"))["key"])
            _typed(walk, line, folder=tmp_path)
            typed += 1
    assert typed > 10


def _shell_lines(page: str) -> list[str]:
    blocks = [fence.text for fence in fences(page) if fence.language == "sh"]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line]
    return [line for line in lines if not line.startswith("allot serve")]


def _write_key(file: Path, key: str) -> None:
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
    file.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def test_output_that_differs_in_more_than_numbers_and_ids_is_found(tmp_path: Path) -> None:
    walk = Walk({"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    walk.take(Step("echo 'w-abcdef12  train  22 min  0.3 h  on n-1'", ("w-xyzxyz99 train 1 h 7 min 9.5 h … n-3",)))
    assert walk.ids == {"w-xyzxyz99": "w-abcdef12"}
    walk.take(Step("echo w-xyzxyz99", ("w-xyzxyz99",)))
    with pytest.raises(AssertionError, match=r"missing: .*fails"):
        walk.take(Step("echo train runs 1 h", ("train fails 1 h",)))
    with pytest.raises(AssertionError, match="false"):
        walk.take(Step("false", ()))


def _taken_away(folder: Path) -> Path:
    """What an outsider gets: a copy of the database, and the published heads. No key, no server."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    with (
        closing(sqlite3.connect(folder / "walk.db")) as source,
        closing(sqlite3.connect(elsewhere / "walk.db")) as copy,
    ):
        source.backup(copy)
    shutil.copytree(folder / "walk.db.heads", elsewhere / "walk.db.heads")
    return elsewhere


def _typed(walk: Walk, command: str, code: int = 0, folder: Path = ROOT) -> str:
    ended, said = walk.type(command, folder)
    assert ended == code, f"$ {command}\n{said}"
    return said


def _queries(page: Path) -> list[str]:
    return [fence.text for fence in fences(read(page)) if fence.language == "sql"]


def _asked(walk: Walk, database: Path, query: str) -> list[sqlite3.Row]:
    """What it finds, once it finds something: the sensors tell of a job some seconds after it ran."""
    deadline = time.monotonic() + SECONDS
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        while not (found := connection.execute(walk.here(query)).fetchall()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found
