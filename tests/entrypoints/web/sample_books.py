"""A month, a statement and two versions of a policy, as the views give them."""

from dataclasses import replace
from typing import Any

from scheduler.domain.records import PolicyVersion
from scheduler.domain.units import MS_PER_HOUR, Instant
from scheduler.lifecycle.views.advice import Advice, AdviceKind
from scheduler.lifecycle.views.efficiency import AttemptEfficiency, EfficiencyView
from scheduler.lifecycle.views.statement_shapes import MonthView, ShareView, StatementLine, StatementView
from scheduler.metering.efficiency import efficiency_of
from scheduler.metering.use import Use
from tests.entrypoints.web.sample_people import (
    DAY,
    MARA,
    MONTH_END,
    MONTH_START,
    NOW,
    H,
)


def month(**changes: Any) -> MonthView:
    def share(name: str, charged: float, unfunded: float, people: int) -> ShareView:
        return ShareView(name, round(charged * 1.1 * H), round(charged * H), round(unfunded * H), people)

    teams = (
        share("research", 215_604.8, 9_000, 41),
        share("platform", 136_205.1, 0, 22),
        share("evals", 55_311.9, 4_000.5, 17),
        share("apps", 45_830.2, 0, 12),
    )
    capacity = 595_200 * H
    shares = (
        ("charged", 761),
        ("unfunded", 42),
        ("overhead", 11),
        ("free", 99),
        ("drained", 37),
        ("outside", 50),
        ("unattributed", 0),
    )
    view = MonthView(
        period="2026-11",
        starts_at=MONTH_START,
        ends_at=MONTH_END,
        charged=sum(t.charged for t in teams),
        gpu_ms=sum(t.gpu_ms for t in teams),
        unfunded=sum(t.unfunded for t in teams),
        refunded=1_212 * H,
        granted=612_000 * H,
        outstanding=157_836 * H,
        by_team=teams,
        by_tier=(
            share("staff", 320_000, 13_000, 60),
            share("principal", 100_000, 0, 9),
            share("associate", 32_952, 0.5, 23),
        ),
        by_gpu_class=(share("h100", 300_000, 0, 50), share("a100", 130_000, 0, 42), share("l40s", 22_952, 0, 30)),
        buckets=tuple((name, capacity * per_mille // 1000) for name, per_mille in shares),
        capacity=capacity,
        checks=(
            ("Cached balances equal the journal", True, "0 differences in 1 412 accounts"),
            ("Every transaction balances", True, "48 231 transactions sum to 0 per unit"),
            ("Every hold is resolved or its attempt lives", True, "4 230 holds, 94 open"),
            ("Capacity is explained", False, "0.3 h of 595 200 h are unattributed"),
        ),
    )
    return replace(view, **changes)


def line(day: int, kind: str, text: str, work: str, gpu_class: str, gpu_hours: int, hours: float) -> StatementLine:
    """A line of eight GPUs; a grant names no work."""
    return StatementLine(
        at=Instant(MONTH_START + day * DAY),
        kind=kind,
        text=text,
        attempt_id="t-1" if work else "",
        workload_id=f"w-{work}" if work else "",
        workload_name=work,
        gpu_class=gpu_class,
        gpus=8 if work else 0,
        gpu_ms=gpu_hours * H,
        weight=550 if gpu_class == "a100" else 1000,
        class_factor=1000,
        amount=round(hours * H),
    )


def statement(**changes: Any) -> StatementView:
    view = StatementView(
        owner=MARA.id,
        owner_name=MARA.name,
        team="research",
        period="2026-11",
        starts_at=MONTH_START,
        ends_at=MONTH_END,
        opening=120 * H,
        granted=240 * H,
        charged=round(141.6 * H),
        refunded=round(0.6 * H),
        expired=0,
        transferred=0,
        held=round(4.3 * H),
        closing=round(214.7 * H),
        overrun=0,
        unfunded=46 * H,
        lines=(
            line(0, "grant", "Tier staff, 2026-11", "", "", 0, 240),
            line(2, "charge", "attempt 1, ended by itself", "eval-suite-38", "h100", 8, -8),
            line(5, "charge", "attempt 1, preempted", "ablation-sweep", "a100", 90, -49.5),
            line(5, "refund", "work lost to a preemption", "ablation-sweep", "a100", 0, 0.6),
        ),
    )
    return replace(view, **changes)


def versions() -> list[PolicyVersion]:
    first = "name: example\ntiers:\n  - name: staff\n    allowance: 200h\n"
    second = "name: example\ntiers:\n  - name: staff\n    allowance: 240h\n"
    return [
        PolicyVersion("9f2c41d07a55e1b2", "example", second, Instant(NOW - 3 * DAY), "otto@example.com", 2),
        PolicyVersion("11aa41d07a55e1b2", "example", first, Instant(NOW - 30 * DAY), "otto@example.com", 1),
    ]


def efficiency() -> EfficiencyView:
    """Ten GPU-hours of Mara's, four of them at rest, with what is advised."""
    use = Use(
        active_ms=6 * MS_PER_HOUR,
        idle_held_ms=4 * MS_PER_HOUR,
        covered_ms=10 * MS_PER_HOUR,
        utilization_ms=10 * MS_PER_HOUR,
        percent_ms=54 * 10 * MS_PER_HOUR,
        energy_ms=10 * MS_PER_HOUR,
        millijoules=9 * 3_600_000_000,
        memory_bytes_max=18 << 30,
    )
    advice = Advice(AdviceKind.UNUSED_GPUS, "It asked for 8 GPUs; 2 were never used, in 2.0 h of readings each.", {})
    attempt = AttemptEfficiency("t-7", "w-7", "ablation-sweep", "e-1", "a100", 8, efficiency_of(use), (advice,))
    s = statement()
    return EfficiencyView(
        s.owner, "engineer", s.owner_name, s.period, s.starts_at, s.ends_at, efficiency_of(use), 1, (), (), (attempt,)
    )
