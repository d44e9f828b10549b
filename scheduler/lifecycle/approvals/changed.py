"""Changed: what a request comes to, as an award or as the allowance that takes another's place. Nothing is recorded."""

from dataclasses import replace

from scheduler.domain.allowances import Allowance, AllowanceBalance, AllowanceSource
from scheduler.domain.approvals import Change
from scheduler.domain.awards import Award
from scheduler.domain.periods import period_at
from scheduler.domain.policy import Policy
from scheduler.domain.units import AllowanceId, Instant


def award_asked(change: Change, reason: str, policy: Policy, now: Instant) -> Award:
    """Of a request for hours. For which nobody asked an end, they end with the running period."""
    assert change.amount is not None, "a request for hours has an amount"
    return Award(
        change.holder,
        change.amount,
        expires_at=change.until or period_at(now, policy.period, policy.time_zone).ends_at,
        gpu_classes=None if change.gpu_class is None else frozenset({change.gpu_class}),
        reason=reason,
        unit=change.unit,
    )


def changed_allowance(known: AllowanceBalance, change: Change, allowance_id: AllowanceId, now: Instant) -> Allowance:
    """Of a request for a later end or another GPU class: what is left of the allowance, or as much as was asked."""
    old = known.allowance
    is_pay = old.source is AllowanceSource.COMPENSATION
    return replace(
        old,
        id=allowance_id,
        source=old.source if is_pay else AllowanceSource.AD_HOC,
        amount=known.available if change.amount is None else change.amount,
        starts_at=now,
        granted_at=now,
        expires_at=change.until or old.expires_at,
        gpu_classes=old.gpu_classes
        if change.gpu_class is None or old.gpu_classes is None
        else old.gpu_classes | {change.gpu_class},
        period="",
        overdraft=0,
        vesting=None,
        rollover=None,
    )
