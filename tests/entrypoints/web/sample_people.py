"""Invented people and the policy that they live under."""

from scheduler.domain.cluster import GpuClass
from scheduler.domain.people import Engineer, Role
from scheduler.domain.policy import Policy, Pool, PriorityClass, Project, Quota, SandboxTerms, Tier
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    MS_PER_MINUTE,
    EngineerId,
    GpuClassName,
    Instant,
    PerMille,
    PoolName,
    PriorityClassName,
    ProjectName,
    TeamName,
    TierName,
)
from scheduler.domain.workloads import HoldMode

NOW = Instant(1_795_185_131_000)  # 20 Nov 2026, 14:32:11 UTC
MONTH_START = Instant(1_793_487_600_000)  # in Berlin
MONTH_END = Instant(1_796_079_600_000)
H, MIN, DAY = MS_PER_HOUR, MS_PER_MINUTE, MS_PER_DAY

MARA = Engineer(EngineerId("e-mara"), "mara@example.com", TeamName("research"), TierName("staff"), "Mara Lind")
OTTO = Engineer(
    EngineerId("e-otto"),
    "otto@example.com",
    TeamName("platform"),
    TierName("staff"),
    "Otto Weiss",
    frozenset({Role.ENGINEER, Role.OPERATOR}),
)
FINN = Engineer(
    EngineerId("e-finn"),
    "finn@example.com",
    TeamName("platform"),
    TierName("associate"),
    "Finn Okafor",
    frozenset({Role.FINANCE}),
)
PEOPLE = (
    MARA,
    OTTO,
    FINN,
    Engineer(EngineerId("e-ada"), "ada@example.com", TeamName("evals"), TierName("associate"), "Ada Park"),
    Engineer(EngineerId("e-jun"), "jun@example.com", TeamName("evals"), TierName("staff"), "Jun Sato"),
    Engineer(EngineerId("e-lea"), "lea@example.com", TeamName("research"), TierName("principal"), "Léa Moreau"),
    Engineer(EngineerId("e-sam"), "sam@example.com", TeamName("apps"), TierName("associate"), "Sam Adeyemi"),
)


def policy() -> Policy:
    def names(*texts: str) -> frozenset[PriorityClassName]:
        return frozenset(map(PriorityClassName, texts))

    classes = [("h100", 1000), ("a100", 550), ("l40s", 300)]
    priorities = [
        PriorityClass(PriorityClassName("urgent"), 1000, PerMille(1500), HoldMode.FULL, is_preemptible=False),
        PriorityClass(
            PriorityClassName("standard"), 500, PerMille(1000), HoldMode.ROLLING, minimum_runtime_ms=10 * MIN
        ),
        PriorityClass(PriorityClassName("off-peak"), 100, PerMille(500), HoldMode.ROLLING),
    ]
    tiers = [
        Tier(
            TierName("associate"),
            120 * H,
            priority_classes=names("standard", "off-peak"),
            gpus_max=8,
            time_limit_max_ms=24 * H,
        ),
        Tier(TierName("staff"), 240 * H, gpus_max=32, time_limit_max_ms=3 * DAY),
        Tier(TierName("principal"), 480 * H, gpus_max=64, time_limit_max_ms=7 * DAY),
    ]
    teams = ["research", "platform", "evals", "apps"]
    return Policy(
        name="example",
        hash="9f2c41d07a55e1b2",
        gpu_classes={GpuClassName(n): GpuClass(GpuClassName(n), PerMille(w)) for n, w in classes},
        priority_classes={p.name: p for p in priorities},
        tiers={t.name: t for t in tiers},
        pools={
            PoolName(t): Pool(
                PoolName(t),
                (TeamName(t),),
                {GpuClassName(n): Quota(GpuClassName(n), 64 // (i + 1)) for i, (n, _) in enumerate(classes)},
            )
            for t in teams
        },
        projects={
            ProjectName(n): Project(ProjectName(n), TeamName(t))
            for n, t in [("aurora", "research"), ("atlas", "research"), ("canary", "platform")]
        },
        sandbox=SandboxTerms(images=("notebook:cuda13", "inference:vllm", "team/*"), default_image="notebook:cuda13"),
        time_zone="Europe/Berlin",
        default_priority_class=PriorityClassName("standard"),
    )
