"""An elastic job on the simulated cluster, from the first pod to the last charge: it shrinks, grows back, and ends."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from scheduler.domain.cluster import PodRequest
from scheduler.domain.people import Caller
from scheduler.domain.reasons import Reason
from scheduler.domain.records import RecordedVerdict
from scheduler.domain.units import GpuClassName, Instant, PriorityClassName, WorkloadId, standard_total
from scheduler.domain.workloads import Attempt, Workload, WorkloadState
from scheduler.entrypoints.running import Service
from scheduler.ledger.holds import HoldState
from scheduler.ledger.journal import AccountKind, TransactionKind
from scheduler.simulation.fates import Fate
from tests.e2e.crashing import Points, Site, turn
from tests.e2e.running import job

URGENT, OFF_PEAK = PriorityClassName("urgent"), PriorityClassName("off-peak")
TURNS_MAX = 200


class Life:
    """One service that does not die, and what a test asks of it."""

    def __init__(self, folder: Path, more_policy: str = "") -> None:
        self.site = Site(folder, Points(Random(0), mean=1.0))
        with (folder / "policy.yaml").open("a") as policy:
            policy.write(more_policy)
        self.service: Service = self.site.begin(is_mortal=False)

    def submit(self, subject: str, name: str, seconds: int, **fields: object) -> WorkloadId:
        self.site.fates[name] = Fate(run_ms=seconds * 1000, exit_code=0, start_ms=1_000, termination_ms=3_000)
        spec = replace(job(), name=name, **fields)  # type: ignore[arg-type]  # by name
        person = next(e for e in self.service.world.people.values() if e.subject == subject)
        caller = Caller(subject, person.roles, person.id, person.team)
        return self.service.commands.submit(caller, spec, now=self.site.clock.now()).id

    async def until(self, holds: Callable[[], object], step_ms: int = 500) -> None:
        for _ in range(TURNS_MAX):
            await turn(self.service, self.site)
            if holds():
                return
            self.site.move(step_ms)
        raise AssertionError("it never came to pass")

    def attempt(self, workload_id: WorkloadId) -> Attempt | None:
        return self.service.world.live_attempt(workload_id)

    def pods(self, workload_id: WorkloadId) -> tuple[int, int]:
        """Those that it has and those that it gives back, in the books."""
        attempt = self.attempt(workload_id)
        if attempt is None:
            return 0, 0
        return attempt.placement.pods, attempt.leaving.pods if attempt.leaving is not None else 0

    def alive(self, workload_id: WorkloadId) -> int:
        """Its pods that hold GPUs, on the cluster."""
        attempt = self.attempt(workload_id)
        lives = self.site.truth.of_attempt(attempt.id) if attempt is not None else []
        return sum(life.started_at is not None and life.ended_at is None for life in lives)

    def workload(self, workload_id: WorkloadId) -> Workload:
        with self.service.store.reading() as books:
            found = books.workloads.get(workload_id)
        assert found is not None
        return found

    def verdicts(self, workload_id: WorkloadId) -> list[RecordedVerdict]:
        with self.service.store.reading() as books:
            return list(reversed(books.verdicts.of_workload(workload_id)))

    def held(self, attempt: Attempt) -> int:
        with self.service.store.reading() as books:
            holds = books.holds.of_attempt(attempt.id)
        return sum(hold.remaining for hold in holds if hold.state is HoldState.OPEN)

    def require_exact_charges(self, workload_id: WorkloadId) -> None:
        """Pod by pod, by the stamps of what the cluster really did; and nothing is left held."""
        with self.service.store.reading() as books:
            (attempt,) = books.attempts.of_workload(workload_id)
            entries = list(books.journal.entries(attempt_id=attempt.id))
            assert {hold.state for hold in books.holds.of_attempt(attempt.id)} == {HoldState.RESOLVED}
            assert books.journal.differences() == []
        charges = [e for e in entries if e.kind is TransactionKind.CHARGE and e.account.kind is AccountKind.CHARGED]
        true_ms = sum(life.billable_ms(attempt.grace_seconds) for life in self.site.truth.of_attempt(attempt.id))
        assert sum(entry.gpu_ms for entry in charges) == true_ms
        charged = sum(entry.amount for entry in charges)
        assert charged == standard_total(true_ms, attempt.weight, attempt.class_factor)


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path)


def test_it_shrinks_for_who_is_urgent_grows_back_and_is_charged_pod_by_pod(life: Life) -> None:
    asyncio.run(_assert_it_shrinks_grows_and_pays(life))
    life.service.store.close()


async def _assert_it_shrinks_grows_and_pays(life: Life) -> None:
    pod = PodRequest(4, 1_000, 1_000)
    elastic = life.submit("ada", "train", 60, pods=6, min_pods=2, pod=pod, time_limit_ms=600_000)
    await life.until(lambda: life.alive(elastic) == 6)
    attempt = life.attempt(elastic)
    assert attempt is not None
    held_before = life.held(attempt)

    urgent = life.submit("bao", "serve", 10, pod=PodRequest(8, 1_000, 1_000), priority_class=URGENT)
    await life.until(lambda: life.pods(elastic) == (4, 2), step_ms=0)
    assert life.alive(elastic) == 6, "its GPUs are taken until those pods have ended"
    assert life.workload(urgent).state is WorkloadState.QUEUED
    await life.until(lambda: life.workload(urgent).state is WorkloadState.RUNNING)
    assert life.pods(elastic) == (4, 0)
    assert life.workload(elastic).state is WorkloadState.RUNNING
    used = 6 * 4 * (life.site.clock.now() - (attempt.started_at or Instant(0)))
    held_after = life.held(attempt)
    kept = held_before * 4 // 6  # what is used already is still held until it is charged
    assert kept <= held_after <= kept + used, "what was held for the rest of two pods came back"

    await life.until(lambda: life.pods(elastic) == (6, 0) and life.alive(elastic) == 6)
    assert life.workload(urgent).state is WorkloadState.COMPLETED
    grown = life.attempt(elastic)
    assert grown is not None
    assert life.held(grown) > held_after
    await life.until(lambda: life.workload(elastic).state is WorkloadState.COMPLETED, step_ms=3_000)

    told = {verdict.reason: verdict.evidence for verdict in life.verdicts(elastic)}
    assert Reason.PREEMPTED not in told
    shrunk, more = told[Reason.SHRUNK], told[Reason.GROWN]
    assert (shrunk["pods"], shrunk["pods_max"], shrunk["given"], shrunk["preemptor"]) == (4, 6, 2, "serve")
    assert (more["pods"], more["pods_max"], more["more"]) == (6, 6, 2)
    assert len(life.site.truth.of_attempt(grown.id)) == 8
    life.require_exact_charges(elastic)
    life.require_exact_charges(urgent)


def test_what_starts_small_grows_when_others_end_and_holds_slices_for_what_comes(life: Life) -> None:
    asyncio.run(_assert_it_starts_small_and_grows(life))
    life.service.store.close()


async def _assert_it_starts_small_and_grows(life: Life) -> None:
    """On rolling holds, and over two nodes."""
    whole = PodRequest(8, 1_000, 1_000)
    busy = [life.submit("bao", f"busy{n}", 60, pod=whole) for n in range(2)]
    await life.until(lambda: all(life.alive(each) == 1 for each in busy))
    elastic = life.submit(
        "ada", "train", 90, pods=20, min_pods=1, pod=PodRequest(1, 1_000, 1_000), priority_class=OFF_PEAK
    )
    await life.until(lambda: life.alive(elastic) == 8)
    await life.until(lambda: life.alive(elastic) == 20)
    attempt = life.attempt(elastic)
    assert attempt is not None
    assert len(attempt.placement.pods_by_node) == 3
    await life.until(lambda: life.workload(elastic).state is WorkloadState.COMPLETED, step_ms=3_000)
    life.require_exact_charges(elastic)


def test_a_shrunk_job_is_stopped_where_its_minimum_must_go_and_starts_again_with_what_fits(life: Life) -> None:
    asyncio.run(_assert_it_stops_and_starts_again(life))
    life.service.store.close()


async def _assert_it_stops_and_starts_again(life: Life) -> None:
    elastic = life.submit(
        "ada", "train", 20, pods=3, min_pods=2, pod=PodRequest(8, 1_000, 1_000), gpu_classes=(GpuClassName("H100"),)
    )
    await life.until(lambda: life.alive(elastic) == 3)
    whole = PodRequest(8, 1_000, 1_000)
    first = life.submit("bao", "first", 30, pod=whole, priority_class=URGENT)
    await life.until(lambda: life.alive(first) == 1)
    assert life.pods(elastic) == (2, 0)
    second = life.submit("bao", "second", 30, pod=whole, priority_class=URGENT)
    await life.until(lambda: life.alive(second) == 1)
    assert life.workload(elastic).state is WorkloadState.QUEUED, "one pod is fewer than it runs with"
    await life.until(lambda: life.workload(elastic).state is WorkloadState.COMPLETED, step_ms=2_000)
    with life.service.store.reading() as books:
        reasons = [attempt.stop_reason for attempt in books.attempts.of_workload(elastic)]
        assert books.journal.differences() == []
    assert reasons == [Reason.PREEMPTED, Reason.COMPLETED]
    assert life.site.truth.unbound == []
