"""`allot audit rotate-key` from the command line, and a verification across it."""

from pathlib import Path

from scheduler.adapters.signing import open_key
from tests.entrypoints.cli.conftest import Audited


def test_a_key_is_rotated_offline_and_whoever_knows_either_verifies(audited: Audited, tmp_path: Path) -> None:
    first = audited.run("audit", "head", "--json", who="aud").json["key"]
    old, new = f"{tmp_path}/books.db.key", f"{tmp_path}/next.pem"
    made = audited.run("audit", "rotate-key", new, "--signing-key", old, "--json", who=None)
    assert (made.code, made.json["endorsed_by"], made.json["rotations"]) == (0, first, 1)
    publisher = audited.service.publisher
    assert publisher is not None
    object.__setattr__(publisher, "signer", open_key(tmp_path / "next.pem"))
    assert audited.run("grant", "ada", "5h", "--reason", "more", who="fin").code == 0
    assert audited.run("audit", "head", "--json", who="aud").json["key"] == made.json["key"]
    for known in (first, made.json["key"]):
        found = audited.offline("verify", "--public-key", known, "--json")
        assert (found.code, found.json["key_pinned"]) == (0, True)
        assert found.json["keys"] == [{"key": first, "first_head": 1}, {"key": made.json["key"], "first_head": 2}]
    assert "from head 2" in audited.offline("verify").out
    assert audited.offline("verify", "--public-key", "ab" * 32).code == 1


def test_a_rotation_says_what_to_do_next_and_refuses_to_be_repeated(audited: Audited, tmp_path: Path) -> None:
    audited.run("audit", "head", who="aud")
    arguments = ("audit", "rotate-key", f"{tmp_path}/next.pem", "--signing-key", f"{tmp_path}/books.db.key")
    shown = audited.run(*arguments, who=None)
    assert (shown.code, "--signing-key" in shown.out) == (0, True)
    assert audited.run(*arguments, who=None).code == 1
    missing = audited.run("audit", "rotate-key", f"{tmp_path}/x.pem", "--signing-key", f"{tmp_path}/no", who=None)
    assert (missing.code, "which key goes?" in missing.err) == (2, True)


def test_a_service_whose_key_is_not_endorsed_publishes_nothing(audited: Audited, tmp_path: Path) -> None:
    audited.run("audit", "head", who="aud")
    publisher = audited.service.publisher
    assert publisher is not None
    object.__setattr__(publisher, "signer", open_key(tmp_path / "stranger.pem"))
    assert audited.run("grant", "ada", "5h", "--reason", "more", who="fin").code == 0
    refused = audited.run("audit", "head", who="aud")
    assert (refused.code, "key-not-endorsed" in refused.err) == (1, True)
