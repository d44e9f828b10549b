"""Confirming: a submission that would empty what pays for it over a weekend is asked about first."""

from collections.abc import Callable, Iterable

from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.errors import Conflict, RefusalCode
from scheduler.domain.funding import payers, spendable_standard
from scheduler.domain.guards import meets_weekend
from scheduler.domain.policy import Policy
from scheduler.domain.terms import Need, Terms
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, Instant
from scheduler.domain.workloads import WorkloadSpec


def require_confirmation(
    spec: WorkloadSpec,
    count: int,
    policy: Policy,
    balances: Iterable[AllowanceBalance],
    now: Instant,
    terms_of: Callable[[GpuClassName], Terms],
) -> None:
    """Raise Conflict (`confirmation-needed`) where so many of it, on the GPU class that they would like best, would use
    more of what pays than the policy lets a weekend take unasked."""
    share = policy.limits.confirm_weekend
    gpu_class = policy.gpu_classes.get(spec.gpu_classes[0])
    priority_class = policy.priority_classes.get(spec.priority_class)
    if share is None or gpu_class is None or priority_class is None:
        return
    if not meets_weekend(now, Instant(now + spec.time_limit_ms), policy.time_zone):
        return
    ordered = payers(balances, spec, gpu_class.name, now)
    need = Need(count * spec.gpus * spec.time_limit_ms, terms_of(gpu_class.name))
    available, needed = spendable_standard(ordered, need), need.standard
    if needed * 1000 > available * share:
        raise Conflict(
            f"it could use {needed / MS_PER_HOUR:.1f} h over the weekend, and {available / MS_PER_HOUR:.1f} h are left",
            code=RefusalCode.CONFIRMATION_NEEDED,
            expected=f"at most {share / 10:g} % of what is left, or a confirmation",
            remedy="submit it again with --yes (`confirmed`), or ask for less",
        )
