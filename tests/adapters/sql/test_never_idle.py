"""Which devices are never idle by the thresholds, as the books know it; alike on both databases."""

from dataclasses import replace

import pytest

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, GpuUuid, Instant, NodeName
from scheduler.metering.devices import KnownGpu
from scheduler.metering.idle import IdleState
from scheduler.metering.never_idle import NeverIdle
from scheduler.metering.use import Metered
from tests.lifecycle.agents import gpu, window

NODE = NodeName("n0")
HOUR = 10 * MS_PER_HOUR


def keep(
    store: SqlStore, *, percent: int = 0, watts: int = 172, state: IdleState = IdleState.ACTIVE, **known: int
) -> None:
    """Six minutes of GPU 0 in the tenth hour."""
    told = [
        Metered(
            window(
                *("n0", 0, minute, Instant(HOUR + minute * MS_PER_MINUTE)),
                percent=percent,
                watts=watts,
                length_ms=MS_PER_MINUTE,
            ),
            state,
        )
        for minute in range(6)
    ]
    device = KnownGpu(gpu("n0", 0), NODE, has_power=True)
    with store.writing() as books:
        books.samples.put_gpus([replace(device, idle_milliwatts=known.get("idle_milliwatts"))])
        books.samples.add(told)


def never_idle(store: SqlStore, since: int = HOUR) -> list[NeverIdle]:
    with store.reading() as books:
        return books.samples.never_idle(Instant(since))


def test_a_device_that_was_without_use_and_at_work_by_its_power_is_named_with_what_it_drew(store: SqlStore) -> None:
    keep(store)
    assert never_idle(store) == [NeverIdle(GpuUuid(gpu("n0", 0)), NODE, 172_000)]
    assert never_idle(store, since=HOUR + MS_PER_HOUR) == [], "that is over"


@pytest.mark.parametrize(
    "told",
    [{"percent": 1}, {"watts": 70, "state": IdleState.IDLE_HELD}, {"idle_milliwatts": 150_000}],
    ids=["one that was used", "one at rest", "one whose idle power is known"],
)
def test_others_are_not(store: SqlStore, told: dict[str, int]) -> None:
    keep(store, **told)  # type: ignore[arg-type]  # by name
    assert never_idle(store) == []
