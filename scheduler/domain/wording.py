"""How numbers and the words beside them agree in sentences that people read."""

from collections.abc import Mapping
from functools import cache
from string import Formatter

from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, MS_PER_SECOND


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 GPU`, `12 GPUs`; `plural` where an s does not make it."""
    return f"{number} {agreeing(number, noun, plural or f'{noun}s')}"


THIN_SPACE = "\u202f"
"""Stands in the thousands of whatever people read."""


def with_gaps(number: str) -> str:
    """A decimal as text, `1234.5`, with thin spaces in its thousands; what is none as it is."""
    whole, point, rest = number.partition(".")
    return f"{int(whole):,}".replace(",", THIN_SPACE) + point + rest if whole.isdecimal() else number


def agreeing(number: object, one: str, many: str) -> str:
    """The words that go with this number; those for many where it is not known."""
    return one if number in {1, "1"} else many


def lasting(length_ms: int) -> str:
    """A span as people ask for it: `2 h`, `1 h 30 min`, `10 min`; in seconds where it is no whole minutes and short."""
    if length_ms < MS_PER_HOUR and length_ms % MS_PER_MINUTE:
        return f"{length_ms // MS_PER_SECOND} s"
    hours, minutes = divmod(length_ms // MS_PER_MINUTE, 60)
    return f"{hours} h {minutes} min" if hours and minutes else f"{hours} h" if hours else f"{minutes} min"


def filled(template: str, values: Mapping[str, object]) -> str:
    """A template in which `{gpus}` is the value, and `{gpus:GPU is|GPUs are}` the number and the words that go with it.

    A key that was not given reads as a dash, so that a sentence is never lost to a missing key.
    """
    pieces = []
    for literal, key, words in _pieces(template):
        pieces.append(literal)
        if key is not None:
            value = values.get(key, "–")
            one, bar, many = words.partition("|")
            pieces.append(f"{value} {agreeing(value, one, many)}" if bar else str(value))
    return "".join(pieces)


@cache
def _pieces(template: str) -> tuple[tuple[str, str | None, str], ...]:
    """Taken apart once: sentences are filled for every workload of a list."""
    return tuple((literal, key, words or "") for literal, key, words, _ in Formatter().parse(template))
