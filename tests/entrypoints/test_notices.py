"""Notices: idle warnings, ends and misuse are told once each, to an address that may be away for a while."""

import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import orjson
import pytest

from scheduler.adapters.webhook import Webhook
from scheduler.domain.errors import Unavailable
from scheduler.domain.units import Instant
from scheduler.entrypoints.notifying import NotifyingLoop
from scheduler.lifecycle.sensing.notices import Notices
from scheduler.lifecycle.sensing.strangers import Strangers
from tests.lifecycle.build import Company, later
from tests.lifecycle.platform import SANDBOXES, Platform
from tests.lifecycle.test_burning import FIRST, SATURDAY, Books
from tests.lifecycle.test_misuse import on_the_host


class Address:
    """Takes what is brought, and answers with `status`."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.status = 200
        self.url = ""


@pytest.fixture
def address() -> Iterator[Address]:
    made = Address()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if made.status == 200:
                made.taken.append(body)
            self.send_response(made.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Not to the test's output."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        server.shutdown()
        thread.join()


class _Now:
    is_simulated = False

    def __init__(self, company: Company | Books) -> None:
        self._company = company

    def now(self) -> Instant:
        return self._company.now

    def seconds_until(self, instant: Instant) -> float:
        return max(0, instant - self._company.now) / 1_000


@pytest.fixture
def company() -> Iterator[Company]:
    made = Company()
    yield made
    made.close()


async def test_a_sandbox_s_owner_is_told_of_each_warning_and_of_the_end_once(
    company: Company, address: Address
) -> None:
    platform = Platform(company, SANDBOXES)
    workload, _ = platform.sandbox()
    with closing(Webhook(address.url, is_simulated=True)) as webhook:
        loop = NotifyingLoop(_Now(company), Notices(company.world, platform.agents.meter.strangers), webhook)
        for minutes in (26, 10, 6, 1):
            platform.minutes(minutes, pods=platform.agents.pod_of(workload))
            await loop.run_once()
    assert [each["kind"] for each in address.taken] == ["IdleWarning", "IdleWarning", "Idle"]
    first = address.taken[0]
    assert (first["owner"], first["workload_id"], first["simulated"]) == ("ada", workload.id, True)
    assert first["sentence"].startswith("Its 2 GPUs have been idle for 15 min")
    assert first["next_step"]


async def test_an_address_that_is_away_hears_of_it_later_and_in_order(company: Company, address: Address) -> None:
    platform = Platform(company, SANDBOXES)
    workload, _ = platform.sandbox()
    with closing(Webhook(address.url, is_simulated=False)) as webhook:
        loop = NotifyingLoop(_Now(company), Notices(company.world, platform.agents.meter.strangers), webhook)
        address.status = 503
        for minutes in (26, 10):
            platform.minutes(minutes, pods=platform.agents.pod_of(workload))
            with pytest.raises(Unavailable, match="status 503"):
                await loop.run_once()
        address.status = 200
        await loop.run_once()
    assert [each["sentence"][:34] for each in address.taken] == [
        "Its 2 GPUs have been idle for 15 m",
        "Its 2 GPUs have been idle for 25 m",
    ]


async def test_an_alert_of_use_is_kept_as_told_once_the_address_took_it(address: Address) -> None:
    books = Books()
    own = books.booked.allowance("e-ada", 1000, FIRST)
    books.usual(own)
    books.work(own, SATURDAY, 90)
    with closing(Webhook(address.url, is_simulated=True)) as webhook, closing(books.store):
        for status in (503, 200, 200):
            address.status = status
            notices = Notices(books.load(), Strangers())
            loop = NotifyingLoop(_Now(books), notices, webhook, books.alerts())  # as after a restart
            with suppress(Unavailable):
                await loop.run_once()
    assert [(each["kind"], each["to"]) for each in address.taken] == [("burn:jump", "ada"), ("burn:jump", "lea")]
    assert address.taken[0]["simulated"]


def test_a_misuse_is_told_of_once_and_accuses_nobody_by_name(company: Company) -> None:
    platform = Platform(company, SANDBOXES)
    agents = platform.agents
    notices = Notices(company.world, agents.meter.strangers)
    company.now = later(company.now, 600)
    told = []
    for number in range(1, 5):
        agents.post(on_the_host(agents.latest(1, number)))
        told += notices.due(company.now)
        company.now = later(company.now, 15)
    (notice,) = told
    assert (notice.kind, notice.node, notice.pid, notice.owner) == ("misuse:host-process", "n0", 4242, None)
    assert notice.sentence == "Process 4242 (miner) is on a GPU that was not given to it."


def test_what_fell_before_a_restart_is_not_told_again(company: Company) -> None:
    platform = Platform(company, SANDBOXES)
    workload, _ = platform.sandbox()
    platform.minutes(26, pods=platform.agents.pod_of(workload))
    assert Notices(company.world, platform.agents.meter.strangers).due(company.now) == []
