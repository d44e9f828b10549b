"""A thousand kill −9, or as many as there is time for: no workload and no GPU-millisecond is lost or charged twice.

`make nightly` kills a thousand times; the suite's own run does it two dozen times. What pods really did is read from the
apiserver by a witness, from statuses that no process of ours wrote.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import orjson
import pytest

from scheduler.adapters.sql.engine import open_engine, parse
from scheduler.adapters.sql.store import open_store
from scheduler.domain.records import EndEvidence, PodRun
from scheduler.domain.units import MS_PER_SECOND, standard_total
from scheduler.domain.workloads import Attempt, AttemptState, Workload
from scheduler.ledger.holds import HoldState
from scheduler.ledger.journal import AccountKind, TransactionKind
from tests.adapters.sql.invariants import violations
from tests.e2e.killing import OPERATORS_TOKEN, POINTS, Death, Killed
from tests.e2e.running import IMAGE, Site
from tests.e2e.witness import Witness
from tests.plugins.polling import eventually

pytestmark = pytest.mark.controlplane

KILLS = int(os.environ.get("ALLOT_KILLS", "24"))
SEED = int(os.environ.get("ALLOT_KILL_SEED", "1"))
GRACE_SECONDS = 2
PATIENCE_SECONDS = 4.0
"""So long a life is given to come to the point at which it is to die."""
END_SECONDS = 120.0
UNFINISHED_MAX = 20


class People:
    """They submit and cancel. Who gets no answer asks again, under the same key, in whatever life comes next."""

    def __init__(self, killed: Killed, chance: Random) -> None:
        self._killed = killed
        self._chance = chance
        self._tokens: dict[str, str] = {}
        self._asked = 0
        self.unanswered: dict[str, tuple[str, dict[str, Any]]] = {}
        self.answered: dict[str, str] = {}
        self._asks: dict[str, tuple[str, dict[str, Any]]] = {}

    async def get_tokens(self) -> None:
        for subject in ("ada", "bao"):
            answer = await self.operator("POST", "/v1/tokens", {"subject": subject, "roles": ["engineer"]})
            self._tokens[subject] = answer.json()["token"]

    async def operator(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return await self._send(OPERATORS_TOKEN, method, path, body)

    async def act(self) -> None:
        """Some ask for work, one who got no answer or forgot it asks once more, one calls something off."""
        if not self.unanswered and not await self._has_enough():
            for _ in range(self._chance.randint(1, 3)):
                self._think_of_something()
        again = self._chance.sample(sorted(self.answered), min(1, len(self.answered)))
        asks = [self._ask(key) for key in (*self.unanswered, *again)]
        await asyncio.gather(*asks, self._call_off())

    async def ask_the_rest(self) -> bool:
        await asyncio.gather(*(self._ask(key) for key in self.unanswered))
        return not self.unanswered

    async def unfinished(self) -> list[Any]:
        """Work that is not over, at most a page of it."""
        states = "state=queued&state=launching&state=running&state=stopping"
        items: list[Any] = (await self.operator("GET", f"/v1/workloads?{states}")).json()["items"]
        return items

    async def _has_enough(self) -> bool:
        """Lives that are short get little done: what waits must not grow without bound, or none ever ends."""
        try:
            return len(await self.unfinished()) >= UNFINISHED_MAX
        except httpx.TransportError:
            return True

    def _think_of_something(self) -> None:
        chance, key = self._chance, f"work-{self._asked}"
        self._asked += 1
        pods = chance.choice((1, 1, 1, 2))
        body = {
            "name": key,
            "project": "aurora",
            "gpu_classes": chance.choice((["H100"], ["A100"], ["L4", "A100"])),
            "priority_class": chance.choice(("standard", "off-peak")),
            "time_limit_ms": 600_000,
            "pods": pods,
            "gpus_per_pod": chance.choice((1, 2, 4)),
            "cpu_milli": 100,
            "memory_mib": 64,
            "image": IMAGE,
            "command": ["sleep", str(chance.randint(1, 4))],
            "grace_seconds": GRACE_SECONDS,
        }
        self.unanswered[key] = self._asks[key] = (chance.choice(sorted(self._tokens)), body)

    async def _ask(self, key: str) -> None:
        subject, body = self._asks[key]
        try:
            answer = await self._send(self._tokens[subject], "POST", "/v1/workloads", body, key)
        except httpx.TransportError:
            return
        assert answer.status_code == 201, answer.text
        assert self.answered.setdefault(key, answer.json()["id"]) == answer.json()["id"]
        self.unanswered.pop(key, None)

    async def _call_off(self) -> None:
        if not self.answered or self._chance.random() > 0.2:
            return
        key = self._chance.choice(sorted(self.answered))
        path = f"/v1/workloads/{self.answered[key]}/cancel"
        try:
            await self._send(self._tokens[self._asks[key][0]], "POST", path)
        except httpx.TransportError:
            return

    async def _send(
        self, token: str, method: str, path: str, body: dict[str, Any] | None = None, key: str = ""
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", **({"Idempotency-Key": key} if key else {})}
        async with httpx.AsyncClient(base_url=self._killed.address, headers=headers, timeout=30.0) as client:
            return await client.request(method, path, json=body)


@dataclass
class Past:
    """Everything in the books when all is over."""

    workloads: list[Workload] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    runs: dict[str, list[PodRun]] = field(default_factory=dict)
    charged: dict[str, int] = field(default_factory=dict)
    gpu_ms: dict[str, int] = field(default_factory=dict)

    def is_exact(self, attempt: Attempt) -> bool:
        """Whether the end of each of its pods was seen, or told by the Job."""
        return all(run.end_evidence is EndEvidence.FINISHED for run in self.runs.get(attempt.id, ()))


@pytest.fixture
async def killed(site: Site) -> AsyncIterator[Killed]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    killed = Killed(site, port)
    yield killed
    await killed.stop()


async def test_whenever_it_is_killed_nothing_is_lost_and_nothing_charged_twice(
    killed: Killed, witness: Witness, site: Site
) -> None:
    chance = Random(SEED)
    people = People(killed, chance)
    killed.begin(Death())
    assert await killed.until_it_answers()
    await people.get_tokens()
    await asyncio.gather(people.act(), killed.end(Death(seconds=chance.random()), patience_seconds=0.0))
    while sum(killed.deaths.values()) < KILLS:
        await _one_life(killed, people, chance)
    await _last_life(killed, people)

    past = _read(site)
    assert set(POINTS) <= set(killed.deaths) or KILLS < 100
    assert people.answered == {workload.spec.name: workload.id for workload in past.workloads}
    assert all(workload.state.is_final for workload in past.workloads)
    assert {attempt.state for attempt in past.attempts} == {AttemptState.ENDED}
    wrong = {attempt.id: _compared(witness, past, attempt) for attempt in past.attempts}
    assert {key: found for key, found in wrong.items() if found} == {}
    by_attempt = {pod.attempt for pod in witness.pods.values()}
    assert by_attempt <= {attempt.id for attempt in past.attempts}, "a pod ran for nobody"

    exact = [attempt for attempt in past.attempts if past.is_exact(attempt)]
    seen_ms = sum(_seen_ms(witness, attempt) for attempt in exact)
    assert sum(past.gpu_ms.get(attempt.id, 0) for attempt in exact) == seen_ms > 0
    assert len(exact) > 0.6 * len(past.attempts)
    if kept := os.environ.get("ALLOT_KILLS_RESULT"):
        Path(kept).write_bytes(orjson.dumps(_told(killed, past, witness)))


async def _one_life(killed: Killed, people: People, chance: Random) -> None:
    death = (
        Death(seconds=chance.uniform(0.0, 0.6), is_early=chance.random() < 0.3)
        if chance.random() < 0.4
        else Death(chance.choice(POINTS), chance.randint(1, 4))
    )
    killed.begin(death)
    if not death.is_early and await killed.until_it_answers():
        await asyncio.gather(people.act(), killed.end(death, patience_seconds=PATIENCE_SECONDS))
    else:
        await killed.end(death, patience_seconds=0.0)


async def _last_life(killed: Killed, people: People) -> None:
    """Nothing dies, who got no answer gets one, and all work comes to its end."""
    killed.begin(Death())
    assert await killed.until_it_answers()
    await eventually(people.ask_the_rest, bool)

    await eventually(people.unfinished, lambda items: items == [], END_SECONDS)
    await killed.stop()


def _read(site: Site) -> Past:
    past = Past()
    database = f"sqlite:///{site.folder}/allot.db"
    store = open_store(database)
    with store.reading() as books:
        past.workloads = books.workloads.page(limit=100_000)
        for workload in past.workloads:
            past.attempts += books.attempts.of_workload(workload.id)
        past.runs = dict(books.attempts.pods_of([attempt.id for attempt in past.attempts]))  # type: ignore[arg-type]  # ids are strings
        for entry in books.journal.entries(kinds=[AccountKind.CHARGED]):
            if entry.kind is TransactionKind.CHARGE and entry.attempt_id is not None:
                past.charged[entry.attempt_id] = past.charged.get(entry.attempt_id, 0) + entry.amount
                past.gpu_ms[entry.attempt_id] = past.gpu_ms.get(entry.attempt_id, 0) + entry.gpu_ms
        holds = [hold for attempt in past.attempts for hold in books.holds.of_attempt(attempt.id)]
        assert {hold.state for hold in holds} == {HoldState.RESOLVED}
        assert books.holds.open_ones() == []
        assert books.journal.differences() == []
    store.close()
    engine = open_engine(parse(database), to_write=False)
    with engine.begin() as connection:
        assert violations(connection) == {}
    engine.dispose()
    return past


def _compared(witness: Witness, past: Past, attempt: Attempt) -> str:
    """Empty, or what is wrong with its charge or its pods. Where nobody saw how much of its grace a pod used, that much
    may be missing."""
    pods = [pod for pod in witness.pods.values() if pod.attempt == attempt.id]
    if len(pods) > attempt.placement.pods:
        return f"{len(pods)} pods for a placement of {attempt.placement.pods}"
    paid_ms = past.gpu_ms.get(attempt.id, 0)
    if past.charged.get(attempt.id, 0) != standard_total(paid_ms, attempt.weight, attempt.class_factor):
        return f"{past.charged.get(attempt.id)} standard for {paid_ms} physical"
    seen_ms = _seen_ms(witness, attempt)
    unseen_ms = 0 if past.is_exact(attempt) else (GRACE_SECONDS + 1) * MS_PER_SECOND * attempt.gpus
    is_right = seen_ms - unseen_ms <= paid_ms <= seen_ms
    return "" if is_right else f"{paid_ms} charged, {seen_ms} used: {past.runs.get(attempt.id)} {pods}"


def _seen_ms(witness: Witness, attempt: Attempt) -> int:
    return sum(pod.gpu_seconds for pod in witness.pods.values() if pod.attempt == attempt.id) * MS_PER_SECOND


def _told(killed: Killed, past: Past, witness: Witness) -> dict[str, Any]:
    """What is kept of a long run: whatever is wrong has failed the test before."""
    seen = {attempt.id: _seen_ms(witness, attempt) for attempt in past.attempts}
    exact = {attempt.id for attempt in past.attempts if past.is_exact(attempt)}
    return {
        "kills": sum(killed.deaths.values()),
        "killed": dict(sorted(killed.deaths.items())),
        "seed": SEED,
        "workloads": len(past.workloads),
        "attempts": len(past.attempts),
        "ended_seen": {
            "attempts": len(exact),
            "gpu_ms_used": sum(seen[key] for key in exact),
            "gpu_ms_charged": sum(past.gpu_ms.get(key, 0) for key in exact),
        },
        "ended_unseen": {
            "attempts": len(seen) - len(exact),
            "gpu_ms_used": sum(used for key, used in seen.items() if key not in exact),
            "gpu_ms_charged_on_evidence": sum(past.gpu_ms.get(key, 0) for key in seen if key not in exact),
        },
    }
