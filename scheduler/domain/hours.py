"""GPU time as people read it: hours with one decimal, exact in integers.

Mostly that is the nearest tenth. Where somebody compares what is needed with what is there, the one is rounded up and the
other cut, so that what is short never looks enough.
"""

from scheduler.domain.units import MS_PER_HOUR


def nearest_tenths(gpu_ms: int) -> int:
    """Tenths of an hour, halves away from zero; of what is below zero as of what is above."""
    return (abs(gpu_ms) * 20 + MS_PER_HOUR) // (2 * MS_PER_HOUR)


def hours_text(gpu_ms: int) -> str:
    """The nearest tenth, without a minus before a zero."""
    tenths = nearest_tenths(gpu_ms)
    return _decimal(-tenths if gpu_ms < 0 else tenths)


def hours_at_least(gpu_ms: int) -> str:
    """Cut to a tenth; what is below zero is nothing."""
    return _decimal(max(0, gpu_ms) * 10 // MS_PER_HOUR)


def hours_at_most(gpu_ms: int) -> str:
    """Rounded up to a tenth: what is needed never looks like what is there, nor like nothing."""
    return _decimal(-(-max(0, gpu_ms) * 10 // MS_PER_HOUR))


def hours_available(available: int, needed: int) -> str:
    """What is available of what is needed, rounded as a balance is shown, so that both are one number; cut where it would
    look enough."""
    tenths = nearest_tenths(max(0, available))
    looks_enough = tenths * MS_PER_HOUR >= needed * 10
    return hours_at_least(available) if looks_enough else _decimal(tenths)


def _decimal(tenths: int) -> str:
    sign = "-" if tenths < 0 else ""
    return f"{sign}{abs(tenths) // 10}.{abs(tenths) % 10}"
