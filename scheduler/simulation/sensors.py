"""Simulated GPUs as an agent would read them: a sample of every GPU, for the real integration to make windows of.

What a GPU shows follows from the pod that has it and from its fate's pattern. Everything is a function of the pod,
the GPU and the minute, so that reading twice reads the same. Drivers and models say that they are simulated.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from scheduler.domain.units import MS_PER_MINUTE, MS_PER_SECOND, GpuUuid, Instant, NodeName, PodUid
from scheduler.metering.devices import Device
from scheduler.metering.samples import Activity, ProcessUse, Reading, Sample, Utilization, UtilizationSource
from scheduler.simulation.fates import Pattern
from scheduler.simulation.machines import GpuModel, Machine
from scheduler.simulation.model import ClusterModel

SIMULATED: Final = "simulated"
_MIB: Final = 1024 * 1024
_RESERVED_MIB: Final = 600
_CONTEXT_MIB: Final = 1_400
_WARM_UP_MS: Final = 5 * MS_PER_MINUTE
"""A sandbox that is then left alone was worked in at first; a collective hangs after a good start."""


@dataclass(frozen=True, slots=True)
class Occupant:
    """The pod that has a GPU, with what is needed to say how busy it keeps it."""

    pod_uid: PodUid
    pattern: Pattern
    running_since: Instant
    until: Instant | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What the sensors need of the model at one moment: once it was taken, the model may go on."""

    occupants: Mapping[tuple[NodeName, int], Sequence[Occupant]]
    """Who has each GPU, and who had it since the instant that was asked for."""
    silent: frozenset[NodeName]
    """Nodes that do not answer."""


@dataclass(frozen=True, slots=True)
class _Gpu:
    uuid: GpuUuid
    machine: Machine
    index: int


class SimulatedSensors:
    """All GPUs of a simulated cluster. `model` gives its present state, up to now.

    The nodes' power counters go on from one reading to the next, so read it in the order of time.
    """

    def __init__(self, model: Callable[[], ClusterModel]) -> None:
        self._model = model
        self._gpus = {
            machine.name: [_Gpu(gpu_uuid(machine.name, index), machine, index) for index in range(machine.gpus)]
            for machine in model().machines
        }
        self._read_at: dict[GpuUuid, Instant] = {}
        self._energy_millijoules: dict[GpuUuid, int] = {}
        self.machines = {gpu.uuid: gpu.machine for gpus in self._gpus.values() for gpu in gpus}
        """Which machine each device is in."""

    @property
    def is_simulated(self) -> bool:
        return True

    def look(self, since: Instant | None = None) -> Look:
        """The model's present state, and who had GPUs since then, where readings are to be made up for. Take it on the
        thread that drives the model; `read` may then run on another."""
        return Look(self._occupants(since), self._silent_nodes())

    def read(self, now: Instant, look: Look | None = None, nodes: AbstractSet[NodeName] | None = None) -> Reading:
        """Sample every GPU of the nodes that answer, or of those of `nodes`; of the others nothing is said."""
        seen = look or self.look()
        samples = [
            self._sample(gpu, now, _occupant_at(now, seen.occupants.get((name, gpu.index), ())))
            for name, gpus in self._gpus.items()
            if name not in seen.silent and (nodes is None or name in nodes)
            for gpu in gpus
        ]
        return Reading(now, has_driver=True, driver_version=SIMULATED, nvml_version=SIMULATED, samples=tuple(samples))

    def devices(self, machine: Machine) -> tuple[Device, ...]:
        return tuple(_device(machine, index) for index in range(machine.gpus))

    def _sample(self, gpu: _Gpu, now: Instant, occupant: Occupant | None) -> Sample:
        model = gpu.machine.model
        elapsed_ms = now - self._read_at.get(gpu.uuid, now)
        self._read_at[gpu.uuid] = now
        percent = 0 if occupant is None else busy_percent(occupant, gpu.index, now)
        occupied_ms = 0 if occupant is None else min(elapsed_ms, now - occupant.running_since)
        milliwatts = _milliwatts(model, percent, occupant, now)
        energy = self._energy_millijoules.get(gpu.uuid, 0) + milliwatts * elapsed_ms // MS_PER_SECOND
        self._energy_millijoules[gpu.uuid] = energy
        used_mib = _RESERVED_MIB if occupant is None else _used_mib(model, occupant, percent)
        return Sample(
            gpu_uuid=gpu.uuid,
            at=now,
            utilization=Utilization(
                elapsed_ms * 1_000, percent * occupied_ms * 1_000, percent, UtilizationSource.SAMPLES
            ),
            activity=_activity(model, percent, occupant, elapsed_ms),
            memory_used_bytes=used_mib * _MIB,
            memory_total_bytes=model.memory_mib * _MIB,
            power_milliwatts=milliwatts,
            energy_millijoules=energy,
            processes=() if occupant is None else (_process(occupant, gpu.index, used_mib, percent),),
            is_clocked_idle=percent == 0,
            ecc_uncorrected=0,
        )

    def _occupants(self, since: Instant | None) -> dict[tuple[NodeName, int], list[Occupant]]:
        model = self._model()
        found: dict[tuple[NodeName, int], list[Occupant]] = {}
        for stay in model.stays_since(since) if since is not None else ():
            was = Occupant(stay.pod_uid, stay.pattern, stay.running_since, stay.until)
            for index in stay.gpu_indexes:
                found.setdefault((stay.node, index), []).append(was)
        for job in model.jobs.values():
            for pod in job.live_pods:
                if pod.node is not None and pod.started_at is not None:
                    has = Occupant(pod.uid, job.fate.pattern, pod.started_at)
                    for index in pod.gpu_indexes:
                        found.setdefault((pod.node, index), []).append(has)
        return found

    def _silent_nodes(self) -> frozenset[NodeName]:
        model = self._model()
        return frozenset(machine.name for machine in model.machines if not model.is_ready(machine.name))


def gpu_uuid(node: NodeName, index: int) -> GpuUuid:
    """The same GPU has the same UUID in every run."""
    return GpuUuid(f"GPU-{uuid5(NAMESPACE_URL, f'{SIMULATED}/{node}/{index}')}")


def _occupant_at(at: Instant, occupants: Sequence[Occupant]) -> Occupant | None:
    """Who had the GPU then: a reading that is made up for is of its own time."""
    for each in occupants:
        if each.running_since <= at and (each.until is None or at < each.until):
            return each
    return None


def busy_percent(occupant: Occupant, index: int, now: Instant) -> int:
    """The share of time in which a kernel ran, as its pattern has it in this minute."""
    minute = now // MS_PER_MINUTE
    is_warm = now - occupant.running_since >= _WARM_UP_MS
    # GPUs of one pod do the same work: they differ by a little.
    luck, detail = _chances(f"{occupant.pod_uid}/{minute}")
    jitter = next(_chances(f"{occupant.pod_uid}/{minute}/{index}")) % 4
    match occupant.pattern:
        case Pattern.BUSY:
            return (25 + detail % 30 if luck % 100 < 5 else 94 + detail % 3) + jitter
        case Pattern.BURSTY:
            return 55 + detail % 40 + jitter if luck % 100 < 55 else detail % 8
        case Pattern.INTERACTIVE:
            return 15 + detail % 60 + jitter if luck % 100 < 25 else 0
        case Pattern.IDLE:
            return 0 if is_warm else 20 + detail % 40
        case Pattern.HANG:
            return 100 if is_warm else 93 + jitter


def _chances(key: str) -> Iterator[int]:
    """A few numbers that look random and depend on the key alone."""
    number = zlib.crc32(key.encode())
    yield number >> 16
    yield number & 0xFFFF


def _milliwatts(model: GpuModel, percent: int, occupant: Occupant | None, now: Instant) -> int:
    """Power grows with work. A collective that hangs spins at full utilisation and hardly any power."""
    is_hung = (
        occupant is not None and occupant.pattern is Pattern.HANG and now - occupant.running_since >= _WARM_UP_MS
    )
    working_watts = 6 if is_hung else (model.busy_watts - model.idle_watts) * percent // 100
    context_watts = 0 if occupant is None else 8
    return (model.idle_watts + context_watts + working_watts) * 1_000


def _used_mib(model: GpuModel, occupant: Occupant, percent: int) -> int:
    """Training fills the memory; a sandbox holds what was loaded into it, used or not."""
    share = 90 if occupant.pattern in {Pattern.BUSY, Pattern.HANG} else 45
    loaded = model.memory_mib * share // 100 if percent or occupant.pattern is not Pattern.INTERACTIVE else 0
    return min(model.memory_mib, _RESERVED_MIB + _CONTEXT_MIB + loaded)


def _activity(model: GpuModel, percent: int, occupant: Occupant | None, elapsed_ms: int) -> Activity | None:
    """Profiling metrics, which Hopper and later have: what of the busy time the multiprocessors worked."""
    if model.family != "hopper":
        return None
    is_hung = occupant is not None and occupant.pattern is Pattern.HANG
    sm_permille = 10 if is_hung and percent == 100 else percent * 7
    return Activity(
        elapsed_us=elapsed_ms * 1_000,
        sm_permille=sm_permille,
        occupancy_permille=sm_permille // 2,
        tensor_permille=sm_permille * 2 // 3,
        dram_permille=sm_permille // 2,
    )


def _process(occupant: Occupant, index: int, used_mib: int, percent: int) -> ProcessUse:
    number = zlib.crc32(f"{occupant.pod_uid}/{index}".encode())
    return ProcessUse(
        pid=10_000 + number % 50_000,
        started_ticks=occupant.running_since // 10,
        memory_bytes=(used_mib - _RESERVED_MIB) * _MIB,
        sm_percent=percent,
        pod_uid=occupant.pod_uid,
        container_id=f"{number:08x}",
    )


def _device(machine: Machine, index: int) -> Device:
    model = machine.model
    return Device(
        gpu_uuid=gpu_uuid(machine.name, index),
        index=index,
        model=f"{model.product.replace('-', ' ')} ({SIMULATED})",
        memory_bytes=model.memory_mib * _MIB,
        pci_bus_id=f"00000000:{0x10 + index:02X}:00.0",
        minor=index,
        has_profiling=model.family == "hopper",
    )
