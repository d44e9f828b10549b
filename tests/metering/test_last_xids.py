from dataclasses import replace

from scheduler.domain.units import GpuUuid, Instant, NodeName
from scheduler.metering.last_xids import SHOWN_MS, LastXids
from scheduler.metering.windows import Window

AT = 1_795_214_210_000
FIRST = Window(NodeName("n"), "boot", GpuUuid("GPU-a"), 1, Instant(AT - 15_000), Instant(AT), 15_000, 3)


def later(ms: int, *xids: int) -> Window:
    return replace(FIRST, start=Instant(AT + ms - 15_000), end=Instant(AT + ms), xids=xids)


def test_a_window_without_an_xid_shows_the_last_one_of_the_minutes_before() -> None:
    last = LastXids()
    last.note(later(0, 48, 79))
    assert last.shown_with(later(SHOWN_MS - 1)).xids == (79,)
    assert last.shown_with(later(SHOWN_MS)).xids == ()
    assert last.shown_with(later(60_000, 31)).xids == (31,)
    assert last.shown_with(replace(later(60_000), gpu_uuid=GpuUuid("GPU-b"))).xids == ()


def test_a_window_that_comes_late_hides_nothing_that_came_after_it() -> None:
    last = LastXids()
    last.note(later(60_000, 79))
    last.note(later(0, 31))
    last.note(later(75_000))
    assert last.shown_with(later(90_000)).xids == (79,)
    assert last.shown_with(later(15_000)).xids == ()
