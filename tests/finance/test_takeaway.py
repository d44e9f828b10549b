"""A statement that is taken away: verified with the public key alone, and refused whatever in it was changed."""

import json
from pathlib import Path

import pytest

from scheduler.adapters.signing import KeyFile, is_signed, open_key
from scheduler.domain.units import Instant
from scheduler.finance.proving import takeaway
from scheduler.finance.proving.takeaway import sign_statement, verify_statement

STATEMENT = {"owner": "e-1", "owner_name": "Ada Å", "closing_ms": 2**60, "lines": [{"amount_ms": -1, "cost": None}]}


@pytest.fixture
def key(tmp_path: Path) -> KeyFile:
    return open_key(tmp_path / "key.pem")


def test_what_was_signed_verifies_with_the_public_key_and_nothing_else(key: KeyFile) -> None:
    found = verify_statement(sign_statement(STATEMENT, key, Instant(0)), is_signed, key.public_key)
    assert (found.holds, found.is_pinned, found.statement) == (True, True, STATEMENT)
    assert (found.issued_at, found.key) == ("1970-01-01T00:00:00Z", key.public_key.hex())


def test_without_the_key_it_says_that_it_rests_on_the_files_own(key: KeyFile) -> None:
    found = verify_statement(sign_statement(STATEMENT, key, Instant(0)), is_signed, None)
    assert (found.holds, found.is_pinned) == (True, False)


def test_another_companys_signature_is_refused(key: KeyFile, tmp_path: Path) -> None:
    other = open_key(tmp_path / "other.pem")
    found = verify_statement(sign_statement(STATEMENT, other, Instant(0)), is_signed, key.public_key)
    assert (found.holds, found.statement) == (False, None)
    assert "another key" in found.detail


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("statement", {**STATEMENT, "closing_ms": 2**60 + 1}),
        ("statement", {**STATEMENT, "owner": "e-2"}),
        ("issued_at", "2030-01-01T00:00:00Z"),
        ("signature", "00" * 64),
        ("extra", 1),
        ("format", "allot-statement/2"),
    ],
    ids=["an amount", "the owner", "the date", "the signature", "something added", "the format"],
)
def test_any_change_is_found(key: KeyFile, field: str, value: object) -> None:
    changed = json.loads(sign_statement(STATEMENT, key, Instant(0))) | {field: value}
    assert not verify_statement(json.dumps(changed), is_signed, key.public_key).holds


@pytest.mark.parametrize("forged", ['"statement":{"closing_ms":9},', '"issued_at":"2030-01-01T00:00:00Z",'])
def test_what_stands_there_twice_is_refused_though_the_second_was_signed(key: KeyFile, forged: str) -> None:
    """Who reads the file finds the first."""
    text = sign_statement(STATEMENT, key, Instant(0))
    outside = text.replace("{", "{" + forged, 1)
    inside = text.replace('"closing_ms"', '"closing_ms":9,"closing_ms"')
    for changed in (outside, inside):
        assert json.loads(changed) == json.loads(text)
        assert not verify_statement(changed, is_signed, key.public_key).holds


def test_another_format_is_refused_though_it_was_signed_so(key: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature of the company's on something else makes no statement of it."""
    with monkeypatch.context() as patched:
        patched.setattr(takeaway, "FORMAT", "allot-statement/2")
        other = sign_statement(STATEMENT, key, Instant(0))
    found = verify_statement(other, is_signed, key.public_key)
    assert (found.holds, found.detail) == (False, "it is no allot-statement/1")


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", '{"format":"allot-statement/1"}', "\ufffd", "[" * 100_000],
    ids=["nothing", "an object", "a list", "null", "a format alone", "noise", "depth"],
)
def test_what_is_no_statement_is_said_to_be_none(text: str) -> None:
    found = verify_statement(text, is_signed, None)
    assert (found.holds, found.statement) == (False, None)


def test_every_single_bit_counts(key: KeyFile) -> None:
    text = sign_statement(STATEMENT, key, Instant(0)).encode()
    for place in range(len(text) - 1):
        flipped = bytearray(text)
        flipped[place] ^= 1
        changed = bytes(flipped).decode("utf-8", errors="replace")
        assert not verify_statement(changed, is_signed, key.public_key).holds, changed[max(0, place - 9) : place + 9]
