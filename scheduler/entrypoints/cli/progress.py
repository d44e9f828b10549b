"""How far a long command is, on standard error: a line a second at most, and nothing of what is quickly done."""

import time
from collections.abc import Iterator, Sequence

from scheduler.entrypoints.cli.output import err
from scheduler.finance.proving.findings import Finding
from scheduler.finance.proving.ports import Evidence
from scheduler.finance.proving.relations import Relation, Values

TOLD_EVERY_SECONDS = 1.0


class Telling:
    """Says what it is given, where the last line is long enough ago."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def say(self, text: str) -> None:
        moment = time.monotonic()
        if moment - self._told_at >= TOLD_EVERY_SECONDS:
            self._told_at = moment
            err().print(text)


class WatchedEvidence:
    """An Evidence that says how much of it has been read."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._telling = Telling()

    def shape(self, relations: Sequence[Relation]) -> list[Finding]:
        return self._evidence.shape(relations)

    def damage(self) -> list[Finding]:
        return self._evidence.damage()

    def rows(self, relation: Relation) -> Iterator[Sequence[Values]]:
        read = 0
        for piece in self._evidence.rows(relation):
            read += len(piece)
            self._telling.say(f"{relation.name}: {read:,} rows")
            yield piece

    def heads(self) -> Iterator[Values]:
        return self._evidence.heads()
