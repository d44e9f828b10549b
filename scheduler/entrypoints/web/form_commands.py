"""A form carries the id of the command that it will be: sent twice, it is done once."""

import hashlib
from collections.abc import Mapping

from scheduler.domain.people import Caller
from scheduler.domain.units import CommandId
from scheduler.lifecycle.writing.answered import Command

FIELD = "command"


def command_of(caller: Caller, form: Mapping[str, str]) -> Command | None:
    """The command of a form; None where it carries no id. Ids of different callers never meet."""
    key = form.get(FIELD)
    if not key:
        return None
    content = "\n".join(f"{name}={value}" for name, value in sorted(form.items()))
    return Command(CommandId(f"{caller.actor}:{key[:64]}"), hashlib.sha256(content.encode()).hexdigest())
