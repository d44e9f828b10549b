"""Instants as people type them: with their offset from UTC, so that nobody has to guess whose clock is meant."""

from datetime import datetime

from scheduler.domain.errors import InvalidInput, RefusalCode


def parse_instant(text: str | None, where: str) -> str | None:
    """As the API reads it. Refuses, in the name of the option, what is no instant or lacks its offset."""
    if text is None:
        return None
    try:
        is_whole = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        is_whole = False
    if not is_whole:
        shown = text if len(text) <= 40 else f"{text[:39]}…"
        raise InvalidInput(
            f"{shown!r} cannot be read",
            where=where,
            code=RefusalCode.INVALID_VALUE,
            expected="an instant with its offset from UTC, such as 2026-11-21T20:00:00+01:00 or 2026-11-21T19:00:00Z",
        )
    return text
