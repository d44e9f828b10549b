"""What a database can do to us: each fault is a refusal with a code that says what to do, and nothing is lost."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from scheduler.adapters.sql.engine import READERS_MAX
from scheduler.adapters.sql.store import SqlStore, open_store
from scheduler.domain.errors import InvalidInput, RefusalCode, Unavailable
from tests.adapters.sql.values import WORKLOAD

IMPATIENT = 0.05


@pytest.mark.parametrize("address", ["", "nonsense", "mysql://root@host/db", "sqlite+aiosqlite:///x.db", "/var/x.db"])
def test_an_address_of_no_database_that_we_know_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="no kind of database"):
        open_store(address)


def test_an_address_that_is_refused_does_not_show_its_password() -> None:
    with pytest.raises(InvalidInput) as refused:
        open_store("mysql://root:secret@host/db")
    assert "secret" not in str(refused.value)


def test_a_file_that_is_not_there_is_not_created_where_none_is_expected(tmp_path: Path) -> None:
    path = tmp_path / "mistyped.db"
    with pytest.raises(Unavailable, match=r"there is no database .*mistyped\.db") as refused:
        open_store(f"sqlite:///{path}", migrate=False)
    assert refused.value.code is RefusalCode.DATABASE_UNAVAILABLE
    assert not path.exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not answer") as refused:
        open_store(f"sqlite:///{tmp_path}/nowhere/allot.db")
    assert refused.value.code is RefusalCode.DATABASE_UNAVAILABLE


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_bytes(b"Dear Ada, " * 500)
    with pytest.raises(Unavailable, match="no database, or it is damaged"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == b"Dear Ada, " * 500


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not answer") as refused:
        open_store(f"postgresql://allot@/allot?host={tmp_path}")
    assert refused.value.code is RefusalCode.DATABASE_UNAVAILABLE


@pytest.mark.postgres
def test_a_database_that_the_server_does_not_have_is_unavailable(new_postgres_database: Callable[[], str]) -> None:
    url = new_postgres_database().replace("/test_", "/other_")
    with pytest.raises(Unavailable, match="does not answer"):
        open_store(url)


def test_a_read_only_database_can_be_read_and_says_so_when_written(
    url: str, store: SqlStore, raw: Connection
) -> None:
    with store.writing() as books:
        books.workloads.add([WORKLOAD])
    if url.startswith("sqlite"):
        read_only = url.replace("sqlite:///", "sqlite:///file:") + "?mode=ro&uri=true"
    else:
        name = raw.execute(text("SELECT current_database()")).scalar_one()
        raw.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        read_only = url
    opened = open_store(read_only, migrate=False)
    with opened.reading() as books:
        assert books.workloads.get(WORKLOAD.id) == WORKLOAD
    with pytest.raises(Unavailable, match="read-only") as refused, opened.writing() as books:
        books.control.put_setting("key", "value")
    opened.close()
    assert refused.value.code is RefusalCode.DATABASE_READ_ONLY


def test_a_database_that_another_program_holds_is_locked_for_as_long(
    url: str, store: SqlStore, raw: Connection
) -> None:
    impatient = open_store(url, migrate=False, patience_seconds=IMPATIENT)
    with store.writing():
        with pytest.raises(Unavailable) as refused, impatient.writing():
            pass
        assert refused.value.code is RefusalCode.DATABASE_LOCKED
        with impatient.reading() as books:
            assert books.workloads.count() == 0
    with impatient.writing() as books:
        books.workloads.add([WORKLOAD])
    impatient.close()


def test_a_full_disk_loses_nothing_and_is_over_when_there_is_space(tmp_path: Path) -> None:
    opened = open_store(f"sqlite:///{tmp_path}/allot.db")
    with opened.writing() as books:
        books.workloads.add([WORKLOAD])
    with opened._write() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(Unavailable, match="full") as refused, opened.writing() as books:
        books.control.put_setting("key", "long" * 100_000)
    assert refused.value.code is RefusalCode.DATABASE_FULL
    with opened._write() as connection:
        connection.execute(text("PRAGMA max_page_count = 1000000"))
    with opened.writing() as books:
        assert books.control.setting("key") is None
        assert books.workloads.get(WORKLOAD.id) == WORKLOAD
        books.control.put_setting("key", "long" * 100_000)
    opened.close()


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("state", "code"),
    {
        "53100": RefusalCode.DATABASE_FULL,
        "55P03": RefusalCode.DATABASE_LOCKED,
        "40P01": RefusalCode.DATABASE_LOCKED,
        "40001": RefusalCode.DATABASE_LOCKED,
        "42501": RefusalCode.DATABASE_READ_ONLY,
        "57P01": RefusalCode.DATABASE_UNAVAILABLE,
        "53300": RefusalCode.DATABASE_UNAVAILABLE,
    }.items(),
)
def test_what_postgresql_reports_has_a_code_of_ours(
    new_postgres_database: Callable[[], str], state: str, code: RefusalCode
) -> None:
    opened = open_store(new_postgres_database())
    raising = f"DO $$ BEGIN RAISE EXCEPTION 'as if' USING ERRCODE = '{state}'; END $$"
    with pytest.raises(Unavailable, match="as if") as refused, opened._write() as connection:
        connection.execute(text(raising))
    opened.close()
    assert refused.value.code is code


def test_a_fault_of_ours_is_no_refusal(store: SqlStore) -> None:
    with pytest.raises(IntegrityError), store.writing() as books:
        books.workloads.add([WORKLOAD, WORKLOAD])
    with pytest.raises(DBAPIError), store._write() as connection:
        connection.execute(text("SELECT nothing FROM nowhere"))


def test_more_readers_than_there_are_connections_are_told_to_come_again(url: str) -> None:
    opened = open_store(url, patience_seconds=IMPATIENT)
    with ExitStack() as reading:
        for _ in range(READERS_MAX):
            reading.enter_context(opened.reading())
        with pytest.raises(Unavailable), opened.reading():
            pass
    with opened.reading() as books:
        assert books.workloads.count() == 0
    opened.close()


def test_a_write_within_a_write_of_one_thread_fails_at_once(store: SqlStore) -> None:
    with store.writing(), pytest.raises(RuntimeError, match="inside another"), store.writing():
        pass


def test_a_store_without_an_address_is_gone_when_it_is_closed() -> None:
    opened = open_store("sqlite://")
    with opened._write() as connection:
        path = Path(connection.execute(text("SELECT file FROM pragma_database_list")).scalar_one())
    assert path.exists()
    opened.close()
    assert not path.parent.exists()
