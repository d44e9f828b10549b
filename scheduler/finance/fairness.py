"""Fairness of a distribution over people, in the two measures that the literature uses. Pure; numbers without names."""

from collections.abc import Sequence


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
