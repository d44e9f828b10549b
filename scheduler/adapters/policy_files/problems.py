"""What is wrong with a file: every problem with its place, collected so that all are reported together."""

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.domain.errors import InvalidInput, RefusalCode

PROBLEMS_MAX = 100
"""A file that is wrong throughout is answered with this many problems and a count of the rest."""


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file, line and column counted from 1."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong: where, what was found there and what was expected instead."""

    mark: Mark
    message: str

    def __str__(self) -> str:
        return f"{self.mark.line}:{self.mark.column}: {self.message}"


class Problems:
    """Collects problems, at most `PROBLEMS_MAX` of them in detail."""

    def __init__(self) -> None:
        self._found: list[Problem] = []
        self._left_out = 0

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, mark: Mark, message: str) -> None:
        if len(self._found) < PROBLEMS_MAX:
            self._found.append(Problem(mark, message))
        else:
            self._left_out += 1

    def in_order(self) -> tuple[Problem, ...]:
        """By place in the file; what was left out is counted in a last one."""
        found = sorted(set(self._found))
        if self._left_out:
            found.append(Problem(found[-1].mark, f"and {self._left_out} more problems"))
        return tuple(found)


def refusal(name: str, problems: Sequence[Problem], code: RefusalCode) -> InvalidInput:
    """All problems as one refusal, each on a line of its own as `file:line:column: …`."""
    lines = "\n".join(f"{name}:{problem}" for problem in problems)
    each = [
        InvalidInput(problem.message, code=code, where=f"{name}:{problem.mark.line}:{problem.mark.column}")
        for problem in problems
    ]
    return InvalidInput(lines, code=code, remedy="mend the file and check it again; nothing was changed", each=each)
