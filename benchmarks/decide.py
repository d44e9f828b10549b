"""How long a decision takes: cold, and after ten changes; over nodes and queued workloads, with the memory it needs.

    python -m benchmarks.decide [--json] [--grid]

The goals: 1,213 nodes and 10,000 queued cold under 1 s, ten changes under 50 ms; with --grid also 10,000 nodes and
100,000 queued with the 99th percentile of a step under 100 ms. The world is generated (`benchmarks/worlds.py`). Steps
are measured once the cold plan has settled; the slowest of those before is told beside them. The garbage collector is
set as the service sets it: with Python's own thresholds a cold decision takes half as long again, and one step in
fifteen of the largest world 220 ms more (95868d03). `cpu` is processor time, which a busy machine stretches
less than the clock's; memory is the process's peak so far, which measures one row after the other.

How it grows: a cold decision with what is queued, and with nodes × shapes. What waits stands in lines of equal owners
and lanes of equal wishes, and a step looks at the lanes for which room, quota or victims changed. With 1,000 queued,
where nothing is short, a step takes 0.42 ms at 1,000 nodes and 0.46 ms at 10,000 (the grid below); a search for
victims or for moves does grow with the nodes. Where GPUs are short, a step does not grow with what merely waits: of a
lane whose room is kept for somebody ahead, lines that last too long are withheld as one, and told something only when
what they hear is another (tests/decision/test_growth.py counts the code that six steps execute: 36,034 lines of it
with 40 waiting and 36,316 with 8,000, and 36,705 and 411,873 before; at a52f3856). It does grow with the lanes that
want what came free, each of which is opened and closed: that is pools times distinct wishes (GPU classes, shape,
pods). In these worlds more queued are also more distinct wishes: 61, 802 and 1,147 lanes with 1,000, 10,000 and
100,000 queued on 100 nodes (counted at a52f3856) take 4, 21 and 24 ms a step at the median (the grid below). Whom to
take is weighed once for all searches of a cycle, and only of those who come first.
"""

import argparse
import gc
import resource
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from time import perf_counter, process_time

import orjson

from benchmarks.measured import keep
from benchmarks.worlds import workload, world
from scheduler.decision.decide import step
from scheduler.decision.plan import Launch, Plan
from scheduler.decision.snapshot import Changes, Reservation, Snapshot
from scheduler.decision.state import State
from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.reasons import Reason
from scheduler.domain.units import AllowanceId, AttemptId, Instant, WorkloadId
from scheduler.domain.usage import begins_to_age
from scheduler.domain.workloads import Attempt, AttemptState, HoldMode, Workload
from scheduler.entrypoints.cli.server import GC_THRESHOLDS

STEPS = 160
SETTLING_STEPS = 60
"""Until a cold plan's thousands of launches have come back, with the preemptions and returns that they lead to: a step
takes in several hundred changes at first, and is no measure of ten."""
CHANGES_PER_STEP = 10


def measure(nodes: int, queued: int) -> dict[str, float | int]:
    """One cold decision, its plan recorded, then steps of ten changes each: ends and submissions in turn."""
    snapshot = world(nodes, queued)
    state = State()
    gc.collect()
    gc.set_threshold(*GC_THRESHOLDS)
    began, computed_before = perf_counter(), process_time()
    everything = {name: value for name, value in vars(snapshot).items() if name != "now"}
    _, plan = step(state, Changes(**everything), snapshot.now)
    cold, cold_computed = perf_counter() - began, process_time() - computed_before
    gc.collect()
    gc.freeze()
    took: list[float] = []
    computed: list[float] = []
    settling: list[float] = []
    history = _History(snapshot)
    preempted = 0
    for number in range(STEPS):
        now = Instant(snapshot.now + (number + 1) * 1000)
        changes = history.next(plan, now)
        began, computed_before = perf_counter(), process_time()
        _, plan = step(state, changes, now)
        preempted += len(plan.preemptions)
        (took if number >= SETTLING_STEPS else settling).append(perf_counter() - began)
        if number >= SETTLING_STEPS:
            computed.append(process_time() - computed_before)
    gc.unfreeze()
    took.sort()
    computed.sort()
    return {
        "nodes": nodes,
        "queued": queued,
        "cold_seconds": round(cold, 3),
        "cold_cpu_seconds": round(cold_computed, 3),
        "step_p50_ms": round(took[len(took) // 2] * 1000, 2),
        "step_p99_ms": round(took[-1 - len(took) // 100] * 1000, 2),
        "step_p50_cpu_ms": round(computed[len(computed) // 2] * 1000, 2),
        "step_p99_cpu_ms": round(computed[-1 - len(computed) // 100] * 1000, 2),
        "settling_slowest_ms": round(max(settling[1:]) * 1000, 2),
        "preemptions": preempted,
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


class _History:
    """What happens between steps: the plan is recorded, victims end, five attempts end and five workloads come."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._random = Random(2)
        self._engineers = max(20, len(snapshot.queued) // 50)
        self._queued = dict(snapshot.queued)
        self._balances = dict(snapshot.balances)
        self._running: dict[AttemptId, tuple[Attempt, Workload]] = {}
        self._stopping: list[tuple[Attempt, Workload]] = []
        self._submitted = len(snapshot.queued)

    def next(self, plan: Plan, now: Instant) -> Changes:
        attempts: dict[AttemptId, Attempt | None] = {}
        queued: dict[WorkloadId, Workload | None] = {}
        reservations: dict[WorkloadId, Reservation | None] = dict.fromkeys(plan.lapsed)
        balances: dict[AllowanceId, AllowanceBalance | None] = {}
        for workload_id in plan.ageing:
            grown = self._queued[workload_id]
            self._queued[workload_id] = queued[workload_id] = replace(grown, ages_from=begins_to_age(grown, now))
        for attempt, of in self._stopping:
            attempts[attempt.id] = None
            self._queued[of.id] = queued[of.id] = of
        self._stopping = []
        for launch in plan.launches:
            of = self._queued.pop(launch.workload_id)
            queued[of.id] = None
            attempt = self._attempt(of, launch, now)
            attempts[attempt.id] = attempt
            self._running[attempt.id] = (attempt, of)
            if launch.is_reserved:
                reservations[of.id] = None
            balances |= self._held(launch)
        for preemption in plan.preemptions:
            launch = preemption.launch
            reservations[launch.workload_id] = Reservation(
                launch.workload_id, launch.gpu_class, launch.placement, preemption.until, launch.is_borrowed
            )
            balances |= self._held(launch)
            for victim in preemption.victims:
                attempt, of = self._running.pop(victim.attempt_id)
                stopping = replace(attempt, state=AttemptState.STOPPING, stop_reason=Reason.PREEMPTED)
                attempts[attempt.id] = stopping
                self._stopping.append((stopping, of))
        for _ in range(min(CHANGES_PER_STEP // 2, len(self._running))):
            ended = self._random.choice(list(self._running))
            del self._running[ended]
            attempts[ended] = None
        for _ in range(CHANGES_PER_STEP // 2):
            made = workload(self._submitted, self._engineers, self._random)
            self._submitted += 1
            self._queued[made.id] = queued[made.id] = replace(made, submitted_at=now)
        return Changes(queued=queued, attempts=attempts, balances=balances, reservations=reservations)

    def _held(self, launch: Launch) -> dict[AllowanceId, AllowanceBalance | None]:
        held: dict[AllowanceId, AllowanceBalance | None] = {}
        for share in launch.funding:
            known = self._balances[share.allowance_id]
            self._balances[share.allowance_id] = held[share.allowance_id] = replace(
                known, available=known.available - share.amount
            )
        return held

    def _attempt(self, of: Workload, launch: Launch, now: Instant) -> Attempt:
        policy = self._snapshot.policy
        return Attempt(
            id=AttemptId(f"{of.id}/1"),
            workload_id=of.id,
            number=1,
            owner=of.owner,
            team=of.team,
            pool=launch.pool,
            gpu_class=launch.gpu_class,
            priority_class=of.spec.priority_class,
            placement=launch.placement,
            pod=of.spec.pod,
            weight=policy.gpu_classes[launch.gpu_class].weight,
            class_factor=policy.priority_classes[of.spec.priority_class].class_factor,
            hold_mode=HoldMode.FULL,
            time_limit_ms=of.spec.time_limit_ms,
            launched_at=now,
            is_borrowed=launch.is_borrowed,
            state=AttemptState.RUNNING,
            started_at=now,
            submitted_at=of.submitted_at,
        )


def sizes(*, grid: bool) -> Iterator[tuple[int, int]]:
    yield 1213, 10_000
    if grid:
        for nodes in (100, 1_000, 10_000):
            for queued in (1_000, 10_000, 100_000):
                yield nodes, queued


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    parser.add_argument("--grid", action="store_true", help="also 100 to 10,000 nodes, 1,000 to 100,000 queued")
    options = parser.parse_args()
    results = [measure(nodes, queued) for nodes, queued in sizes(grid=options.grid)]
    named = {f"{row['nodes']:,} nodes, {row['queued']:,} queued": row for row in results}
    kept = keep("decide-grid", {"grid": named}) if options.grid else keep("decide", {"measurements": results})
    if options.json:
        print(orjson.dumps(kept).decode())
        return
    print("   nodes   queued    cold s  (cpu)   step p50 ms   p99 ms  (p99 cpu)   memory MiB")
    for row in results:
        print(
            f"{row['nodes']:8,} {row['queued']:8,} {row['cold_seconds']:9.3f} {row['cold_cpu_seconds']:6.3f}"
            f" {row['step_p50_ms']:13.2f}"
            f" {row['step_p99_ms']:8.2f} {row['step_p99_cpu_ms']:10.2f} {row['memory_mib']:12,}"
        )


if __name__ == "__main__":
    main()
