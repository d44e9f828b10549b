"""Sixteen clients who send the same at the same instant, through a real server: it is done once, and each is told so.

What one client leaves in one company, sixteen leave in another that is like it, whoever comes first.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from threading import Barrier
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, create_engine, func, literal, select, union_all

from scheduler.adapters.head_folder import HeadFolder
from scheduler.adapters.policy_files import read_policy, read_prices
from scheduler.adapters.signing import open_key
from scheduler.adapters.sql.columns import Row
from scheduler.adapters.sql.engine import parse
from scheduler.domain.people import Role
from scheduler.domain.units import MS_PER_HOUR, Instant
from scheduler.entrypoints.api.auth import hash_of
from scheduler.lifecycle.accounting.publish import Publisher
from scheduler.metering.wire import inventory_json
from tests.adapters.sql.invariants import violations
from tests.adapters.sql.tampering import look
from tests.entrypoints.at_work import ran_unseen, runs_one
from tests.entrypoints.company import JOB, NOON, POLICY, SYSTEM, small_company, token_of
from tests.entrypoints.described import description
from tests.entrypoints.serving import served
from tests.lifecycle.agents import WINDOW_MS, body_of, inventory, window

CLIENTS = 16
PATIENT_SECONDS = 300.0
NO_TLS = SSLContext(PROTOCOL_TLS_CLIENT)
"""Of plain HTTP: each client would read the certificates of the whole web for itself."""
PRICES = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
GENEROUS = POLICY.read_text(encoding="utf-8").replace(
    "\ntiers:\n  staff:\n", "\ntiers:\n  staff:\n    may_transfer: true\n"
)
LATER = GENEROUS.replace("time_limit_max_hours: 96", "time_limit_max_hours: 95")
PEOPLE = "version: 1\nengineers:\n  - {subject: zoe, team: research, tier: intern}\n"
TIER = "tier/e-0006/2026-W47"
AGENT = frozenset({Role.AGENT})

Rows = Mapping[str, int]

TABLES = Row.metadata.tables
COUNTED = union_all(
    *(select(literal(name), func.count()).select_from(table) for name, table in TABLES.items()),
    select(literal("moved"), func.sum(func.abs(TABLES["entries"].c.amount))),
)
"""How many rows each table has, and what the entries add up to, whatever their signs: in one statement, for it is asked
after every request."""


@dataclass(frozen=True)
class Case:
    """One request. `keep` is the name under which the id of its answer is put in later addresses; `others` the code that
    all but the first are told, where they do not get the first one's answer. Where `tells_own`, an answer tells what
    this very request did: nothing, of all but the first. Where it `is_noted`, the log has who did it each time. Where it
    `is_each`, every request makes something of its own."""

    who: str
    method: str
    path: str
    body: object = None
    key: str = ""
    keep: str = ""
    others: str = ""
    tells_own: bool = False
    is_noted: bool = False
    is_each: bool = False

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    def is_of(self, method: str, route: str) -> bool:
        """Whether it is one of that route of the description."""
        own, described = self.path.partition("?")[0].split("/"), route.split("/")
        places = zip(own, described, strict=False)
        return (
            method == self.method
            and len(own) == len(described)
            and all(one == other or other.startswith("{") for one, other in places)
        )


def asked(amount: int) -> dict[str, Any]:
    return {"kind": "hours", "amount_ms": amount, "reason": "the ablations"}


FREEZE = {"allowance": TIER, "reason": "a dispute"}
GRANT = {"holder_kind": "engineer", "holder": "ada", "quantity": 1_000, "unit": "tokens", "reason": "evaluations"}
SANDBOX = {"gpu_classes": ["H100"], "name": "notebook", "project": "atlas", "time_limit_ms": 4 * MS_PER_HOUR}
BOOKED = {
    "gpu_class": "H100",
    "gpus": 1,
    "length_ms": MS_PER_HOUR,
    "project": "atlas",
    "starts_at": "2026-11-21T09:00:00Z",
}

ON_NODE = inventory_json(inventory("node-1", NOON))
WINDOWS = body_of(window("node-1", 0, 1, Instant(NOON - WINDOW_MS)), node="node-1")
EXEMPT = {"expires_at": "2026-11-20T18:00:00Z", "why": "the demo"}
UNSEEN = {"differences": ["2026-W46/evidence-lost/node:node-0"], "kind": "write-off", "reason": "its agent was away"}

CASES = (
    Case("ada", "POST", "/v1/quotes", JOB),
    Case("ada", "POST", "/v1/workloads/{running}/extend", {"extra_ms": MS_PER_HOUR}, key="k-12"),
    Case("ada", "POST", "/v1/workloads/{running}/checkpoint"),
    Case("ada", "PUT", "/v1/workloads/{running}/exemption", EXEMPT, is_noted=True),
    Case("ada", "DELETE", "/v1/workloads/{running}/exemption", is_noted=True),
    Case("agent", "PUT", "/v1/nodes/node-1/inventory", ON_NODE),
    Case("agent", "POST", "/v1/nodes/node-1/windows", WINDOWS, tells_own=True),
    Case("ada", "POST", "/v1/workloads", JOB, key="k-1", keep="job"),
    Case("ada", "POST", "/v1/workloads/{job}/cancel"),
    Case("ada", "POST", "/v1/sandboxes", SANDBOX, key="k-2", keep="sandbox"),
    Case("ada", "POST", "/v1/sandboxes/{sandbox}/stop"),
    Case("ada", "POST", "/v1/sandboxes/{sandbox}/resume"),
    Case("ada", "POST", "/v1/bookings", BOOKED, key="k-3", keep="booking"),
    Case("ada", "POST", "/v1/bookings/{booking}/cancel"),
    Case("fin", "POST", "/v1/grants", GRANT, key="k-4"),
    Case(
        "gw", "POST", "/v1/token-holds", {"owner": "ada", "model": "llama", "tokens": 900}, key="k-5", keep="tokens"
    ),
    Case("gw", "POST", "/v1/token-holds/{tokens}/charge", {"tokens": 250}),
    Case("gw", "POST", "/v1/token-holds/{tokens}/release"),
    Case(
        "pam",
        "POST",
        "/v1/grants/compensation",
        {"holder": "ada", "quantity": 4_800 * MS_PER_HOUR, "reason": "x"},
        key="k-6",
    ),
    Case("pam", "POST", "/v1/statement/offer", {"is_annual": True, "quantity": 48 * MS_PER_HOUR}),
    Case("pam", "POST", "/v1/vesting/claw-back", {"holder": "ada", "reason": "leaves"}, tells_own=True),
    Case(
        "fin",
        "POST",
        "/v1/transfers",
        {"allowance": TIER, "to": "pam", "quantity": MS_PER_HOUR, "reason": "x"},
        key="k-7",
    ),
    Case("olga", "POST", "/v1/allowances/freeze", FREEZE),
    Case("olga", "POST", "/v1/allowances/unfreeze", FREEZE),
    Case("ada", "POST", "/v1/requests", asked(MS_PER_HOUR), key="k-8", keep="approved"),
    Case("fin", "POST", "/v1/approvals/{approved}/approve", {}, others="wrong-state"),
    Case("ada", "POST", "/v1/requests", asked(2 * MS_PER_HOUR), key="k-9", keep="rejected"),
    Case("fin", "POST", "/v1/approvals/{rejected}/reject", {"reason": "no room"}, others="wrong-state"),
    Case("ada", "POST", "/v1/requests", asked(3 * MS_PER_HOUR), key="k-10", keep="withdrawn"),
    Case("ada", "POST", "/v1/approvals/{withdrawn}/withdraw", others="wrong-state"),
    Case(
        "fin",
        "POST",
        "/v1/finance/payments",
        {"owner": "ada", "micro": 9, "currency": "EUR", "reason": "p"},
        key="k-11",
    ),
    Case("fin", "POST", "/v1/periods/2026-10/close", {"provisionally": True}),
    Case("fin", "POST", "/v1/periods/2026-10/close", {}, others="period-closed"),
    Case("fin", "POST", "/v1/periods/2026-W46/settlements", UNSEEN),
    Case("fin", "POST", "/v1/periods/2026-W46/close", {}, others="period-closed"),
    Case("olga", "PUT", "/v1/policy?name=next.yaml", LATER, is_noted=True),
    Case("fin", "PUT", "/v1/prices?name=next.yaml", PRICES + "# the same, once more\n", is_noted=True),
    Case("olga", "PUT", "/v1/people?name=people.yaml", PEOPLE, tells_own=True, is_noted=True),
    Case("olga", "PUT", "/v1/brakes/launch", {"why": "draining rack 4"}, is_noted=True),
    Case("olga", "DELETE", "/v1/brakes/launch", is_noted=True),
    Case("ada", "PUT", "/v1/leaderboard/me"),
    Case("ada", "DELETE", "/v1/leaderboard/me"),
    Case("fin", "POST", "/v1/audit/heads", tells_own=True),
    Case("olga", "POST", "/v1/tokens", {"roles": ["engineer"], "subject": "ada"}, is_each=True),
    Case("olga", "DELETE", "/v1/tokens/{token}", others="unknown-token"),
    Case("olga", "POST", "/v1/people/bob/forget", others="unknown-engineer"),
)
ELSEWHERE = {("post", "/v1/demo/tokens")}
"""Refused wherever anything is real: a token of a simulated visitor is as one of `POST /v1/tokens`."""


@dataclass
class Company:
    """A served company, its clients, and what was made so far."""

    url: str
    books: Engine
    address: str
    clients: list[httpx.Client]
    threads: ThreadPoolExecutor
    made: dict[str, str] = field(default_factory=dict)
    known: Rows = field(default_factory=dict)

    def send(self, case: Case, count: int) -> list[httpx.Response]:
        """The answers to so many of them, sent together."""
        start = Barrier(count)
        found = list(self.threads.map(lambda client: self._sent(client, case, start), self.clients[:count]))
        first = next((answer for answer in found if answer.is_success), None)
        if case.keep and first is not None:
            self.made[case.keep] = first.json()["id"]
        return found

    def new_rows(self) -> Rows:
        """Of each table, since this was asked last."""
        before, self.known = self.known, self.rows()
        return {name: count - before[name] for name, count in self.known.items()}

    def rows(self) -> Rows:
        with self.books.connect() as connection:
            return {name: int(count) for name, count in connection.execute(COUNTED)}

    def _sent(self, client: httpx.Client, case: Case, start: Barrier) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token_of(case.who)}"}
        if case.key:
            headers["Idempotency-Key"] = case.key
        sent: dict[str, Any] = {"content": case.body} if isinstance(case.body, str) else {"json": case.body}
        start.wait(PATIENT_SECONDS)
        return client.request(case.method, case.path.format(**self.made), headers=headers, **sent)


@contextmanager
def company(url: str, folder: Path) -> Iterator[Company]:
    service = small_company(url)
    service.publisher = Publisher(
        service.store, HeadFolder(folder / "heads"), open_key(folder / "key.pem"), service.clock.now
    )
    service.administration.apply_policy(SYSTEM, GENEROUS, read_policy(GENEROUS, "generous.yaml"), now=NOON)
    service.pricing.apply(SYSTEM, PRICES, read_prices(PRICES, "prices.yaml"), now=NOON)
    gateway = frozenset({Role.GATEWAY})
    service.administration.issue_token(SYSTEM, "gateway:eu", gateway, hash_of(token_of("gw")), now=NOON)
    service.administration.issue_token(SYSTEM, "node:node-1", AGENT, hash_of(token_of("agent")), now=NOON)
    ran_unseen(service, "bob")
    made = {"running": runs_one(service, "ada").workload_id, "token": hash_of(token_of("ines"))[:12]}
    with ExitStack() as open_:
        address = open_.enter_context(served(service, with_loops=False))
        clients = [
            open_.enter_context(httpx.Client(base_url=address, timeout=PATIENT_SECONDS, verify=NO_TLS))
            for _ in range(CLIENTS)
        ]
        books = create_engine(parse(url))
        open_.callback(books.dispose)
        yield Company(url, books, address, clients, open_.enter_context(ThreadPoolExecutor(CLIENTS)), dict(made))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def companies(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Company, Company]]:
    """Two that are alike."""
    folders = [tmp_path / "alone", tmp_path / "crowd"]
    for folder in folders:
        folder.mkdir()
    if request.param == "sqlite":
        urls = [f"sqlite:///{folder}/books.db" for folder in folders]
    else:
        new_database: Callable[..., str] = request.getfixturevalue("new_postgres_database")
        migrated = request.getfixturevalue("migrated_postgres_database")
        urls = [new_database(migrated) for _ in folders]
    with company(urls[0], folders[0]) as alone, company(urls[1], folders[1]) as crowd:
        yield alone, crowd


def test_every_route_that_may_write_is_among_them() -> None:
    paths = description()["paths"]
    writing = {(method, path) for path, methods in paths.items() for method in methods if method != "get"}
    missing = {
        (method, path) for method, path in writing if not any(case.is_of(method.upper(), path) for case in CASES)
    }
    assert missing == ELSEWHERE


def test_what_many_send_at_the_same_instant_is_done_once(companies: tuple[Company, Company], tmp_path: Path) -> None:
    alone, crowd = companies
    alone.known, crowd.known = alone.rows(), crowd.rows()
    assert alone.known == crowd.known
    for case in CASES:
        (one,) = alone.send(case, 1)
        assert one.is_success, (case.name, one.text)
        many = crowd.send(case, CLIENTS)
        told = [each.json()["code"] if each.is_client_error else each.status_code for each in many]
        done = [each for each in many if each.is_success]
        if case.others:
            assert Counter(told) == {one.status_code: 1, case.others: CLIENTS - 1}, case.name
        else:
            assert told == [one.status_code] * CLIENTS, (case.name, many[0].text)
        if not case.others and not case.is_each:
            assert len({each.text for each in done}) == (2 if case.tells_own else 1), (
                case.name,
                {each.text for each in done},
            )
        wanted, found = alone.new_rows(), crowd.new_rows()
        if case.is_each:
            wanted = {name: count * CLIENTS for name, count in wanted.items()}
        if case.is_noted:
            found = {**found, "audit_events": wanted["audit_events"]}
        assert found == wanted, case.name
    with crowd.books.connect() as connection:
        assert violations(connection) == {}
    assert list(look(crowd.url, tmp_path / "crowd" / "heads").findings) == []
