"""One service to a database: the second is refused, and the next is let in when the first has ended, however it ended."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from time import monotonic

import psycopg
import pytest
from sqlalchemy import make_url

from scheduler.adapters.sql.serving_alone import serving_alone
from scheduler.adapters.sql.store import SqlStore, open_store
from scheduler.domain.errors import RefusalCode, Unavailable
from tests.plugins.polling import DEADLINE_SECONDS

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


def cut(url: str, name: str = "allot%") -> None:
    """End the sessions of a database on the server's side, as its restart does: all of allot's, or those of a name."""
    query = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = %s AND application_name LIKE %s"
    address = make_url(url)
    with psycopg.connect(str(address.set(drivername="postgresql")), autocommit=True) as connection:
        connection.execute(query, (address.database, name))


def put(store: SqlStore, key: str) -> None:
    with store.writing() as books:
        books.control.put_setting(key, "value")


@pytest.mark.postgres
def test_a_service_whose_server_restarts_takes_its_database_again_before_it_writes(
    migrated_postgres_database: str, new_postgres_database: Callable[..., str]
) -> None:
    url = new_postgres_database(migrated_postgres_database)
    with serving_alone(url) as claim, closing(open_store(url, claim=claim)) as store:
        put(store, "before")
        cut(url)
        put(store, "after")
        with pytest.raises(Unavailable, match="another service has the database"), serving_alone(url):
            raise AssertionError("both would serve")


@pytest.mark.postgres
def test_a_service_whose_session_was_cut_and_whose_database_another_has_writes_no_more(
    migrated_postgres_database: str, new_postgres_database: Callable[..., str]
) -> None:
    url = new_postgres_database(migrated_postgres_database)
    lost: list[str] = []
    with serving_alone(url) as claim, closing(open_store(url, claim=claim)) as store:
        claim.when_lost = lambda: lost.append("once")
        put(store, "before")
        cut(url)
        with another(url):
            for _ in range(2):
                with pytest.raises(Unavailable, match="this one writes no more") as refused:
                    put(store, "after")
                assert refused.value.code is RefusalCode.DATABASE_LOCKED
        with pytest.raises(Unavailable, match="another service took"):  # what it remembers may be untrue by now
            put(store, "after")
        with store.reading() as books:
            assert (books.control.setting("before"), books.control.setting("after")) == ("value", None)
    assert lost == ["once"]


@pytest.mark.postgres
@pytest.mark.parametrize("has_written", [True, False])
def test_a_service_that_was_cut_off_while_another_came_wrote_and_went_writes_no_more(
    migrated_postgres_database: str, new_postgres_database: Callable[..., str], has_written: bool
) -> None:
    url = new_postgres_database(migrated_postgres_database)
    with serving_alone(url) as claim, closing(open_store(url, claim=claim)) as store:
        if has_written:
            put(store, "before")
        cut(url)
        with serving_alone(url) as later, closing(open_store(url, claim=later)) as other:
            put(other, "meanwhile")
        with pytest.raises(Unavailable, match="another service took"):
            put(store, "after")


@pytest.mark.postgres
def test_who_takes_a_database_begins_when_the_write_of_whoever_had_it_has_ended(
    migrated_postgres_database: str, new_postgres_database: Callable[..., str]
) -> None:
    url = new_postgres_database(migrated_postgres_database)
    done: list[str] = []

    def take() -> None:
        with serving_alone(url):
            done.append("taken")

    with serving_alone(url) as claim, closing(open_store(url, claim=claim)) as store:
        with store.writing() as books:
            books.control.put_setting("key", "value")
            cut(url, "allot, serving alone")
            thread = Thread(target=take)
            thread.start()
            wait_until_blocked(url)
            done.append("written")
        thread.join()
    assert done == ["written", "taken"]


def wait_until_blocked(url: str) -> None:
    """Until somebody who would serve waits for the writer."""
    waits = "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND datname = %s AND wait_event_type = 'Lock'"
    address = make_url(url)
    deadline = monotonic() + DEADLINE_SECONDS
    with psycopg.connect(str(address.set(drivername="postgresql")), autocommit=True) as connection:
        while connection.execute(waits, ("allot, serving alone", address.database)).fetchone() is None:
            assert monotonic() < deadline


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
