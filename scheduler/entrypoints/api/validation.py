"""What pydantic found wrong with a request, as refusals with our codes, places and expectations."""

from collections.abc import Mapping, Sequence
from typing import Any

from scheduler.domain.errors import InvalidInput, Refusal, RefusalCode
from scheduler.domain.wording import counted, filled

SHOWN_MAX = 60
ERRORS_MAX = 20

CODE_OF_FIELD: Mapping[str, RefusalCode] = {
    "pods": RefusalCode.INVALID_GPUS,
    "gpus": RefusalCode.INVALID_GPUS,
    "min_pods": RefusalCode.INVALID_MIN_PODS,
    "gpus_per_pod": RefusalCode.INVALID_GPUS,
    "time_limit_ms": RefusalCode.INVALID_TIME_LIMIT,
    "extra_ms": RefusalCode.INVALID_TIME_LIMIT,
    "amount_ms": RefusalCode.INVALID_AMOUNT,
    "quantity": RefusalCode.INVALID_AMOUNT,
    "cursor": RefusalCode.INVALID_CURSOR,
    "windows": RefusalCode.INVALID_SAMPLE,
    "gpus_present": RefusalCode.INVALID_SAMPLE,
}
"""The nearest of these names on the way to a value decides the code; everything else is `invalid-value`."""

_INSTANT = "an instant with its offset from UTC, such as 2027-01-01T00:00:00Z"
_EXPECTED: Mapping[str, str] = {
    "missing": "a value",
    "extra_forbidden": "no such field",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of at most 19 digits",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "string_unicode": "text in valid Unicode",
    "timezone_aware": _INSTANT,
    "datetime_type": _INSTANT,
    "datetime_parsing": _INSTANT,
    "datetime_from_date_parsing": _INSTANT,
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "string_too_short": "at least {min_length:character|characters}",
    "string_too_long": "at most {max_length:character|characters}",
    "too_short": "at least {min_length}",
    "too_long": "at most {max_length}",
    "enum": "one of {expected}",
    "literal_error": "one of {expected}",
    "json_invalid": "valid JSON, in which no key stands twice",
}

WRITTEN_AS: Mapping[str, str] = {
    r"^[^\x00-\x1f\x7f]+$": "text of one line, without control characters",
    r"^[^\x00]*$": "text without a NUL character",
    r"^[A-Za-z0-9._/-]*$": "letters, digits, dots, dashes, underscores and slashes",
    r"^[\x21-\x7e]+$": "visible ASCII characters without blanks",
    r"^[0-9TZQW:.+/-]{4,70}$": "a period, such as 2026-11, 2026-W47 or two instants with a slash between them",
    r"^\d{4}$": "a year of four digits, such as 2026",
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$": "a day, such as 2026-11-20",
    r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$": "a node's name as Kubernetes writes it",
    r"^(require|prefer):.{1,63}$": "require:LEVEL or prefer:LEVEL",
}
"""What a pattern asks for, in words."""


def refusals_in(errors: Sequence[Any]) -> list[Refusal]:
    """One refusal for each error, at most `ERRORS_MAX`; never empty."""
    found: list[Refusal] = [_refusal(error) for error in errors[:ERRORS_MAX]]
    return found or [InvalidInput("the request cannot be read", where="body")]


def _refusal(error: Mapping[str, Any]) -> InvalidInput:
    kind = str(error["type"])
    if tuple(error["loc"]) == ("body",) and isinstance(error.get("input"), bytes):
        return InvalidInput(
            "the body does not say that it is JSON", where="Content-Type", expected="Content-Type: application/json"
        )
    where = "body" if kind == "json_invalid" else _place(error["loc"])
    context = error.get("ctx") or {}
    expected = _expected(kind, context) or str(error["msg"])
    return InvalidInput(
        _message(kind, where, error, context), where=where, expected=expected, code=_code(error["loc"])
    )


def _expected(kind: str, context: Mapping[str, Any]) -> str:
    if kind == "string_pattern_mismatch":
        return WRITTEN_AS.get(str(context.get("pattern")), "")
    return filled(_EXPECTED.get(kind, ""), context)


def _message(kind: str, where: str, error: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    match kind:
        case "missing":
            return f"{where} is missing"
        case "extra_forbidden":
            return f"{where} is not a field of this request"
        case "json_invalid":
            return (
                f"the body cannot be read as JSON: {context.get('error', 'it cannot be parsed')}{_at(error['loc'])}"
            )
        case "too_short" | "too_long" if isinstance(context.get("actual_length"), int):
            return f"{where} has {counted(context['actual_length'], 'entry', 'entries')}"
        case _:
            return f"{where} is {shown(error.get('input'))}"


def _at(place: Sequence[Any]) -> str:
    """Where reading JSON ended, of `("body", position)`; nothing where that is not known."""
    position = place[-1]
    return f" (character {position + 1})" if isinstance(position, int) and position > 0 else ""


def _code(place: Sequence[Any]) -> RefusalCode:
    for part in reversed(place):
        if part in CODE_OF_FIELD:
            return CODE_OF_FIELD[part]
    return RefusalCode.INVALID_VALUE


def _place(place: Sequence[Any]) -> str:
    """`body → pod → 3` as `pod[3]`: the body needs no name, a query parameter or a header does."""
    parts = list(place)
    if parts and parts[0] in {"body", "query", "path"} and len(parts) > 1:
        parts = parts[1:]
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text or "body"


def shown(value: object) -> str:
    """The value as JSON would have it, and not longer than a line."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case dict():
            return "an object"
        case list():
            return "a list"
        case bytes():
            return f"{len(value)} bytes"
    text = str(value) if isinstance(value, int | float) else repr(value)
    text = text.encode("utf-8", errors="backslashreplace").decode()
    return text if len(text) <= SHOWN_MAX else f"{text[: SHOWN_MAX - 1]}…"
