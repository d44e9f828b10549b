"""`allot serve` as a process: what it says where something is missing, and that it ends when it is asked to."""

import datetime as dt
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from scheduler.adapters.sql.serving_alone import serving_alone
from scheduler.entrypoints.cli.app import app
from scheduler.entrypoints.cli.exits import ExitCode
from tests.adapters.kubernetes.kubeconfigs import certificate, kubeconfig
from tests.adapters.sql.test_serving_alone import cut
from tests.entrypoints.cli.forked import Forked, forked
from tests.entrypoints.company import POLICY

DEADLINE_SECONDS = 180
SERVE = ("serve", "--port", "0")


@contextmanager
def started_serve(arguments: Sequence[str]) -> Iterator["subprocess.Popen[str]"]:
    """From nothing, as a person or a container starts it."""
    command = [sys.executable, "-m", "scheduler.entrypoints.cli", *SERVE, *arguments]
    with (
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_clean()
        ) as process,
        _in_time(process),
    ):
        yield process


@contextmanager
def allot_serve(arguments: Sequence[str]) -> Iterator[Forked]:
    """The same, sooner: its imports are made already."""
    with forked([*SERVE, *arguments], _clean()) as process, _in_time(process):
        yield process


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("ALLOT_", "KUBE"))}


@contextmanager
def _in_time(process: "subprocess.Popen[str] | Forked") -> Iterator[None]:
    too_late = threading.Timer(DEADLINE_SECONDS, process.kill)
    too_late.start()
    try:
        yield
    finally:
        too_late.cancel()
        if process.poll() is None:
            process.kill()


def read_until(process: "subprocess.Popen[str] | Forked", pattern: str) -> re.Match[str]:
    """The first line that has it."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        found = re.search(pattern, line)
        if found:
            return found
    raise AssertionError(f"it ended without saying {pattern!r}: {''.join(seen)}")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_answers_and_ends_on_ctrl_c_or_as_a_container_does(
    tmp_path: Path, stop: signal.Signals
) -> None:
    database = f"sqlite:///{tmp_path}/allot.db"
    with started_serve(["--database", database, "--policy", str(POLICY), "--no-stream"]) as process:
        address = read_until(process, r"allot listens on (http://\S+)")[1]
        health = httpx.get(f"{address}/healthz", timeout=DEADLINE_SECONDS).json()
        assert health["is_simulated"]
        assert httpx.get(f"{address}/v1/policy").status_code == 401
        process.send_signal(stop)
        assert process.wait(DEADLINE_SECONDS) == 0
    with sqlite3.connect(tmp_path / "allot.db") as kept:
        (settings,) = kept.execute("SELECT count(*) FROM settings WHERE key = 'simulation'").fetchone()
    assert settings == 1, "what it was doing is kept for the next start"


def test_a_second_service_on_the_same_database_waits_for_the_first_to_end_and_goes_on(tmp_path: Path) -> None:
    arguments = ["--database", f"sqlite:///{tmp_path}/allot.db", "--policy", str(POLICY), "--no-stream"]
    with allot_serve(arguments) as first:
        address = read_until(first, r"allot listens on (http://\S+)")[1]
        with allot_serve(arguments) as second:
            read_until(
                second, rf"another service has the database .*process {first.pid} .*database-locked.*again in 5 s"
            )
            assert httpx.get(f"{address}/healthz", timeout=DEADLINE_SECONDS).status_code == 200
            first.send_signal(signal.SIGINT)
            assert first.wait(DEADLINE_SECONDS) == 0
            read_until(second, "allot listens on")
            second.send_signal(signal.SIGINT)
            assert second.wait(DEADLINE_SECONDS) == 0


@pytest.mark.postgres
def test_a_service_whose_database_another_took_while_postgresql_was_away_says_so_and_ends(
    new_postgres_database: Callable[..., str],
) -> None:
    url = new_postgres_database()
    with allot_serve(["--database", url, "--policy", str(POLICY), "--no-stream"]) as process:
        read_until(process, "allot listens on")
        process.send_signal(signal.SIGSTOP)  # so that it does not take its database again at once
        cut(url)
        with serving_alone(url):
            process.send_signal(signal.SIGCONT)
            read_until(process, "^allot: another service took the database .* this one writes no more")
            assert process.wait(DEADLINE_SECONDS) == ExitCode.UNAVAILABLE


def test_whoever_starts_the_same_service_twice_is_told_of_the_port_at_once(tmp_path: Path) -> None:
    arguments = ["--database", f"sqlite:///{tmp_path}/allot.db", "--policy", str(POLICY), "--no-stream"]
    with allot_serve(arguments) as first:
        port = read_until(first, r"allot listens on http://127.0.0.1:(\d+)")[1]
        with allot_serve([*arguments, "--port", port]) as second:
            read_until(second, f"cannot listen on 127.0.0.1:{port}")
            assert second.wait(DEADLINE_SECONDS) == 2


def _missing(folder: Path) -> Path:
    return folder / "none"


def _expired(folder: Path) -> Path:
    return kubeconfig(folder, user=certificate(dt.datetime(2020, 5, 17, tzinfo=dt.UTC)))


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (_missing, "none.*kubeconfig-missing"),
        (_expired, "expired on 2020-05-17.*kubeconfig-invalid"),
        (kubeconfig, "https://127.0.0.1:1 does not answer.*cluster-unavailable"),
    ],
    ids=["missing", "expired", "points nowhere"],
)
def test_a_kubeconfig_of_no_use_is_said_in_one_line_and_nothing_simulated_takes_its_place(
    tmp_path: Path, prepare: Callable[[Path], Path], told: str
) -> None:
    database = f"sqlite:///{tmp_path}/allot.db"
    arguments = ["--cluster", "kubernetes", "--kubeconfig", str(prepare(tmp_path)), "--database", database]
    with allot_serve(arguments) as process:
        lines = [read_until(process, told).string for _ in range(2)]
        assert not any("Traceback" in line for line in lines), "said, and tried again"
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.wait(DEADLINE_SECONDS)


def _is_no_database(file: Path) -> None:
    file.write_text("this is no database, and long enough to be looked at as one" * 20)


def _is_of_a_later_version(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT NOT NULL PRIMARY KEY) STRICT")
        connection.execute("INSERT INTO alembic_version VALUES ('from-the-future')")
    connection.close()


@pytest.mark.parametrize(
    ("prepare", "code", "kept"),
    [
        (_is_no_database, "database-unavailable", b"this is no database"),
        (_is_of_a_later_version, "database-outdated", b"from-the-future"),
    ],
    ids=["no database", "a later version's"],
)
def test_a_database_that_cannot_be_used_is_named_with_its_code(
    tmp_path: Path, prepare: Callable[[Path], None], code: str, kept: bytes
) -> None:
    file = tmp_path / "allot.db"
    prepare(file)
    with allot_serve(["--database", f"sqlite:///{file}"]) as process:
        read_until(process, rf"\[{code}")
    assert kept in file.read_bytes(), "what was there is left alone"


UNUSABLE: list[tuple[list[str], dict[str, str]]] = [
    (["--factor", "0"], {}),
    (["--log-level", "LOUD"], {}),
    (["--cluster", "slurm"], {}),
    (["--database", "mysql://x"], {}),
    (["--policy", "/nowhere/policy.yaml"], {}),
    ([], {"ALLOT_PORT": "many"}),
    ([], {"ALLOT_CLUSTER": "slurm"}),
]


@pytest.mark.parametrize(("arguments", "env"), UNUSABLE)
def test_a_setting_that_cannot_be_used_is_wrong_usage(arguments: list[str], env: dict[str, str]) -> None:
    clean = {name: None for name in os.environ if name.startswith("ALLOT_")}
    done = CliRunner().invoke(app, ["serve", *arguments], env={**clean, **env})
    assert (done.exit_code, "Traceback" in done.output) == (2, False), done.output


def test_a_process_with_a_setting_that_cannot_be_used_ends_with_that_code() -> None:
    command = [sys.executable, "-m", "scheduler.entrypoints.cli", "serve", "--factor", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
