"""Who is on a GPU: the processes that the driver lists, and those that its samples saw running.

The two lists differ: some active processes are not listed (datadog-agent#53443), and idle ones are not sampled.
"""

from dataclasses import dataclass
from typing import Any

import pynvml

from scheduler.adapters.nvml.calls import AbsentValue, Asker, ask
from scheduler.adapters.nvml.inventory import Found, Handle
from scheduler.adapters.nvml.proc import ProcessTable
from scheduler.metering.devices import Device, ProcessView
from scheduler.metering.samples import ProcessUse

NO_INSTANCE = 0xFFFFFFFF
INSTANCES_MAX = 64
"""Far above the GPU instances that any device has: a larger id is another field read as one."""

_LISTS = (
    pynvml.nvmlDeviceGetComputeRunningProcesses_v3,
    pynvml.nvmlDeviceGetGraphicsRunningProcesses_v3,
    pynvml.nvmlDeviceGetMPSComputeRunningProcesses_v3,
)


@dataclass(frozen=True, slots=True)
class _Listed:
    pid: int
    memory_bytes: int | None
    gpu_instance: int | None
    compute_instance: int | None

    def is_on(self, device: Device) -> bool:
        """Whether a process that the handle of this device lists is its own: of a GPU that is cut up those of no
        instance, and of an instance no other's, though another may share its slices."""
        if device.is_partitioned:
            return self.gpu_instance is None
        told = (self.gpu_instance, device.mig_gpu_instance), (self.compute_instance, device.mig_compute_instance)
        return device.parent_uuid is None or all(theirs in {None, ours} for theirs, ours in told if ours is not None)


class ProcessReader:
    """Reads one device on from where it read last."""

    def __init__(self, table: ProcessTable) -> None:
        self._table = table
        self._cursor_us: int | None = None

    def read(self, asker: Asker, found: Found, now_us: int) -> tuple[ProcessUse, ...] | None:
        """Everyone on the device; None where that cannot be known."""
        if self._table.view() is ProcessView.UNAVAILABLE:
            asker.lacks("processes", "PID_NAMESPACE")
            return None
        listed = _listed(asker, found)
        if listed is None:
            return None
        has_samples = found.parent is None and not found.device.is_partitioned
        sampled = self._sampled(asker, found.handle, now_us) if has_samples else {}
        memory: dict[int, int | None] = {}
        for process in listed:
            known = memory.get(process.pid)
            both = known is not None and process.memory_bytes is not None
            memory[process.pid] = max(known or 0, process.memory_bytes or 0) if both else process.memory_bytes
        uses = (self._use(pid, memory.get(pid), sampled.get(pid)) for pid in sorted(memory.keys() | sampled.keys()))
        return tuple(use for use in uses if use is not None)

    def _use(self, pid: int, memory_bytes: int | None, sm_percent: int | None) -> ProcessUse | None:
        process = self._table.find(pid)
        if process is None:
            return None
        pod = process.pod
        return ProcessUse(
            pid=pid,
            started_ticks=process.started_ticks,
            memory_bytes=memory_bytes,
            sm_percent=sm_percent,
            pod_uid=None if pod is None else pod.pod_uid,
            container_id=None if pod is None else pod.container_id,
            name=process.name or None,
        )

    def _sampled(self, asker: Asker, handle: Handle, now_us: int) -> dict[int, int]:
        """PIDs that ran since the last stamp, with the share of samples that remembered them."""
        if self._cursor_us is not None and self._cursor_us > now_us + 1_000_000:
            self._cursor_us = None
        try:
            samples = ask(_process_samples, handle, self._cursor_us or 0)
        except AbsentValue as absent:
            # Nobody ran: the normal answer of an idle GPU.
            if absent.code != "NOT_FOUND":
                asker.lacks("process_samples", absent.code)
            samples = []
        is_first, since_us = self._cursor_us is None, self._cursor_us or 0
        newer = [sample for sample in samples if sample.timeStamp > since_us]
        self._cursor_us = max((int(sample.timeStamp) for sample in newer), default=since_us)
        if is_first:
            # The first answer still holds users from before the agent looked.
            return {}
        return {int(s.pid): int(s.smUtil) for s in newer if s.pid > 0 and s.smUtil <= 100}


def _process_samples(handle: Handle, since_us: int) -> list[Any]:
    try:
        return list(pynvml.nvmlDeviceGetProcessUtilization(handle, since_us))
    except pynvml.NVMLError as error:
        # The bindings raise a success that came with no samples.
        if int(error.value) == pynvml.NVML_SUCCESS:
            return []
        raise


def _listed(asker: Asker, found: Found) -> list[_Listed] | None:
    """The three lists together. None where the list of compute processes is absent, or cannot be trusted."""
    processes: list[_Listed] = []
    for place, call in enumerate(_LISTS):
        raw = asker.value("processes" if place == 0 else "other_processes", call, found.handle)
        if raw is None and place == 0:
            return None
        processes += [
            _Listed(int(p.pid), p.usedGpuMemory, _instance(p.gpuInstanceId), _instance(p.computeInstanceId))
            for p in raw or ()
        ]
    if not all(_is_plausible(process, found.device.memory_bytes) for process in processes):
        # Drivers 535.43 to 535.86 wrote longer entries under this symbol: PIDs and bytes change places (nvitop#89).
        asker.lacks("processes", "STRUCT_SKEW")
        return None
    return [process for process in processes if process.is_on(found.device)]


def _instance(raw: int) -> int | None:
    return None if raw == NO_INSTANCE else int(raw)


def _is_plausible(process: _Listed, total_bytes: int | None) -> bool:
    fits = process.memory_bytes is None or total_bytes is None or process.memory_bytes <= total_bytes
    is_instance = process.gpu_instance is None or process.gpu_instance < INSTANCES_MAX
    return process.pid > 0 and fits and is_instance
