"""Confirming: a submission that would empty what pays for it over a weekend is asked about first."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.arrays import array_of
from scheduler.domain.errors import Conflict, RefusalCode
from scheduler.domain.funding import FundingShare, Shortfall, fund, payers, spendable_standard
from scheduler.domain.guards import weekend_from
from scheduler.domain.people import Engineer
from scheduler.domain.policy import Policy
from scheduler.domain.terms import Need, Terms
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, Instant, TeamName, WorkloadId
from scheduler.domain.workloads import Workload, WorkloadSpec, WorkloadState
from scheduler.lifecycle.asking.paying import balances_for
from scheduler.lifecycle.memory.prices_ahead import terms_for
from scheduler.lifecycle.memory.world import World


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


ONE: Final = AskedFor(1)


def require_confirmation(
    world: World,
    spec: WorkloadSpec,
    asked: AskedFor,
    owner: Engineer,
    now: Instant,
    beside: Iterable[Workload] = (),
) -> None:
    """Return where its owner need not be asked, else raise what `confirmation_needed` has."""
    refusal = confirmation_needed(world, spec, asked, owner, now, beside)
    if refusal is not None:
        raise refusal


def confirmation_needed(
    world: World,
    spec: WorkloadSpec,
    asked: AskedFor,
    owner: Engineer,
    now: Instant,
    beside: Iterable[Workload] = (),
) -> Conflict | None:
    """The refusal (`confirmation-needed`) where it would run into a weekend and by its end would have used, on the GPU
    class that it would like best, with what its owner has waiting for the same hours, more of what pays than the policy
    lets a weekend take unasked. All is reckoned to start as soon as it may and to use its time limits. `beside` is queued
    with it: the world does not know of it yet."""
    policy = world.require_policy()
    share = policy.limits.confirm_weekend
    if share is None or not policy.has_classes_of(spec.priority_class, spec.gpu_classes[:1]):
        return None
    starts_at = _earliest(spec, policy, max(now, asked.begin_at or now))
    weekend = weekend_from(starts_at, policy.time_zone)
    if starts_at + asked.lasts_ms(spec.time_limit_ms) <= weekend.starts_at:
        return None
    need = Need(_gpu_ms(spec, asked, policy, now, weekend.ends_at), _terms(world, spec, owner.team, now))
    balances = payers(balances_for(world, spec, owner.id, owner.team), spec, spec.gpu_classes[0], now)
    claimed = _claimed(world, _waiting(world, beside, owner), owner, now, weekend.ends_at)
    available, needed = spendable_standard(balances, need), need.standard
    waiting = available - spendable_standard([_less(each, claimed) for each in balances], need)
    if (needed + waiting) * 1000 <= available * share:
        return None
    with_it = f", what you have waiting {waiting / MS_PER_HOUR:.1f} h" if waiting else ""
    return Conflict(
        f"it could use {needed / MS_PER_HOUR:.1f} h by the end of the weekend{with_it}, and "
        f"{available / MS_PER_HOUR:.1f} h are left",
        code=RefusalCode.CONFIRMATION_NEEDED,
        expected=f"at most {share / 10:g} % of what is left, or a confirmation",
        remedy="submit it again with --yes (`confirmed`), or ask for less",
    )


_Waiting = Iterable[list[Workload]]


def _claimed(
    world: World, waiting: _Waiting, owner: Engineer, now: Instant, until: Instant
) -> dict[AllowanceId, int]:
    """Of each allowance, what the owner's queued work could use by then, paid in the funding order. What has hours held
    already is out of what is left."""
    policy = world.require_policy()
    gpu_ms: dict[tuple[object, ...], int] = defaultdict(int)
    one_of: dict[tuple[object, ...], Workload] = {}
    for members in waiting:
        first = members[0]
        spec, alike = first.spec, _paid_alike(first)
        asked = AskedFor(len(members), spec.array.at_once if spec.array else None, first.not_before)
        gpu_ms[alike] += _gpu_ms(spec, asked, policy, now, until)
        one_of.setdefault(alike, first)
    claimed: dict[AllowanceId, int] = defaultdict(int)
    for alike, amount in gpu_ms.items():
        spec, team = one_of[alike].spec, one_of[alike].team
        known = [_less(each, claimed) for each in balances_for(world, spec, owner.id, team)]
        able = payers(known, spec, spec.gpu_classes[0], now)
        shares = fund(able, Need(amount, _terms(world, spec, team, now)))
        if isinstance(shares, Shortfall):
            shares = tuple(FundingShare(each.allowance.id, max(0, each.spendable)) for each in able)
        for each in shares:
            claimed[each.allowance_id] += each.amount
    return claimed


def _waiting(world: World, beside: Iterable[Workload], owner: Engineer) -> _Waiting:
    """What the owner has queued that holds no hours: each alone, those of an array with one time limit together."""
    policy = world.require_policy()
    found: dict[tuple[WorkloadId, int], list[Workload]] = defaultdict(list)
    for each in (*list(world.workloads.values()), *beside):
        if each.owner != owner.id or each.state is not WorkloadState.QUEUED or each.id in world.reservations:
            continue
        if policy.has_classes_of(each.spec.priority_class, each.spec.gpu_classes[:1]):
            found[array_of(each.id) or each.id, each.spec.time_limit_ms].append(each)
    return found.values()


def _paid_alike(workload: Workload) -> tuple[object, ...]:
    """What decides who pays for it, and at which price."""
    spec = workload.spec
    return workload.team, spec.project, spec.kind, spec.uses_compensation, spec.gpu_classes[0], spec.priority_class


def _gpu_ms(spec: WorkloadSpec, asked: AskedFor, policy: Policy, now: Instant, until: Instant) -> int:
    starts_at = _earliest(spec, policy, max(now, asked.begin_at or now))
    return spec.gpus * asked.running_ms(spec.time_limit_ms, max(0, until - starts_at))


def _terms(world: World, spec: WorkloadSpec, team: TeamName, now: Instant) -> Terms:
    return terms_for(world.require_policy(), world.prices_at(now), spec, spec.gpu_classes[0], team)


def _less(balance: AllowanceBalance, claimed: Mapping[AllowanceId, int]) -> AllowanceBalance:
    return replace(balance, available=balance.available - claimed.get(balance.allowance.id, 0))


def _earliest(spec: WorkloadSpec, policy: Policy, at: Instant) -> Instant:
    """When its class lets it start, if by the calendar alone."""
    hours = policy.priority_classes[spec.priority_class].off_peak
    if hours is None or hours.free is not None or hours.contains(at, policy.time_zone):
        return at
    return hours.opens_at(at, policy.time_zone) or at
