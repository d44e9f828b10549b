"""Quantities: what an allowance may be counted in, and how an amount of it is written.

Four kinds of units: standard GPU time, GPU time of one class (both in milliseconds), tokens (of one model or of any),
and money (millionths of a currency's unit). Units never mix: a transaction moves one of them.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.hours import nearest_tenths
from scheduler.domain.money import CURRENCIES, MICRO_PER_UNIT, decimal_text
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, STANDARD_GPU, GpuClassName, Unit

TOKENS: Final = Unit("tokens")
_CLASS = "gpu-ms/"
_MODEL = "tokens/"
_MONEY = "-micro"
_MODEL_NAME_MAX = 120
_CURRENCY_LETTERS = 3


class UnitKind(StrEnum):
    STANDARD = "standard"
    GPU_CLASS = "gpu-class"
    TOKENS = "tokens"
    MONEY = "money"


@dataclass(frozen=True, slots=True)
class Measure:
    """A unit taken apart. `of` is the GPU class, the model (empty: any) or the currency."""

    kind: UnitKind
    of: str = ""


def class_unit(gpu_class: GpuClassName) -> Unit:
    return Unit(f"{_CLASS}{gpu_class}")


def money_unit(currency: str) -> Unit:
    return Unit(f"{currency}{_MONEY}")


def is_money(unit: Unit) -> bool:
    return unit.endswith(_MONEY) and unit.removesuffix(_MONEY) in CURRENCIES


def is_tokens(unit: Unit) -> bool:
    return unit == TOKENS or unit.startswith(_MODEL)


def measure(unit: Unit) -> Measure:
    """What a unit of the books counts. Raises InvalidInput (`unknown-unit`) for none of ours."""
    if unit == STANDARD_GPU:
        return Measure(UnitKind.STANDARD)
    if unit == TOKENS:
        return Measure(UnitKind.TOKENS)
    if unit.startswith(_MODEL) and len(unit) > len(_MODEL):
        return Measure(UnitKind.TOKENS, unit.removeprefix(_MODEL))
    if unit.startswith(_CLASS) and len(unit) > len(_CLASS):
        return Measure(UnitKind.GPU_CLASS, unit.removeprefix(_CLASS))
    if unit.endswith(_MONEY) and unit.removesuffix(_MONEY) in CURRENCIES:
        return Measure(UnitKind.MONEY, unit.removesuffix(_MONEY))
    raise _unknown(unit)


def whole(unit: Unit) -> int:
    """How many smallest parts make one of it as people count: an hour, a token, a unit of the currency."""
    match measure(unit).kind:
        case UnitKind.STANDARD | UnitKind.GPU_CLASS:
            return MS_PER_HOUR
        case UnitKind.TOKENS:
            return 1
        case UnitKind.MONEY:
            return MICRO_PER_UNIT


def unit_named(text: str) -> Unit:
    """The unit that people mean by `standard`, `gpu/H100`, `tokens`, `tokens/MODEL` or `EUR`.

    Raises InvalidInput: `unknown-unit`; `unknown-currency` for three capitals that are none.
    """
    kind, slash, of = text.partition("/")
    if text == "standard":
        return STANDARD_GPU
    if kind == "gpu" and of:
        return class_unit(GpuClassName(of))
    if text == "tokens" or (kind == "tokens" and slash and 0 < len(of) <= _MODEL_NAME_MAX):
        return Unit(text)
    if text in CURRENCIES:
        return money_unit(text)
    raise _unknown(text)


def unit_label(unit: Unit) -> str:
    """The unit as people write it: what `unit_named` reads."""
    found = measure(unit)
    match found.kind:
        case UnitKind.STANDARD:
            return "standard"
        case UnitKind.GPU_CLASS:
            return f"gpu/{found.of}"
        case UnitKind.TOKENS:
            return unit
        case UnitKind.MONEY:
            return found.of


def quantity_text(amount: int, unit: Unit) -> str:
    """An amount as people read it: hours to a tenth, tokens whole, money exact."""
    found = measure(unit)
    match found.kind:
        case UnitKind.STANDARD | UnitKind.GPU_CLASS:
            tenths = nearest_tenths(amount)
            sign = "-" if amount < 0 and tenths else ""
            text = f"{sign}{_grouped(tenths // 10)}.{tenths % 10} h"
            return f"{text} {found.of}" if found.of else text
        case UnitKind.TOKENS:
            text = f"{_grouped(amount)} tokens"
            return f"{text} of {found.of}" if found.of else text
        case UnitKind.MONEY:
            return f"{decimal_text(amount, least=2)} {found.of}"


def exact_text(amount: int, unit: Unit) -> str:
    """The same with nothing rounded off, for what has to agree to the last part: `4 h 59 min 59.999 s`."""
    found = measure(unit)
    if found.kind not in {UnitKind.STANDARD, UnitKind.GPU_CLASS} or amount * 10 % MS_PER_HOUR == 0:
        return quantity_text(amount, unit)
    hours, rest = divmod(abs(amount), MS_PER_HOUR)
    minutes, rest = divmod(rest, MS_PER_MINUTE)
    parts = ((_grouped(hours), "h"), (str(minutes), "min"), (decimal_text(rest, 3), "s"))
    text = ("-" if amount < 0 else "") + " ".join(f"{number} {name}" for number, name in parts if number != "0")
    return f"{text} {found.of}" if found.of else text


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _unknown(text: str) -> InvalidInput:
    if len(text) == _CURRENCY_LETTERS and text.isascii() and text.isupper():
        return InvalidInput(
            f"{text} is no currency", where="unit", code=RefusalCode.UNKNOWN_CURRENCY, expected="such as EUR or USD"
        )
    return InvalidInput(
        f"{text[:60]!r} is no unit",
        where="unit",
        code=RefusalCode.UNKNOWN_UNIT,
        expected="standard, gpu/CLASS, tokens, tokens/MODEL or a currency such as EUR",
    )
