"""What takes long says on standard error how far it is; standard output stays what it is without."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from scheduler.domain.units import Instant
from scheduler.entrypoints.cli import dev, exports, progress, simulate_replay
from scheduler.entrypoints.cli.app import app
from scheduler.entrypoints.devcluster import binaries
from scheduler.finance.focus.columns import NAMES
from scheduler.simulation.replay.measures import Window
from tests.entrypoints.cli.conftest import Audited
from tests.entrypoints.company import small_company


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line is due, however quickly it is done."""
    monkeypatch.setattr(progress, "TOLD_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(exports, "ROWS_BETWEEN_LOOKS", 1)


@pytest.mark.usefixtures("at_once")
def test_verifying_says_how_many_rows_of_which_table_were_read(audited: Audited) -> None:
    audited.run("audit", "head", who="aud")
    found = audited.offline("verify", "--json")
    assert found.json["ok"] is True
    rows = found.json["rows"]["transactions"]["rows"]
    assert f"transactions: {rows} rows" in found.err.splitlines()


@pytest.mark.usefixtures("at_once")
def test_exporting_says_how_many_lines_were_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'allot.db'}"
    small_company(url)
    written = CliRunner().invoke(
        app, ["export", "history", "--output", str(tmp_path / "h.jsonl"), "--database", url, "--json"]
    )
    lines = json.loads(written.stdout)["lines"]
    assert written.stderr.splitlines()[-1] == f"{lines} lines"


@pytest.mark.usefixtures("at_once")
def test_a_focus_export_says_how_many_rows_of_how_many_postings_went_by(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [["0"] * len(NAMES) for _ in range(3)]
    rows[2][NAMES.index("x_TransactionId")] = "1"
    assert list(exports._Counted().watching(iter(rows), 7)) == rows
    said = ["1 rows, 1 of 7 postings", "2 rows, 1 of 7 postings", "3 rows, 2 of 7 postings"]
    assert capsys.readouterr().err.splitlines() == said


def test_what_is_quickly_done_says_nothing_of_itself(audited: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "TOLD_EVERY_SECONDS", 600.0)
    audited.run("audit", "head", who="aud")
    assert audited.offline("verify", "--json").err == ""


@pytest.mark.parametrize("is_terminal", [False, True], ids=["in a log", "on a terminal"])
def test_a_replay_says_how_far_it_is_and_how_long_it_will_take(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = io.StringIO()
    monkeypatch.setattr(said, "isatty", lambda: is_terminal)
    monkeypatch.setattr("sys.stderr", said)
    moments = iter((0.0, 30.0))
    monkeypatch.setattr(simulate_replay, "monotonic", lambda: next(moments))
    shown = simulate_replay.Progress("mine", 1_000, Window(Instant(0), Instant(100)))
    for _ in range(64):
        shown(250, Instant(25))
    assert said.getvalue().rstrip() == "\r" * is_terminal + "mine: 25%, 250 of 1,000 workloads, about 90 s left"


def test_a_replay_s_result_has_the_line_to_itself_and_its_end_no_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = io.StringIO()
    monkeypatch.setattr(said, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", said)
    moments = iter((0.0, 30.0))
    monkeypatch.setattr(simulate_replay, "monotonic", lambda: next(moments))
    shown = simulate_replay.Progress("mine", 1_000, Window(Instant(0), Instant(100)))
    shown.wipe()
    assert said.getvalue() == ""
    for _ in range(64):
        shown(1_000, Instant(200))
    shown.wipe()
    told, left = said.getvalue().split("\r")[1:3]
    assert told.rstrip() == "mine: 100%, 1,000 of 1,000 workloads, until they have ended"
    assert left == " " * len(told)
    assert said.getvalue().endswith("\r")


def test_building_the_control_plane_says_that_it_takes_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = io.StringIO()
    monkeypatch.setattr(dev, "_people", Console(file=said, force_terminal=True, width=120))
    monkeypatch.setattr(binaries, "cached", lambda _: None)
    monkeypatch.setattr(binaries, "provide", lambda _: binaries.Binaries(tmp_path))
    built = CliRunner().invoke(app, ["dev", "cluster", "build", "--json"])
    assert json.loads(built.stdout)["programs"] == str(tmp_path)
    assert "Building the control plane's programs with Go: about five minutes" in said.getvalue()
