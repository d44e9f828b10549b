"""Outlook: what is committed to everybody, period by period, as far as promises go; by one policy and its people."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace

from scheduler.domain.allowances import Allowance, AllowanceBalance
from scheduler.domain.awards import Award
from scheduler.domain.people import Engineer
from scheduler.domain.periods import Period, period_at
from scheduler.domain.policy import Policy
from scheduler.domain.quantities import UnitKind, measure
from scheduler.domain.units import GpuClassName, Instant, Unit
from scheduler.finance.coverage import ClassCoverage, ClassSupply, Commitment, Kept, Timeline, Weights, covered
from scheduler.lifecycle.awarding.periodic import currency_of, period_grants
from scheduler.lifecycle.memory.world import World
from scheduler.ports import Books

PERIODS_MAX = 4_000
"""How many periods are looked at, the running one first: days of eleven years, weeks of 76. Where rates of spending no
longer change none is another than the one before."""


class Outlook:
    """What was granted and is left, what was promised, and what policy will grant, by class and period."""

    def __init__(self, books: Books, world: World, policy: Policy, now: Instant) -> None:
        self._books = books
        self._world = world
        self._policy = policy
        self._now = now
        self._people: Collection[Engineer] = list(world.people.values())
        self._supply, self.capacity_from = supply_of(books, policy)
        self._known = Timeline(_known(world, policy, now), now)
        self.extra = Timeline((), now)
        self._later: Mapping[Kept, int] | None = None
        self._soon: dict[int, Mapping[Kept, int]] = {}

    def with_extra(self, extra: Iterable[Commitment]) -> "Outlook":
        """The same with more: what is known is not looked at again."""
        made = copy(self)
        made.extra = Timeline(extra, self._now)
        return made

    def with_people(self, people: Iterable[Engineer]) -> "Outlook":
        """The same of these people."""
        made = copy(self)
        made._people, made._later, made._soon = list(people), None, {}
        return made

    @property
    def ends_at(self) -> int:
        """When the last of what is known or extra ends."""
        return max(self._known.ends_at, self.extra.ends_at)

    def of(self, period: Period) -> tuple[ClassCoverage, ...]:
        """By class. Of the period that runs, what is left of it; of one of another length than the policy's, the parts of
        those of the policy that fall into it."""
        timelines = [self._known, self.extra]
        granted: Mapping[Kept, int] = {}
        if period == self._period_at(period.starts_at):
            granted = self._granted(period)
        else:
            timelines.append(Timeline(self._granted_within(period), self._now))
        span = (max(self._now, period.starts_at), period.ends_at)
        return covered(timelines, granted, self._supply, self._policy.coverage.availability, span)

    def changes_within(self, starts_at: int, ends_at: int) -> bool:
        """Whether more or less is committed at one instant between the two than at another."""
        for timeline in (self._known, self.extra):
            place = bisect_right(timeline.times, starts_at)
            if place < len(timeline.times) and timeline.times[place] < ends_at:
                return True
        return False

    def _period_at(self, at: int) -> Period:
        return period_at(Instant(at), self._policy.period, self._policy.time_zone)

    def _granted_within(self, period: Period) -> Iterator[Commitment]:
        at = max(self._now, period.starts_at)
        while at < period.ends_at:
            each = self._period_at(at)
            for (classes, is_promised, weights), amount in self._granted(each).items():
                yield Commitment(amount, each.starts_at, each.ends_at, classes, is_promised, weights)
            at = each.ends_at

    def _granted(self, period: Period) -> Mapping[Kept, int]:
        """What policy will grant for it: of the period that runs and the next, what it has not granted yet."""
        if period.ends_at <= self._now:
            return {}
        if period.starts_at <= self._period_at(self._now).ends_at:
            if period.starts_at not in self._soon:
                self._soon[period.starts_at] = self._sums(period, is_granted=self._is_granted)
            return self._soon[period.starts_at]
        if self._later is None:
            self._later = self._sums(period, is_granted=lambda _: False)
        return self._later

    def _sums(self, period: Period, is_granted: Callable[[Allowance], bool]) -> Mapping[Kept, int]:
        sums: Counter[Kept] = Counter()
        for allowance in period_grants(self._people, self._policy, period, currency_of(self._world)):
            if not is_granted(allowance):
                amount = _standard(allowance.unit, allowance.amount, self._policy)
                sums[Kept(classes_of(allowance), True, _weights(allowance))] += amount
        return sums

    def _is_granted(self, allowance: Allowance) -> bool:
        """What begins later and was granted already is among the balances."""
        if allowance.id in self._world.balances:
            return True
        return allowance.starts_at <= self._now and self._books.allowances.get(allowance.id) is not None


def periods_until(ends_at: int, policy: Policy, now: Instant) -> Iterator[Period]:
    """The one that runs, the next, and every later one that begins before then."""
    period = period_at(now, policy.period, policy.time_zone)
    for number in range(PERIODS_MAX):
        if number > 1 and period.starts_at >= ends_at:
            return
        yield period
        period = period_at(period.ends_at, policy.period, policy.time_zone)


def to_look_at(outlooks: Sequence[Outlook], periods: Iterable[Period]) -> Iterator[Period]:
    """Those that are another than the one before: longer or shorter, or with more or less committed on the way."""
    before: Period | None = None
    for number, period in enumerate(periods):
        is_like = (
            number > 2  # the first two are granted for in part
            and before is not None
            and period.ends_at - period.starts_at == before.ends_at - before.starts_at
            and not any(each.changes_within(before.starts_at, period.ends_at) for each in outlooks)
        )
        before = period
        if not is_like:
            yield period


def _known(world: World, policy: Policy, now: Instant) -> Iterator[Commitment]:
    for balance in list(world.balances.values()):
        yield from _left(balance, policy, now)
        if balance.promised:
            yield from promised_by(balance.allowance, policy, now)


def committed_by(asked: Award, policy: Policy, now: Instant) -> Commitment:
    amount = _standard(asked.unit, asked.amount, policy)
    return Commitment(amount, now, asked.expires_at, classes_of(asked))


def packaged(allowance: Allowance, policy: Policy, now: Instant) -> list[Commitment]:
    """All of a package that is about to be granted: what vests with its grant is outstanding at once."""
    assert allowance.vesting is not None, "a package vests"
    due = sum(part.amount for part in allowance.vesting.parts if part.at <= now)
    at_once = _of(allowance, _standard(allowance.unit, due, policy), now)
    return [*([at_once] if at_once.amount else []), *promised_by(allowance, policy, now)]


def promised_by(allowance: Allowance, policy: Policy, now: Instant) -> Iterator[Commitment]:
    """What of a package has still to vest, each part from its day on."""
    for part in allowance.vesting.parts if allowance.vesting is not None else ():
        if part.at > now:
            amount = _standard(allowance.unit, part.amount, policy)
            yield replace(_of(allowance, amount, part.at), is_promised=True)


def moved(old: Allowance, new: Allowance, policy: Policy, now: Instant) -> tuple[Commitment, Commitment]:
    """What goes from one allowance to another: taken back here, committed there."""
    amount = _standard(new.unit, new.amount, policy)
    return _of(old, -amount, now), _of(new, amount, now)


def supply_of(books: Books, policy: Policy) -> tuple[dict[GpuClassName, ClassSupply], str]:
    """What nodes offer to our work; before any node was seen, what pools and cohorts were promised."""
    spans = books.capacity.open_spans()
    gpus: Counter[GpuClassName] = Counter()
    for span in spans:
        if span.gpu_class is not None:
            gpus[span.gpu_class] += max(0, span.gpus - span.outside_gpus)
    if not spans:
        gpus.update({name: policy.nominal_gpus(name) for name in policy.gpu_classes})
    supply = {name: ClassSupply(gpus[name], item.weight) for name, item in policy.gpu_classes.items()}
    return supply, "nodes" if spans else "quotas"


def _left(balance: AllowanceBalance, policy: Policy, now: Instant) -> Iterator[Commitment]:
    allowance = balance.allowance
    left = _standard(allowance.unit, max(0, balance.available) + balance.held, policy)
    if left and (allowance.expires_at is None or allowance.expires_at > now):
        starts_at = Instant(max(now, allowance.starts_at))
        yield _of(allowance, left, starts_at)


def _of(allowance: Allowance, amount: int, starts_at: Instant) -> Commitment:
    """So much of an allowance, from then until it expires."""
    weights = _weights(allowance)
    return Commitment(amount, starts_at, allowance.expires_at, classes_of(allowance), weights=weights)


def _weights(allowance: Allowance) -> Weights:
    """Those that standard hours keep; hours of a class are counted by what that class weighs today."""
    kept = allowance.kept_terms
    return () if kept is None or measure(allowance.unit).kind is not UnitKind.STANDARD else kept.weights


def _standard(unit: Unit, amount: int, policy: Policy) -> int:
    """Hours of a class by its weight; tokens and money are no GPU-hours until somebody spends them."""
    found = measure(unit)
    match found.kind:
        case UnitKind.STANDARD:
            return amount
        case UnitKind.GPU_CLASS:
            gpu_class = policy.gpu_classes.get(GpuClassName(found.of))
            return 0 if gpu_class is None else amount * gpu_class.weight // 1000
        case _:
            return 0


def classes_of(award: Allowance | Award) -> frozenset[GpuClassName] | None:
    """The GPU classes that it may be spent on, those of its unit too; None: any, or none where it is of tokens."""
    found = measure(award.unit)
    is_of_class = found.kind is UnitKind.GPU_CLASS
    return frozenset({GpuClassName(found.of)}) if is_of_class else award.gpu_classes
