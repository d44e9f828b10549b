"""Fairness of a distribution over people, in the two measures that the literature uses. Pure; numbers without names."""

from collections.abc import Sequence
from dataclasses import dataclass


def jain(shares: Sequence[float]) -> float | None:
    """Jain's index: (Σx)² / (n Σx²), 1 where all have the same, 1/n where one has everything (Jain et al., 1984).

    None where nobody has anything.
    """
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else None


def gini(shares: Sequence[float]) -> float | None:
    """The Gini coefficient of what nobody has less than nothing of: 0 where all have the same, towards 1 where one has
    everything. None where nobody has anything."""
    total = sum(shares)
    if not total:
        return None
    ranked = sum(rank * share for rank, share in enumerate(sorted(shares), 1))
    count = len(shares)
    return 2 * ranked / (count * total) - (count + 1) / count


def top_decile(shares: Sequence[float]) -> float | None:
    """What the tenth of people with the most has of everything (at least one person); None where nobody has anything."""
    total, tenth = sum(shares), (len(shares) + 9) // 10
    return sum(sorted(shares)[-tenth:]) / total if total else None


@dataclass(frozen=True, slots=True)
class Fairness:
    """Of so many people, those with nothing too: whoever could have used and did not is part of the picture. In per
    mille; None where nobody used anything."""

    people: int
    gini_permille: int | None
    jain_permille: int | None
    top_decile_permille: int | None


def fairness(uses: Sequence[int]) -> Fairness:
    """Of what each person used, none below zero, in whatever unit."""
    assert all(use >= 0 for use in uses), "nobody uses less than nothing"
    return Fairness(len(uses), *(_permille(measure(uses)) for measure in (gini, jain, top_decile)))


def _permille(share: float | None) -> int | None:
    return None if share is None else round(share * 1000)
