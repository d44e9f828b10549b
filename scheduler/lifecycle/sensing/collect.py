"""Collect: readings of many nodes from sensors that are not on the nodes, made into what the nodes' agents would send.

What is read goes through the meter as an agent's post does: judged, attributed and counted by the same rules.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import groupby

from scheduler.domain.errors import InvalidInput
from scheduler.domain.people import ANY_NODE, Caller, Role
from scheduler.domain.units import MS_PER_HOUR, GpuUuid, Instant, NodeName
from scheduler.lifecycle.sensing.meter import Meter, Post
from scheduler.metering.devices import Device, Inventory, KnownGpu, SensorState
from scheduler.metering.integration import Integration, Mark, resume
from scheduler.metering.samples import Reading
from scheduler.metering.scrapes import States, follow
from scheduler.metering.windows import Window
from scheduler.metering.wire import inventory_json, window_json
from scheduler.ports import GpuSensors

GONE_AFTER_MS = MS_PER_HOUR
"""A device that was not read for so long is no longer told of; until then it may only have missed its scrapes."""
TELL_EVERY_MS = MS_PER_HOUR // 4


def ends_of(boot_id: str, known: Sequence[KnownGpu]) -> dict[GpuUuid, Mark]:
    """Where the windows end that these sensors told before this process was started."""
    return {
        gpu.gpu_uuid: Mark(gpu.gpu_uuid, gpu.sequence, gpu.end)
        for gpu in known
        if gpu.boot_id == boot_id and gpu.sequence is not None and gpu.end is not None
    }


class Collector:
    """`rules` are of any node; `marks` are `ends_of` what is kept. Not for several threads at once.

    What could not be kept (the database was away) is kept before anything else is read: the order is never changed.
    """

    def __init__(self, meter: Meter, sensors: GpuSensors, rules: Integration, marks: Mapping[GpuUuid, Mark]) -> None:
        self._meter = meter
        self._sensors = sensors
        self._rules = rules
        self._caller = Caller(f"sensors:{rules.boot_id}", frozenset({Role.AGENT}), node=ANY_NODE)
        self._states: States = {uuid: resume(mark) for uuid, mark in marks.items()}
        self._seen: dict[GpuUuid, tuple[NodeName, Device, Instant]] = {}
        self._told: dict[NodeName, Inventory] = {}
        self._pending: tuple[Window, ...] = ()
        self._reading: Reading | None = None

    def run(self, now: Instant) -> int:
        """Read on, and have it metered. Returns how many windows were told of."""
        self._tell(now)
        reading = self._sensors.read(now)
        self._see(reading)
        followed = follow(self._states, reading.samples, reading.at, self._rules_of())
        self._states, self._pending = followed.states, followed.windows
        return self._tell(now)

    def _tell(self, now: Instant) -> int:
        """What was read and is not kept yet: a reading is never made again, so that nothing may come between."""
        self._tell_inventories(now)
        return self._post(now)

    def _see(self, reading: Reading) -> None:
        if reading.devices or self._reading is None:
            self._reading = reading
        for device in reading.devices:
            if device.gpu_uuid in reading.node_of:
                self._seen[device.gpu_uuid] = reading.node_of[device.gpu_uuid], device, reading.at
        gone = [uuid for uuid, (_, _, at) in self._seen.items() if reading.at - at > GONE_AFTER_MS]
        for uuid in gone:
            del self._seen[uuid]

    def _tell_inventories(self, now: Instant) -> None:
        """Where something is new, and every so often. One that the meter refuses, and counts, is no other node's loss."""
        reading = self._reading
        if reading is None:
            return
        devices: dict[NodeName, list[Device]] = {}
        for node, device, _ in self._seen.values():
            devices.setdefault(node, []).append(device)
        for node in sorted(devices.keys() | self._told.keys()):
            inventory = Inventory(
                node=node,
                boot_id=self._rules.boot_id,
                taken_at=now,
                sensor_state=SensorState.OK if node in devices else SensorState.RESTARTING,
                process_view=reading.process_view,
                driver_version=reading.driver_version,
                nvml_version=reading.nvml_version,
                devices=tuple(sorted(devices.get(node, []), key=lambda device: device.gpu_uuid)),
            )
            before = self._told.get(node)
            if before is None or now - before.taken_at >= TELL_EVERY_MS or _news(before) != _news(inventory):
                with suppress(InvalidInput):
                    self._meter.accept_inventory(self._caller, node, inventory_json(inventory), now=now)
                self._told[node] = inventory

    def _rules_of(self) -> Callable[[GpuUuid], Integration]:
        rules = {node: replace(self._rules, node=node) for node, _, _ in self._seen.values()}
        return lambda uuid: rules[self._seen[uuid][0]]

    def _post(self, now: Instant) -> int:
        if not self._pending:
            return 0
        ordered = sorted(self._pending, key=lambda window: (window.node, window.end))
        posts = [
            Post(node, self._rules.boot_id, [window_json(window) for window in windows])
            for node, windows in groupby(ordered, key=lambda window: window.node)
        ]
        self._meter.accept_all(posts, now=now)
        self._pending = ()
        return len(ordered)


def _news(inventory: Inventory) -> tuple[object, ...]:
    return inventory.sensor_state, inventory.driver_version, inventory.devices
