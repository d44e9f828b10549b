"""The funding order: which allowances pay for a workload, and how much each.

Project work is paid by the project's, the team's and the engineer's allowances that allow its kind and GPU class:
the most specific first, then the one that expires soonest, then the oldest. Several may pay together.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from scheduler.domain.allowances import AllowanceBalance, HolderKind
from scheduler.domain.units import STANDARD_GPU, AllowanceId, GpuClassName, Instant
from scheduler.domain.workloads import WorkloadSpec

_SPECIFICITY = {HolderKind.PROJECT: 0, HolderKind.TEAM: 1, HolderKind.ENGINEER: 2}
_NEVER = 2**62


@dataclass(frozen=True, slots=True)
class FundingShare:
    """What one allowance pays: `amount` in standard GPU-milliseconds."""

    allowance_id: AllowanceId
    amount: int


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Not enough: what was needed and what the allowances that may pay have together."""

    needed: int
    available: int


def funding_key(balance: AllowanceBalance) -> tuple[int, int, int, str]:
    """Sort key of the funding order."""
    allowance = balance.allowance
    expires = _NEVER if allowance.expires_at is None else allowance.expires_at
    return (_SPECIFICITY[allowance.holder.kind], expires, allowance.granted_at, allowance.id)


def payers(
    balances: Iterable[AllowanceBalance], spec: WorkloadSpec, gpu_class: GpuClassName, now: Instant
) -> list[AllowanceBalance]:
    """The allowances that may pay, in funding order. `balances` are those of the workload's holders."""
    return sorted(
        (b for b in balances if _may_pay(b, now) and b.allowance.pays_for(spec, gpu_class)),
        key=funding_key,
    )


def _may_pay(balance: AllowanceBalance, now: Instant) -> bool:
    return not balance.is_frozen and balance.allowance.unit == STANDARD_GPU and balance.allowance.is_open_at(now)


def fund(ordered: Iterable[AllowanceBalance], needed: int) -> tuple[FundingShare, ...] | Shortfall:
    """Split `needed` over allowances in their order, each up to what it can spend."""
    shares: list[FundingShare] = []
    missing = needed
    total = 0
    for balance in ordered:
        spendable = max(0, balance.spendable)
        total += spendable
        taken = min(spendable, missing)
        if taken > 0:
            shares.append(FundingShare(balance.allowance.id, taken))
            missing -= taken
    return Shortfall(needed, total) if missing > 0 else tuple(shares)
