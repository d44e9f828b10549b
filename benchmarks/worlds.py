"""Worlds to measure the decision on: generated from stated distributions and a seed. Nothing here is real."""

from random import Random

from scheduler.decision.snapshot import Snapshot
from scheduler.domain.allowances import Allowance, AllowanceBalance, AllowanceSource, Holder, HolderKind
from scheduler.domain.cluster import GpuClass, Node, PodRequest
from scheduler.domain.policy import Cohort, Policy, Pool, PriorityClass, Quota
from scheduler.domain.units import (
    MS_PER_HOUR,
    AllowanceId,
    CohortName,
    EngineerId,
    GpuClassName,
    Instant,
    NodeName,
    PerMille,
    PoolName,
    PriorityClassName,
    ProjectName,
    TeamName,
    WorkloadId,
)
from scheduler.domain.workloads import Workload, WorkloadKind, WorkloadSpec

NOW = Instant(1_795_000_000_000)
CLASSES = [GpuClassName(name) for name in ("h100", "a100", "l40s", "t4")]
PRIORITIES = [
    PriorityClass(PriorityClassName("urgent"), 300),
    PriorityClass(PriorityClassName("standard"), 200),
    PriorityClass(PriorityClassName("spare"), 100),
]
TEAMS_COUNT = 20


def world(nodes: int, queued: int, *, seed: int = 1) -> Snapshot:
    """Nodes of 8 GPUs in four classes, twenty teams in one cohort, fifty workloads or so to an engineer."""
    random = Random(seed)
    policy = _policy(nodes * 8)
    engineers = max(20, queued // 50)
    return Snapshot(
        now=NOW,
        policy=policy,
        nodes={node.name: node for node in (_node(number) for number in range(nodes))},
        queued={made.id: made for made in (workload(number, engineers, random) for number in range(queued))},
        balances={made.allowance.id: made for made in (_balance(number, random) for number in range(engineers))},
    )


def workload(number: int, engineers: int, random: Random) -> Workload:
    """Two thirds ask for one GPU, the rest for 2, 4, 8 or a gang of two to four nodes; seven time limits."""
    engineer = random.randrange(engineers)
    gpus = random.choices([1, 2, 4, 8], [66, 14, 10, 10])[0]
    first = random.choices(CLASSES, [4, 3, 2, 1])[0]
    spec = WorkloadSpec(
        name=f"w{number}",
        kind=WorkloadKind.JOB,
        project=ProjectName("p"),
        gpu_classes=(first,) if random.random() < 0.7 else (first, *(each for each in CLASSES[:2] if each != first)),
        priority_class=random.choices(PRIORITIES, [1, 7, 2])[0].name,
        time_limit_ms=random.choice([1, 2, 4, 8, 12, 24, 48]) * MS_PER_HOUR,
        pods=random.choice([2, 3, 4]) if gpus == 8 and random.random() < 0.3 else 1,
        pod=PodRequest(gpus, gpus * 8000, gpus * 65536),
    )
    return Workload(
        WorkloadId(f"w{number:07d}"),
        EngineerId(f"e{engineer}"),
        TeamName(f"t{engineer % TEAMS_COUNT}"),
        spec,
        Instant(NOW - random.randrange(86_400_000)),
    )


def _policy(gpus: int) -> Policy:
    share = max(8, gpus // len(CLASSES) // TEAMS_COUNT)
    cohort = CohortName("all")
    return Policy(
        name="benchmark",
        hash="0",
        gpu_classes={
            name: GpuClass(name, PerMille(weight))
            for name, weight in zip(CLASSES, (1000, 600, 400, 200), strict=True)
        },
        priority_classes={each.name: each for each in PRIORITIES},
        tiers={},
        pools={
            PoolName(f"t{team}"): Pool(
                PoolName(f"t{team}"),
                (TeamName(f"t{team}"),),
                {gpu_class: Quota(gpu_class, share) for gpu_class in CLASSES},
                cohort,
            )
            for team in range(TEAMS_COUNT)
        },
        cohorts={cohort: Cohort(cohort)},
    )


def _node(number: int) -> Node:
    gpu_class = CLASSES[(0, 0, 0, 0, 1, 1, 1, 2, 2, 3)[number % 10]]
    return Node(NodeName(f"n{number:05d}"), gpu_class, 8, 96_000, 1_048_576)


def _balance(number: int, random: Random) -> AllowanceBalance:
    granted = 2000 * MS_PER_HOUR
    allowance = Allowance(
        AllowanceId(f"a{number}"),
        Holder(HolderKind.ENGINEER, f"e{number}"),
        AllowanceSource.TIER,
        granted,
        Instant(0),
        None,
        Instant(0),
        period="2026-11",
    )
    return AllowanceBalance(allowance, random.randrange(granted))
