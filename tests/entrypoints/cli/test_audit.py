"""The audit from the command line: what auditors and finance type, on a company and on copies of its books."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from scheduler.adapters.signing import open_key
from scheduler.entrypoints.heads import key_file, place_of_heads, seconds_between_heads
from scheduler.entrypoints.settings import ClusterKind, Settings
from tests.adapters.public_keys import public_key_pem
from tests.entrypoints.cli.conftest import Audited


def test_a_head_is_published_and_the_database_verified_against_it(audited: Audited) -> None:
    made = audited.run("audit", "head", "--json", who="aud")
    assert (made.code, made.json["number"], made.json["is_new"]) == (0, 1, True)
    assert audited.run("audit", "head", "--json", who="aud").json["is_new"] is False
    found = audited.offline("verify", "--json")
    assert (found.code, found.json["ok"], found.json["first_bad_row"], found.json["unanchored_rows"]) == (
        0,
        True,
        None,
        0,
    )
    shown = audited.offline("verify")
    assert shown.code == 0
    assert "Nothing was altered." in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80


def test_a_changed_row_is_named_and_ends_with_1(audited: Audited) -> None:
    audited.run("audit", "head", who="aud")
    copy = audited.copied()
    with closing(sqlite3.connect(copy.removeprefix("sqlite:///"))) as connection:
        connection.execute("DROP TRIGGER transactions_no_update")
        connection.execute("UPDATE transactions SET memo = memo || '.' WHERE seq = 2")
        connection.commit()
    found = audited.offline("verify", "--json", database=copy)
    assert found.code == 1
    assert (found.json["first_bad_row"]["table"], found.json["first_bad_row"]["row"]) == ("transactions", 2)
    assert "transactions 2" in audited.offline("verify", database=copy).out


def test_a_file_that_is_no_database_is_a_finding_and_one_that_is_not_there_a_mistake(audited: Audited) -> None:
    (audited.folder / "rubbish.db").write_bytes(b"SQLite format 3\0" + b"rubbish" * 1000)
    found = audited.offline("verify", "--json", database=f"sqlite:///{audited.folder}/rubbish.db")
    assert (found.code, found.json["ok"], found.json["findings"][0]["code"]) == (1, False, "unreadable")
    missing = audited.offline("verify", "--json", database=f"sqlite:///{audited.folder}/none.db")
    assert (missing.code, missing.out) == (2, "")


def test_a_row_is_proven_to_who_has_the_public_key_alone(audited: Audited, tmp_path: Path) -> None:
    audited.run("audit", "head", who="aud")
    shown = audited.offline("prove", "row", "transactions", "1")
    assert '"transactions"\n1\n' in shown.out
    assert "It holds: the row stood in the database under head 1" in shown.out
    proof = audited.offline("prove", "row", "transactions", "1", "--json")
    assert proof.code == 0, proof.err
    (tmp_path / "proof.json").write_text(proof.out)
    (tmp_path / "ours.pem").write_bytes(public_key_pem(open_key(tmp_path / "books.db.key").public_key))
    (tmp_path / "other.pem").write_bytes(public_key_pem(open_key(tmp_path / "other.key").public_key))
    file = str(tmp_path / "proof.json")
    assert audited.run("audit", "check", file, "--public-key", str(tmp_path / "ours.pem"), who=None).code == 0
    assert audited.run("audit", "check", file, "--public-key", str(tmp_path / "other.pem"), who=None).code == 1
    forged = json.loads(proof.out)
    forged["leaf"] = forged["leaf"].replace("grant", "gramt")
    (tmp_path / "proof.json").write_text(json.dumps(forged))
    assert audited.run("audit", "check", file, "--json", who=None).json["ok"] is False
    for name, other in (("row", "2"), ("table", "entries"), ("table", "holds"), ("sealed", "x")):
        (tmp_path / "proof.json").write_text(json.dumps({**json.loads(proof.out), name: other}))
        assert audited.run("audit", "check", file, who=None).code == 1, "it is a proof of the row that it names"
    (tmp_path / "proof.json").write_text('{"leaf": "another",' + proof.out.lstrip()[1:])
    assert "stands there twice" in " ".join(audited.run("audit", "check", file, who=None).out.split())
    (tmp_path / "proof.json").write_text("[]")
    assert audited.run("audit", "check", file, who=None).code == 1
    assert audited.offline("prove", "row", "transactions", "4711").code == 1
    assert audited.offline("prove", "row", "engineers", "ada").code == 1


def test_a_head_is_proven_to_extend_an_earlier_one(audited: Audited, tmp_path: Path) -> None:
    audited.run("audit", "head", who="aud")
    assert audited.run("grant", "ada", "5h", "--reason", "more", who="fin").code == 0
    assert audited.run("audit", "head", "--json", who="aud").json["number"] == 2
    heads = f"{audited.folder}/books.db.heads"
    proof = audited.run("audit", "prove", "growth", "1", "2", "--heads", heads, "--json", who=None)
    (tmp_path / "growth.json").write_text(proof.out)
    assert audited.run("audit", "check", str(tmp_path / "growth.json"), "--json", who=None).json["ok"] is True
    assert audited.run("audit", "prove", "growth", "1", "7", "--heads", heads, who=None).code == 1


def test_balances_are_compared_with_the_journal_online_and_offline(audited: Audited) -> None:
    online = audited.run("audit", "rebuild", "--json", who="aud")
    assert (online.code, online.json["ok"], online.json["differences"]) == (0, True, [])
    assert audited.offline("rebuild", "--json").json == online.json
    copy = audited.copied()
    with closing(sqlite3.connect(copy.removeprefix("sqlite:///"))) as connection:
        connection.execute("UPDATE accounts SET balance = balance + 1 WHERE id = 1")
        connection.commit()
    found = audited.offline("rebuild", "--json", database=copy)
    (difference,) = found.json["differences"]
    assert (found.code, difference["cached"] - difference["rebuilt"]) == (1, 1)
    assert audited.offline("rebuild", "--json", database=copy).json == found.json, "nothing was repaired"
    assert audited.offline("rebuild", database=copy).code == 1


def test_an_engineer_neither_publishes_nor_rebuilds(audited: Audited) -> None:
    assert audited.run("audit", "head").code == 4
    assert audited.run("audit", "rebuild").code == 4


def test_without_a_place_for_heads_it_is_said(audited: Audited) -> None:
    audited.service.publisher = None
    refused = audited.run("audit", "head", who="aud")
    assert (refused.code, "heads-unavailable" in refused.err) == (5, True)
    offline = audited.offline("verify", database="postgresql://nobody@nowhere/x")
    assert (offline.code, "--heads" in offline.err) == (2, True)


# --- periods ---------------------------------------------------------------------------------------------------------


def test_a_period_is_closed_listed_and_shown(audited: Audited) -> None:
    assert audited.run("period", "list", "--json", who="fin").json["items"] == []
    closed = audited.run("period", "close", "2026-10", "--json", who="fin")
    assert (closed.code, closed.json["state"], closed.json["period"]) == (0, "closed", "2026-10")
    assert audited.run("period", "show", "2026-10", "--json", who="aud").json["state"] == "closed"
    assert [s["state"] for s in audited.run("period", "list", "--json", who="aud").json["items"]] == [
        "provisional",
        "closed",
    ]
    assert audited.run("period", "close", "2026-10", who="fin").code == 1
    assert "closed" in audited.run("period", "list", who="fin").out
    assert "2026-10: closed" in audited.run("period", "show", "2026-10", who="fin").out
    assert audited.offline("verify", "--json").json["unanchored_rows"] == 0


def test_what_cannot_be_closed_is_refused(audited: Audited) -> None:
    assert "period-not-over" in audited.run("period", "close", "2026-11", who="fin").err
    assert "unknown-period" in audited.run("period", "show", "2026-09", who="fin").err
    assert audited.run("period", "close", "2026-13", who="fin").code == 1
    assert audited.run("period", "close", "2026-10", who="aud").code == 4


def test_a_reconciliation_is_one_object_with_its_classes(audited: Audited) -> None:
    found = audited.run("reconcile", "--period", "2026-10", "--json", who="fin")
    assert (found.code, found.json["ok"], found.json["differences"]) == (0, True, [])
    assert "Everything agrees." in audited.run("reconcile", "--period", "2026-10", who="fin").out
    running = audited.run("reconcile", "--json", who="fin")
    assert (running.code, running.json["period"]) == (0, "2026-W47")
    none = audited.run("period", "write-off", "2026-10", "--reason", "x", who="fin")
    assert "0 differences" in none.out
    for owner, code in (("platform", "unknown-difference"), ("o", "unknown-owner")):
        unknown = audited.run("period", "assign", "2026-10", "2026-10/x", "--owner", owner, "-r", "x", who="fin")
        assert code in unknown.err


def test_where_heads_and_key_lie_follows_from_the_settings(tmp_path: Path) -> None:
    beside = Settings(database=f"sqlite:///{tmp_path}/books.db")
    assert (place_of_heads(beside), key_file(beside)) == (f"{tmp_path}/books.db.heads", tmp_path / "books.db.key")
    elsewhere = Settings(database="postgresql://allot@db/allot", heads="/mnt/worm/")
    assert (place_of_heads(elsewhere), key_file(elsewhere)) == ("/mnt/worm/", Path("/mnt/worm.key"))
    nowhere = Settings(database="postgresql://allot@db/allot")
    assert (place_of_heads(nowhere), key_file(nowhere)) == (None, None)
    assert seconds_between_heads(Settings(cluster=ClusterKind.KUBERNETES)) == 3600
    assert seconds_between_heads(Settings(factor=60)) == 60
