"""`allot export history` and `allot simulate replay --history`: a database's history, tried under another policy."""

import json
from pathlib import Path

from typer.testing import CliRunner

from scheduler.entrypoints.cli.app import app
from tests.entrypoints.company import POLICY, small_company


def test_a_database_s_history_is_written_and_can_be_replayed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'allot.db'}"
    small_company(url)
    file = tmp_path / "history.jsonl"
    made = CliRunner().invoke(app, ["export", "history", "--output", str(file), "--database", url, "--json"])
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["lines"] == len(file.read_text().splitlines()) == 9
    replayed = CliRunner().invoke(
        app, ["simulate", "replay", "--policy", str(POLICY), "--history", str(file), "--json"]
    )
    assert replayed.exit_code == 0, replayed.output
    assert json.loads(replayed.stdout)["stream"]["source"]["kind"] == "history"
