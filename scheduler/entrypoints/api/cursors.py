"""Cursors: where a page ended, as text that callers pass back and do not read."""

import base64
import binascii

from scheduler.domain.digits import whole_number_in
from scheduler.domain.errors import InvalidInput, RefusalCode

CURSOR_LENGTH_MAX = 400


def seal(position: str | None) -> str | None:
    """The cursor for a position; None where there is no next page."""
    if position is None:
        return None
    return base64.urlsafe_b64encode(f"1:{position}".encode()).decode().rstrip("=")


def unseal(cursor: str | None) -> str | None:
    """The position that `seal` was given. Refuses with `invalid-cursor` what it did not make."""
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (UnicodeError, binascii.Error):
        text = ""
    version, _, position = text.partition(":")
    if version != "1" or not position or len(cursor) > CURSOR_LENGTH_MAX:
        raise InvalidInput(
            "the cursor is not one of ours",
            where="cursor",
            code=RefusalCode.INVALID_CURSOR,
            expected="the `next_cursor` of the page before, unchanged",
            remedy="begin without a cursor",
        )
    return position


def unseal_number(cursor: str | None) -> int | None:
    """The same for pages that are ordered by a sequence number."""
    position = unseal(cursor)
    if position is None:
        return None
    number = whole_number_in(position, digits_max=18)
    if number is None:
        raise InvalidInput(
            "the cursor belongs to another list",
            where="cursor",
            code=RefusalCode.INVALID_CURSOR,
            expected="the `next_cursor` of the page before, unchanged",
            remedy="begin without a cursor",
        )
    return number
