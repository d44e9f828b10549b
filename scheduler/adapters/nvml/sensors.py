"""The node's GPUs read once per tick: who is there, and what each does.

Every error follows the table in `calls`: a value is absent, a GPU is unhealthy and the others go on, a node has no
driver, or this process has to be replaced.
"""

import os

import pynvml

from scheduler.adapters.nvml.calls import (
    AbsentValue,
    Asker,
    DeviceUnhealthy,
    MustRestart,
    NoDriver,
    NotInitialised,
    ask,
)
from scheduler.adapters.nvml.events import XidReader
from scheduler.adapters.nvml.gpm import ActivityReader
from scheduler.adapters.nvml.inventory import Enumeration, Found, enumerate_devices, mig_handle
from scheduler.adapters.nvml.proc import ProcessTable
from scheduler.adapters.nvml.processes import ProcessReader
from scheduler.adapters.nvml.utilization import UtilizationReader
from scheduler.domain.units import GpuUuid, Instant
from scheduler.metering.devices import Health
from scheduler.metering.samples import Reading, Sample

ENUMERATION_MS = 60_000
"""How long a list of devices is believed, unless one of them is found missing before."""


COUNTER_MAX = 2**63


class DeviceReader:
    """One device's cursors: each of its readings goes on from the one before."""

    def __init__(self, table: ProcessTable) -> None:
        self._utilization = UtilizationReader()
        self._processes = ProcessReader(table)
        self.activity = ActivityReader()

    def read(self, found: Found, now: Instant, xids: tuple[int, ...]) -> Sample:
        """Raises DeviceUnhealthy, or another signal, where the device or the node does not answer."""
        asker, now_us = Asker(), now * 1_000
        is_whole = found.parent is None
        has_utilization = is_whole and not found.device.is_partitioned
        memory_used, memory_total = _memory(asker, found)
        return Sample(
            gpu_uuid=found.device.gpu_uuid,
            at=now,
            utilization=self._utilization.read(asker, found.handle, now_us) if has_utilization else None,
            activity=self.activity.read(asker, found, now_us),
            memory_used_bytes=memory_used,
            memory_total_bytes=memory_total,
            power_milliwatts=_power(asker, found) if is_whole else None,
            energy_millijoules=_energy(asker, found) if is_whole else None,
            processes=self._processes.read(asker, found, now_us),
            is_clocked_idle=_clocked_idle(asker, found) if is_whole else None,
            ecc_uncorrected=_ecc(asker, found) if is_whole else None,
            xids=xids,
            absences=tuple(asker.absences),
        )


class NvmlSensors:
    """Not for several threads, and not across a fork: a stuck call holds the thread that makes it."""

    is_simulated = False

    def __init__(self, table: ProcessTable) -> None:
        self._table = table
        self._xids = XidReader()
        self._readers: dict[GpuUuid, DeviceReader] = {}
        self._whole: dict[int, Found] = {}
        self._enumeration = Enumeration(())
        self._enumerated_at: Instant | None = None
        self._initialised_by: int | None = None

    def read(self, now: Instant) -> Reading:
        """Every device once. Raises MustRestart where only a fresh process can read again."""
        for _ in range(2):
            try:
                return self._read(now)
            except NoDriver as error:
                self._forget()
                return Reading(now, False, process_view=self._table.view(), driver_error=str(error))
            except NotInitialised:
                self._forget()
        raise MustRestart("NVML says that it is not initialised right after nvmlInit")

    def close(self) -> None:
        """Let the driver go: an open handle blocks a reset of the GPU."""
        if self._initialised_by == os.getpid():
            self._xids.close()
            for reader in self._readers.values():
                reader.activity.close()
            pynvml.nvmlShutdown()
        self._forget()

    def _read(self, now: Instant) -> Reading:
        self._initialise()
        if self._enumerated_at is None or not 0 <= now - self._enumerated_at < ENUMERATION_MS:
            self._enumerate(now)
        xids = self._xids.drain()
        samples = [self._sample(found, now, xids) for found in self._enumeration.found]
        self._table.keep_only({use.pid for sample in samples if sample for use in sample.processes or ()})
        asker = Asker()
        health = {sample.gpu_uuid: sample.health for sample in samples if sample}
        return Reading(
            at=now,
            has_driver=True,
            process_view=self._table.view(),
            driver_version=asker.value("driver", pynvml.nvmlSystemGetDriverVersion),
            nvml_version=asker.value("nvml", pynvml.nvmlSystemGetNVMLVersion),
            devices=tuple(f.with_health(health[f.device.gpu_uuid]).device for f in self._present(health)),
            samples=tuple(sample for sample in samples if sample),
            unidentified_devices=self._enumeration.unidentified,
        )

    def _present(self, health: dict[GpuUuid, Health]) -> list[Found]:
        return [found for found in self._enumeration.found if found.device.gpu_uuid in health]

    def _sample(self, found: Found, now: Instant, xids: dict[GpuUuid, list[int]]) -> Sample | None:
        """None where a MIG instance is gone: the next reading enumerates anew."""
        uuid = found.device.gpu_uuid
        reported = tuple(xids.get(uuid, ()))
        try:
            if found.parent is not None:
                found = found.with_handle(mig_handle(uuid))
            return self._readers[uuid].read(found, now, reported)
        except DeviceUnhealthy:
            return Sample(uuid, now, health=Health.UNHEALTHY, xids=reported)
        except AbsentValue:
            self._enumerated_at = None
            return None

    def _initialise(self) -> None:
        """Once per process: what a parent initialised is not valid after a fork."""
        if self._initialised_by == os.getpid():
            return
        self._forget()
        try:
            ask(pynvml.nvmlInit)
        except (AbsentValue, DeviceUnhealthy) as error:
            raise NoDriver(str(error)) from error
        self._initialised_by = os.getpid()

    def _enumerate(self, now: Instant) -> None:
        self._enumeration = enumerate_devices(self._whole)
        found = self._enumeration.found
        self._whole = {each.device.index: each for each in found if each.parent is None}
        self._readers = {
            each.device.gpu_uuid: self._readers.get(each.device.gpu_uuid) or DeviceReader(self._table)
            for each in found
        }
        self._xids.register(found)
        self._enumerated_at = now

    def _forget(self) -> None:
        """Drop everything that belongs to an initialisation that is over. The GPUs' identities are kept."""
        self._xids = XidReader()
        self._readers = {}
        self._enumerated_at = None
        self._initialised_by = None


def _memory(asker: Asker, found: Found) -> tuple[int | None, int | None]:
    """(used, total) in bytes. The first version counts what the driver reserves as used: it stands in where the
    driver does not know the second."""
    memory = asker.value("memory", _memory_v2, found.handle)
    if memory is None:
        memory = asker.value("memory_v1", pynvml.nvmlDeviceGetMemoryInfo, found.handle)
    if memory is None:
        return None, None
    if memory.used > memory.total:
        asker.lacks("memory", "IMPLAUSIBLE")
        return None, None
    return int(memory.used), int(memory.total)


def _memory_v2(handle: object) -> pynvml.c_nvmlMemory_v2_t:
    return pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)


def _power(asker: Asker, found: Found) -> int | None:
    power = asker.value("power", pynvml.nvmlDeviceGetPowerUsage, found.handle)
    return None if power is None else int(power)


def _energy(asker: Asker, found: Found) -> int | None:
    return _counter(asker, "energy", asker.value("energy", pynvml.nvmlDeviceGetTotalEnergyConsumption, found.handle))


def _counter(asker: Asker, name: str, told: int | None) -> int | None:
    """A counter has 64 bits; one that fills them was never written, and no book holds it."""
    if told is None or int(told) < COUNTER_MAX:
        return None if told is None else int(told)
    asker.lacks(name, "IMPLAUSIBLE")
    return None


def _clocked_idle(asker: Asker, found: Found) -> bool | None:
    """A hint only: nvml.h says of this bit that it may be removed."""
    reasons = asker.value("clocks", pynvml.nvmlDeviceGetCurrentClocksEventReasons, found.handle)
    return None if reasons is None else bool(reasons & pynvml.nvmlClocksEventReasonGpuIdle)


def _ecc(asker: Asker, found: Found) -> int | None:
    """Uncorrected errors since the driver was loaded."""
    errors = asker.value(
        "ecc",
        pynvml.nvmlDeviceGetTotalEccErrors,
        found.handle,
        pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
        pynvml.NVML_VOLATILE_ECC,
    )
    return _counter(asker, "ecc", errors)
