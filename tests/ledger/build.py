"""Attempts, holds and allowances with what a test cares about, and the rest plain."""

from scheduler.domain.allowances import Allowance, AllowanceSource, Holder, HolderKind
from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.units import (
    STANDARD_GPU,
    AllowanceId,
    AttemptId,
    EngineerId,
    GpuClassName,
    HoldId,
    Instant,
    NodeName,
    PerMille,
    PoolName,
    PriorityClassName,
    TeamName,
    Unit,
    WorkloadId,
)
from scheduler.domain.workloads import Attempt, HoldMode
from scheduler.ledger.holds import Hold

ADA = EngineerId("e-ada")
WORKLOAD = WorkloadId("w-1")
ATTEMPT = AttemptId("w-1.1")


def attempt(
    *,
    weight: int = 1000,
    class_factor: int = 1000,
    gpus: int = 1,
    charged_gpu_ms: int = 0,
    charged: int = 0,
    is_funded: bool = True,
    checkpointed_at: int | None = None,
    started_at: int | None = 0,
) -> Attempt:
    return Attempt(
        id=ATTEMPT,
        workload_id=WORKLOAD,
        number=1,
        owner=ADA,
        team=TeamName("research"),
        pool=PoolName("research"),
        gpu_class=GpuClassName("h100"),
        priority_class=PriorityClassName("standard"),
        placement=Placement(((NodeName("n1"), 1),)),
        pod=PodRequest(gpus=gpus, cpu_milli=1000, memory_mib=1024),
        weight=PerMille(weight),
        class_factor=PerMille(class_factor),
        hold_mode=HoldMode.FULL,
        time_limit_ms=3_600_000,
        launched_at=Instant(0),
        is_funded=is_funded,
        started_at=None if started_at is None else Instant(started_at),
        checkpointed_at=None if checkpointed_at is None else Instant(checkpointed_at),
        charged_gpu_ms=charged_gpu_ms,
        charged=charged,
    )


def hold(amount: int, *, name: str = "1", allowance: str = "a-1", order: int = 0, charged: int = 0) -> Hold:
    return Hold(HoldId(f"h-{name}"), WORKLOAD, AllowanceId(allowance), order, amount, Instant(0), ATTEMPT, charged)


def allowance(
    amount: int,
    *,
    name: str = "a-1",
    expires_at: int | None = None,
    overdraft: int = 0,
    unit: Unit = STANDARD_GPU,
    starts_at: int = 0,
) -> Allowance:
    return Allowance(
        id=AllowanceId(name),
        holder=Holder(HolderKind.ENGINEER, ADA),
        source=AllowanceSource.TIER,
        amount=amount,
        starts_at=Instant(starts_at),
        expires_at=None if expires_at is None else Instant(expires_at),
        granted_at=Instant(0),
        unit=unit,
        overdraft=overdraft,
    )
