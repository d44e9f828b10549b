"""Rows of a trace that cannot be read: the first ends the reading, or, with `--skip-bad`, all are left out and listed."""

from dataclasses import dataclass, field
from typing import Annotated

import typer

from scheduler.domain.errors import InvalidInput
from scheduler.domain.wording import agreeing
from scheduler.entrypoints.cli.output import err
from scheduler.simulation.traces.rows import refuse_all

LISTED_MAX = 1000
"""Bad rows that are named one by one; the rest is counted."""

SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out rows that cannot be read, and list them.")]


@dataclass
class BadRows:
    """What a reader is given to leave out."""

    are_skipped: bool
    count: int = 0
    listed: list[str] = field(default_factory=list)

    def __call__(self, refusal: InvalidInput) -> None:
        if not self.are_skipped:
            refusal.remedy = "mend the row, or leave out all that cannot be read with --skip-bad"
            refuse_all(refusal)
        self.count += 1
        if len(self.listed) < LISTED_MAX:
            self.listed.append(str(refusal))

    def as_object(self) -> dict[str, object]:
        return {"count": self.count, "rows": self.listed}


def print_bad_rows(bad: BadRows) -> None:
    """What was left out because it could not be read, on standard error."""
    if bad.count:
        err().print(f"{bad.count:,} bad {agreeing(bad.count, 'row', 'rows')} left out:")
        for line in bad.listed:
            err().print(f"  {line}", soft_wrap=True)
