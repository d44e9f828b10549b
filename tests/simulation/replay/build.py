"""A small company to replay: one class of eight GPUs, two teams, what a test asks for."""

from collections.abc import Sequence

from scheduler.adapters.policy_files import read_policy, read_prices
from scheduler.domain.cluster import Node, PodRequest
from scheduler.domain.people import Engineer
from scheduler.domain.policy import Policy
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

START = Instant(1_767_571_200_000)
GPU = GpuClassName("gpu")
POLICY = """
version: 1
period: week
default_priority_class: standard
gpu_classes:
  gpu: {weight_per_mille: 1000}
priority_classes:
  urgent: {value: 1000, class_factor_per_mille: 2000, preemptible: false}
  rolling: {value: 600, hold: rolling, slice_minutes: 15}
  standard: {value: 500}
  spare: {value: 100, class_factor_per_mille: 500, hold: rolling, slice_minutes: 15, at_exhaustion: unfunded}
tiers:
  engineer: {allowance_gpu_hours: 1000}
projects:
  atlas: {team: red}
  beacon: {team: blue}
cohorts: {all: {}}
pools:
  red: {teams: [red], cohort: all, quotas: {gpu: {nominal_gpus: 4}}}
  blue: {teams: [blue], cohort: all, quotas: {gpu: {nominal_gpus: 4}}}
"""
ANN = Engineer(EngineerId("ann"), "ann", TeamName("red"), TierName("engineer"))
BOB = Engineer(EngineerId("bob"), "bob", TeamName("blue"), TierName("engineer"))


def policy(text: str = POLICY) -> Policy:
    return read_policy(text, "test")


def asks(
    at_hours: float,
    run_hours: float,
    *,
    owner: Engineer = ANN,
    gpus: int = 1,
    priority_class: str = "standard",
    limit_hours: float = 24,
    checkpoint_hours: float = 0,
    exit_code: int = 0,
) -> Submission:
    """Work of one pod, submitted so long after the start."""
    spec = WorkloadSpec(
        name=f"{owner.subject}-{at_hours}",
        kind=WorkloadKind.JOB,
        project=ProjectName("atlas" if owner.team == "red" else "beacon"),
        gpu_classes=(GPU,),
        priority_class=PriorityClassName(priority_class),
        time_limit_ms=int(limit_hours * MS_PER_HOUR),
        pod=PodRequest(gpus, 1000, 1024),
    )
    return Submission(
        Instant(START + int(at_hours * MS_PER_HOUR)),
        owner.id,
        spec,
        int(run_hours * MS_PER_HOUR),
        exit_code,
        int(checkpoint_hours * MS_PER_HOUR),
    )


def replayed(
    submissions: Sequence[Submission],
    text: str = POLICY,
    *,
    gpus: int = 8,
    days: int = 7,
    cycle_ms: int = 1000,
    prices: str | None = None,
) -> Outcome:
    """The whole of it, over one node."""
    node = Node(NodeName("n"), GPU, gpus, 1_000_000, 1_000_000)
    stream = Stream({}, [ANN, BOB], sorted(submissions, key=lambda each: each.at))
    window = Window(START, Instant(START + days * MS_PER_DAY))
    book = read_prices(prices, "test") if prices is not None else None
    return Replay(policy(text), [node], stream, Tempo(cycle_ms), window, book).run(nobody_looks)


def nobody_looks(taken_in: int, now: Instant) -> None:
    """Progress that nobody reads."""
