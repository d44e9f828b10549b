"""Who may do what, and who did: tokens taken back, people forgotten, the log and the review of access."""

import csv
import io
from pathlib import Path

from scheduler.adapters.head_folder import HeadFolder
from scheduler.adapters.signing import is_signed
from scheduler.adapters.sql.evidence import open_evidence
from scheduler.domain.people import Caller, Role
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.running import Service
from scheduler.finance.proving.verification import verify
from scheduler.lifecycle.accounting.publish import Publisher
from tests.entrypoints.cli.conftest import Allot, command_for
from tests.entrypoints.company import NOON, small_company, token_of
from tests.entrypoints.serving import served


def test_a_token_is_listed_and_taken_back(allot: Allot, service: Service) -> None:
    made = allot("token", "issue", "ada", "--role", "engineer", "--json", who="olga")
    token_id = hash_of(made.json["token"])[:16]
    listed = {t["id"]: t for t in allot("token", "list", "--json", who="aud").json["items"]}
    assert (listed[token_id]["subject"], listed[token_id]["roles"]) == ("ada", ["engineer"])
    assert listed[token_id]["issued_by"].startswith("e-")
    assert allot("whoami", who=None, ALLOT_TOKEN=made.json["token"]).code == 0
    assert allot("token", "revoke", token_id, who="aud").code == 4
    taken = allot("token", "revoke", token_id[:8], who="olga")
    assert f"{token_id} of ada is revoked" in taken.out
    with service.store.reading() as books:
        assert books.people.caller_of(hash_of(made.json["token"]), NOON) is None
    again = allot("token", "revoke", token_id, who="olga")
    assert (again.code, "unknown-token" in again.err) == (1, True)
    assert token_id not in allot("token", "list", who="olga").out


def test_a_token_whose_answer_was_lost_is_named_so_that_it_can_be_taken_back(allot: Allot) -> None:
    issue = ("token", "issue", "ada", "--role", "engineer", "--idempotency-key", "k-1")
    first = allot(*issue, who="olga")
    again = allot(*issue, who="olga")
    assert (first.code, again.code, again.out) == (0, 1, ""), (
        "a script that reads the token is not handed an empty one"
    )
    token_id = hash_of(first.out.strip())[:16]
    assert f"allot token revoke {token_id}" in again.err
    assert allot("token", "revoke", token_id, who="olga").code == 0


def test_an_ambiguous_beginning_of_a_token_revokes_none(allot: Allot, service: Service) -> None:
    with service.store.reading() as books:
        first = sorted(token.id[0] for token in books.people.tokens())
        before = len(books.people.tokens())
    twice = next(letter for letter in first if first.count(letter) > 1)
    refused = allot("token", "revoke", twice, who="olga")
    assert (refused.code, "wrong-state" in refused.err) == (1, True)
    with service.store.reading() as books:
        assert len(books.people.tokens()) == before


def test_the_review_says_who_holds_which_role_since_when_and_by_whom(allot: Allot) -> None:
    held = allot("audit", "access", "--json", who="aud").json["items"]
    fin = [(h["credential"], h["role"], h["since"], h["by"]) for h in held if h["subject"] == "fin"]
    noon = "2026-11-20T12:00:00Z"
    assert fin == [("directory", "finance", noon, "test"), (hash_of(token_of("fin"))[:16], "finance", noon, "test")]
    assert allot("audit", "access", who="ada").code == 4
    seen = allot("audit", "access", who="olga").out
    assert "finance" in seen
    assert max(map(len, seen.splitlines())) <= 80
    people = [h["subject"] or h["principal"] for h in held]
    assert people == sorted(people), "one after the other, to be read down"


def test_the_log_tells_actor_role_time_request_and_what_changed(allot: Allot, tmp_path: Path) -> None:
    assert allot("grant", "ada", "5h", "--reason", "more", who="fin").code == 0
    events = allot("audit", "log", "--json", who="aud").json["items"]
    granted = events[0]
    assert (granted["actor"], granted["role"], granted["verb"]) == ("fin", "finance", "grant")
    assert granted["request_id"].startswith("r-")
    assert [e["seq"] for e in events] == sorted((e["seq"] for e in events), reverse=True)
    person = next(e for e in events if e["verb"] == "change person")
    assert (person["before"], person["after"]) != ("", "")
    assert allot("audit", "log", "--limit", "2", "--json", who="aud").json["items"] == events[:2]
    assert allot("audit", "log", who="fin").code == 4
    assert "grant" in allot("audit", "log", who="aud").out


def test_the_log_names_people_where_it_keeps_their_ids(allot: Allot, service: Service) -> None:
    ada = service.world.by_subject["ada"].id
    events = allot("audit", "log", "--target", ada, "--json", who="aud").json["items"]
    assert {(e["target"], e["target_name"]) for e in events} == {(ada, "ada")}
    shown = allot("audit", "log", who="aud").out
    assert (" ada\n" in shown, "e-" in shown, "system:" in shown) == (True, False, False)
    assert "service start" in shown
    assert max(map(len, max(shown.splitlines(), key=len).split())) < 20, "of a file the beginning of its hash"
    assert max(map(len, shown.splitlines())) <= 80


def test_a_review_names_who_gave_a_role(allot: Allot) -> None:
    assert allot("token", "issue", "bao", "--role", "engineer", who="olga").code == 0
    held = allot("audit", "access", "--json", who="aud").json["items"]
    assert {h["by"] for h in held} == {"olga", "test"}


def test_the_log_as_csv_is_safe_to_open(allot: Allot, service: Service) -> None:
    evil = Caller("=cmd|x", frozenset({Role.OPERATOR}))
    service.administration.issue_token(evil, "@n", frozenset({Role.LEAD}), hash_of("x"), now=NOON)
    shown = allot("audit", "log", "--csv", "--limit", "1", who="aud")
    rows = list(csv.DictReader(io.StringIO(shown.out)))
    assert (rows[0]["actor"], rows[0]["target"]) == ("'=cmd|x", "'@n")


def test_forgetting_a_person_leaves_every_proof_valid(tmp_path: Path) -> None:
    service = small_company(database=f"sqlite:///{tmp_path}/books.db")
    publisher = service.publisher
    assert isinstance(publisher, Publisher)
    with served(service, with_loops=False) as address:
        allot = command_for(address, tmp_path)
        assert allot("grant", "ada", "5h", "--reason", "more", who="fin").code == 0
        publisher.publish()
        assert allot("people", "forget", "fin", "--yes", who="ada").code == 4
        assert allot("people", "forget", "fin", "--yes", who="pam").code == 0
        assert allot("people", "forget", "fin", "--yes", who="pam").code == 1
        log = allot("audit", "log", "--json", who="aud").json["items"]
        assert {event["verb"] for event in log if event["actor"].startswith("e-")} >= {"grant"}
        publisher.publish()
        with open_evidence(f"sqlite:///{tmp_path}/books.db") as evidence:
            found = verify(evidence, HeadFolder(tmp_path / "books.db.heads"), is_signed)
        assert (found.is_ok, list(found.findings)) == (True, [])
