"""One service to a database: the second is refused, and the next is let in when the first has ended, however it ended."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scheduler.adapters.sql.serving_alone import serving_alone
from scheduler.adapters.sql.store import open_store
from scheduler.domain.errors import RefusalCode, Unavailable

_SERVES = """
import sys
from scheduler.adapters.sql.serving_alone import serving_alone
with serving_alone(sys.argv[1]):
    print("alone", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another(url: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", _SERVES, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "alone\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_service_is_refused_while_the_first_serves(url: str) -> None:
    with another(url):
        with pytest.raises(Unavailable, match="another service has the database") as refused, serving_alone(url):
            raise AssertionError("both would serve")
        assert refused.value.code is RefusalCode.DATABASE_LOCKED
    with serving_alone(url):
        open_store(url).close()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_who_has_it_is_named_and_a_service_that_was_killed_leaves_nothing_behind(url: str) -> None:
    with another(url) as process:
        with pytest.raises(Unavailable, match=f"process {process.pid} on "), serving_alone(url):
            raise AssertionError("both would serve")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with serving_alone(url):
            assert process.returncode == -signal.SIGKILL


def test_programs_beside_the_service_write_and_read_as_before(url: str) -> None:
    with another(url):
        store = open_store(url)
        with store.writing() as books:
            books.control.put_setting("key", "value")
        with store.reading() as books:
            assert books.control.setting("key") == "value"
        store.close()


def test_another_name_of_the_same_file_is_the_same_database(tmp_path: Path) -> None:
    (tmp_path / "allot.db").touch()
    (tmp_path / "other.db").symlink_to(tmp_path / "allot.db")
    with (
        serving_alone(f"sqlite:///{tmp_path}/allot.db"),
        pytest.raises(Unavailable),
        serving_alone(f"sqlite:///{tmp_path}/other.db"),
    ):
        raise AssertionError("both would serve")


@pytest.mark.postgres
def test_a_schema_of_a_postgresql_database_is_a_database_of_its_own(
    new_postgres_database: Callable[..., str],
) -> None:
    url = new_postgres_database("")
    with serving_alone(url), serving_alone(f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3Dpg_temp"):
        assert url, "both are served"


def test_a_folder_that_is_not_there_is_for_the_store_to_name(tmp_path: Path) -> None:
    with serving_alone(f"sqlite:///{tmp_path}/none/allot.db"):
        assert not (tmp_path / "none").exists()


def test_a_file_system_without_locks_keeps_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with serving_alone(f"sqlite:///{tmp_path}/allot.db"):
        assert (tmp_path / "allot.db.lock").exists()


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(Unavailable) as refused, serving_alone("postgresql://nobody@127.0.0.1:1/none"):
        raise AssertionError("there is no server")
    assert refused.value.code is RefusalCode.DATABASE_UNAVAILABLE
