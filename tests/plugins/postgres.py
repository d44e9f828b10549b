"""A PostgreSQL server of the run's own: Debian's programs, an unprivileged user, a folder that goes afterwards.

`new_postgres_database` gives the address of a fresh database. Where the programs are missing, the tests are
left out and the summary says how to get them.
"""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import psycopg
import pytest

from scheduler.adapters.sql.store import open_store
from tests.plugins.memory import in_memory

_LEFT_OUT = (
    "the tests on PostgreSQL were left out; to get them, run scripts/install-system-packages as root "
    "(Debian's package postgresql)"
)
_READY_SECONDS = 120.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and _LEFT_OUT in str(report.longrepr):
        # One place for all of them, so that the summary folds them into one line.
        report.longrepr = (__file__, 1, _LEFT_OUT)
    return report


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[Path]:
    """Where the run's server listens, at `<folder>/.s.PGSQL.5432`; its databases sort by a language, not by bytes."""
    programs = _programs()
    if programs is None:
        pytest.skip(_LEFT_OUT)
    folder = Path(mkdtemp(prefix="allot-postgres-", dir=_place()))
    with ExitStack() as ending:
        ending.callback(shutil.rmtree, folder)
        as_user = _unprivileged(folder)
        options = ["--auth=trust", "--username=allot", "--no-sync", "--encoding=UTF8"]
        collated = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"]
        initdb = [str(programs / "initdb"), *options, *collated, str(folder / "data")]
        subprocess.run(initdb, check=True, capture_output=True, **as_user)
        with (folder / "log").open("wb") as log:
            settings = [*_SETTINGS, f"unix_socket_directories={folder}"]
            server = subprocess.Popen(
                [str(programs / "postgres"), "-D", str(folder / "data"), *(f"--{item}" for item in settings)],
                stdout=log,
                stderr=log,
                **as_user,
            )
        ending.callback(server.wait)
        ending.callback(server.send_signal, signal.SIGINT)
        _wait_until_ready(folder, server)
        yield folder


@pytest.fixture(scope="session")
def new_postgres_database(postgres_folder: Path) -> Callable[..., str]:
    """Each call makes a database and returns its address: an empty one, or a copy of that at the address given."""

    def create(copied: str = "") -> str:
        name = f"test_{next(_numbers)}"
        template = copied.removeprefix(_ADDRESS).partition("?")[0] or "template0"
        with psycopg.connect(_conninfo(postgres_folder), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy".encode())
        return f"{_ADDRESS}{name}?host={postgres_folder}"

    return create


@pytest.fixture(scope="session")
def migrated_postgres_database(new_postgres_database: Callable[..., str]) -> str:
    """An empty database at the newest migration: to copy, and to leave alone."""
    address = new_postgres_database()
    open_store(address).close()
    return address


_SETTINGS = ("listen_addresses=", "fsync=off", "max_connections=200", "autovacuum=off")
"""Autovacuum would visit each of the hundreds of databases every minute, and find nothing to do there."""

_ADDRESS = "postgresql://allot@/"
_NEEDED_BYTES = 8 << 30
"""Four times what all databases of a run take."""
_numbers = itertools.count(1)


def _place() -> Path:
    """In memory where there is room: each test's database is three hundred files, which cost a tenth of what they cost on
    a disk. Else in a folder with a short name, which the socket's address needs."""
    return in_memory(_NEEDED_BYTES) or Path("/tmp")


def _programs() -> Path | None:
    """Debian keeps the server's programs off the PATH, in a folder for each version: the newest."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


def _unprivileged(folder: Path) -> dict[str, Any]:
    """initdb and postgres refuse to run as root: then they run as nobody, who gets the folder."""
    if os.geteuid() != 0:
        return {"cwd": folder}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"cwd": folder, "user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _wait_until_ready(folder: Path, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            psycopg.connect(_conninfo(folder)).close()
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"PostgreSQL did not start: {(folder / 'log').read_text()}") from error
            time.sleep(0.05)
        else:
            return


def _conninfo(folder: Path) -> str:
    return f"host={folder} user=allot dbname=postgres"
