"""Publishing heads: once each, whole, never over another, and what a death left behind put away by the next round."""

from pathlib import Path
from typing import Any

import pytest

from scheduler.adapters.head_folder import HeadFolder
from scheduler.adapters.signing import is_signed, open_key, read_public_key
from scheduler.adapters.sql.evidence import open_evidence
from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.errors import Conflict, InvalidInput, RefusalCode, Unavailable
from scheduler.domain.people import Caller, Role
from scheduler.finance.proving.chain import read_chain
from scheduler.finance.proving.ports import HeadBook, PublishedHead
from scheduler.finance.proving.verification import verify
from scheduler.lifecycle.accounting.publish import Publisher
from tests.adapters.public_keys import public_key_pem
from tests.adapters.sql.booked import Booked
from tests.adapters.sql.tampering import look, rewrite

AUDITOR = Caller("aud", frozenset({Role.AUDITOR}))


@pytest.fixture
def made(store: SqlStore, tmp_path: Path) -> Booked:
    found = Booked(store, tmp_path)
    found.work(2)
    return found


class Dying(HeadFolder):
    """Takes so many files, and then the process dies."""

    left = 0

    def put(self, name: str, content: bytes) -> None:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        super().put(name, content)


def test_where_nothing_was_written_no_head_is_made(made: Booked) -> None:
    made.publish()
    assert made.publisher.publish() is None
    assert made.publisher.last().number == 1


@pytest.mark.parametrize("files", [0, 1])
def test_what_a_death_left_unpublished_is_put_away_by_the_next_round(made: Booked, url: str, files: int) -> None:
    made.publish()
    for _ in range(2):
        made.work(1)
        dying = Dying(made.heads)
        dying.left = files
        object.__setattr__(made.publisher, "archive", dying)
        with pytest.raises(KeyboardInterrupt):
            made.publisher.publish()
    object.__setattr__(made.publisher, "archive", HeadFolder(made.heads))
    made.publisher.publish()
    found = look(url, made.heads)
    assert list(found.findings) == []
    assert found.trees["transactions"].unanchored == 0


def test_who_asks_again_after_a_death_is_kept_both_times_and_the_head_covers_both(made: Booked, url: str) -> None:
    """A death after the asking was kept and before the head was made: nothing was answered, so it is asked again."""
    dying = Dying(made.heads)
    object.__setattr__(made.publisher, "archive", dying)
    with pytest.raises(KeyboardInterrupt):
        made.publisher.publish_for(AUDITOR, request_id="first")
    object.__setattr__(made.publisher, "archive", HeadFolder(made.heads))
    made.work(1)
    head = made.publisher.publish_for(AUDITOR, request_id="again")
    assert head is not None
    with made.store.reading() as books:
        asked = [event for event in books.control.events(limit=50) if event.verb == "publish head"]
    assert {event.request_id for event in asked} == {"first", "again"}
    found = look(url, made.heads)
    assert list(found.findings) == []
    assert {tree.unanchored for tree in found.trees.values()} == {0}
    assert made.publisher.publish_for(AUDITOR, request_id="nothing came since") is None


def test_a_head_is_never_written_over_another(made: Booked) -> None:
    made.publish()
    rewrite(made.heads / "head-00000001.json", b"{}")
    with pytest.raises(Conflict) as refused:
        HeadFolder(made.heads).put("head-00000001.json", b"another")
    assert refused.value.code is RefusalCode.HEAD_REWRITTEN
    assert (made.heads / "head-00000001.json").read_bytes() == b"{}"
    assert sorted(path.name for path in made.heads.iterdir()) == ["head-00000001.json", "head-00000001.leaves"]


def test_a_place_that_takes_no_files_is_said(made: Booked, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    object.__setattr__(made.publisher, "archive", HeadFolder(tmp_path / "file"))
    with pytest.raises(Unavailable) as refused:
        made.publisher.publish()
    assert refused.value.code is RefusalCode.HEADS_UNAVAILABLE


def test_a_head_published_while_somebody_verifies_is_no_finding(made: Booked, url: str) -> None:
    """The heads are read before the database: one more may come between."""
    made.publish()

    class Late(HeadFolder):
        """Somebody publishes after the names were listed."""

        def names(self) -> list[str]:
            known = super().names()
            made.work(1)
            made.publish()
            return known

    with open_evidence(url) as evidence:
        found = verify(evidence, Late(made.heads), is_signed)
    assert (list(found.findings), found.heads) == ([], 1)


def test_a_key_is_made_once_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    key = open_key(tmp_path / "key.pem")
    assert open_key(tmp_path / "key.pem").public_key == key.public_key
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    (tmp_path / "public.pem").write_bytes(public_key_pem(key.public_key))
    assert read_public_key(tmp_path / "public.pem") == key.public_key
    signature = key.sign(b"message")
    assert is_signed(key.public_key, signature, b"message")
    assert not is_signed(key.public_key, signature, b"another")
    assert not is_signed(b"short", signature, b"message")


@pytest.mark.parametrize(
    "content", [b"", b"rubbish", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(InvalidInput):
        open_key(tmp_path / "key.pem")
    with pytest.raises(InvalidInput):
        read_public_key(tmp_path / "key.pem")
    assert (tmp_path / "key.pem").read_bytes() == content


def test_an_empty_place_has_no_chain(tmp_path: Path) -> None:
    chain = read_chain(HeadFolder(tmp_path / "none"), is_signed, None)
    assert (chain.heads, chain.leaves, chain.findings) == ([], {}, [])


def test_a_head_that_another_process_makes_meanwhile_is_followed_by_the_next(
    made: Booked, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was refused as stale, after the close of a period that had taken effect."""
    other = Publisher(made.store, HeadFolder(made.heads), made.key, made.publisher.now)
    look_for_next = Publisher._next

    def interrupted(self: Publisher, book: HeadBook, last: PublishedHead | None) -> Any:
        found = look_for_next(self, book, last)
        monkeypatch.setattr(Publisher, "_next", look_for_next)
        assert other.publish() is not None
        made.work(1)
        return found

    monkeypatch.setattr(Publisher, "_next", interrupted)
    head = made.publisher.publish()
    assert head is not None
    assert head.number == 2
    found = look(url, made.heads)
    assert (list(found.findings), found.heads) == ([], 2)
