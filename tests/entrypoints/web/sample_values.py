"""Values as the views give them: one engineer's work and hours, a queue, verdicts, a month."""

import random
from dataclasses import replace
from typing import Any

from scheduler.domain.allowances import Allowance, AllowanceBalance, AllowanceSource, Holder, HolderKind
from scheduler.domain.periods import iso
from scheduler.domain.reasons import TEXTS, Evidence, Reason, sentence
from scheduler.domain.units import (
    AllowanceId,
    Instant,
)
from scheduler.lifecycle.views.shapes import AllowanceView, BalanceView, VerdictView, WorkloadView
from tests.entrypoints.web.sample_people import (
    DAY,
    MARA,
    MIN,
    MONTH_END,
    MONTH_START,
    NOW,
    PEOPLE,
    H,
)


def verdict(
    name: str, reason: Reason, evidence: Evidence, *, at: int = NOW - 5 * MIN, seq: int = 1, text: str = ""
) -> VerdictView:
    return VerdictView(
        f"w-{name}",
        name,
        Instant(at),
        reason,
        text or sentence(reason, evidence),
        TEXTS[reason].next_step,
        evidence,
        seq,
    )


def workload(name: str, state: str, told: VerdictView, **changes: Any) -> WorkloadView:
    view = WorkloadView(
        id=f"w-{name.replace(' ', '-')}",
        name=name,
        kind="job",
        owner=MARA.id,
        owner_name=MARA.name,
        team="research",
        project="aurora",
        state=state,
        verdict=told,
        pods=1,
        gpus_per_pod=1,
        gpu_classes=("h100",),
        gpu_class="h100",
        priority_class="standard",
        time_limit_ms=8 * H,
        submitted_at=Instant(NOW - 5 * H),
        started_at=Instant(NOW - 3 * H - 12 * MIN),
        ended_at=None,
        elapsed_ms=3 * H + 12 * MIN,
        charged=6 * H + 24 * MIN,
        asked=16 * H,
        attempts=1,
        nodes=("g-014",),
        is_funded=True,
        namespace="allot",
    )
    return replace(view, **changes)


def my_workloads() -> tuple[WorkloadView, ...]:
    """One of each that an engineer meets: a sandbox, an unfunded job, one that waits, one that was preempted."""
    return (*_running(), *_waiting())


def _running() -> tuple[WorkloadView, ...]:
    return (
        workload(
            "llama-70b sandbox",
            "running",
            verdict("llama-70b sandbox", Reason.RUNNING, {"nodes": "g-003"}),
            kind="sandbox",
            gpus_per_pod=2,
            nodes=("g-003",),
            address="llama-70b.allot.svc:8888",
        ),
        workload(
            "ablation-sweep",
            "running",
            verdict("ablation-sweep", Reason.RUNNING, {"nodes": "g-014"}, seq=2),
            gpus_per_pod=8,
            gpu_class="a100",
            elapsed_ms=11 * H + 40 * MIN,
            time_limit_ms=24 * H,
            charged=46 * H + 42 * MIN,
            asked=106 * H,
            is_funded=False,
        ),
    )


def _waiting() -> tuple[WorkloadView, ...]:
    return (
        workload(
            "finetune-v3",
            "queued",
            verdict(
                "finetune-v3",
                Reason.RESOURCES,
                {"pods": 2, "gpus_per_pod": 8, "gpu_class": "h100", "free": 11, "fitting": 1},
                seq=3,
            ),
            pods=2,
            gpus_per_pod=8,
            gpu_class="",
            started_at=None,
            elapsed_ms=0,
            charged=0,
            asked=128 * H,
            rank=2,
        ),
        workload(
            "nightly-agents",
            "queued",
            verdict(
                "nightly-agents",
                Reason.PREEMPTED,
                {
                    "preemptor": "prod-canary",
                    "comparison": "urgent over standard",
                    "rule": "withinPool: LowerPriority",
                },
                at=NOW - 20 * MIN,
                seq=4,
            ),
            gpu_class="l40s",
            elapsed_ms=52 * MIN,
            charged=54 * MIN,
            asked=2 * H,
            attempts=1,
            ended_at=Instant(NOW - 20 * MIN),
        ),
    )


def my_past() -> tuple[WorkloadView, ...]:
    return (
        workload(
            "eval-suite-41",
            "completed",
            verdict("eval-suite-41", Reason.COMPLETED, {}, seq=5),
            gpus_per_pod=4,
            ended_at=Instant(NOW - 9 * H),
            elapsed_ms=2 * H + 5 * MIN,
            charged=8 * H + 20 * MIN,
        ),
        workload(
            "tokenizer-test",
            "failed",
            verdict("tokenizer-test", Reason.FAILED, {"cause": "exit code 1"}, seq=6),
            ended_at=Instant(NOW - 3 * DAY),
            elapsed_ms=4 * MIN,
            charged=4 * MIN,
        ),
    )


def balance(**changes: Any) -> BalanceView:
    dice = random.Random(3)
    left, history = 352 * H, []
    points = 56
    for index in range(points):
        at = MONTH_START + (NOW - MONTH_START) * index // (points - 1)
        history.append((Instant(at), left))
        left -= round(dice.choice([0, 0, 1, 2, 3, 5]) * H * 1.37)
    history[-1] = (NOW, 214 * H + 42 * MIN)
    view = BalanceView(
        owner=MARA.id,
        owner_name=MARA.name,
        team="research",
        tier="staff",
        available=214 * H + 42 * MIN,
        held=4 * H + 30 * MIN,
        charged=141 * H,
        granted=360 * H,
        pace=88,
        period_name="2026-11",
        period_starts_at=MONTH_START,
        period_ends_at=MONTH_END,
        runs_out=(Instant(NOW + 7 * DAY), Instant(NOW + 13 * DAY)),
        history=tuple(history),
        allowances=(
            _allowance("a-1", "Project aurora", 40, 8.4, 0, f"h100 only; ends {iso(MONTH_END)}"),
            _allowance("a-2", "Tier, 2026-11", 240, 112.3, 4.5, f"project work; ends {iso(MONTH_END)}"),
            _allowance("a-3", "Compensation", 120, 94.0, 0, "personal work; does not expire"),
        ),
    )
    return replace(view, **changes)


def _allowance(id_: str, name: str, amount: float, available: float, held: float, note: str) -> AllowanceView:
    return AllowanceView(
        id_,
        name,
        "tier",
        "engineer",
        MARA.id,
        round(amount * H),
        round(available * H),
        round(held * H),
        round((amount - available - held) * H),
        None,
        note,
        held_shown=f"{held} h" if held else "",
    )


def queue() -> tuple[WorkloadView, ...]:
    def waiting(rank: int, told: VerdictView, team: str, priority: str, gpus: int, gpu_class: str) -> WorkloadView:
        return workload(
            told.workload_name,
            "queued",
            replace(told, seq=20 + rank),
            team=team,
            priority_class=priority,
            gpus_per_pod=gpus,
            gpu_classes=(gpu_class,),
            gpu_class="",
            rank=rank,
            started_at=None,
            charged=0,
        )

    gang: Evidence = {"pods": 2, "gpus_per_pod": 8, "gpu_class": "h100", "free": 11, "fitting": 1}
    victims: Evidence = {"gpus": 8, "gpu_class": "h100", "victims": 2}
    short: Evidence = {"needed_hours": "32.0", "available_hours": "11.4"}
    ahead: Evidence = {"ahead": "rag-eval", "comparison": "standard over off-peak"}
    quota: Evidence = {"pool": "evals", "used": 60, "limit": 64, "gpu_class": "h100", "needed": 4}
    return (
        waiting(1, verdict("prod-canary", Reason.AWAITING_PREEMPTION, victims), "platform", "urgent", 8, "h100"),
        waiting(2, verdict("finetune-v3", Reason.RESOURCES, gang), "research", "standard", 16, "h100"),
        waiting(3, verdict("eval-batch-7", Reason.ALLOWANCE_SHORT, short), "evals", "standard", 4, "a100"),
        waiting(4, verdict("agents-night", Reason.PRIORITY, ahead), "apps", "off-peak", 12, "l40s"),
        waiting(5, verdict("reward-model-2", Reason.QUOTA, quota), "evals", "standard", 8, "h100"),
    )


def fallen() -> tuple[VerdictView, ...]:
    return (
        verdict(
            "nightly-agents",
            Reason.PREEMPTED,
            {"preemptor": "prod-canary", "comparison": "urgent over standard"},
            at=NOW - 9_000,
            seq=40,
        ),
        verdict(
            "finetune-v3",
            Reason.RESOURCES,
            {"pods": 2, "gpus_per_pod": 8, "gpu_class": "h100", "free": 11, "fitting": 1},
            at=NOW - 41_000,
            seq=39,
        ),
        verdict(
            "notebook-81",
            Reason.IDLE,
            {"minutes": 31, "came_back": "up to 1 h 36 min of GPU time comes back"},
            at=NOW - 90_000,
            seq=38,
        ),
        verdict(
            "rag-eval", Reason.LAUNCHING, {"gpus": 4, "gpu_class": "a100", "nodes": "g-031"}, at=NOW - 130_000, seq=37
        ),
        verdict("tokenizer-test", Reason.FAILED, {"cause": "exit code 1"}, at=NOW - 200_000, seq=36),
    )


def open_balances() -> tuple[AllowanceBalance, ...]:
    """What the service has in memory: each person's tier grant, with something left."""
    return tuple(
        AllowanceBalance(
            Allowance(
                AllowanceId(f"g-{person.id}"),
                Holder(HolderKind.ENGINEER, person.id),
                AllowanceSource.TIER,
                240 * H,
                MONTH_START,
                MONTH_END,
                MONTH_START,
            ),
            available=(17 + 31 * number) * H,
            held=4 * H,
        )
        for number, person in enumerate(PEOPLE)
    )
