"""Kubernetes' resource quantities ("500m", "1536Mi", "2e3") as integers, exactly."""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

NANO: Final = 10**9
"""Quantities are counted in billionths: the finest that Kubernetes keeps, so that integers are exact."""

_SUFFIXES: Final = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    **{suffix: Fraction(1000**power) for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{suffix: Fraction(1024**power) for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}
_QUANTITY: Final = re.compile(r"^([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:[eE]([+-]?\d{1,2})|([KMGTPE]i|[numkMGTPE]?))$")


@lru_cache(maxsize=8192)
def nanos(quantity: str | int | float) -> int:
    """The quantity in billionths of its own unit, what is finer rounded up. Raises ValueError where it is none."""
    match = _QUANTITY.match(str(quantity))
    if match is None:
        raise ValueError(f"{quantity!r} is no quantity")
    number, exponent, suffix = match.groups()
    scale = Fraction(10) ** int(exponent) if exponent else _SUFFIXES[suffix or ""]
    return up(Fraction(number) * scale * NANO, 1)


def up(amount: int | Fraction, unit: int) -> int:
    """How many units hold the amount."""
    return int(-(-amount // unit))
