"""The kinds of fields that requests have: whole numbers within bounds, text without control characters."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.periods import YEARS, to_instant
from scheduler.domain.quantities import unit_named
from scheduler.domain.units import AMOUNT_MAX, STANDARD_GPU, Instant, Unit

GPUS_MAX = 100_000
DURATION_MS_MAX = 100 * 366 * 86_400_000
"""A hundred years: beyond any policy, and far from the edge of 64 bits."""

PERSONAL = "personal"
"""Stands where a project's name would, for work that is nobody's project."""


class Body(BaseModel):
    """A request's body: strict (true is no 1, 1.0 is no 1, "1" is no 1), and no field that we do not know."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


_ONE_LINE = r"^[^\x00-\x1f\x7f]+$"
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=_ONE_LINE)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=512, pattern=_ONE_LINE)]
"""Blanks around a name would tell two apart that nobody can."""
Argument = Annotated[str, StringConstraints(max_length=65_536, pattern=r"^[^\x00]*$")]
Label = Annotated[str, StringConstraints(max_length=317, pattern=r"^[A-Za-z0-9._/-]*$")]

Count = Annotated[int, Field(ge=1, le=GPUS_MAX)]
DurationMs = Annotated[int, Field(ge=1, le=DURATION_MS_MAX)]
AmountMs = Annotated[int, Field(ge=1, lt=AMOUNT_MAX)]
Quantity = Annotated[
    int,
    Field(
        ge=1,
        lt=AMOUNT_MAX,
        description="In the unit's smallest part: milliseconds of GPU time, tokens, millionths of the currency.",
    ),
]
UnitName = Annotated[Name, Field(description="standard, gpu/CLASS, tokens, tokens/MODEL or a currency.")]
STANDARD = "standard"
Moment = Annotated[
    AwareDatetime,
    Field(strict=False, ge=datetime(YEARS.start, 1, 1, tzinfo=UTC), lt=datetime(YEARS.stop, 1, 1, tzinfo=UTC)),
]
"""RFC 3339 with an offset, and far enough from the calendar's end to count months on from it."""


def one_amount(amount_ms: int | None, quantity: int | None, unit: str) -> tuple[int | None, Unit]:
    """What was asked in which unit. `amount_ms` is another word for a quantity of standard time.

    Raises InvalidInput: `unknown-unit`; `invalid-amount` where both are given, or milliseconds of what is no time.
    """
    counted = unit_named(unit)
    if amount_ms is not None and (quantity is not None or counted != STANDARD_GPU):
        raise InvalidInput(
            "amount_ms is standard GPU time",
            where="amount_ms",
            code=RefusalCode.INVALID_AMOUNT,
            expected="quantity alone, in the unit's smallest part",
        )
    return (quantity if amount_ms is None else amount_ms), counted


def instant_of(moment: datetime | None) -> Instant | None:
    return None if moment is None else to_instant(moment)
