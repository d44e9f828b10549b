"""`allot export history` and `allot simulate replay --history`: a database's history, tried under another policy."""

import json
from pathlib import Path

from typer.testing import CliRunner

from scheduler.domain.periods import iso
from scheduler.domain.units import MS_PER_DAY, Instant
from scheduler.entrypoints.cli.app import app
from scheduler.entrypoints.cli.exits import ExitCode
from scheduler.entrypoints.simulation_state import STATE_KEY, packed_state
from tests.entrypoints.company import NOON, POLICY, small_company


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


def test_a_simulated_company_s_database_is_read_at_its_own_now(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'allot.db'}"
    service = small_company(url)
    ahead = Instant(NOON + 400 * MS_PER_DAY)
    with service.store.writing() as books:
        books.control.put_setting(STATE_KEY, packed_state(json.dumps({"now": ahead}).encode()))
    service.store.close()
    stated = CliRunner().invoke(app, ["statement", "--database", url, "--json"])
    assert json.loads(stated.stdout)["starts_at"] <= iso(ahead) < json.loads(stated.stdout)["ends_at"]
    file = tmp_path / "history.jsonl"
    made = CliRunner().invoke(app, ["export", "history", "--output", str(file), "--database", url])
    assert made.exit_code == 0, made.output
    assert json.loads(file.read_text().splitlines()[0])["until"] == iso(ahead)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'allot.db'}"
    small_company(url)
    file = tmp_path / "nowhere" / "history.jsonl"
    made = CliRunner().invoke(app, ["export", "history", "--output", str(file), "--database", url])
    assert made.exit_code == ExitCode.USAGE
    assert "cannot be written" in " ".join(made.stderr.split())
