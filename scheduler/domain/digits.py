"""Whole numbers in text that others wrote."""

DIGITS_MAX = 19
"""As many as the largest whole number of 64 bits has."""


def whole_number_in(text: str, digits_max: int = DIGITS_MAX) -> int | None:
    """The whole number that ASCII digits alone write; None for any other text, and for more digits.

    `int` would read `1_0` as 10, ` 1` and `+1` as 1, and digits of other scripts; and fail at `²`, which `isdigit` passes.
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= digits_max else None
