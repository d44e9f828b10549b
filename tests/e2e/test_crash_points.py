"""Hundreds of deaths at every point of the lifecycle's scripts: what comes out is what one long life would have made.

Seeded, on the simulated cluster and a SQLite file. Every death is followed by a new service on the same books. Scripts of
awards and of the books die in test_killed_scripts.
"""

import asyncio
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest

from scheduler.adapters.sql.engine import open_engine, parse
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.awards import Award
from scheduler.domain.cluster import PodRequest
from scheduler.domain.errors import Refusal
from scheduler.domain.people import Caller, Role
from scheduler.domain.records import EndEvidence, PodRun
from scheduler.domain.sizes import gpu_ms_within
from scheduler.domain.units import (
    MS_PER_HOUR,
    MS_PER_SECOND,
    CommandId,
    GpuClassName,
    PriorityClassName,
    WorkloadId,
    standard_total,
)
from scheduler.domain.workloads import Attempt, AttemptState, Workload, WorkloadSpec
from scheduler.entrypoints.running import Service
from scheduler.ledger.holds import Hold, HoldState
from scheduler.ledger.journal import AccountKind, TransactionKind
from scheduler.lifecycle.writing.answered import Command
from scheduler.simulation.fates import Fate
from tests.adapters.sql.invariants import violations
from tests.e2e.crashing import Points, Site, die_quietly, turn
from tests.e2e.dying import Killed
from tests.e2e.running import job

SEEDS = range(16 if os.environ.get("HYPOTHESIS_PROFILE") == "searching" else 5)
DEATHS = 40
"""Of each seed, at the least."""
POINTS = {"before a commit", "after a commit", "with a report in hand", "before a call", "after the calls"}
"""At each of which each seed dies. Threads decide which point is next, so a seed alone does not."""
TURNS_MAX = 2_000
FINANCE = Caller("fatima", frozenset({Role.FINANCE}))
SUBJECTS = ("ada", "bao", "ida", "olga")


@dataclass
class Past:
    """Everything in the books when all is over."""

    workloads: list[Workload] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    runs: dict[str, list[PodRun]] = field(default_factory=dict)
    holds: list[Hold] = field(default_factory=list)
    charged: Counter[str] = field(default_factory=Counter)
    physical: Counter[str] = field(default_factory=Counter)


class Company:
    """People who submit and cancel, and who ask again, under the same id, when they got no answer."""

    def __init__(self, site: Site, chance: Random) -> None:
        self._site = site
        self._chance = chance
        self._unanswered: tuple[str, Command, WorkloadSpec] | None = None
        self._count = 0
        self.submitted: list[tuple[str, WorkloadId]] = []

    def act(self, service: Service) -> None:
        if self._unanswered is not None or self._chance.random() < 0.5:
            self._submit(service)
        elif self.submitted and self._chance.random() < 0.15:
            subject, workload_id = self._chance.choice(self.submitted)
            service.commands.cancel(_caller(service, subject), workload_id, now=service.clock.now())

    def _submit(self, service: Service) -> None:
        subject, command, spec = self._unanswered = self._unanswered or self._think_of_something()
        try:
            workload = service.commands.submit(
                _caller(service, subject), spec, now=service.clock.now(), command=command
            )
        except Refusal:
            self._unanswered = None
        else:
            self._unanswered = None
            self.submitted.append((subject, workload.id))

    def _think_of_something(self) -> tuple[str, Command, WorkloadSpec]:
        chance, name = self._chance, f"work-{self._count}"
        self._count += 1
        self._site.fates[name] = Fate(
            run_ms=chance.randint(2_000, 90_000),
            exit_code=chance.choice((0, 0, 0, 1)),
            start_ms=chance.randint(500, 4_000),
            termination_ms=chance.randint(1_000, 8_000),
        )
        spec = replace(
            job(),
            name=name,
            gpu_classes=tuple(GpuClassName(item) for item in chance.choice((["H100"], ["A100"], ["H100", "A100"]))),
            priority_class=PriorityClassName(chance.choice(("urgent", "standard", "standard", "off-peak"))),
            pods=chance.choice((1, 1, 1, 2, 3)),
            pod=PodRequest(chance.choice((1, 2, 4, 8)), 1_000, 1_000),
        )
        if chance.random() < 0.3:
            spec = replace(spec, pods=spec.pods + 3, min_pods=chance.randint(1, 2))
        return chance.choice(SUBJECTS), Command(CommandId(f"c-{name}"), name), spec


@pytest.fixture(params=SEEDS, ids=lambda seed: f"seed {seed}")
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    chance = Random(request.param)
    site = Site(tmp_path, Points(chance, mean=25.0))
    asyncio.run(_live(site, chance))
    return site


def test_whatever_it_died_in_each_launch_is_one_attempt_and_each_second_is_charged_once(site: Site) -> None:
    past = _read(site)
    died_at = site.points.killed_at
    assert sum(died_at.values()) >= DEATHS
    assert set(died_at) == POINTS

    assert all(workload.state.is_final for workload in past.workloads)
    assert {attempt.state for attempt in past.attempts} == {AttemptState.ENDED}
    assert len(set(site.truth.launches)) == len(site.truth.launches)
    assert {attempt_id for _, attempt_id in site.truth.launches} <= {attempt.id for attempt in past.attempts}
    assert site.truth.unbound == [], "pods launched onto GPUs that were still taken"

    assert {hold.state for hold in past.holds} == {HoldState.RESOLVED}
    wrong = {attempt.id: _compared(site, past, attempt) for attempt in past.attempts}
    assert {key: found for key, found in wrong.items() if found} == {}
    exact = sum(_is_exact(past, attempt) for attempt in past.attempts)
    assert exact > 0.6 * len(past.attempts)
    assert past.charged.total() > 0

    engine = open_engine(parse(f"sqlite:///{site.folder}/allot.db"), to_write=False)
    with engine.begin() as connection:
        assert violations(connection) == {}
    engine.dispose()


async def _live(site: Site, chance: Random) -> None:
    die_quietly(asyncio.get_running_loop())
    company = Company(site, chance)
    while sum(site.points.killed_at.values()) < DEATHS or POINTS - set(site.points.killed_at):
        await _one_life(site, chance, company)
    await _last_life(site)


async def _one_life(site: Site, chance: Random, company: Company) -> None:
    service = site.begin()
    try:
        while True:
            await asyncio.to_thread(company.act, service)
            await turn(service, site)
            site.move(chance.choice((0, 200, 1_500, 6_000, 20_000)))
    except Killed:
        await service.cycle.drain()
    finally:
        service.store.close()


async def _last_life(site: Site) -> None:
    """Nobody asks for more, nothing dies, whoever ran out of hours gets some, and everything comes to its end."""
    service = site.begin(is_mortal=False)
    try:
        for engineer in list(service.world.people.values()):
            award = Award(Holder(HolderKind.ENGINEER, engineer.id), 1_000 * MS_PER_HOUR)
            service.commands.grant(FINANCE, award, now=service.clock.now())
        for _ in range(TURNS_MAX):
            await turn(service, site)
            site.move(3_000)
            if not _unfinished(service):
                return
        raise AssertionError(f"never over: {[(w.id, w.state, w.state_reason) for w in _unfinished(service)]}")
    finally:
        service.store.close()


def _unfinished(service: Service) -> list[Workload]:
    with service.store.reading() as books:
        return books.workloads.unfinished()


def _read(site: Site) -> Past:
    past = Past()
    store = site.open()
    with store.reading() as books:
        past.workloads = books.workloads.page(limit=10_000)
        for workload in past.workloads:
            past.attempts += books.attempts.of_workload(workload.id)
        past.runs = dict(books.attempts.pods_of([attempt.id for attempt in past.attempts]))  # type: ignore[arg-type]  # ids are strings
        past.holds = [hold for attempt in past.attempts for hold in books.holds.of_attempt(attempt.id)]
        past.holds += books.holds.open_ones()
        for entry in books.journal.entries(kinds=[AccountKind.CHARGED]):
            if entry.kind is TransactionKind.CHARGE and entry.attempt_id is not None:
                past.charged[entry.attempt_id] += entry.amount
                past.physical[entry.attempt_id] += entry.gpu_ms
        assert books.journal.differences() == []
    store.close()
    return past


def _compared(site: Site, past: Past, attempt: Attempt) -> str:
    """Empty, or what is wrong with its charge. A pod whose end nobody saw is charged on evidence: never too much."""
    true_ms = sum(life.billable_ms(attempt.grace_seconds) for life in site.truth.of_attempt(attempt.id))
    paid_ms = past.physical[attempt.id]
    if past.charged[attempt.id] != standard_total(paid_ms, attempt.weight, attempt.class_factor):
        return f"{past.charged[attempt.id]} standard for {paid_ms} physical"
    if paid_ms > _room_ms(attempt):
        return (
            f"{paid_ms} charged, {_room_ms(attempt)} by its sizes: {attempt.past_sizes} {past.runs.get(attempt.id)}"
        )
    is_right = paid_ms == true_ms if _is_exact(past, attempt) else paid_ms <= true_ms
    return "" if is_right else f"{paid_ms} charged, {true_ms} used, by {past.runs.get(attempt.id)}"


def _room_ms(attempt: Attempt) -> int:
    """The most that the sizes which it is said to have had let it use, with stamps in whole seconds."""
    if attempt.ended_at is None or attempt.started_at is None:
        return 0
    sizes = [attempt.everywhere.pods, *(past.pods for past in attempt.past_sizes)]
    stamps_ms = len(sizes) * max(sizes) * attempt.pod.gpus * MS_PER_SECOND
    return gpu_ms_within(attempt, min(attempt.launched_at, attempt.started_at), attempt.ended_at) + stamps_ms


def _is_exact(past: Past, attempt: Attempt) -> bool:
    return all(run.end_evidence is EndEvidence.FINISHED for run in past.runs.get(attempt.id, ()))


def _caller(service: Service, subject: str) -> Caller:
    engineer = next(e for e in service.world.people.values() if e.subject == subject)
    return Caller(subject, engineer.roles, engineer.id, engineer.team)
