"""Confirming: a submission that would empty what pays for it over a weekend is asked about first."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.errors import Conflict, RefusalCode
from scheduler.domain.funding import payers, spendable_standard
from scheduler.domain.guards import weekend_from
from scheduler.domain.policy import Policy
from scheduler.domain.terms import Need, Terms
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, Instant
from scheduler.domain.workloads import WorkloadSpec


@dataclass(frozen=True, slots=True)
class AskedFor:
    """So many of one spec, `at_once` at a time where that is said, from `begin_at` on where that is ahead."""

    count: int
    at_once: int | None = None
    begin_at: Instant | None = None

    def running_ms(self, lasts_ms: int, elapsed_ms: int) -> int:
        """How long all of it together has run so long after its start, if each lasts so long."""
        width = min(self.count, self.at_once or self.count)
        full, rest = divmod(self.count, width)
        in_full = min(elapsed_ms, full * lasts_ms)
        return width * in_full + rest * min(elapsed_ms - in_full, lasts_ms)

    def lasts_ms(self, of_one_ms: int) -> int:
        return -(-self.count // min(self.count, self.at_once or self.count)) * of_one_ms


def require_confirmation(
    spec: WorkloadSpec,
    asked: AskedFor,
    policy: Policy,
    balances: Iterable[AllowanceBalance],
    now: Instant,
    terms_of: Callable[[GpuClassName], Terms],
) -> None:
    """Raise Conflict (`confirmation-needed`) where it would run into a weekend and by its end would have used, on the GPU
    class that it would like best, more of what pays than the policy lets a weekend take unasked. It is reckoned to start
    as soon as it may and to use its time limits."""
    share = policy.limits.confirm_weekend
    gpu_class = policy.gpu_classes.get(spec.gpu_classes[0])
    if share is None or gpu_class is None or spec.priority_class not in policy.priority_classes:
        return
    starts_at = _earliest(spec, policy, max(now, asked.begin_at or now))
    weekend = weekend_from(starts_at, policy.time_zone)
    if starts_at + asked.lasts_ms(spec.time_limit_ms) <= weekend.starts_at:
        return
    running_ms = asked.running_ms(spec.time_limit_ms, weekend.ends_at - starts_at)
    need = Need(spec.gpus * running_ms, terms_of(gpu_class.name))
    available, needed = spendable_standard(payers(balances, spec, gpu_class.name, now), need), need.standard
    if needed * 1000 > available * share:
        raise Conflict(
            f"it could use {needed / MS_PER_HOUR:.1f} h by the end of the weekend, and {available / MS_PER_HOUR:.1f} h "
            "are left",
            code=RefusalCode.CONFIRMATION_NEEDED,
            expected=f"at most {share / 10:g} % of what is left, or a confirmation",
            remedy="submit it again with --yes (`confirmed`), or ask for less",
        )


def _earliest(spec: WorkloadSpec, policy: Policy, at: Instant) -> Instant:
    """When its class lets it start, if by the calendar alone."""
    hours = policy.priority_classes[spec.priority_class].off_peak
    if hours is None or hours.free is not None or hours.contains(at, policy.time_zone):
        return at
    return hours.opens_at(at, policy.time_zone) or at
