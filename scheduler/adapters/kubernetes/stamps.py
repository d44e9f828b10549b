"""Kubernetes' time stamps (RFC 3339, whole seconds or microseconds) as instants, and back."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from scheduler.domain.units import Instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@lru_cache(maxsize=8192)
def instant_of(stamp: str | None) -> Instant | None:
    """None for an absent stamp, and for one at or before 1970, by which runtimes say that something never began."""
    if not stamp:
        return None
    try:
        elapsed = datetime.fromisoformat(stamp) - _EPOCH
    except (ValueError, TypeError):
        return None
    milliseconds = elapsed // _MILLISECOND
    return Instant(milliseconds) if milliseconds > 0 else None


def micro_time(instant: Instant) -> str:
    """As a Kubernetes MicroTime."""
    return (_EPOCH + timedelta(milliseconds=instant)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
