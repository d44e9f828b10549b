"""Forgetting a person: nothing in the whole database has their name any more, and every proof holds."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine, inspect, text

from scheduler.adapters.head_folder import HeadFolder
from scheduler.adapters.signing import is_signed, open_key
from scheduler.adapters.sql.engine import parse
from scheduler.adapters.sql.evidence import open_evidence
from scheduler.adapters.sql.migrations.versions import v0011_opaque
from scheduler.domain.people import Engineer, Role
from scheduler.domain.units import EngineerId, TeamName, TierName
from scheduler.entrypoints.api.app import create_app
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.running import Service
from scheduler.finance.proving.verification import verify
from scheduler.lifecycle.accounting.publish import Publisher
from tests.entrypoints.api.test_approvals import GRANT
from tests.entrypoints.company import JOB, NOON, POLICY, SYSTEM, small_company, token_of

SUBJECT, NAME = "zebedee.quux", "Zebedee Quux"
PRICES = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
MOST = frozenset(Role) - {Role.AGENT}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/books.db"
    new_database: Callable[..., str] = request.getfixturevalue("new_postgres_database")
    return new_database(request.getfixturevalue("migrated_postgres_database"))


@pytest.fixture
def service(url: str) -> Iterator[Service]:
    made = small_company(database=url)
    person = Engineer(EngineerId(""), SUBJECT, TeamName("research"), TierName("staff"), NAME, MOST)
    made.administration.apply_people(SYSTEM, [person], now=NOON)
    made.administration.issue_token(SYSTEM, SUBJECT, MOST, hash_of(token_of(SUBJECT)), now=NOON)
    yield made
    made.store.close()


def dumped(url: str) -> str:
    """Every value of every table, as text."""
    engine = create_engine(parse(url))
    try:
        with engine.connect() as connection:
            tables = inspect(connection).get_table_names()
            rows = [
                f"{table} {tuple(row)}"
                for table in tables
                for row in connection.execute(text(f'SELECT * FROM "{table}"'))  # noqa: S608  # names of ours
            ]
        return "\n".join(rows)
    finally:
        engine.dispose()


def lines_with_their_name(url: str) -> list[str]:
    return [line for line in dumped(url).splitlines() if "zebedee" in line.lower() or "quux" in line.lower()]


async def leave_traces(person: httpx.AsyncClient) -> None:
    """Everything that a person can do whose traces the books keep: each has to be taken."""
    job = (await person.post("/v1/workloads", json=JOB, headers={"Idempotency-Key": "k-1"})).json()["id"]
    other = (await person.post("/v1/workloads", json=JOB)).json()["id"]
    end = "2026-11-21T12:00:00Z"
    answers = [
        await person.put(f"/v1/workloads/{job}/exemption", json={"why": "a demonstration", "expires_at": end}),
        await person.post(f"/v1/workloads/{other}/cancel"),
        await person.put("/v1/brakes/launch", json={"why": "rack 4"}),
        await person.put("/v1/brakes/preempt", json={"why": "rack 4"}),
        await person.post("/v1/grants", json=GRANT),
        await person.put("/v1/prices", params={"name": "prices.yaml"}, content=PRICES),
        await person.put("/v1/policy", params={"name": "next.yaml"}, content=POLICY.read_text() + "\n# next\n"),
        await person.post("/v1/requests", json={"kind": "hours", "amount_ms": 3_600_000, "reason": "more"}),
        await person.post("/v1/periods/2026-10/close", json={}),
        await person.post("/v1/tokens", json={"subject": "ada", "roles": ["engineer"]}),
    ]
    assert [(each.status_code, each.text) for each in answers if not each.is_success] == []


async def test_nothing_in_the_database_has_the_name_of_who_was_forgotten(
    service: Service, url: str, tmp_path: Path
) -> None:
    publisher = Publisher(
        service.store, HeadFolder(tmp_path / "heads"), open_key(tmp_path / "key.pem"), service.clock.now
    )
    service.publisher = publisher
    transport = httpx.ASGITransport(app=create_app(service, elapsed=lambda: service.clock.now() / 1000))
    headers = {"Authorization": f"Bearer {token_of(SUBJECT)}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://allot.test", headers=headers) as person:
        await leave_traces(person)
    publisher.publish()
    tables = {line.split()[0] for line in lines_with_their_name(url)}
    assert tables == {"engineers", "tokens"}, "before, their name stands where it can be erased, and nowhere else"

    headers = {"Authorization": f"Bearer {token_of('pam')}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://allot.test", headers=headers) as pam:
        assert (await pam.post(f"/v1/people/{SUBJECT}/forget")).is_success
    assert lines_with_their_name(url) == []
    publisher.publish()
    with open_evidence(url) as evidence:
        found = verify(evidence, HeadFolder(tmp_path / "heads"), is_signed)
    assert (list(found.findings), found.heads) == ([], 3)
    assert all("zebedee" not in file.read_text("latin-1").lower() for file in (tmp_path / "heads").iterdir())


async def test_whoever_reads_sees_the_name_until_then_and_the_opaque_id_after(service: Service) -> None:
    transport = httpx.ASGITransport(app=create_app(service, elapsed=lambda: service.clock.now() / 1000))
    headers = {"Authorization": f"Bearer {token_of(SUBJECT)}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://allot.test", headers=headers) as person:
        job = (await person.post("/v1/workloads", json=JOB)).json()["id"]
        put = await person.put("/v1/brakes/launch", json={"why": "rack 4"})
        await person.post(f"/v1/workloads/{job}/cancel")
    assert put.json()["by"] == SUBJECT

    async def shown() -> tuple[str, str]:
        headers = {"Authorization": f"Bearer {token_of('olga')}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://allot.test", headers=headers) as olga:
            cluster = (await olga.get("/v1/cluster")).json()
            explained = (await olga.get(f"/v1/workloads/{job}/explain")).json()
        return cluster["brakes"]["pauses"][0]["by"], explained["workload"]["verdict"]["sentence"]

    by, sentence = await shown()
    assert (by, SUBJECT in sentence) == (SUBJECT, True)
    person_id = service.access.forget(SYSTEM, SUBJECT, now=NOON)
    by, sentence = await shown()
    assert (by, person_id in sentence, SUBJECT in sentence) == (person_id, True, False)


async def test_a_database_of_before_is_cleaned_by_the_migration(service: Service, url: str) -> None:
    transport = httpx.ASGITransport(app=create_app(service, elapsed=lambda: service.clock.now() / 1000))
    headers = {"Authorization": f"Bearer {token_of('ada')}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://allot.test", headers=headers) as ada:
        assert (await ada.post("/v1/workloads", json=JOB)).is_success
    engine = create_engine(parse(url))
    with engine.begin() as connection:
        for statement in (
            "INSERT INTO pauses VALUES ('launch', 'WHO', 'rack 4', 5)",
            "INSERT INTO idle_exemptions SELECT id, 'why', 'WHO', 5, 9 FROM workloads",
            'INSERT INTO verdicts VALUES (71, \'w-1\', 5, \'cancelled\', \'{"by":"WHO","of":"ü"}\')',
            "INSERT INTO verdicts VALUES (72, 'w-1', 5, 'cancelled', '{\"by\":\"a-robot\"}')",
            "INSERT INTO commands VALUES ('WHO:k', 'WHO', 'h', 'a', 5)",
        ):
            connection.exec_driver_sql(statement.replace("WHO", SUBJECT))
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        v0011_opaque.upgrade()
    assert {line.split()[0] for line in lines_with_their_name(url)} == {"engineers", "tokens"}
    verdicts = [line for line in dumped(url).splitlines() if line.startswith("verdicts") and "by" in line]
    assert ["a-robot" in line or '"of":"ü"' in line for line in verdicts] == [True, True]
    with engine.connect() as connection, pytest.raises(Exception, match="append-only"):
        connection.exec_driver_sql("UPDATE verdicts SET at = 6")
    engine.dispose()
