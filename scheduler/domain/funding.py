"""The funding order: which allowances pay for a workload, and how much each.

Project work is paid by the project's, the team's and the engineer's allowances that allow its kind and GPU class:
the most specific first, then the one that expires soonest, then the oldest. Several may pay together, each in its own
unit: standard time, hours of the class, money.
"""

from collections.abc import Iterable, Sequence

from scheduler.domain.allowances import AllowanceBalance, HolderKind
from scheduler.domain.quantities import class_unit, is_money
from scheduler.domain.terms import Draw, Need
from scheduler.domain.units import STANDARD_GPU, AllowanceId, GpuClassName, Instant
from scheduler.domain.values import value
from scheduler.domain.workloads import WorkloadSpec

_SPECIFICITY = {HolderKind.PROJECT: 0, HolderKind.TEAM: 1, HolderKind.ENGINEER: 2}
_NEVER = 2**62


@value(frozen=True, slots=True)
class FundingShare:
    """What one allowance pays: `amount` in its unit. `draw` None: standard time at the attempt's own terms."""

    allowance_id: AllowanceId
    amount: int
    draw: Draw | None = None


@value(frozen=True, slots=True)
class Shortfall:
    """Not enough: what was needed and what the allowances that may pay have together, in standard time."""

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
    able = [b for b in balances if _may_pay(b, gpu_class, now) and b.allowance.pays_for(spec, gpu_class)]
    if len(able) > 1:  # as a rule it is one alone
        able.sort(key=funding_key)
    return able


def _may_pay(balance: AllowanceBalance, gpu_class: GpuClassName, now: Instant) -> bool:
    unit = balance.allowance.unit
    is_of_use = unit == STANDARD_GPU or unit == class_unit(gpu_class) or is_money(unit)
    return is_of_use and not balance.is_frozen and balance.allowance.is_open_at(now)


def fund(ordered: Sequence[AllowanceBalance], need: Need) -> tuple[FundingShare, ...] | Shortfall:
    """Split what is needed over allowances in their order, each up to what it can spend."""
    shares: list[FundingShare] = []
    missing = needed = need.standard
    total = 0
    for balance in ordered:
        if not balance.allowance.is_plain:
            return _fund_in_units(ordered, need)
        spendable = max(0, balance.spendable)
        total += spendable
        taken = min(spendable, missing)
        if taken > 0:
            shares.append(FundingShare(balance.allowance.id, taken))
            missing -= taken
    return Shortfall(needed, total) if missing > 0 else tuple(shares)


def _fund_in_units(ordered: Sequence[AllowanceBalance], need: Need) -> tuple[FundingShare, ...] | Shortfall:
    """The same in physical time, of which each allowance pays as much as its unit buys under these terms."""
    shares: list[FundingShare] = []
    own = need.terms.draw(STANDARD_GPU, None)
    missing = need.gpu_ms
    for balance in ordered:
        allowance = balance.allowance
        draw = need.terms.draw(allowance.unit, allowance.kept_terms)
        if draw is None:
            continue
        taken = draw.lasts(max(0, balance.spendable), missing)
        amount = draw.cost(taken)
        if amount > 0:
            shares.append(FundingShare(allowance.id, amount, None if draw == own else draw))
        missing -= taken
    return Shortfall(need.standard, spendable_standard(ordered, need)) if missing > 0 else tuple(shares)


def spendable_standard(ordered: Iterable[AllowanceBalance], need: Need) -> int:
    """What the allowances can pay for together, in standard time; what costs them nothing counts once as needed."""
    total = 0
    for balance in ordered:
        allowance, spendable = balance.allowance, max(0, balance.spendable)
        if allowance.is_plain:
            total += spendable
            continue
        draw = need.terms.draw(allowance.unit, allowance.kept_terms)
        if draw is not None:
            most = need.gpu_ms if draw.rate == 0 else spendable * draw.per // draw.rate
            total += need.standard_of(most)
    return total
