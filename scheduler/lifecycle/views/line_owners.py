"""Whose each line of a statement is: of what an attempt used, who used it; of everything else, the allowances' holders.

Names are joined on reading. Whoever was forgotten goes by the opaque id that the journal has.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.people import Engineer
from scheduler.domain.units import EngineerId
from scheduler.domain.workloads import Attempt
from scheduler.ledger.statement import StatementLine
from scheduler.ports import Books

People = Mapping[EngineerId, Engineer]


@dataclass(frozen=True, slots=True)
class LineOwners:
    people: People
    holders: Mapping[str, tuple[Holder, ...]]
    """By the ids of transactions that no attempt stands behind."""

    @classmethod
    def read(cls, books: Books, people: People, lines: Iterable[StatementLine]) -> "LineOwners":
        posted = [line.transaction_id for line in lines if line.attempt_id is None]
        return cls(people, books.journal.holders(posted) if posted else {})

    def holder(self, line: StatementLine) -> str:
        """As `--owner` takes it, such as `engineer:e-4jk`; a blank between giver and getter, empty of what was used."""
        return " ".join(f"{each.kind.value}:{each.id}" for each in self._holders(line))

    def who(self, line: StatementLine, attempt: Attempt | None) -> str:
        """For people: a person's name, `project atlas`, `Ada Moreau → team evals`."""
        if attempt is not None:
            return self._named(attempt.owner)
        return " → ".join(self._called(each) for each in self._holders(line))

    def _holders(self, line: StatementLine) -> tuple[Holder, ...]:
        return self.holders.get(line.transaction_id, ()) if line.attempt_id is None else ()

    def _called(self, holder: Holder) -> str:
        if holder.kind is HolderKind.ENGINEER:
            return self._named(EngineerId(holder.id))
        return f"{holder.kind.value} {holder.id}"

    def _named(self, engineer: EngineerId) -> str:
        person = self.people.get(engineer)
        return engineer if person is None else person.name or person.subject or engineer
