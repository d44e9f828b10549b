"""What agents must not send: each refused with a reason and a count, and nothing else is changed by it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from scheduler.domain.errors import InvalidInput, NotFound, NotPermitted, Refusal, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import GpuUuid, Instant, NodeName
from scheduler.lifecycle.sensing import claiming
from scheduler.metering.devices import Device, Inventory, SensorState
from scheduler.metering.refusals import DEVICES_COUNTED_MAX
from scheduler.metering.wire import inventory_json, window_json
from tests.lifecycle.agents import WINDOW_MS, Agents, agent_of, body_of, gpu, inventory, window
from tests.lifecycle.build import NOON, Company, later

N0 = "n0"
NOW = later(NOON, 600)


JUST_NOW = Instant(NOW - WINDOW_MS)


def good(number: int = 7, start: Instant = JUST_NOW, **fields: Any) -> dict[str, Any]:
    return {**window_json(window(N0, 0, number, start)), **fields}


KEPT_AT = Instant(NOW - 2 * WINDOW_MS)
KEPT = good(6, KEPT_AT)

BAD_WINDOWS: dict[str, tuple[Any, str]] = {
    "from the future": (good(start=later(NOW, 61)), "from-the-future"),
    "from the last year of the calendar": (
        good(start=Instant(253_402_300_780_000), end=253_402_300_795_000),
        "from-the-future",
    ),
    "from after all calendars": (good(start=Instant(2**62 - 1), end=2**62), "invalid-sample"),
    "energy over ages": (good(energy={"covered_ms": 2**62, "millijoules": 2**64 - 1}), "invalid-sample"),
    "use over ages": (
        good(utilization={"covered_ms": 2**62, "percent_ms": 2**62, "max_percent": 1, "source": "samples"}),
        "invalid-sample",
    ),
    "from long ago": (good(start=Instant(NOW - 32 * 86_400_000), end=NOW), "from-long-ago"),
    "overlapping the last": (good(start=Instant(NOW - WINDOW_MS - 1)), "overlaps"),
    "a number that was used for other times": (good(6), "sequence-went-back"),
    "a number that goes back": (good(3), "sequence-went-back"),
    "one that was overtaken, and never kept": (good(3, Instant(NOW - 5 * WINDOW_MS)), "sequence-went-back"),
    "the times of one that was kept, and others": (
        good(6, KEPT_AT, end=KEPT_AT + 1_000, covered_ms=1_000, energy=None),
        "sequence-went-back",
    ),
    "a GPU of no inventory": (good(gpu_uuid="GPU-nowhere"), "unknown-gpu"),
    "a GPU of another node": (good(gpu_uuid=gpu("n1", 0)), "foreign-gpu"),
    "negative energy": (good(energy={"covered_ms": 15_000, "millijoules": -1}), "invalid-sample"),
    "not a number": (good(power_milliwatts_max=float("nan")), "invalid-sample"),
    "infinite": (good(power_milliwatts_max=float("inf")), "invalid-sample"),
    "a fraction": (good(memory_used_bytes_max=1.5), "invalid-sample"),
    "more than 63 bits": (good(memory_used_bytes_max=2**63), "invalid-sample"),
    "text for a number": (good(sequence="7"), "invalid-sample"),
    "true for a number": (good(sequence=True), "invalid-sample"),
    "more than 100 percent": (
        good(utilization={"covered_ms": 15_000, "percent_ms": 1, "max_percent": 101, "source": "samples"}),
        "invalid-sample",
    ),
    "more covered than it is long": (good(covered_ms=15_001), "invalid-sample"),
    "an end before its start": (good(end=NOW - WINDOW_MS - 1), "invalid-sample"),
    "an unknown key": (good(colour="red"), "invalid-sample"),
    "a missing key": ({k: v for k, v in good().items() if k != "xids"}, "invalid-sample"),
    "a control character": (good(gpu_uuid="GPU-\x00"), "invalid-sample"),
    "no object": ("window", "invalid-sample"),
    "nothing": (None, "invalid-sample"),
}


@pytest.fixture
def agents(company: Company) -> Agents:
    made = Agents(company)
    made.register()
    made.register("n1")
    company.now = NOW
    assert made.post(KEPT).taken == 1
    return made


@pytest.mark.parametrize(("bad", "code"), BAD_WINDOWS.values(), ids=BAD_WINDOWS)
def test_a_bad_window_is_refused_counted_and_leaves_the_good_ones_beside_it(
    company: Company, agents: Agents, bad: Any, code: str
) -> None:
    after = good(8)
    accepted = agents.post(bad, after)
    assert (accepted.taken, [refused.code for refused in accepted.refused]) == (1, [code])
    with company.store.reading() as books:
        (counted,) = books.samples.refusals()
        kept = books.samples.windows([gpu(N0, 0)], Instant(0), later(NOW, 3600))
    assert (counted.node, counted.code, counted.count, counted.last_at) == (N0, code, 1, NOW)
    assert counted.detail
    assert [stretch.sequence for stretch in kept] == [6, 8]


def test_refusals_of_one_kind_add_up(company: Company, agents: Agents) -> None:
    agents.post(good(3), good(4))
    company.now = later(NOW, 1)
    agents.post(good(5))
    with company.store.reading() as books:
        (counted,) = books.samples.refusals()
    assert (counted.count, counted.first_at, counted.last_at) == (3, NOW, later(NOW, 1))


def test_after_a_reboot_sequences_begin_anew(agents: Agents) -> None:
    assert agents.post(good(1), boot_id="boot-2").taken == 1
    assert [refused.code for refused in agents.post(good(9), boot_id="boot-1").refused] == ["overlaps"]


BAD_BODIES: dict[str, Callable[[], Any]] = {
    "a list": lambda: [good()],
    "no windows": lambda: {"node": N0, "boot_id": "b"},
    "windows that are no list": lambda: {"node": N0, "boot_id": "b", "windows": 3},
    "no boot id": lambda: {"node": N0, "windows": []},
    "an empty boot id": lambda: {"node": N0, "boot_id": "", "windows": []},
    "a boot id that no database keeps": lambda: {"node": N0, "boot_id": "b\x00", "windows": [good()]},
    "another node's": lambda: {**body_of(), "node": "n1"},
    "too many": lambda: body_of(*[good()] * 2_001),
}


@pytest.mark.parametrize("bad", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_body_that_is_none_is_refused_as_a_whole_and_counted(
    company: Company, agents: Agents, bad: Callable[[], Any]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        agents.meter.accept_windows(agent_of(N0), NodeName(N0), bad(), now=NOW)
    assert refused.value.code is RefusalCode.INVALID_SAMPLE
    with company.store.reading() as books:
        assert [(r.node, r.code, r.count) for r in books.samples.refusals()] == [(N0, "invalid-sample", 1)]


BAD_CALLERS: dict[str, tuple[Caller, RefusalCode]] = {
    "the token of another node": (agent_of("n1"), RefusalCode.NOT_YOURS),
    "an engineer": (Caller("ada", frozenset({Role.ENGINEER})), RefusalCode.ROLE_REQUIRED),
    "an operator": (Caller("olga", frozenset({Role.OPERATOR})), RefusalCode.ROLE_REQUIRED),
}


@pytest.mark.parametrize(("caller", "code"), BAD_CALLERS.values(), ids=BAD_CALLERS)
def test_only_the_nodes_own_agent_may_speak_for_it(
    company: Company, agents: Agents, caller: Caller, code: RefusalCode
) -> None:
    told = inventory_json(inventory(N0, NOW, gpus=0))
    attempts: list[Callable[[], object]] = [
        lambda: agents.meter.accept_windows(caller, NodeName(N0), body_of(good()), now=NOW),
        lambda: agents.meter.accept_inventory(caller, NodeName(N0), told, now=NOW),
    ]
    for attempt in attempts:
        with pytest.raises(NotPermitted) as refused:
            attempt()
        assert refused.value.code is code
    assert company.world.readings.windows[gpu(N0, 0)].sequence == 6
    assert len(company.world.readings.inventories[NodeName(N0)].devices) == 4


def test_the_token_of_another_node_is_counted_against_that_node(company: Company, agents: Agents) -> None:
    with pytest.raises(NotPermitted):
        agents.meter.accept_windows(agent_of("n1"), NodeName(N0), body_of(good()), now=NOW)
    with company.store.reading() as books:
        assert [(r.node, r.code) for r in books.samples.refusals()] == [("n1", "token-of-another-node")]


def test_one_token_for_all_nodes_may_speak_for_any(agents: Agents) -> None:
    accepted = agents.meter.accept_windows(agent_of("*"), NodeName(N0), body_of(good()), now=NOW)
    assert accepted.taken == 1


def test_a_node_that_never_told_its_inventory_is_asked_for_it_and_counted(company: Company, agents: Agents) -> None:
    with pytest.raises(NotFound) as refused:
        agents.meter.accept_windows(agent_of("n9"), NodeName("n9"), body_of(node="n9"), now=NOW)
    assert refused.value.code is RefusalCode.UNKNOWN_NODE
    with company.store.reading() as books:
        assert [(r.node, r.code, r.count) for r in books.samples.refusals()] == [("n9", "unknown-node", 1)]


BAD_INVENTORIES: dict[str, dict[str, Any]] = {
    "another node's": {"node": "n1"},
    "a state that is none": {"sensor_state": "fine"},
    "a device that is named twice": {"devices": inventory_json(inventory(N0, NOW))["devices"] * 2},
    "devices that are no list": {"devices": 4},
    "a negative instant": {"taken_at": -1},
    "an unknown key": {"colour": "red"},
}


@pytest.mark.parametrize("changed", BAD_INVENTORIES.values(), ids=BAD_INVENTORIES)
def test_a_bad_inventory_changes_nothing(company: Company, agents: Agents, changed: dict[str, Any]) -> None:
    before = company.world.readings.inventories[NodeName(N0)]
    with pytest.raises(Refusal) as refused:
        agents.meter.accept_inventory(
            agent_of(N0), NodeName(N0), {**inventory_json(before), **changed}, now=company.now
        )
    assert refused.value.code is RefusalCode.INVALID_SAMPLE
    assert company.world.readings.inventories[NodeName(N0)] == before


def test_an_inventory_from_the_future_is_counted_and_holds_no_gpu_for_longer(
    company: Company, agents: Agents
) -> None:
    ahead = {**inventory_json(inventory(N0, NOW)), "taken_at": later(NOW, 10 * 365 * 86_400)}
    kept = agents.meter.accept_inventory(agent_of(N0), NodeName(N0), ahead, now=NOW)
    assert kept.taken_at == NOW
    with company.store.reading() as books:
        assert [(r.node, r.code, r.count) for r in books.samples.refusals()] == [(N0, "from-the-future", 1)]


def test_an_inventory_from_long_ago_is_counted_and_lets_nobody_take_its_gpus(
    company: Company, agents: Agents
) -> None:
    behind = {**inventory_json(inventory(N0, NOW)), "taken_at": 0}
    kept = agents.meter.accept_inventory(agent_of(N0), NodeName(N0), behind, now=NOW)
    assert kept.taken_at == NOW
    with company.store.reading() as books:
        assert [(r.node, r.code, r.count) for r in books.samples.refusals()] == [(N0, "from-long-ago", 1)]
    claim = replace(inventory("n1", NOW), devices=(Device(gpu(N0, 0), 0, "H100", 80 << 30),))
    taken = agents.meter.accept_inventory(agent_of("n1"), NodeName("n1"), inventory_json(claim), now=NOW)
    assert taken.devices == ()
    assert agents.post(good()).taken == 1


def test_a_node_whose_sampler_has_hung_for_days_keeps_its_gpus_while_its_agent_tells_so(
    company: Company, agents: Agents
) -> None:
    hung = replace(inventory(N0, later(NOW, -3 * 86_400)), sensor_state=SensorState.RESTARTING, devices=())
    kept = agents.meter.accept_inventory(agent_of(N0), NodeName(N0), inventory_json(hung), now=NOW)
    assert len(kept.devices) == 4
    claim = replace(inventory("n1", NOW), devices=(Device(gpu(N0, 0), 0, "H100", 80 << 30),))
    taken = agents.meter.accept_inventory(agent_of("n1"), NodeName("n1"), inventory_json(claim), now=NOW)
    assert taken.devices == ()
    with company.store.reading() as books:
        assert [(r.node, r.code) for r in books.samples.refusals()] == [("n1", "foreign-gpu")]


def test_an_agent_that_makes_up_gpus_without_end_fills_no_table_and_each_is_counted(
    company: Company, agents: Agents
) -> None:
    for batch in range(3):
        made_up = [good(gpu_uuid=f"GPU-{batch}-{n}") for n in range(200)]
        assert len(agents.post(*made_up, good(gpu_uuid="GPU-0-0")).refused) == 201
    with company.store.reading() as books:
        found = books.samples.refusals(1_000)
    assert {(r.node, r.code) for r in found} == {(N0, "unknown-gpu")}
    assert len(found) == DEVICES_COUNTED_MAX + 1
    assert sum(r.count for r in found) == 603
    assert next(r.count for r in found if r.gpu_uuid == "GPU-0-0") == 4
    assert next(r.count for r in found if r.gpu_uuid == "") == 600 - DEVICES_COUNTED_MAX


@pytest.mark.parametrize("tells", [True, False], ids=["each with a window", "silent ones"])
def test_a_node_that_tells_of_new_gpus_without_end_fills_no_table_and_each_is_counted(
    company: Company, agents: Agents, monkeypatch: pytest.MonkeyPatch, tells: bool
) -> None:
    monkeypatch.setattr(claiming, "DEVICES_KNOWN_MAX", 8)

    def tell(number: int) -> Inventory:
        devices = tuple(Device(GpuUuid(f"GPU-{number}-{place}"), place, "H100", 80 << 30) for place in range(3))
        told = inventory_json(replace(inventory(N0, company.now), devices=devices))
        kept = agents.meter.accept_inventory(agent_of(N0), NodeName(N0), told, now=company.now)
        if tells:
            start = Instant(company.now - WINDOW_MS)
            agents.post(*(good(number, start, gpu_uuid=each.gpu_uuid) for each in kept.devices))
        return kept

    kept = [len(tell(number).devices) for number in range(6)]
    with company.store.reading() as books:
        known, refused = books.samples.all_gpus(), books.samples.refusals()
    assert len([each for each in known if each.node == N0]) <= 8
    assert sum(each.count for each in refused) == 18 - sum(kept)
    assert {each.code for each in refused} == ({"too-many-gpus"} if tells else set())
    assert agents.meter.refused()["too-many-gpus"] == 18 - sum(kept)
    company.now = later(company.now, 32 * 86_400)
    assert len(tell(99).devices) == 3


def test_a_token_for_all_nodes_that_makes_up_names_is_counted_as_one(company: Company, agents: Agents) -> None:
    for number in range(3):
        name = f"nowhere-{number}"
        with pytest.raises(NotFound):
            agents.meter.accept_windows(agent_of("*"), NodeName(name), body_of(node=name), now=NOW)
        with pytest.raises(InvalidInput):
            agents.meter.accept_inventory(agent_of("*"), NodeName(name), None, now=NOW)
    with company.store.reading() as books:
        found = {(r.node, r.code, r.count) for r in books.samples.refusals()}
    assert found == {("node:*", "unknown-node", 3), ("node:*", "invalid-sample", 3)}
