"""Leaderboards without a prize for burning. Pure.

What is ranked is work that GPUs did: hours in which they were at work, or how well they were used. Hours that rested count
for nobody, and who let GPUs rest for more than half of what was read of them is listed without a rank. Tokens stand
beside it and rank nobody: they are consumed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from scheduler.domain.units import MS_PER_HOUR, EngineerId

RESTED_MAX_PERMILLE = 500
USEFUL_MIN_MS = MS_PER_HOUR
"""Less than an hour at work tells nothing of how well somebody uses GPUs."""


class RankedBy(StrEnum):
    USEFUL = "useful"
    EFFICIENCY = "efficiency"


@dataclass(frozen=True, slots=True)
class Standing:
    """`useful_ms` of one GPU at work; `rank` None where nothing ranks them. What was not read is None."""

    engineer: EngineerId
    name: str
    useful_ms: int
    mean_permille: int | None
    rested_permille: int | None
    tokens: int
    rank: int | None = None


def ranked(standings: Iterable[Standing], by: RankedBy) -> tuple[Standing, ...]:
    """Those with a rank first, equals sharing theirs; then the rest by their ids."""

    def worth(standing: Standing) -> int:
        return standing.useful_ms if by is RankedBy.USEFUL else standing.mean_permille or 0

    everybody = list(standings)
    counted = sorted((each for each in everybody if _counts(each)), key=lambda each: (-worth(each), each.engineer))
    found: list[Standing] = []
    for place, each in enumerate(counted, 1):
        is_equal = bool(found) and worth(found[-1]) == worth(each)
        found.append(replace(each, rank=found[-1].rank if is_equal else place))
    rest = sorted((each for each in everybody if not _counts(each)), key=lambda each: each.engineer)
    return (*found, *rest)


def _counts(standing: Standing) -> bool:
    return (
        standing.useful_ms >= USEFUL_MIN_MS
        and standing.mean_permille is not None
        and standing.rested_permille is not None
        and standing.rested_permille <= RESTED_MAX_PERMILLE
    )
