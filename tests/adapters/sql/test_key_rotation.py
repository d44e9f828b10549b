"""Rotation of the signing key: old heads hold by the old key, new ones by the new, and a verifier follows from either."""

import json
from pathlib import Path

import pytest

from scheduler.adapters.head_folder import HeadFolder
from scheduler.adapters.signing import is_signed, open_key, rotate
from scheduler.adapters.sql.evidence import open_evidence
from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.errors import Conflict, InvalidInput, RefusalCode
from scheduler.domain.units import Instant
from scheduler.finance.proving.chain import read_chain
from scheduler.finance.proving.endorsement import parse_endorsements
from scheduler.finance.proving.findings import FindingCode
from scheduler.finance.proving.proofs import check, prove_growth, prove_row
from scheduler.finance.proving.takeaway import sign_statement, verify_statement
from tests.adapters.sql.booked import Booked
from tests.adapters.sql.tampering import codes, look, rewrite


class Rotated(Booked):
    """Books whose key changed twice, with a head by each; `keys` are the public ones in that order."""

    def __init__(self, store: SqlStore, folder: Path) -> None:
        super().__init__(store, folder)
        self.folder = folder
        self.keys = [self.key.public_key]
        self.work(1)
        self.publish()
        for number in (2, 3):
            self.turn(number)
            self.work(1)
            self.publish()

    def turn(self, number: int) -> None:
        old = self.folder / ("signing.pem" if number == 2 else f"key-{number - 1}.pem")
        rotate(old, self.folder / f"key-{number}.pem")
        self.use(self.folder / f"key-{number}.pem")
        self.keys.append(self.key.public_key)

    def use(self, file: Path) -> None:
        self.key = open_key(file)
        object.__setattr__(self.publisher, "signer", self.key)


@pytest.fixture
def rotated(store: SqlStore, tmp_path: Path) -> Rotated:
    return Rotated(store, tmp_path)


@pytest.mark.parametrize("pinned", [None, 0, 1, 2])
def test_who_knows_any_of_the_keys_follows_to_all_heads(rotated: Rotated, url: str, pinned: int | None) -> None:
    found = look(url, rotated.heads, None if pinned is None else rotated.keys[pinned])
    assert (list(found.findings), found.heads) == ([], 3)
    assert found.keys == [(number + 1, key.hex()) for number, key in enumerate(rotated.keys)]


def test_a_stranger_s_key_is_not_among_them(rotated: Rotated, url: str, tmp_path: Path) -> None:
    found = look(url, rotated.heads, open_key(tmp_path / "stranger.pem").public_key)
    assert codes(found) == {FindingCode.HEAD_FORGED}


def test_a_key_that_the_last_one_did_not_endorse_signs_no_head(rotated: Rotated, tmp_path: Path) -> None:
    rotated.work(1)
    rotated.use(tmp_path / "fresh.pem")
    with pytest.raises(Conflict) as refused:
        rotated.publisher.publish()
    assert refused.value.code is RefusalCode.KEY_NOT_ENDORSED
    rotated.use(tmp_path / "key-2.pem")
    with pytest.raises(Conflict):
        rotated.publisher.publish()


def test_an_endorsement_that_another_key_signed_is_found(rotated: Rotated, url: str) -> None:
    """An intruder with the new key's place and no old key: the endorsement is their own."""
    file = rotated.heads / "head-00000002.json"
    head = json.loads(file.read_text())
    head["endorsements"][0]["signature"] = rotated.key.sign(b"something").hex()
    rewrite(file, json.dumps(head, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    found = look(url, rotated.heads)
    assert FindingCode.HEAD_FORGED in codes(found)
    assert any("signed with another key" in finding.detail for finding in found.findings)


def test_a_key_may_change_twice_between_two_heads(store: SqlStore, url: str, tmp_path: Path) -> None:
    made = Rotated(store, tmp_path)
    made.turn(4)
    made.turn(5)
    made.work(1)
    made.publish()
    assert look(url, made.heads, made.keys[0]).is_ok


def test_proofs_and_statements_lead_from_an_old_key_to_the_new(rotated: Rotated, url: str, tmp_path: Path) -> None:
    chain = read_chain(HeadFolder(rotated.heads), is_signed, None)
    with open_evidence(url) as evidence:
        row = json.dumps(prove_row(evidence, chain, "transactions", "1"))
    growth = json.dumps(prove_growth(chain, 1, 3))
    statement = sign_statement({"period": "2026-10"}, rotated.key, Instant(0))
    stranger = open_key(tmp_path / "stranger.pem").public_key
    assert check(row, is_signed, rotated.keys[0]).is_ok
    assert check(row, is_signed, rotated.keys[2]).is_ok
    assert check(growth, is_signed, rotated.keys[0]).is_ok
    assert verify_statement(statement, is_signed, rotated.keys[0]).holds
    assert verify_statement(statement, is_signed, rotated.keys[2]).holds
    for content in (row, growth):
        assert not check(content, is_signed, stranger).is_ok
        cut = json.loads(content)
        cut["endorsements"].pop(0)
        assert not check(json.dumps(cut), is_signed, rotated.keys[0]).is_ok
    assert not verify_statement(statement, is_signed, stranger).holds


def test_a_rotation_makes_a_new_key_once(tmp_path: Path) -> None:
    old = open_key(tmp_path / "old.pem")
    made = rotate(tmp_path / "old.pem", tmp_path / "new.pem")
    assert open_key(tmp_path / "new.pem").endorsements == made.endorsements
    assert (made.endorsements[0].old, made.endorsements[0].new) == (old.public_key.hex(), made.public_key.hex())
    with pytest.raises(Conflict):
        rotate(tmp_path / "old.pem", tmp_path / "new.pem")
    with pytest.raises(InvalidInput):
        rotate(tmp_path / "old.pem", tmp_path / "old.pem")
    (tmp_path / "new.pem.endorsed").write_text("{}")
    with pytest.raises(InvalidInput):
        open_key(tmp_path / "new.pem")


@pytest.mark.parametrize("found", [None, {}, [1], [{}], [{"old": "0" * 64, "new": "0" * 64, "signature": "zz"}]])
def test_what_is_no_list_of_endorsements_is_refused(found: object) -> None:
    with pytest.raises(ValueError, match=r"expected|hex"):
        parse_endorsements(found)
