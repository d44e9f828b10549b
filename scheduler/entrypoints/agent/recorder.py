"""From readings to windows on disk, and to the inventory that the API is told of."""

import logging
from collections.abc import Iterable
from dataclasses import replace

from scheduler.adapters.window_spool import WindowSpool
from scheduler.domain.units import GpuUuid, Instant
from scheduler.metering.cpu_use import CpuUse
from scheduler.metering.device_allocations import AllocatedDevice, resolve
from scheduler.metering.devices import Inventory, ProcessView, SensorState
from scheduler.metering.integration import (
    DeviceState,
    Integration,
    begin,
    close,
    mark_of,
    observe,
    resume,
)
from scheduler.metering.last_xids import LastXids
from scheduler.metering.samples import Reading
from scheduler.metering.serving import Serving
from scheduler.metering.windows import Window

logger = logging.getLogger("allot.agent")


class Recorder:
    """Keeps every device's state between readings. It goes on where the spool says that windows ended."""

    def __init__(self, spool: WindowSpool, rules: Integration) -> None:
        self._spool = spool
        self._rules = rules
        self._states = {mark.gpu_uuid: resume(mark) for mark in spool.marks(rules.boot_id)}
        self.reading: Reading | None = None
        """The latest, whatever became of the sampler since."""
        self.windows: dict[GpuUuid, Window] = {}
        """Each device's latest that was closed."""
        self.state: SensorState | None = None
        self.samples_from_the_past = 0
        self.allocated: tuple[AllocatedDevice, ...] | None = None
        """What the kubelet said last of who has which GPU; None while it cannot be asked."""
        self.unresolved_allocations = 0
        self.cpu_use = CpuUse()
        self.xids = LastXids()
        self.serving = Serving()

    def record(self, reading: Reading) -> int:
        """Take a reading in. Returns how many windows it closed."""
        self.reading = reading
        self.state = SensorState.OK if reading.has_driver else SensorState.NO_DRIVER
        windows: list[Window] = []
        for sample in reading.samples:
            known = self._states.get(sample.gpu_uuid)
            if known is None:
                self._states[sample.gpu_uuid] = begin(sample)
                continue
            if sample.at <= known.last.at:
                self.samples_from_the_past += 1
                logger.warning("the clock went back: %s is not after %s", sample.at, known.last.at)
            self._states[sample.gpu_uuid], closed = observe(known, sample, self._rules)
            windows += closed
        present = {sample.gpu_uuid for sample in reading.samples}
        windows += self._close(uuid for uuid in self._states if uuid not in present)
        return self._keep(windows)

    def pause(self, state: SensorState) -> int:
        """No readings come: what is open ends at the last one."""
        self.state = state
        return self._keep(self._close(self._states))

    def inventory(self, now: Instant) -> Inventory | None:
        """What the last reading found; None while nothing is known.

        Its devices say something only of an `ok` node: one without readings had them, or has them still.
        """
        if self.state is None:
            return None
        reading = self.reading or Reading(now, has_driver=False, process_view=ProcessView.UNAVAILABLE)
        return Inventory(
            node=self._rules.node,
            boot_id=self._rules.boot_id,
            taken_at=reading.at,
            sensor_state=self.state,
            process_view=reading.process_view,
            driver_version=reading.driver_version,
            nvml_version=reading.nvml_version,
            devices=reading.devices,
            unidentified_devices=reading.unidentified_devices,
            driver_error=reading.driver_error,
        )

    def _close(self, uuids: Iterable[GpuUuid]) -> list[Window]:
        windows: list[Window] = []
        for uuid in list(uuids):
            self._states[uuid], closed = close(self._states[uuid], self._rules)
            windows += closed
        return windows

    def _keep(self, windows: list[Window]) -> int:
        if windows:
            windows = [
                replace(w, cpu=self.cpu_use.between(w.start, w.end), served=self.serving.between(w.start, w.end))
                for w in self._with_pods(windows)
            ]
            ended: dict[GpuUuid, DeviceState] = {w.gpu_uuid: self._states[w.gpu_uuid] for w in windows}
            self.windows |= {window.gpu_uuid: window for window in windows}
            for window in windows:
                self.xids.note(window)
            self._spool.append(windows, [mark_of(state) for state in ended.values()], self._rules.boot_id)
        return len(windows)

    def _with_pods(self, windows: list[Window]) -> list[Window]:
        if self.allocated is None or self.reading is None:
            return windows
        resolved = resolve(self.allocated, self.reading.devices)
        self.unresolved_allocations = resolved.unresolved
        return [replace(window, granted=resolved.pods_of(window.gpu_uuid)) for window in windows]
