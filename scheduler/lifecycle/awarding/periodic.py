"""Periodic grants: what policy gives every engineer by tier and every project, at the start of a period. One that began, or
even ended, while nobody was there to grant it is granted as soon as somebody is, as of its start."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from scheduler.domain.allowances import Allowance, AllowanceSource, HolderKind, holder_of
from scheduler.domain.money import Currency
from scheduler.domain.people import Engineer
from scheduler.domain.periods import Period, period_at
from scheduler.domain.policy import Policy, Project, Tier
from scheduler.domain.quantities import UnitKind, measure
from scheduler.domain.rollover import Rollover, RolloverRule
from scheduler.domain.units import GpuClassName, Instant, Unit
from scheduler.ledger.grants import grant, project_allowance_id, tier_allowance_id
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import Batch

PERIODS_MAX = 4_000
"""Bound on the periods that one round grants: more than ten years of days. The next goes on."""


def periods_due(batch: Batch, ahead_ms: int) -> list[Period]:
    """Every period from the one of the last round to the one that begins so soon. A period that was over before the policy
    in force was applied is not granted by it."""
    policy = batch.world.require_policy()
    period, running = (_period_at(at, policy) for at in (_granted_at(batch), batch.now))
    if period != running:
        applied = batch.books.control.current_policy()
        if applied is not None and applied.applied_at >= period.ends_at:
            period = _period_at(applied.applied_at, policy)
    periods = [period]
    while period.ends_at <= batch.now + ahead_ms and len(periods) < PERIODS_MAX:
        period = _period_at(period.ends_at, policy)
        periods.append(period)
    return periods


def _period_at(at: Instant, policy: Policy) -> Period:
    return period_at(at, policy.period, policy.time_zone)


def _granted_at(batch: Batch) -> Instant:
    """When grants were made last: by this process, else as the books say; now, where they say nothing."""
    known = batch.world.rounds.granted_at
    newest = batch.books.allowances.newest_period() if known is None else known
    return batch.now if newest is None else min(newest, batch.now)


def grant_period(batch: Batch, period: Period) -> int:
    """Grant every engineer what their tier gives and every project its own, for the period. Done twice, it is done once.

    Returns how many grants were new.
    """
    policy = batch.world.require_policy()
    made = 0
    for allowance in period_grants(batch.world.people.values(), policy, period, currency_of(batch.world)):
        known = batch.world.balances.get(allowance.id)
        if known is None and batch.books.allowances.get(allowance.id) is None:
            batch.add_allowance(allowance)
            batch.post(grant(allowance, actor="policy", memo=f"{period.name} by policy {policy.name}"))
            made += 1
    return made


def currency_of(world: World) -> Currency | None:
    """The one in which money is granted; None: there are no prices, and money waits for them."""
    return None if world.price_book is None else world.price_book.currency


def period_grants(
    people: Iterable[Engineer], policy: Policy, period: Period, currency: Currency | None
) -> Iterator[Allowance]:
    """What the policy grants for a period, in every unit: to nobody who was forgotten, and who has therefore left. Money in
    another currency than this is left out."""
    for engineer in sorted(people, key=lambda person: person.id):
        tier = policy.tiers.get(engineer.tier)
        if tier is not None and engineer.subject:
            yield from _granted(_of_tier(engineer, tier, period), currency)
    for project in sorted(policy.projects.values(), key=lambda item: item.name):
        yield from _granted(_of_project(project, policy.project_shares[project.name], period), currency)


def _granted(found: Iterable[Allowance], currency: Currency | None) -> Iterator[Allowance]:
    for allowance in found:
        counted = measure(allowance.unit)
        if allowance.amount > 0 and (counted.kind is not UnitKind.MONEY or counted.of == currency):
            yield allowance


def _of_tier(engineer: Engineer, tier: Tier, period: Period) -> Iterator[Allowance]:
    hours = Allowance(
        id=tier_allowance_id(engineer.id, period.name),
        holder=holder_of(HolderKind.ENGINEER, engineer.id),
        source=AllowanceSource.TIER,
        amount=tier.allowance,
        starts_at=period.starts_at,
        expires_at=period.ends_at,
        granted_at=period.starts_at,
        gpu_classes=tier.gpu_classes,
        period=period.name,
        overdraft=tier.overdraft,
        rollover=tier.rollover,
    )
    yield hours
    for item in tier.beside:
        yield replace(
            hours,
            id=tier_allowance_id(engineer.id, period.name, item.unit),
            amount=item.amount,
            unit=item.unit,
            gpu_classes=_classes(tier, item.unit),
            overdraft=0,
            rollover=_rollover(tier.rollover, item.rollover_cap),
        )


def _classes(tier: Tier, unit: Unit) -> frozenset[GpuClassName] | None:
    """Money buys what the tier may use; hours of a class say themselves which, and tokens none."""
    return tier.gpu_classes if measure(unit).kind is UnitKind.MONEY else None


def _rollover(rule: Rollover | None, cap: int | None) -> Rollover | None:
    """The tier's rule with the cap of this unit: a capped one without a cap carries nothing."""
    if rule is None:
        return None
    return replace(rule, cap=0 if cap is None and rule.rule is RolloverRule.CAPPED else cap)


def _of_project(project: Project, hours: int, period: Period) -> Iterator[Allowance]:
    plain = Allowance(
        id=project_allowance_id(project.name, period.name),
        holder=holder_of(HolderKind.PROJECT, project.name),
        source=AllowanceSource.PROJECT,
        amount=hours,
        starts_at=period.starts_at,
        expires_at=period.ends_at,
        granted_at=period.starts_at,
        period=period.name,
    )
    yield plain
    for item in project.beside:
        allowance_id = project_allowance_id(project.name, period.name, item.unit)
        yield replace(plain, id=allowance_id, amount=item.amount, unit=item.unit)
