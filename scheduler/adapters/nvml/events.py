"""Xids, the driver's error reports, as they come in between two readings."""

import ctypes
from typing import Any

import pynvml

from scheduler.adapters.nvml.calls import AbsentValue, DeviceUnhealthy, ask
from scheduler.adapters.nvml.inventory import Found
from scheduler.domain.units import GpuUuid

EVENTS_PER_READING_MAX = 64
"""A GPU in a storm of errors must not keep the reading from the others."""


class XidReader:
    """An event set over every whole GPU. A GPU must be registered before an event to be told of it."""

    def __init__(self) -> None:
        self._set: Any = None
        self._uuids: dict[int | None, GpuUuid] = {}

    def register(self, found: tuple[Found, ...]) -> None:
        """Watch these GPUs; those that cannot be watched are left out. The same ones again change nothing."""
        whole = {_address(each.handle): each for each in found if each.parent is None}
        if self._set is not None and self._uuids.keys() == whole.keys():
            return
        self.close()
        try:
            self._set = ask(pynvml.nvmlEventSetCreate)
        except AbsentValue:
            return
        for address, each in whole.items():
            self._uuids[address] = each.device.gpu_uuid
            try:
                ask(pynvml.nvmlDeviceRegisterEvents, each.handle, pynvml.nvmlEventTypeXidCriticalError, self._set)
            except (AbsentValue, DeviceUnhealthy):
                continue

    def drain(self) -> dict[GpuUuid, list[int]]:
        """The Xids that came in, by GPU, without waiting for any."""
        xids: dict[GpuUuid, list[int]] = {}
        if self._set is None:
            return xids
        for _ in range(EVENTS_PER_READING_MAX):
            try:
                event = ask(pynvml.nvmlEventSetWait_v2, self._set, 0)
            except (AbsentValue, DeviceUnhealthy):
                # A timeout, mostly: nothing more has come in.
                break
            # A GPU that fell off the bus cannot be asked for its UUID any more, and it is the one that reports.
            uuid = self._uuids.get(_address(event.device))
            if uuid is not None:
                xids.setdefault(uuid, []).append(int(event.eventData))
        return xids

    def close(self) -> None:
        if self._set is not None:
            pynvml.nvmlEventSetFree(self._set)
            self._set = None
        self._uuids = {}


def _address(handle: Any) -> int | None:
    """Where a whole GPU's handle points, which stays the same while the library is initialised."""
    return ctypes.cast(handle, ctypes.c_void_p).value
