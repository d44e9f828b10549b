"""Long statements, folded: a company's lines by team, anybody else's by day or month. Each part has its sums; opened, or
printed, it has all of its lines."""

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.domain.units import MS_PER_DAY
from scheduler.entrypoints.web.moments import Moments
from scheduler.lifecycle.views.owners import OwnerKind
from scheduler.lifecycle.views.statement_shapes import StatementLine, StatementView

FOLDED_FROM = 100
"""Lines: fewer are read as they stand."""
BY_DAY_MAX = 62 * MS_PER_DAY
"""A longer period is told by its months."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Lines that belong together. `amount` and `gpu_ms` are in standard and in physical GPU-milliseconds, `cost_micro` is
    None where none of them is worth something."""

    title: str
    lines: Sequence[StatementLine]

    @property
    def amount(self) -> int:
        return sum(line.amount for line in self.lines)

    @property
    def gpu_ms(self) -> int:
        return sum(line.gpu_ms for line in self.lines)

    @property
    def cost_micro(self) -> int | None:
        costs = [line.cost_micro for line in self.lines if line.cost_micro is not None]
        return sum(costs) if costs else None


def folds_of(statement: StatementView, moments: Moments) -> list[Fold]:
    """Nothing where it is short."""
    if len(statement.lines) < FOLDED_FROM:
        return []
    parts: dict[str, list[StatementLine]] = {}
    by_month = statement.ends_at - statement.starts_at > BY_DAY_MAX
    day = moments.month if by_month else moments.day
    by_team = statement.owner_kind == OwnerKind.COMPANY.value
    for line in sorted(statement.lines, key=lambda line: line.team) if by_team else statement.lines:
        title = (line.team or "Granted, expired and passed on") if by_team else day(line.at)
        parts.setdefault(title, []).append(line)
    return [Fold(title, lines) for title, lines in parts.items()]
