"""A stream from the synthetic generator: the distributions of `simulation/stream.py`, for so many days or workloads."""

from collections.abc import Sequence
from random import Random

from scheduler.domain.cluster import Node
from scheduler.domain.people import Engineer
from scheduler.domain.policy import Policy
from scheduler.domain.units import MS_PER_DAY, EngineerId, GpuClassName, Instant
from scheduler.domain.workloads import WorkloadKind
from scheduler.simulation.replay.collecting import collecting_seldom
from scheduler.simulation.replay.submissions import Stream, Submission
from scheduler.simulation.stream import Arrival, Load, SyntheticStream

STARTS_AT = Instant(1_767_571_200_000)
"""2026-01-05, a Monday, at midnight UTC: a replay does not know what day it is."""

_MARGIN = 1.05


def synthetic(
    policy: Policy,
    people: Sequence[Engineer],
    nodes: Sequence[Node],
    *,
    seed: int,
    days: int,
    workloads: int | None = None,
    busy: float = 1.5,
) -> Stream:
    """`workloads` in so many days; None: as many as keep the cluster `busy`, in GPU-hours asked per GPU-hour that there
    is, in the busiest hours of a working day. Node sizes are those of `nodes`."""
    node_gpus: dict[GpuClassName, int] = {}
    for node in nodes:
        if node.gpu_class is not None:
            node_gpus[node.gpu_class] = max(node.gpus, node_gpus.get(node.gpu_class, 0))
    gpus = sum(node.gpus for node in nodes)
    ends_at = Instant(STARTS_AT + days * MS_PER_DAY)
    of = {engineer.subject: engineer.id for engineer in people}
    with collecting_seldom():
        made = SyntheticStream(policy, people, seed, STARTS_AT, Load(gpus, busy, backlog_hours=0.0), node_gpus)
        arrivals = made.between(STARTS_AT, ends_at) if workloads is None else _so_many(made, ends_at, workloads)
        submissions = [_submission(arrival, of[arrival.subject]) for arrival in arrivals]
    return Stream({"kind": "synthetic", "seed": seed, "days": days, "engineers": len(people)}, people, submissions)


def _so_many(made: SyntheticStream, ends_at: Instant, count: int) -> list[Arrival]:
    """So many arrivals, evenly over those of a stream that is as busy as it takes."""
    busy = made.load.busy * count * _MARGIN / made.expected(ends_at)
    arrivals: list[Arrival] = []
    while len(arrivals) < count:
        arrivals = made.as_busy_as(busy).between(STARTS_AT, ends_at)
        busy *= _MARGIN
    return [arrivals[number * len(arrivals) // count] for number in range(count)]


def _submission(arrival: Arrival, owner: EngineerId) -> Submission:
    fate, spec = arrival.fate, arrival.spec
    run_ms = fate.run_ms
    if run_ms is None:
        # A sandbox lasts until its owner stops it; what hangs, until its time limit.
        stays = Random(arrival.id).uniform(0.2, 1.2) if spec.kind is WorkloadKind.SANDBOX else 2.0
        run_ms = int(spec.time_limit_ms * stays)
    return Submission(
        arrival.at,
        owner,
        spec,
        run_ms,
        fate.exit_code,
        fate.checkpoint_every_ms,
        fate.start_ms,
        fate.termination_ms,
    )
