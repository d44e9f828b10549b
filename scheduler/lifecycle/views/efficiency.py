"""How well an owner's GPUs were used in a period: in sum, by team, engineer and attempt, and what is advised.

It is pay data: an engineer sees their own, a lead the team's sums, and who sees money everybody's.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from scheduler.domain.periods import Period
from scheduler.domain.units import AttemptId, Instant
from scheduler.domain.workloads import Attempt, Workload
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.advice import Advice, advice_for
from scheduler.lifecycle.views.owners import Owner, OwnerKind
from scheduler.metering.efficiency import Efficiency, efficiency_of
from scheduler.metering.use import HourOfUse, Use, total
from scheduler.ports import Books

ATTEMPTS_SHOWN_MAX = 50


@dataclass(frozen=True, slots=True)
class EfficiencyOf:
    """A team's or an engineer's: `id` is theirs, `name` what they are called."""

    id: str
    name: str
    use: Efficiency


@dataclass(frozen=True, slots=True)
class AttemptEfficiency:
    """One attempt's within the period, and what it suggests for the next time."""

    attempt_id: str
    workload_id: str
    workload_name: str
    owner: str
    gpu_class: str
    gpus: int
    use: Efficiency
    advice: tuple[Advice, ...]


@dataclass(frozen=True, slots=True)
class EfficiencyView:
    """`total` is None where nothing was read. `attempts` are those with the most GPU-time at rest, at most fifty of
    `attempts_read`; for a lead, who sees sums, they and `engineers` are left out."""

    owner: str
    owner_kind: str
    owner_name: str
    period: str
    starts_at: Instant
    ends_at: Instant
    total: Efficiency | None
    attempts_read: int
    teams: tuple[EfficiencyOf, ...]
    engineers: tuple[EfficiencyOf, ...]
    attempts: tuple[AttemptEfficiency, ...]


def efficiency_view(books: Books, world: World, owner: Owner, period: Period, now: Instant) -> EfficiencyView:
    """By the hours that begin in the period."""
    owners = owner.engineers if owner.kind is OwnerKind.ENGINEER else None
    uses = {id_: use for id_, use in books.samples.use_between(*_span(period), owners).items() if id_ is not None}
    attempts = books.attempts.many(sorted(uses))
    mine = _theirs(books, owner, attempts)
    is_shown = owner.sees_lines
    of_groups = is_shown and owner.kind is not OwnerKind.ENGINEER
    return EfficiencyView(
        owner=owner.id,
        owner_kind=owner.kind.value,
        owner_name=owner.name,
        period=period.name,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        total=efficiency_of(total(uses[id_] for id_ in mine)) if mine else None,
        attempts_read=len(mine),
        teams=_grouped(mine, uses, lambda a: (a.team, a.team)) if owner.kind is OwnerKind.COMPANY else (),
        engineers=_grouped(mine, uses, lambda a: (a.owner, _name(world, a))) if of_groups else (),
        attempts=_worst(books, world, _until(period, now), mine, uses) if is_shown else (),
    )


def _span(period: Period) -> tuple[Instant, Instant]:
    return period.starts_at, period.ends_at


def _theirs(books: Books, owner: Owner, attempts: Mapping[AttemptId, Attempt]) -> dict[AttemptId, Attempt]:
    if owner.kind is OwnerKind.COMPANY:
        return dict(attempts)
    if owner.kind is OwnerKind.PROJECT:
        of = books.workloads.many(sorted({attempt.workload_id for attempt in attempts.values()}))
        return {
            id_: a for id_, a in attempts.items() if a.workload_id in of and _project(of[a.workload_id]) == owner.id
        }
    if owner.kind is OwnerKind.TEAM:
        return {id_: attempt for id_, attempt in attempts.items() if attempt.team == owner.id}
    return {id_: attempt for id_, attempt in attempts.items() if attempt.owner in owner.engineers}


def _project(workload: Workload) -> str | None:
    return workload.spec.project


def _grouped(
    attempts: Mapping[AttemptId, Attempt],
    uses: Mapping[AttemptId, Use],
    group_of: Callable[[Attempt], tuple[str, str]],
) -> tuple[EfficiencyOf, ...]:
    """Those with the most GPU-time at rest first."""
    groups: dict[tuple[str, str], list[Use]] = {}
    for id_, attempt in attempts.items():
        groups.setdefault(group_of(attempt), []).append(uses[id_])
    found = [EfficiencyOf(id_, name, efficiency_of(total(of))) for (id_, name), of in groups.items()]
    return tuple(sorted(found, key=lambda each: (-each.use.idle_ms, each.id)))


def _name(world: World, attempt: Attempt) -> str:
    person = world.people.get(attempt.owner)
    return (person.name or person.subject) if person is not None else ""


def _until(period: Period, now: Instant) -> tuple[Instant, Instant]:
    """What of the period is over."""
    return period.starts_at, max(period.starts_at, min(period.ends_at, now))


def _worst(
    books: Books,
    world: World,
    span: tuple[Instant, Instant],
    attempts: Mapping[AttemptId, Attempt],
    uses: Mapping[AttemptId, Use],
) -> tuple[AttemptEfficiency, ...]:
    ids = sorted(attempts, key=lambda id_: (-uses[id_].idle_held_ms, id_))[:ATTEMPTS_SHOWN_MAX]
    workloads = books.workloads.many(sorted({attempts[id_].workload_id for id_ in ids}))
    starts_at, ends_at = span
    hours = _by_attempt(books.samples.hours(attempts=ids, starts_at=starts_at, ends_at=ends_at)) if ids else {}
    return tuple(
        AttemptEfficiency(
            attempt_id=id_,
            workload_id=attempts[id_].workload_id,
            workload_name=workloads[attempts[id_].workload_id].spec.name,
            owner=attempts[id_].owner,
            gpu_class=attempts[id_].gpu_class,
            gpus=attempts[id_].gpus,
            use=efficiency_of(uses[id_]),
            advice=advice_for(world, attempts[id_], hours.get(id_, ()), span),
        )
        for id_ in ids
    )


def _by_attempt(hours: Iterable[HourOfUse]) -> Mapping[AttemptId, list[HourOfUse]]:
    found: dict[AttemptId, list[HourOfUse]] = {}
    for hour in hours:
        if hour.attempt_id is not None:
            found.setdefault(hour.attempt_id, []).append(hour)
    return found
