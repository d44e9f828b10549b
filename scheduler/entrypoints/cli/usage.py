"""Wrong usage, which Typer finds while it reads a command line, as a refusal in the form of all others, with a code."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError
from typer._click.exceptions import BadParameter, MissingParameter, NoArgsIsHelpError, NoSuchOption, UsageError

from scheduler.domain.errors import InvalidInput, Refusal, RefusalCode
from scheduler.entrypoints.api.validation import CODE_OF_FIELD, refusals_in, shown
from scheduler.entrypoints.cli.options import shown_name

AS_TYPED: Final = "allot.as_typed"
"""Under this key a context keeps the words of the command line: of a word the parser names the first letter alone."""

_NEAR_MAX = 3
_LISTED_MAX = 12
"""Commands that are named one by one; `allot` itself has more, and its help has them in groups."""

_NO_COMMAND = re.compile(r"No such command '([^']*)'")

_PLAIN = {
    int: (re.compile("-?[0-9]+"), "a whole number"),
    float: (re.compile("-?[0-9]*[.]?[0-9]+(e-?[0-9]+)?|nan|-?inf", re.IGNORECASE), "a number"),
}
"""How numbers are written. What is beyond all bounds, as `nan` is, is refused with the bounds."""

_BEGINNING_MIN = 3
"""Letters that two words begin with alike before one is taken for the other."""


@contextmanager
def refusing_wrong_usage() -> Iterator[None]:
    """Raise InvalidInput where Typer would draw a box. What asks for help by saying nothing gets the help."""
    try:
        yield
    except NoArgsIsHelpError:
        raise
    except UsageError as error:
        raise _refusal(error) from error


def _refusal(error: UsageError) -> Refusal:
    remedy = f"see `{error.ctx.command_path} --help`" if error.ctx is not None else ""
    if isinstance(error, NoSuchOption) and error.option_name[1:2].isdigit():
        typed = error.ctx.meta.get(AS_TYPED, ()) if error.ctx is not None else ()
        word = next((each for each in typed if each.startswith(error.option_name)), error.option_name)
        return InvalidInput(
            f"{word} begins with a minus and was read as an option",
            code=RefusalCode.INVALID_VALUE,
            expected="an amount above zero",
            remedy=remedy,
        )
    if isinstance(error, NoSuchOption):
        near = " or ".join(_near(error))
        meant = f" (meant: {near}?)" if near else ""
        return InvalidInput(f"no such option: {error.option_name}{meant}", remedy=remedy)
    command = _NO_COMMAND.match(error.message)
    if command is not None and error.ctx is not None:
        return _no_such_command(command[1], error.ctx, remedy)
    if not isinstance(error, BadParameter) or isinstance(error, MissingParameter):
        return InvalidInput(_sentence(error.format_message()), remedy=remedy)
    where = _place(error)
    details = error.__cause__.errors()[0] if isinstance(error.__cause__, ValidationError) else None
    if details is None or details["type"] == "value_error":  # a choice or a file, of which the sentence says all
        said = _sentence(error.message.removeprefix("Value error, "))
        return InvalidInput(said, code=RefusalCode.INVALID_VALUE, where=where, remedy=remedy)
    code = CODE_OF_FIELD.get(error.param.name or "" if error.param else "", RefusalCode.INVALID_VALUE)
    read = refusals_in([{**details, "loc": (where,)}])[0]
    # `nan` is read as a number that no bound lets pass: which bound it failed at says nothing.
    expected = "a number" if str(details.get("input")).lower() == "nan" else read.expected
    return InvalidInput(read.message, code=code, where=where, expected=expected, remedy=remedy)


def _no_such_command(word: str, context: Any, remedy: str) -> InvalidInput:
    """With those that may have been meant, or all that a small group has."""
    names = context.command.list_commands(context)
    near = [*get_close_matches(word, names, cutoff=0.7), *(name for name in names if _is_begun(word, name))]
    meant = f" (meant: {' or '.join(list(dict.fromkeys(near))[:_NEAR_MAX])}?)" if near else ""
    expected = "" if near or len(names) > _LISTED_MAX else "one of " + ", ".join(names)
    return InvalidInput(f"no such command {word!r}{meant}", expected=expected, remedy=remedy)


def with_plain_numbers(command: Any) -> Any:
    """The command, or the group of commands, whose numbers are read as they are written everywhere else: Typer would take
    `1_0` for ten, and ` 1` and `1.0` for one."""
    for each in getattr(command, "commands", {}).values():
        with_plain_numbers(each)
    for parameter in command.params:
        plain = _PLAIN.get(parameter.type_descriptor.annotation)
        if plain is not None:
            parameter.process_value = _read_plainly(parameter, *plain)
    return command


def _read_plainly(parameter: Any, plain: re.Pattern[str], expected: str) -> Callable[[Any, Any], Any]:
    read: Callable[[Any, Any], Any] = parameter.process_value

    def process_value(context: Any, value: Any) -> Any:
        if isinstance(value, str) and not plain.fullmatch(value):
            place = shown_name(parameter)
            remedy = f"see `{context.command_path} --help`"
            code = CODE_OF_FIELD.get(parameter.name, RefusalCode.INVALID_VALUE)
            raise InvalidInput(f"{place} is {shown(value)}", code=code, where=place, expected=expected, remedy=remedy)
        return read(context, value)

    return process_value


def _near(error: NoSuchOption) -> list[str]:
    """The long options that may have been meant: by their letters, or by a word of theirs. The dashes, which all of them
    begin with, make nothing alike."""
    if error.ctx is None:
        return []
    params = error.ctx.command.get_params(error.ctx)
    names = [option[2:] for param in params for option in param.opts if option.startswith("--")]
    meant = error.option_name.lstrip("-")
    alike = get_close_matches(meant, names, cutoff=0.7)
    alike += [name for name in names if any(_is_begun(a, b) for a in meant.split("-") for b in name.split("-"))]
    return [f"--{name}" for name in dict.fromkeys(alike)][:_NEAR_MAX]


def _is_begun(one: str, other: str) -> bool:
    """Whether the shorter word begins the other, as `mem` does `memory`."""
    shorter, longer = sorted((one, other), key=len)
    return len(shorter) >= _BEGINNING_MIN and longer.startswith(shorter)


def _place(error: BadParameter) -> str:
    """The option by its long name, or the argument."""
    if isinstance(error.param_hint, str):
        return error.param_hint
    return "" if error.param is None else shown_name(error.param)


def _sentence(text: str) -> str:
    """Typer's sentences begin with a capital and end with a full stop; ours stand in the middle of one."""
    text = text.strip().removesuffix(".")
    return text[:1].lower() + text[1:]
