"""Exit codes, and how a refusal becomes one message and one of them."""

import sys
from enum import IntEnum

import typer

from scheduler.domain.errors import InvalidInput, Refusal, RefusalCode
from scheduler.entrypoints.api.codes import CODES


class ExitCode(IntEnum):
    """What scripts can rely on. docs/cli.md has this table."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_PERMITTED = 4
    UNAVAILABLE = 5


MEANINGS: dict[ExitCode, str] = {
    ExitCode.DONE: "done, or what was asked is true",
    ExitCode.REFUSED: "refused, or what was asked is not true (a file with problems, a check that failed)",
    ExitCode.USAGE: "wrong usage: an option or a value that cannot be read",
    ExitCode.UNREACHABLE: "no server answers at the address",
    ExitCode.NOT_PERMITTED: "not signed in, or not permitted",
    ExitCode.UNAVAILABLE: "the server, its database or its cluster cannot answer now: try again",
}


class Answered(Refusal):
    """A refusal that the server sent. `status` is its HTTP status, `request_id` what operators find it by."""

    def __init__(self, refusal: Refusal, status: int, request_id: str, others: tuple[str, ...] = ()) -> None:
        super().__init__(
            refusal.message,
            code=refusal.code,
            expected=refusal.expected,
            remedy=refusal.remedy,
            where=refusal.where,
        )
        self.status = status
        self.request_id = request_id
        self.others = others


def exit_code_of(refusal: Refusal) -> ExitCode:
    """Which exit code a refusal ends with."""
    if refusal.code is RefusalCode.SERVER_UNREACHABLE:
        return ExitCode.UNREACHABLE
    is_ours = not isinstance(refusal, Answered)
    if is_ours and isinstance(refusal, InvalidInput) and refusal.code not in _FILES:
        return ExitCode.USAGE
    status = refusal.status if isinstance(refusal, Answered) else CODES[refusal.code].status
    if status in {401, 403}:
        return ExitCode.NOT_PERMITTED
    return ExitCode.UNAVAILABLE if status >= 500 else ExitCode.REFUSED


_FILES = frozenset(
    {
        RefusalCode.INVALID_POLICY,
        RefusalCode.INVALID_DIRECTORY,
        RefusalCode.INVALID_TRACE,
        RefusalCode.INVALID_PRICES,
        RefusalCode.UNKNOWN_CURRENCY,
        RefusalCode.PRICE_GAP,
        RefusalCode.PRICE_OVERLAP,
    }
)


def report(refusal: Refusal) -> ExitCode:
    """Say on standard error what was refused and what to do; the exit code to end with."""
    lines = [f"allot: {_sentence(refusal)}"]
    if isinstance(refusal, Answered):
        lines += [f"       {other}" for other in refusal.others]
    if refusal.remedy:
        lines.append(f"       {_capital(refusal.remedy)}.".replace("..", "."))
    tail = f" · request {refusal.request_id}" if isinstance(refusal, Answered) and refusal.request_id else ""
    lines.append(f"       [{refusal.code.value}{tail}]")
    typer.echo("\n".join(lines), file=sys.stderr)
    return exit_code_of(refusal)


def _sentence(refusal: Refusal) -> str:
    where = f"{refusal.where}: " if refusal.where and refusal.where not in refusal.message else ""
    expected = f"; expected {refusal.expected}" if refusal.expected else ""
    return f"{where}{refusal.message}{expected}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
