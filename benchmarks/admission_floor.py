"""Kueue's scalability test in virtual time: how soon it would end if requests, watches and processors took no time.

    python -m benchmarks.admission_floor [--generator FILE] [--json]

The decision is the service's own, and so are policy and workloads (`admission`, above); the cluster is simulated. A
latency is what passes between the end of a workload and the next launch on its GPUs, here added to the time it runs;
what is stopped has ended 20 ms later. A cycle comes at most each millisecond. So this is the part of a measured time that
the rules themselves cost.

Without preemption (the delay of `admission` lets nobody wait long enough) a latency of 0, 0.1 and 0.3 s ends at 66, 75
and 94 s, as the arithmetic of GPU-seconds says. With Kueue's own rules, which stop the small and medium workloads
whenever a large one comes, some 6,000 launches are in vain and ten seconds are lost before any processor is short.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import orjson

from benchmarks.admission.__main__ import BASELINE, PREEMPTION_DELAY_SECONDS
from benchmarks.admission.company import COHORT_LABEL, policy_text
from benchmarks.admission.generator import Creation, Generator, read_generator
from benchmarks.measured import keep
from scheduler.adapters.policy_files import read_policy
from scheduler.domain.cluster import Node, PodRequest
from scheduler.domain.people import Engineer
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    EngineerId,
    GpuClassName,
    Instant,
    NodeName,
    PriorityClassName,
    ProjectName,
    TeamName,
    TierName,
)
from scheduler.domain.workloads import WorkloadKind, WorkloadSpec
from scheduler.simulation.replay.engine import Outcome, Replay, Tempo
from scheduler.simulation.replay.measures import Window
from scheduler.simulation.replay.submissions import Stream, Submission

LATENCIES_MS = (0, 50, 100, 300)
DELAYS: tuple[Sequence[int], ...] = ((0,), PREEMPTION_DELAY_SECONDS)
STOPPING_MS = 20
STARTS_AT = Instant(1_767_571_200_000)
"""2026-01-05, midnight UTC."""

PLENTY = 10**9
"""Of a node's CPU and memory, so that GPUs are what is short."""


@dataclass(frozen=True, slots=True)
class Row:
    """How one run ended; `waits` are seconds from creation to the first launch, by class of workloads."""

    makespan_seconds: float
    launches: int
    waits: dict[str, float]


def run(generator: Generator, delay_seconds: Sequence[int], latency_ms: int) -> Row:
    """The whole file under one delay and one latency."""
    policy = read_policy(policy_text(generator, 0, delay_seconds), "the benchmark's policy")
    nodes = [
        Node(NodeName(f"node-{name}"), GpuClassName(name), gpus, PLENTY, PLENTY, labels={COHORT_LABEL: name})
        for name, gpus in generator.cohort_gpus.items()
    ]
    people = [
        Engineer(EngineerId(queue.name), queue.name, TeamName(queue.name), TierName("benchmark"))
        for queue in generator.queues
    ]
    submissions = sorted(_submissions(generator, latency_ms), key=lambda each: each.at)
    stream = Stream({"kind": "generator"}, people, submissions)
    window = Window(STARTS_AT, Instant(submissions[-1].at + 1))
    tempo = Tempo(cycle_ms=1, drain_ms=MS_PER_DAY)
    return _row(Replay(policy, nodes, stream, tempo, window).run(_nobody_looks))


def _nobody_looks(taken_in: int, now: Instant) -> None:
    """Progress that nobody reads."""


def _submissions(generator: Generator, latency_ms: int) -> list[Submission]:
    return [
        _submission(creation, number, latency_ms)
        for series in generator.series()
        for number, creation in enumerate(series)
    ]


def _submission(creation: Creation, number: int, latency_ms: int) -> Submission:
    template, queue = creation.template, creation.queue
    spec = WorkloadSpec(
        template.slug,
        WorkloadKind.JOB,
        ProjectName(queue.name),
        (GpuClassName(queue.cohort),),
        PriorityClassName(f"p{template.priority}"),
        MS_PER_HOUR,
        pod=PodRequest(template.request, 1, 1),
        image="none",
    )
    at = Instant(STARTS_AT + number * creation.wait_ms)
    return Submission(at, EngineerId(queue.name), spec, template.runtime_ms + latency_ms, termination_ms=STOPPING_MS)


def _row(outcome: Outcome) -> Row:
    waits: dict[str, list[int]] = defaultdict(list)
    ends: list[int] = []
    for work in outcome.works:
        if work.first_launch_at is None or work.ended_at is None:
            raise SystemExit(f"{work.workload.spec.name} of {work.workload.owner} has not run to its end")
        waits[work.workload.spec.name].append(work.first_launch_at - work.submission.at)
        ends.append(work.ended_at - STARTS_AT)
    return Row(
        makespan_seconds=max(ends) / 1000,
        launches=sum(work.attempts for work in outcome.works),
        waits={name: round(fmean(each) / 1000, 2) for name, each in sorted(waits.items())},
    )


def measure(generator: Generator) -> dict[str, Any]:
    """Every delay with every latency."""
    rows: dict[str, dict[str, Any]] = {}
    for delay in DELAYS:
        for latency_ms in LATENCIES_MS:
            row = run(generator, delay, latency_ms)
            name = f"delay {' / '.join(map(str, delay))} s, latency {latency_ms} ms"
            waits = {f"{slug} waits": seconds for slug, seconds in row.waits.items()}
            rows[name] = {"to the end": row.makespan_seconds, "launches": row.launches, **waits}
    return {"simulated": True, "workloads": generator.workloads, "seconds": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", type=Path, default=BASELINE)
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    options = parser.parse_args()
    try:
        generator = read_generator(options.generator)
    except (OSError, ValueError) as error:
        parser.exit(2, f"{options.generator}: {error}\n")
    measured = measure(generator)
    if options.generator == BASELINE:
        measured = keep("admission_floor", measured)
    if options.json:
        print(orjson.dumps(measured).decode())
        return
    for name, row in measured["seconds"].items():
        print(name, *(f"{column} {number:g}" for column, number in row.items()), sep="  ")


if __name__ == "__main__":
    main()
