"""Cover: how much is promised of what the GPUs deliver; and what would be more than policy allows is refused."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from scheduler.domain.allowances import Allowance, AllowanceBalance
from scheduler.domain.awards import Award
from scheduler.domain.errors import Exhausted, RefusalCode
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.periods import Period, period_at
from scheduler.domain.policy import Policy
from scheduler.domain.quantities import UnitKind, measure
from scheduler.domain.units import AllowanceId, GpuClassName, Instant, PerMille, Unit
from scheduler.finance.coverage import ClassCoverage, ClassSupply, Commitment, coverage
from scheduler.lifecycle.awarding.compensate import Package, judged_package
from scheduler.lifecycle.awarding.countable import require_policy_countable
from scheduler.lifecycle.awarding.periodic import currency_of, period_grants
from scheduler.lifecycle.memory.period_names import period_of
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import Batch
from scheduler.ports import Books, Store


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


@dataclass(frozen=True, slots=True)
class Coverages:
    """For finance, operators and auditors."""

    store: Store
    world: World

    def view(self, caller: Caller, name: str | None, now: Instant) -> CoverageView:
        """Of the period of that name, or of the one that runs."""
        caller.require(Role.FINANCE, Role.OPERATOR, Role.AUDITOR, Role.PEOPLE)
        policy, period = self.world.require_policy(), period_of(self.world, name, now)
        with self.store.reading() as books:
            _, source = _supply(books, policy)
            found = _covered(books, self.world, policy, period, now)
        rule = policy.coverage
        return CoverageView(
            period.name, period.starts_at, period.ends_at, rule.availability, rule.ratio_max, source, found
        )


def require_grantable(batch: Batch, policy: Policy) -> None:
    """What a policy would grant is counted in what the company has, and covered. Raises what these two do."""
    require_policy_countable(batch.world, policy)
    require_coverage(batch, policy=policy)


def require_people_covered(batch: Batch, placed: Sequence[Engineer]) -> None:
    """Raises Exhausted (`coverage-exceeded`) where what tiers will grant these people, beside what they granted them until
    now, would be more than is covered."""
    policy = batch.world.policy
    if policy is not None and policy.coverage.ratio_max is not None:
        require_coverage(batch, list(_by_tiers(batch, placed, policy)))


def require_package(batch: Batch, asked: Package, actor: str) -> Allowance:
    """The award that a package comes to, as it could be granted now; nothing is recorded.

    Raises what `grant_package` does, and Exhausted (`coverage-exceeded`).
    """
    allowance, _ = judged_package(batch, asked, AllowanceId("described"), actor)
    require_coverage(batch, packaged(allowance, batch.world.require_policy(), batch.now))
    return allowance


def _by_tiers(batch: Batch, placed: Sequence[Engineer], policy: Policy) -> Iterator[Commitment]:
    """What is granted more, and less. In the period that runs who was granted something already is granted no more."""
    before = [batch.world.people[person.id] for person in placed if person.id in batch.world.people]
    running = period_at(batch.now, policy.period, policy.time_zone)
    for period in (running, period_at(running.ends_at, policy.period, policy.time_zone)):
        for people, sign in ((placed, 1), (before, -1)):
            for allowance in period_grants(people, policy, period, currency_of(batch.world)):
                if allowance.id not in batch.world.balances:
                    amount = sign * _standard(allowance.unit, allowance.amount, policy)
                    window = (allowance.starts_at, allowance.expires_at)
                    yield Commitment(amount, *window, _classes(allowance), is_promised=True)


def require_coverage(batch: Batch, extra: Sequence[Commitment] = (), policy: Policy | None = None) -> None:
    """Raises what `require_covered` does."""
    require_covered(batch.books, batch.world, batch.now, extra, policy)


def require_covered(
    books: Books, world: World, now: Instant, extra: Sequence[Commitment] = (), policy: Policy | None = None
) -> None:
    """Raises Exhausted (`coverage-exceeded`) where the extra commitments, or a new policy, would bring a class above the
    ratio of the policy, and above what it is now: in the period that runs or the next, or in one in which something of the
    extra begins, or that follows it."""
    in_force = world.policy
    new = policy or in_force
    if in_force is None or new is None or new.coverage.ratio_max is None:
        return
    known_terms = replace(in_force, coverage=new.coverage)  # a stricter rule alone makes nothing worse
    supply, _ = _supply(books, new)
    running = period_at(now, new.period, new.time_zone)
    following = period_at(running.ends_at, new.period, new.time_zone)
    for period in (running, following):
        before = _covered(books, world, known_terms, period, now)
        after = _covered(books, world, new, period, now, extra)
        _refuse_above(before, after, period, new.coverage.ratio_max)
    later = _later_periods(extra, following, new)
    if later:
        known = list(_known_later(world, new, following, now))
        by_policy = _by_policy(world, new, following)
        for period in later:
            granted = [replace(each, starts_at=period.starts_at, ends_at=period.ends_at) for each in by_policy]
            terms = (supply, new.coverage.availability, period, now)
            before = coverage([*known, *granted], *terms)
            after = coverage([*known, *granted, *extra], *terms)
            _refuse_above(before, after, period, new.coverage.ratio_max)


def _refuse_above(
    before: Iterable[ClassCoverage], after: Iterable[ClassCoverage], period: Period, ratio_max: PerMille
) -> None:
    known = {each.gpu_class: each for each in before}
    for each in after:
        found = known.get(each.gpu_class)
        if (found is None or _ratio(each) > _ratio(found)) and each.exceeds(ratio_max):
            raise _exceeded(each, period, ratio_max)


def _later_periods(extra: Iterable[Commitment], following: Period, policy: Policy) -> list[Period]:
    """Those after the next in which something of the extra begins, and the first that has it from its start: what is
    spent evenly is nowhere more."""
    found: dict[Instant, Period] = {}
    for commitment in extra:
        if commitment.starts_at >= following.ends_at:
            period = period_at(commitment.starts_at, policy.period, policy.time_zone)
            found[period.starts_at] = period
            found[period.ends_at] = period_at(period.ends_at, policy.period, policy.time_zone)
    return [found[starts_at] for starts_at in sorted(found)]


def _known_later(world: World, policy: Policy, following: Period, now: Instant) -> Iterator[Commitment]:
    """What was granted and promised, as far as it reaches beyond the next period."""
    for balance in list(world.balances.values()):
        expires_at = balance.allowance.expires_at
        if expires_at is None or expires_at > following.ends_at:
            yield from _left(balance, policy, now)
            if balance.promised:
                yield from promised_by(balance.allowance, policy, now)


def _by_policy(world: World, policy: Policy, period: Period) -> list[Commitment]:
    """What every later period is granted by policy, summed up by where it may be spent."""
    sums: Counter[frozenset[GpuClassName] | None] = Counter()
    for allowance in period_grants(world.people.values(), policy, period, currency_of(world)):
        sums[_classes(allowance)] += _standard(allowance.unit, allowance.amount, policy)
    return [Commitment(n, period.starts_at, period.ends_at, names, is_promised=True) for names, n in sums.items()]


def committed_by(asked: Award, policy: Policy, now: Instant) -> Commitment:
    amount = _standard(asked.unit, asked.amount, policy)
    return Commitment(amount, now, asked.expires_at, _classes(asked))


def packaged(allowance: Allowance, policy: Policy, now: Instant) -> list[Commitment]:
    """All of a package that is about to be granted: what vests with its grant is outstanding at once."""
    assert allowance.vesting is not None, "a package vests"
    due = sum(part.amount for part in allowance.vesting.parts if part.at <= now)
    at_once = Commitment(_standard(allowance.unit, due, policy), now, allowance.expires_at, _classes(allowance))
    return [*([at_once] if at_once.amount else []), *promised_by(allowance, policy, now)]


def promised_by(allowance: Allowance, policy: Policy, now: Instant) -> Iterator[Commitment]:
    """What of a package has still to vest, each part from its day on."""
    for part in allowance.vesting.parts if allowance.vesting is not None else ():
        if part.at > now:
            amount = _standard(allowance.unit, part.amount, policy)
            yield Commitment(amount, part.at, allowance.expires_at, _classes(allowance), is_promised=True)


def moved(old: Allowance, new: Allowance, policy: Policy, now: Instant) -> tuple[Commitment, Commitment]:
    """What goes from one allowance to another: taken back here, committed there."""
    amount = _standard(new.unit, new.amount, policy)
    return (
        Commitment(-amount, now, old.expires_at, _classes(old)),
        Commitment(amount, now, new.expires_at, _classes(new)),
    )


def _covered(
    books: Books, world: World, policy: Policy, period: Period, now: Instant, extra: Iterable[Commitment] = ()
) -> tuple[ClassCoverage, ...]:
    supply, _ = _supply(books, policy)
    known = list(_commitments(books, world, policy, period, now))
    return coverage([*known, *extra], supply, policy.coverage.availability, period, now)


def _supply(books: Books, policy: Policy) -> tuple[dict[GpuClassName, ClassSupply], str]:
    """What nodes offer to our work; before any node was seen, what pools were promised."""
    spans = books.capacity.open_spans()
    gpus: Counter[GpuClassName] = Counter()
    for span in spans:
        if span.gpu_class is not None:
            gpus[span.gpu_class] += max(0, span.gpus - span.outside_gpus)
    if not spans:
        for pool in policy.pools.values():
            for quota in pool.quotas.values():
                gpus[quota.gpu_class] += quota.nominal
    supply = {name: ClassSupply(gpus[name], item.weight) for name, item in policy.gpu_classes.items()}
    return supply, "nodes" if spans else "quotas"


def _commitments(books: Books, world: World, policy: Policy, period: Period, now: Instant) -> Iterator[Commitment]:
    for balance in list(world.balances.values()):
        yield from _left(balance, policy, now)
        if balance.promised:
            yield from promised_by(balance.allowance, policy, now)
    for allowance in period_grants(world.people.values(), policy, period, currency_of(world)):
        is_known = allowance.id in world.balances or books.allowances.get(allowance.id) is not None
        if not is_known and period.ends_at > now:
            amount = _standard(allowance.unit, allowance.amount, policy)
            yield Commitment(amount, allowance.starts_at, allowance.expires_at, _classes(allowance), is_promised=True)


def _left(balance: AllowanceBalance, policy: Policy, now: Instant) -> Iterator[Commitment]:
    allowance = balance.allowance
    left = _standard(allowance.unit, max(0, balance.available) + balance.held, policy)
    if left and (allowance.expires_at is None or allowance.expires_at > now):
        starts_at = Instant(max(now, allowance.starts_at))
        yield Commitment(left, starts_at, allowance.expires_at, _classes(allowance))


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


def _classes(award: Allowance | Award) -> frozenset[GpuClassName] | None:
    found = measure(award.unit)
    is_of_class = found.kind is UnitKind.GPU_CLASS
    return frozenset({GpuClassName(found.of)}) if is_of_class else award.gpu_classes


def _ratio(found: ClassCoverage) -> float:
    committed = found.outstanding + found.promised
    return committed / found.deliverable if found.deliverable else float("inf") if committed else 0.0


def _exceeded(found: ClassCoverage, period: Period, ratio_max: PerMille) -> Exhausted:
    ratio = found.ratio_per_mille
    shown = "without any GPU" if ratio is None else f"{ratio / 10:.1f} %"
    return Exhausted(
        f"{found.gpu_class} in {period.name} would be promised to {shown} of what it delivers",
        code=RefusalCode.COVERAGE_EXCEEDED,
        expected=f"at most {ratio_max / 10:.1f} %",
        remedy="see `allot coverage`; grant less, or for later, or add capacity",
    )
