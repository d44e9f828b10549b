"""Consolidation: running work that may be moved to another node, so that a gang fits that fragments alone keep waiting."""

from dataclasses import dataclass

from scheduler.domain.units import MS_PER_MINUTE, PriorityClassName


@dataclass(frozen=True, slots=True)
class ConsolidationTerms:
    """Whose work may be moved (nobody's by default), and how much that may cost.

    `lost_max` bounds the GPU-milliseconds since the last checkpoint that one move may throw away; without a
    checkpoint nothing is moved. `moves_max` bounds the moves for one gang.
    """

    priority_classes: frozenset[PriorityClassName] = frozenset()
    lost_max: int = 60 * MS_PER_MINUTE
    moves_max: int = 4
