"""Idempotent commands: the same id with the same body gets the first answer again, with another body a conflict."""

from dataclasses import dataclass

from scheduler.domain.errors import Conflict, RefusalCode
from scheduler.domain.people import Caller
from scheduler.domain.records import CommandRecord
from scheduler.domain.units import CommandId
from scheduler.lifecycle.writing.batch import Batch


@dataclass(frozen=True, slots=True)
class Command:
    """The caller's own id for a request, and a hash of its body: the same pair gets the first answer again."""

    id: CommandId
    body_hash: str


def earlier_answer(batch: Batch, caller: Caller, command: Command | None) -> str | None:
    """The first answer to this command, if there was one. The same id with another body is a conflict."""
    if command is None:
        return None
    known = batch.books.control.command(command.id)
    if known is None:
        return None
    if known.body_hash != command.body_hash or known.caller != caller.actor:
        key = command.id.removeprefix(f"{caller.actor}:")
        raise Conflict(
            f"the idempotency key {key!r} was used for another request",
            code=RefusalCode.IDEMPOTENCY_CONFLICT,
            expected="the same body as the first time",
            remedy="use a new key for a new request",
        )
    return known.answer


def answer(batch: Batch, caller: Caller, command: Command | None, answered: str) -> None:
    """Keep what was answered, in the transaction that did it."""
    if command is not None:
        batch.books.control.add_command(
            CommandRecord(command.id, caller.actor, command.body_hash, answered, batch.now)
        )
