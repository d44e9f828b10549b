"""How use is spread over people, month by month, by tier and team: so that a widening gap is seen."""

from collections import defaultdict
from dataclasses import dataclass

from scheduler.domain.periods import Period, PeriodLength, period_at
from scheduler.domain.units import EngineerId, Instant
from scheduler.finance.fairness import Fairness, fairness
from scheduler.ledger.journal import AccountKind
from scheduler.lifecycle.memory.world import World
from scheduler.ports import Books


@dataclass(frozen=True, slots=True)
class SpreadView:
    """Of a month and a group: `company`, or one of its tiers or teams. Physical GPU time, unfunded too."""

    period: str
    by: str
    group: str
    used: Fairness


def spread_views(books: Books, world: World, now: Instant, months: int) -> tuple[SpreadView, ...]:
    """The last so many months, the present one first."""
    found: list[SpreadView] = []
    zone = world.require_policy().time_zone
    at = now
    for _ in range(months):
        month = period_at(at, PeriodLength.MONTH, zone)
        found += _of_month(books, world, month)
        at = Instant(month.starts_at - 1)
    return tuple(found)


def _of_month(books: Books, world: World, month: Period) -> list[SpreadView]:
    used: dict[EngineerId, int] = defaultdict(int)
    sums = list(books.journal.sums(kinds=[AccountKind.CHARGED], starts_at=month.starts_at, ends_at=month.ends_at))
    attempts = books.attempts.many(sorted({item.attempt_id for item in sums if item.attempt_id is not None}))
    for item in sums:
        attempt = attempts.get(item.attempt_id) if item.attempt_id is not None else None
        if attempt is not None:
            used[attempt.owner] += max(0, item.gpu_ms)
    people = list(world.people.values())
    groups: dict[tuple[str, str], list[int]] = {("company", "company"): [used[person.id] for person in people]}
    for person in people:
        groups.setdefault(("tier", person.tier), []).append(used[person.id])
        groups.setdefault(("team", person.team), []).append(used[person.id])
    return [SpreadView(month.name, by, group, fairness(uses)) for (by, group), uses in sorted(groups.items())]
