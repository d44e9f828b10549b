"""The stream that keeps pages live."""

from typing import Any

from scheduler.entrypoints.web.live import KEEP_ALIVE_LOOKS, LOOKS_MAX, events


class Ticks:
    """A service whose ticks come as listed; the stream is over after the last."""

    def __init__(self, *ticks: int) -> None:
        self.tick = ticks[0]
        self._coming = list(ticks[1:])

    async def wait_for_tick(self, *_: object) -> int:
        self.tick = self._coming.pop(0)
        return self.tick

    async def is_over(self) -> bool:
        return not self._coming


async def stream_of(service: Any) -> list[str]:
    return [event async for event in events(service, service.is_over, look_seconds=0)]


async def test_a_reader_hears_of_each_change_once() -> None:
    assert await stream_of(Ticks(7, 8, 8, 8, 11, 12)) == [
        "retry: 2000\nevent: tick\ndata: 7\n\n",
        "event: tick\ndata: 8\n\n",
        "event: tick\ndata: 11\n\n",
    ]


async def test_a_quiet_stream_is_kept_alive() -> None:
    quiet = await stream_of(Ticks(*[7] * (2 * KEEP_ALIVE_LOOKS + 2)))
    assert quiet[1:] == [": nothing changed\n\n"] * 2


async def test_no_stream_lives_for_ever() -> None:
    assert len(await stream_of(Ticks(*range(LOOKS_MAX + 50)))) == LOOKS_MAX + 1
