"""What a start must be paid with, once more, written for itself: who may pay, at what rate, and in which order (ADR 24)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from scheduler.decision.snapshot import Snapshot
from scheduler.domain.allowances import AllowanceBalance, AllowanceSource, HolderKind, Purpose
from scheduler.domain.funding import FundingShare
from scheduler.domain.units import STANDARD_GPU, AllowanceId, GpuClassName, PoolName, PriorityClassName
from scheduler.domain.workloads import Attempt, Workload

_NEVER = 2**62
_FIRST = (HolderKind.PROJECT, HolderKind.TEAM, HolderKind.ENGINEER)


@dataclass(frozen=True)
class Paid:
    """What a launch or a growth holds: so much physical time, of somebody's work on a class."""

    owner: str
    team: str
    pool: PoolName
    project: str | None
    uses_compensation: bool
    gpu_class: GpuClassName
    priority_class: PriorityClassName
    gpu_ms: int
    shares: tuple[FundingShare, ...]

    @classmethod
    def of_work(
        cls, work: Workload, pool: PoolName, gpu_class: GpuClassName, gpu_ms: int, shares: tuple[FundingShare, ...]
    ) -> "Paid":
        spec = work.spec
        by = (spec.project, spec.uses_compensation, gpu_class, spec.priority_class)
        return cls(work.owner, work.team, pool, *by, gpu_ms, shares)

    @classmethod
    def of_growth(cls, attempt: Attempt, gpu_ms: int, shares: tuple[FundingShare, ...]) -> "Paid":
        assert attempt.elastic is not None
        by = (attempt.elastic.project, attempt.elastic.uses_compensation, attempt.gpu_class, attempt.priority_class)
        return cls(attempt.owner, attempt.team, attempt.pool, *by, gpu_ms, shares)


def require_paid(world: Snapshot, paid: Paid, spent: Counter[AllowanceId]) -> None:
    """It is paid for all of its time, and no more than rounding; each by whom the order names, when those before it have
    nothing left beside all that was `spent`."""
    able = sorted((known for known in world.balances.values() if _may_pay(world, known, paid)), key=_turn)
    found = {each.allowance.id: _rate(world, each, paid) for each in able}
    rates = {name: rate for name, rate in found.items() if rate is not None}
    able = [each for each in able if each.allowance.id in rates]
    named = [share.allowance_id for share in paid.shares]
    assert named == [each.allowance.id for each in able if each.allowance.id in named], "in the order, and may pay"
    for each in able[: max((_place(able, name) for name in named), default=0)]:
        left = max(0, each.available + each.allowance.overdraft) - spent[each.allowance.id]
        rate = rates[each.allowance.id]
        assert left < max(Fraction(1), rate), "who comes before pays all that buys a millisecond"
        assert rate > 0, "nobody pays after whom it costs nothing"
    if any(rate == 0 for rate in rates.values()):
        return
    bought = sum(Fraction(share.amount) / rates[share.allowance_id] for share in paid.shares)
    rounding = sum(1 / rates[name] for name in named)
    assert paid.gpu_ms <= bought < paid.gpu_ms + rounding


def _place(able: Iterable[AllowanceBalance], name: AllowanceId) -> int:
    return next(position for position, each in enumerate(able) if each.allowance.id == name)


def _turn(known: AllowanceBalance) -> tuple[int, int, int, str]:
    allowance = known.allowance
    expires = allowance.expires_at if allowance.expires_at is not None else _NEVER
    return (_FIRST.index(allowance.holder.kind), expires, allowance.granted_at, allowance.id)


def _may_pay(world: Snapshot, known: AllowanceBalance, paid: Paid) -> bool:
    allowance = known.allowance
    holders = {(HolderKind.ENGINEER, paid.owner)}
    if paid.project is not None:
        holders |= {(HolderKind.TEAM, paid.team), (HolderKind.PROJECT, paid.project)}
    if known.is_frozen or (allowance.holder.kind, allowance.holder.id) not in holders:
        return False
    if allowance.starts_at > world.now or (allowance.expires_at or _NEVER) <= world.now:
        return False
    if allowance.gpu_classes is not None and paid.gpu_class not in allowance.gpu_classes:
        return False
    if paid.project is None:
        is_for = Purpose.PERSONAL in allowance.purposes
    elif allowance.source is AllowanceSource.COMPENSATION:
        is_for = paid.uses_compensation
    else:
        is_for = Purpose.PROJECT in allowance.purposes
    return is_for


def _rate(world: Snapshot, known: AllowanceBalance, paid: Paid) -> Fraction | None:
    """Of its unit for a physical millisecond; None where it pays for none."""
    weight = world.policy.gpu_classes[paid.gpu_class].weight
    factor = world.policy.priority_classes[paid.priority_class].class_factor
    unit, kept = known.allowance.unit, known.allowance.kept_terms
    weights, factors = (dict(kept.weights), dict(kept.factors)) if kept is not None else ({}, {})
    then = factors.get(paid.priority_class)
    if unit == STANDARD_GPU:
        old = weights.get(paid.gpu_class)
        product = weight * factor if then is None or old is None else min(weight * factor, old * then)
        return Fraction(product, 1_000_000)
    if unit == f"gpu-ms/{paid.gpu_class}":
        return Fraction(factor if then is None else min(factor, then), 1_000)
    if world.prices is None or unit != world.prices.unit:
        return None
    price = world.prices.highest.get((paid.gpu_class, paid.pool))
    return Fraction(price, 3_600_000) if price is not None else None
