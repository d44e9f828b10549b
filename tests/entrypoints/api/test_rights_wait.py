"""Two persons for rights: a people file or a token that gives somebody more is nothing until another approves it."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import httpx
import pytest
from sqlalchemy import inspect, text

from scheduler.adapters.sql.books.people import SqlPeople
from scheduler.domain.access import TokenRecord
from scheduler.domain.errors import Conflict, NotPermitted, RefusalCode
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.units import EngineerId, Instant, TeamName, TierName
from scheduler.entrypoints.bootstrap import build
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.settings import ClusterKind, Settings
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import NOON, POLICY, SYSTEM, CountedIds, HandClock, SilentCluster, token_of
from tests.entrypoints.two_persons import want_two_persons
from tests.plugins.migrated import open_migrated


def people(*lines: str) -> str:
    return "version: 1\nengineers:\n" + "".join(f"- {{{line}}}\n" for line in lines)


ZOE = "subject: zoe@example.com, name: Zoe Zimmer, team: research, tier: engineer"
BOB_LEADS = "subject: bob, name: Bob, team: research, tier: engineer, roles: [engineer, lead]"
OLGA_PAYS = "subject: olga, name: Olga, team: platform, tier: staff, roles: [engineer, operator, finance]"


async def put(client: httpx.AsyncClient, text: str) -> httpx.Response:
    return await client.put("/v1/people", params={"name": "people.yaml"}, content=text)


async def approve(as_: Client, who: str, name: str) -> tuple[int, str]:
    answer = await as_(who).post(f"/v1/approvals/{name}/approve", json={})
    return answer.status_code, answer.json().get("code", answer.json().get("state"))


async def roles_of(as_: Client, subject: str) -> list[str] | None:
    items = (await as_("olga").get("/v1/people")).json()["items"]
    return next((sorted(each["roles"]) for each in items if each["subject"] == subject), None)


async def test_a_people_file_that_gives_more_waits_for_another_who_approves_its_hash(
    service: Service, as_: Client
) -> None:
    want_two_persons(service)
    file = people(ZOE, BOB_LEADS)
    made = await put(as_("olga"), file)
    assert made.status_code == 202
    waiting = made.json()
    assert (waiting["kind"], waiting["deciders"]) == ("people", ["people", "operator"])
    assert waiting["hash"] == sha256(file.encode()).hexdigest()
    assert [(each["path"], each["before"], each["after"]) for each in waiting["raises"]] == [
        ("zoe@example.com", None, "research/engineer: engineer"),
        ("bob", "research/engineer: engineer", "research/engineer: engineer, lead"),
    ]
    assert await roles_of(as_, "zoe@example.com") is None
    assert await roles_of(as_, "bob") == ["engineer"]
    assert (await put(as_("olga"), file)).json()["id"] == waiting["id"], "sent twice, it waits once"

    assert await approve(as_, "olga", waiting["hash"]) == (403, "own-request")
    assert await approve(as_, "ada", waiting["hash"]) == (404, "unknown-proposal")
    assert await approve(as_, "pam", waiting["hash"]) == (200, "approved")

    assert await roles_of(as_, "zoe@example.com") == ["engineer"]
    assert await roles_of(as_, "bob") == ["engineer", "lead"]
    held = [each for each in service.access.review(SYSTEM, NOON) if (each.subject, each.role) == ("bob", "lead")]
    assert [(each.credential, each.since) for each in held] == [("directory", NOON)]


async def test_a_file_that_takes_or_renames_needs_one_person(service: Service, as_: Client) -> None:
    want_two_persons(service)
    taken = people("subject: lea, name: Lea Leaf, team: research, tier: senior, roles: [engineer]")
    assert (await put(as_("pam"), taken)).status_code == 200
    assert await roles_of(as_, "lea") == ["engineer"]


async def test_nobody_approves_what_gives_themselves_more(service: Service, as_: Client) -> None:
    want_two_persons(service)
    waiting = (await put(as_("pam"), people(OLGA_PAYS))).json()
    assert await approve(as_, "olga", waiting["id"]) == (403, "self-benefit")
    assert await roles_of(as_, "olga") == ["engineer", "operator"]


async def test_a_file_that_was_judged_against_another_directory_is_stale(service: Service, as_: Client) -> None:
    want_two_persons(service)
    waiting = (await put(as_("olga"), people(BOB_LEADS))).json()
    assert (await put(as_("olga"), people("subject: lea, team: research, tier: senior"))).status_code == 200
    assert await approve(as_, "pam", waiting["id"]) == (409, "stale")


async def test_a_token_is_good_once_another_person_approved_it(service: Service, as_: Client) -> None:
    want_two_persons(service)
    body = {"subject": "fin", "roles": ["finance"]}
    key = {"Idempotency-Key": "for-fin"}
    made = await as_("olga").post("/v1/tokens", json=body, headers=key)
    assert made.status_code == 202
    again = await as_("olga").post("/v1/tokens", json=body, headers=key)
    assert (again.status_code, again.json()) == (202, made.json() | {"token": None}), "it waits once"
    token, approval = made.json()["token"], made.json()["approval"]
    assert token not in str(approval), "the secret is shown to who asked, once"
    headers = {"Authorization": f"Bearer {token}"}
    assert (await as_(None).get("/v1/me", headers=headers)).status_code == 401

    assert await approve(as_, "olga", approval["hash"]) == (403, "own-request")
    assert await approve(as_, "fin", approval["hash"]) == (404, "unknown-proposal")
    assert await approve(as_, "pam", approval["hash"]) == (200, "approved")

    assert (await as_(None).get("/v1/me", headers=headers)).json()["roles"] == ["finance"]
    (mine,) = [each for each in service.access.tokens(SYSTEM, NOON) if each.id == approval["file"].split()[1]]
    assert mine.subject == "fin"


async def test_nobody_approves_a_token_in_their_own_name(service: Service, as_: Client) -> None:
    want_two_persons(service)
    body = {"subject": "pam", "roles": ["people", "operator"]}
    approval = (await as_("olga").post("/v1/tokens", json=body)).json()["approval"]
    assert await approve(as_, "pam", approval["id"]) == (403, "self-benefit")


async def test_a_token_that_would_have_ended_is_stale(service: Service, as_: Client) -> None:
    want_two_persons(service)
    body = {"subject": "bob", "roles": ["engineer"], "expires_at": "2026-11-20T12:00:01Z"}
    approval = (await as_("olga").post("/v1/tokens", json=body)).json()["approval"]
    service.clock.at = NOON + 2_000  # type: ignore[attr-defined]
    assert await approve(as_, "pam", approval["id"]) == (409, "stale")


async def test_a_node_s_token_does_not_wait(service: Service, as_: Client) -> None:
    want_two_persons(service)
    assert (await as_("olga").post("/v1/tokens", json={"subject": "node:n-1", "roles": ["agent"]})).status_code == 201
    both = {"subject": "node:n-1", "roles": ["agent", "operator"]}
    assert (await as_("olga").post("/v1/tokens", json=both)).status_code == 202


def test_the_first_operator_begins_alone_and_the_third_token_waits() -> None:
    first = "first-" + "0" * 32
    settings = Settings(cluster=ClusterKind.KUBERNETES, database="sqlite://", policy=POLICY, bootstrap_token=first)
    service = build(settings, store=open_migrated(), clock=HandClock(), cluster=SilentCluster(), ids=CountedIds())
    want_two_persons(service)
    olga = Engineer(
        EngineerId(""), "olga", TeamName("platform"), TierName("staff"), "Olga", frozenset({Role.OPERATOR})
    )
    service.administration.apply_people(SYSTEM, [olga], now=NOON)
    service.administration.issue_token(SYSTEM, "olga", olga.roles, "1" * 64, now=NOON)
    with pytest.raises(Conflict) as refused:
        service.administration.issue_token(SYSTEM, "pam", frozenset({Role.PEOPLE}), "2" * 64, now=NOON)
    assert refused.value.code is RefusalCode.APPROVAL_NEEDED
    service.store.close()


async def test_what_the_bootstrap_token_issues_is_good_at_once_while_the_service_runs_with_it(
    service: Service, as_: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    want_two_persons(service)
    asked = [{"subject": f"new-{role}", "roles": [role]} for role in ("finance", "operator", "auditor")]
    with monkeypatch.context() as patched:
        patched.setattr(service.settings, "bootstrap_token", token_of("olga"))
        made = [await as_("olga").post("/v1/tokens", json=body) for body in asked]
        assert [answer.status_code for answer in made] == [201, 201, 201]
        other = await as_("lea").post("/v1/tokens", json=asked[0])
        assert other.status_code == 403, "only that token's word is the host's"
        people_file = await put(as_("olga"), people(ZOE))
        assert people_file.status_code == 202, "a seat in the directory is hours: that waits"
    bearer = {"Authorization": f"Bearer {made[0].json()['token']}"}
    assert (await as_(None).get("/v1/me", headers=bearer)).json()["roles"] == ["finance"]
    held = {(each.subject, each.by) for each in service.access.review(SYSTEM, NOON)}
    assert ("new-finance", "olga") in held
    assert (await as_("olga").post("/v1/tokens", json=asked[0])).status_code == 202, "it runs without the setting"


def test_a_start_says_that_the_bootstrap_token_is_there_once_two_can_agree(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Settings(
        cluster=ClusterKind.KUBERNETES, database="sqlite://", policy=POLICY, bootstrap_token="first-" + "0" * 32
    )
    store = open_migrated()
    said = []
    for _ in range(2):
        caplog.clear()
        service = build(settings, store=store, clock=HandClock(), cluster=SilentCluster(), ids=CountedIds())
        said.append("ALLOT_BOOTSTRAP_TOKEN issues tokens" in caplog.text)
        want_two_persons(service)
        service.rights.issue_token(SYSTEM, TokenRecord("1" * 64, "olga", frozenset({Role.OPERATOR})), now=NOON)
    assert said == [False, True]
    store.close()


@pytest.mark.parametrize("what", ["people", "token"])
def test_no_command_goes_round_the_second_person(service: Service, what: str) -> None:
    want_two_persons(service)
    bob = next(person for person in service.world.people.values() if person.subject == "bob")
    more = replace(bob, roles=frozenset({Role.ENGINEER, Role.OPERATOR}))
    acts: dict[str, Callable[[], object]] = {
        "people": lambda: service.administration.apply_people(SYSTEM, [more], now=NOON),
        "token": lambda: service.administration.issue_token(SYSTEM, "bob", more.roles, "0" * 64, now=NOON),
    }
    with pytest.raises(Conflict) as refused:
        acts[what]()
    assert refused.value.code is RefusalCode.APPROVAL_NEEDED


async def test_names_of_a_file_that_waits_are_in_no_proof_and_go_when_it_is_decided(
    service: Service, as_: Client
) -> None:
    want_two_persons(service)
    waiting = (await put(as_("olga"), people(ZOE))).json()
    assert tables_that_know(service, "zimmer") == {"proposed_people"}
    reason = {"reason": "not before March"}
    assert (await as_("pam").post(f"/v1/approvals/{waiting['id']}/reject", json=reason)).status_code == 200
    assert tables_that_know(service, "zimmer") == set()


async def test_who_is_forgotten_is_forgotten_in_what_waits_too(service: Service, as_: Client) -> None:
    want_two_persons(service)
    renamed = people("subject: bob, name: Bob Zimmer, team: research, tier: senior")
    waiting = (await put(as_("olga"), renamed)).json()
    service.access.forget(SYSTEM, "bob", now=NOON)
    assert tables_that_know(service, "zimmer") == set()
    assert await approve(as_, "pam", waiting["id"]) == (409, "stale")


def tables_that_know(service: Service, word: str) -> set[str]:
    """Tables with a row that has the word in any value."""
    with service.store.reading() as books:
        assert isinstance(books.people, SqlPeople)
        connection = books.people.connection
        return {
            table
            for table in inspect(connection).get_table_names()
            for row in connection.execute(text(f'SELECT * FROM "{table}"'))  # noqa: S608  # names of ours
            if any(word in str(value).lower() for value in row)
        }


async def test_nobody_gives_themselves_a_role_where_one_person_is_enough(as_: Client) -> None:
    olga = as_("olga")
    for roles in (["finance"], ["engineer", "people"], ["gateway"]):
        answer = await olga.post("/v1/tokens", json={"subject": "olga", "roles": roles})
        assert (answer.status_code, answer.json()["code"]) == (403, "self-benefit")
    assert (await olga.post("/v1/tokens", json={"subject": "olga", "roles": ["operator"]})).status_code == 201
    assert (await olga.post("/v1/tokens", json={"subject": "bob", "roles": ["finance"]})).status_code == 201


async def test_nobody_gives_themselves_more_by_a_people_file_where_one_person_is_enough(as_: Client) -> None:
    refused = await put(as_("olga"), people(ZOE, OLGA_PAYS))
    assert (refused.status_code, refused.json()["code"]) == (403, "self-benefit")
    assert await roles_of(as_, "zoe@example.com") is None
    assert (await put(as_("pam"), people(OLGA_PAYS))).status_code == 200
    finance = {"subject": "olga", "roles": ["finance"]}
    assert (await as_("olga").post("/v1/tokens", json=finance)).status_code == 201


async def test_what_one_operator_could_give_a_colleague_alone_waits_where_access_takes_two(
    service: Service, as_: Client
) -> None:
    """A token in another's name is what the rule above leaves open: with it, one could agree with oneself."""
    want_two_persons(service)
    made = await as_("olga").post("/v1/tokens", json={"subject": "bob", "roles": ["finance"]})
    assert made.status_code == 202
    bearer = {"Authorization": f"Bearer {made.json()['token']}"}
    assert (await as_(None).get("/v1/me", headers=bearer)).status_code == 401
    assert await approve(as_, "olga", made.json()["approval"]["hash"]) == (403, "own-request")
    assert (await as_(None).get("/v1/me", headers=bearer)).status_code == 401


def test_who_lost_every_operators_token_comes_back_by_two_starts_for_two_persons() -> None:
    store, clock, ids = open_migrated(), HandClock(), CountedIds()

    def start(subject: str, token: str) -> Service:
        settings = Settings(
            cluster=ClusterKind.KUBERNETES,
            database="sqlite://",
            policy=POLICY,
            bootstrap_token=token,
            bootstrap_subject=subject,
        )
        return build(settings, store=store, clock=clock, cluster=SilentCluster(), ids=ids)

    service = start("olga", "first-" + "0" * 32)
    want_two_persons(service)
    service.administration.issue_token(SYSTEM, "olga", frozenset({Role.OPERATOR}), "1" * 64, now=NOON)
    service = start("pam", "second-" + "0" * 32)
    olga, pam = (Caller(who, frozenset({Role.OPERATOR, Role.AUDITOR})) for who in ("olga", "pam"))
    waiting = service.rights.issue_token(olga, TokenRecord("3" * 64, "zoe", frozenset({Role.PEOPLE})), now=NOON)
    assert waiting.waits_for is not None
    with pytest.raises(NotPermitted):
        service.approvals.approve(olga, waiting.waits_for, now=NOON)
    service.approvals.approve(pam, waiting.waits_for, now=NOON)
    held = {(each.subject, each.by) for each in service.access.review(pam, NOON) if each.role == "operator"}
    assert held >= {("olga", "system:bootstrap"), ("pam", "system:bootstrap")}
    assert ("zoe", "people") in {(each.subject, each.role) for each in service.access.review(pam, NOON)}
    store.close()


def test_a_token_issued_twice_is_one_and_for_somebody_else_a_conflict(service: Service) -> None:
    """Whoever got no answer asks again in the same words."""
    issue, auditor = service.administration.issue_token, frozenset({Role.AUDITOR})
    for _ in range(2):
        issue(SYSTEM, "robot", auditor, "4" * 64, now=NOON)
    held = [each for each in service.access.review(SYSTEM, NOON) if each.subject == "robot"]
    assert len(held) == 1
    others: tuple[tuple[str, frozenset[Role], Instant | None], ...] = (
        ("bob", auditor, None),
        ("robot", frozenset({Role.FINANCE}), None),
        ("robot", auditor, Instant(NOON + 1)),
    )
    for subject, roles, expires_at in others:
        with pytest.raises(Conflict) as refused:
            issue(SYSTEM, subject, roles, "4" * 64, now=NOON, expires_at=expires_at)
        assert refused.value.code is RefusalCode.IDEMPOTENCY_CONFLICT
    assert [each for each in service.access.review(SYSTEM, NOON) if each.subject == "robot"] == held
