"""A service over the example policy, with a few people, a clock that a test moves and a cluster that says nothing."""

import asyncio
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from scheduler.adapters.policy_files.policy_reader import read_policy
from scheduler.domain.actions import Action, ActionOutcome, ActionResult
from scheduler.domain.cluster import GpuClass, Node
from scheduler.domain.observations import ClusterChanges
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.periods import period_at, to_instant
from scheduler.domain.units import EngineerId, GpuClassName, Instant, JobUid, NodeName, TeamName, TierName
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.bootstrap import build
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.settings import ClusterKind, Settings
from scheduler.lifecycle.awarding.periodic import grant_period
from scheduler.lifecycle.writing.batch import changing
from scheduler.ports import Store
from tests.plugins.memory import folder_for_databases
from tests.plugins.migrated import open_migrated

POLICY = Path(__file__).parent / "company.yaml"
NOON = to_instant(datetime(2026, 11, 20, 12, tzinfo=UTC))
SYSTEM = Caller("test", frozenset(Role))

PEOPLE = {
    "ada": ("research", "engineer", {Role.ENGINEER}),
    "bob": ("research", "engineer", {Role.ENGINEER}),
    "ines": ("research", "intern", {Role.ENGINEER}),
    "lea": ("research", "senior", {Role.ENGINEER, Role.LEAD}),
    "olga": ("platform", "staff", {Role.ENGINEER, Role.OPERATOR}),
    "fin": ("platform", "staff", {Role.FINANCE}),
    "pam": ("platform", "staff", {Role.PEOPLE}),
    "aud": ("platform", "staff", {Role.AUDITOR}),
}

JOB: dict[str, Any] = {
    "name": "train",
    "project": "atlas",
    "gpu_classes": ["H100"],
    "gpus_per_pod": 8,
    "pods": 2,
    "time_limit_ms": 3_600_000,
    "image": "registry.example.com/train:1",
}
"""What somebody submits, as JSON."""


@dataclass
class HandClock:
    """Stands still until the test moves it."""

    at: Instant = NOON
    is_simulated: bool = False

    def now(self) -> Instant:
        return self.at

    def seconds_until(self, instant: Instant) -> float:
        return max(0, instant - self.at) / 1000


class SilentCluster:
    """A cluster that reports nothing and does whatever it is asked."""

    is_simulated = False
    is_reachable = True

    async def start(self) -> None:
        """Nothing is watched."""

    async def close(self) -> None:
        """Nothing is open."""

    def use_gpu_classes(self, classes: Mapping[GpuClassName, GpuClass]) -> None:
        """The test puts its nodes itself."""

    def account_for(self, jobs: Mapping[JobUid, int]) -> None:
        """Nothing is outside of what the test puts."""

    async def changes(self, timeout_seconds: float) -> ClusterChanges:
        await asyncio.sleep(timeout_seconds)
        return ClusterChanges()

    async def apply(self, actions: Sequence[Action]) -> list[ActionOutcome]:
        return [ActionOutcome(action, ActionResult.DONE) for action in actions]


@dataclass
class CountedIds:
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def new(self, prefix: str) -> str:
        return f"{prefix}-{next(self.numbers):04d}"


def token_of(subject: str) -> str:
    return f"test-token-of-{subject}"


def small_company(database: str = "sqlite://", *, is_simulated: bool = False) -> Service:
    """The service, not started: commands and views work, no loop runs. Each person's token is `token_of` them.

    A new SQLite database is a copy of one that was filled once: filling it takes longer than most tests.
    """
    if database.startswith("sqlite"):
        books, ids_made = _filled()
        store = open_migrated(database, books)
        service = opened(store, database, CountedIds(itertools.count(ids_made + 1)), is_simulated=is_simulated)
    else:
        service = opened(open_migrated(database), database, CountedIds(), is_simulated=is_simulated)
        _fill(service)
    for number in range(4):
        name = NodeName(f"node-{number}")
        service.world.put_node(name, Node(name, GpuClassName("H100"), 8, 128_000, 1_024_000))
    return service


def opened(store: Store, database: str, ids: CountedIds, *, is_simulated: bool = False) -> Service:
    """The service on a store that is there, as a process that has just started."""
    told = frozenset((name, value) for name, value in os.environ.items() if name.upper().startswith("ALLOT_"))
    settings = _settings(told).model_copy(update={"database": database})
    clock = HandClock(is_simulated=is_simulated)
    return build(settings, store=store, clock=clock, cluster=SilentCluster(), ids=ids, policy_reader=_read_once)


@cache
def _settings(told: frozenset[tuple[str, str]]) -> Settings:
    """Those of an environment that tells this. To read them takes a third of what a company takes."""
    del told
    return Settings(cluster=ClusterKind.KUBERNETES, policy=POLICY)


_read_once = cache(read_policy)
"""A policy is a value: whoever reads the same file gets the same."""


@cache
def _filled() -> tuple[bytes, int]:
    """A database with the company's policy, people, tokens and grants, and how many ids were made for it."""
    with folder_for_databases() as folder:
        file, ids = Path(folder) / "allot.db", CountedIds()
        url = f"sqlite:///{file}"
        service = opened(open_migrated(url), url, ids)
        _fill(service)
        service.store.close()
        return file.read_bytes(), next(ids.numbers) - 1


def _fill(service: Service) -> None:
    engineers = [
        Engineer(EngineerId(""), subject, TeamName(team), TierName(tier), subject.capitalize(), frozenset(roles))
        for subject, (team, tier, roles) in PEOPLE.items()
    ]
    service.administration.apply_people(SYSTEM, engineers, now=NOON)
    for subject, (_, _, roles) in PEOPLE.items():
        service.administration.issue_token(SYSTEM, subject, frozenset(roles), hash_of(token_of(subject)), now=NOON)
    grant_tiers(service)


def grant_tiers(service: Service) -> None:
    """The period's grants, as the loop makes them."""
    policy = service.world.require_policy()
    now = service.clock.now()
    with changing(service.store, service.world, now) as batch:
        grant_period(batch, period_at(now, policy.period, policy.time_zone))


def engineer_id(service: Service, subject: str) -> EngineerId:
    return next(person.id for person in service.world.people.values() if person.subject == subject)
