"""Cover: how much is promised of what the GPUs deliver; and what would be more than policy allows is refused."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from scheduler.domain.allowances import Allowance
from scheduler.domain.errors import Exhausted, RefusalCode
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.periods import Period
from scheduler.domain.policy import Policy
from scheduler.domain.units import AllowanceId, GpuClassName, Instant, PerMille
from scheduler.finance.coverage import ClassCoverage, Commitment
from scheduler.lifecycle.awarding.compensate import Package, judged_package
from scheduler.lifecycle.awarding.countable import require_policy_countable
from scheduler.lifecycle.awarding.outlook import Outlook, packaged, periods_until, to_look_at
from scheduler.lifecycle.memory.period_names import period_of
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import Batch
from scheduler.ports import Books, Store


@dataclass(frozen=True, slots=True)
class Fullest:
    """The period in which most of a class is promised, of the one that runs and all that promises reach into; the first
    of several alike. None of its ratio: nothing is delivered."""

    gpu_class: GpuClassName
    period: str
    ratio_per_mille: int | None


@dataclass(frozen=True, slots=True)
class Brought:
    """What something brings a class to: of the periods in which it changes what is promised or delivered, the one that is
    fullest with it (the first of several alike), without it and with it. None of its ratios: nothing is delivered."""

    gpu_class: GpuClassName
    period: str
    ratio_before_per_mille: int | None
    ratio_after_per_mille: int | None


SEES_COVERAGE = (Role.FINANCE, Role.OPERATOR, Role.AUDITOR, Role.PEOPLE)


@dataclass(frozen=True, slots=True)
class CoverageView:
    """`capacity_from` says whether GPUs are those that nodes offer, or, where none was seen, the pools' quotas."""

    period: str
    starts_at: Instant
    ends_at: Instant
    availability_per_mille: PerMille
    ratio_max_per_mille: PerMille | None
    capacity_from: str
    classes: tuple[ClassCoverage, ...]
    fullest: tuple[Fullest, ...] = ()


@dataclass(frozen=True, slots=True)
class Coverages:
    """For finance, operators and auditors."""

    store: Store
    world: World

    def view(self, caller: Caller, name: str | None, now: Instant) -> CoverageView:
        """Of the period of that name, or of the one that runs."""
        caller.require(*SEES_COVERAGE)
        policy, period = self.world.require_policy(), period_of(self.world, name, now)
        with self.store.reading() as books:
            outlook = Outlook(books, self.world, policy, now)
            found, fullest = outlook.of(period), fullest_of(outlook, policy, now)
        rule = policy.coverage
        return CoverageView(
            *(period.name, period.starts_at, period.ends_at, rule.availability, rule.ratio_max),
            outlook.capacity_from,
            found,
            fullest,
        )


def fullest_of(outlook: Outlook, policy: Policy, now: Instant) -> tuple[Fullest, ...]:
    """By class, of what the outlook knows and its extra."""
    most: dict[GpuClassName, tuple[ClassCoverage, Period]] = {}
    for period in to_look_at([outlook], periods_until(outlook.ends_at, policy, now)):
        for each in outlook.of(period):
            known = most.get(each.gpu_class)
            if known is None or _ratio(each) > _ratio(known[0]):
                most[each.gpu_class] = (each, period)
    return tuple(Fullest(name, period.name, each.ratio_per_mille) for name, (each, period) in most.items())


def require_grantable(batch: Batch, policy: Policy) -> None:
    """What a policy would grant is counted in what the company has, and covered. Raises what these two do."""
    require_policy_countable(batch.world, policy)
    in_force = batch.world.policy
    if in_force is None or policy.coverage.ratio_max is None:
        return
    known_terms = replace(in_force, coverage=policy.coverage)  # a stricter rule alone makes nothing worse
    before, after = (Outlook(batch.books, batch.world, each, batch.now) for each in (known_terms, policy))
    _refuse_above(before, after, policy, batch.now, max(before.ends_at, after.ends_at))


def require_people_covered(batch: Batch, placed: Sequence[Engineer]) -> None:
    """Raises Exhausted (`coverage-exceeded`) where what tiers will grant these people, in place of what they granted them
    until now, would be more than is covered. Of the period that runs nobody is granted again what they were granted."""
    policy = batch.world.policy
    if policy is None or policy.coverage.ratio_max is None:
        return
    before = Outlook(batch.books, batch.world, policy, batch.now)
    after = before.with_people({**batch.world.people, **{person.id: person for person in placed}}.values())
    _refuse_above(before, after, policy, batch.now, before.ends_at)


def require_package(batch: Batch, asked: Package, actor: str) -> Allowance:
    """The award that a package comes to, as it could be granted now; nothing is recorded.

    Raises what `grant_package` does, and Exhausted (`coverage-exceeded`).
    """
    allowance, _ = judged_package(batch, asked, AllowanceId("described"), actor)
    require_coverage(batch, packaged(allowance, batch.world.require_policy(), batch.now))
    return allowance


def require_coverage(batch: Batch, extra: Sequence[Commitment]) -> None:
    """Raises what `require_covered` does."""
    require_covered(batch.books, batch.world, batch.now, extra)


def require_covered(books: Books, world: World, now: Instant, extra: Sequence[Commitment]) -> None:
    """Raises Exhausted (`coverage-exceeded`) where the extra commitments would bring a class above the ratio of the policy,
    and above what it is now, in any period that they reach into."""
    policy = world.policy
    if policy is None or policy.coverage.ratio_max is None:
        return
    before = Outlook(books, world, policy, now)
    after = before.with_extra(extra)
    _refuse_above(before, after, policy, now, after.extra.ends_at)


def _refuse_above(before: Outlook, after: Outlook, policy: Policy, now: Instant, ends_at: int) -> None:
    """The worst of all periods is told: who lowers what he asks for by what that one lacks need not ask again."""
    ratio_max = policy.coverage.ratio_max
    assert ratio_max is not None, "without a rule everything is covered"
    above = [
        (each, period)
        for period, found, each in _side_by_side(before, after, policy, now, ends_at)
        if (found is None or _ratio(each) > _ratio(found)) and each.exceeds(ratio_max)
    ]
    if above:
        raise _exceeded(above, ratio_max)


def brought(before: Outlook, after: Outlook, policy: Policy, now: Instant, ends_at: int) -> tuple[Brought, ...]:
    """By class that the one changes, as far as promises go until then. `policy` is the one that `after` goes by."""
    most: dict[GpuClassName, tuple[Period, ClassCoverage | None, ClassCoverage]] = {}
    for period, found, each in _side_by_side(before, after, policy, now, ends_at):
        known = most.get(each.gpu_class)
        if found != each and (known is None or _ratio(each) > _ratio(known[2])):
            most[each.gpu_class] = (period, found, each)
    return tuple(
        Brought(name, period.name, None if found is None else found.ratio_per_mille, each.ratio_per_mille)
        for name, (period, found, each) in sorted(most.items())
    )


def fullest_brought(found: Sequence[Brought]) -> tuple[Brought, ...]:
    """The class of which most would be promised, alone: the first of several alike."""
    if not found:
        return ()
    most = max(found, key=lambda each: math.inf if each.ratio_after_per_mille is None else each.ratio_after_per_mille)
    return (most,)


def _side_by_side(
    before: Outlook, after: Outlook, policy: Policy, now: Instant, ends_at: int
) -> Iterator[tuple[Period, ClassCoverage | None, ClassCoverage]]:
    """Each class in each period, as it was and as it would be."""
    for period in to_look_at([before, after], periods_until(ends_at, policy, now)):
        known = {each.gpu_class: each for each in before.of(period)}
        for each in after.of(period):
            yield period, known.get(each.gpu_class), each


def _ratio(found: ClassCoverage) -> float:
    committed = found.outstanding + found.promised
    return committed / found.deliverable if found.deliverable else float("inf") if committed else 0.0


def _exceeded(above: Sequence[tuple[ClassCoverage, Period]], ratio_max: PerMille) -> Exhausted:
    found, period = max(above, key=lambda each: _ratio(each[0]))  # the first of several alike
    ratio = found.ratio_per_mille
    shown = "without any GPU" if ratio is None else f"{ratio / 10:.1f} %"
    first = above[0][1]
    since = "" if first == period else f"; from {first.name} on there is too little"
    return Exhausted(
        f"{found.gpu_class} in {period.name} would be promised to {shown} of what it delivers{since}",
        code=RefusalCode.COVERAGE_EXCEEDED,
        expected=f"at most {ratio_max / 10:.1f} %",
        remedy="see `allot coverage`; grant less, or for later, or add capacity",
    )
