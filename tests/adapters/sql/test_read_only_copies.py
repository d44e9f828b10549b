"""A copy of the books in a folder that cannot be written to: a disc, or a mount of an auditor's."""

import os
from pathlib import Path

import pytest

from scheduler.adapters.sql import engine
from scheduler.adapters.sql.evidence import open_evidence
from scheduler.adapters.sql.store import open_store
from scheduler.finance.proving.relations import TREES
from tests.plugins.migrated import open_migrated


@pytest.mark.parametrize("name", ["copy.db", "a copy 100 %.db", "what?.db"])
def test_it_is_read_and_nothing_is_made_beside_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_migrated(f"sqlite:///{tmp_path}/books.db").close()
    folder = tmp_path / "disc"
    folder.mkdir()
    file = (tmp_path / "books.db").rename(folder / name)
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != folder)
    address = engine.parse("sqlite:///x").set(database=str(file))
    readers = engine.open_engine(address, to_write=False)
    with readers.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM transactions").scalar() == 0
        assert [each.name for each in folder.iterdir()] == [name]
    readers.dispose()


def test_the_commands_of_an_audit_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    open_migrated(url).close()
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    with open_evidence(url) as evidence:
        assert [rows for tree in TREES for rows in evidence.rows(tree)] == []
        assert evidence.damage() == []
    store = open_store(url, migrate=False)
    with store.reading() as books:
        assert books.journal.differences() == []
        assert [each.name for each in tmp_path.iterdir()] == ["books.db"]
    store.close()


@pytest.mark.parametrize(
    ("beside", "content"),
    [("books.db-wal", b"a log"), ("books.db-shm", b"")],
    ids=["not folded in", "open elsewhere"],
)
def test_one_with_a_log_is_read_with_it(
    beside: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/books.db"
    open_migrated(url).close()
    (tmp_path / beside).write_bytes(content)
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    assert engine._as_it_lies(engine.parse(url)) == engine.parse(url)
