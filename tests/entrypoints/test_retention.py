"""For how long readings are kept: as long as the policy says, by the loop that drops the rest."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

from scheduler.domain.cluster import NodeSpan
from scheduler.domain.idleness import Retention
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, GpuUuid, Instant, NodeName
from scheduler.entrypoints.loops import Loops
from scheduler.finance.reconciling.conservation import Account, total
from scheduler.lifecycle.views.conservation import node_accounts
from scheduler.metering.devices import KnownGpu
from scheduler.metering.idle import IdleState
from scheduler.metering.use import Metered
from scheduler.metering.windows import Window
from scheduler.ports import Store
from tests.entrypoints.company import NOON, small_company

NODE, GPU = NodeName("node-0"), GpuUuid("GPU-a")
AGES_DAYS = (30, 10, 5, 0)
Run = Callable[[], Awaitable[None]]


class Listed:
    """Loops that are only told of."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}

    def every(self, name: str, seconds: float, run: Run, *, deadline_seconds: float) -> None:
        assert 0 < seconds < deadline_seconds
        self.runs[name] = run


def window(number: int, age_days: int) -> Metered:
    end = Instant(NOON - age_days * MS_PER_DAY - MS_PER_HOUR)
    return Metered(Window(NODE, "boot", GPU, number, Instant(end - 15_000), end, 15_000, 3), IdleState.ACTIVE)


async def test_windows_and_hours_go_when_policy_says_and_no_sooner() -> None:
    service = small_company()
    retention = Retention(windows_ms=7 * MS_PER_DAY, hours_ms=20 * MS_PER_DAY)
    service.world.put_policy(replace(service.world.require_policy(), retention=retention))
    with service.store.writing() as books:
        books.samples.put_gpus([KnownGpu(GPU, NODE)])
        books.samples.add([window(number, age) for number, age in enumerate(AGES_DAYS, 1)])
    loops = Listed()
    service.periodic.run_on(cast(Loops, loops))
    await loops.runs["prune"]()
    with service.store.reading() as books:
        kept = books.samples.windows([GPU], Instant(0), NOON)
        hours = books.samples.hours()
    service.store.close()
    assert [stretch.sequence for stretch in kept] == [3, 4]
    assert [(NOON - hour.hour) // MS_PER_DAY for hour in hours] == [10, 5, 0]


async def test_capacity_is_explained_though_its_hours_were_dropped_and_what_nobody_is_known_to_have_had_was_idle() -> (
    None
):
    service = small_company()
    retention = Retention(windows_ms=7 * MS_PER_DAY, hours_ms=20 * MS_PER_DAY)
    service.world.put_policy(replace(service.world.require_policy(), retention=retention))
    since = Instant(NOON - 31 * MS_PER_DAY)
    with service.store.writing() as books:
        books.samples.put_gpus([KnownGpu(GPU, NODE)])
        books.samples.add([window(number, age) for number, age in enumerate(AGES_DAYS, 1)])
        books.capacity.change(ended=[], begun=[NodeSpan(NODE, None, since, None, 1, 0, accepts_work=True)])
    before = _account(service.store, since)
    loops = Listed()
    service.periodic.run_on(cast(Loops, loops))
    await loops.runs["prune"]()
    after = _account(service.store, since)
    service.store.close()
    assert (before.unattributed, before.unexplained) == (len(AGES_DAYS) * 15_000, 0)
    assert (after.unattributed, after.unexplained) == ((len(AGES_DAYS) - 1) * 15_000, 0)
    assert after.idle - before.idle == 15_000


def _account(store: Store, since: Instant) -> Account:
    with store.reading() as books:
        return total(node_accounts(books, since, NOON))
