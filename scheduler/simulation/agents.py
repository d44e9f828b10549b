"""The agents of a simulated cluster: samples made into windows by the real integration, and the nodes' inventories."""

from collections.abc import Set as AbstractSet

from scheduler.domain.units import MS_PER_MINUTE, GpuUuid, Instant, NodeName
from scheduler.metering.devices import Inventory, ProcessView, SensorState
from scheduler.metering.integration import DeviceState, Integration, begin, close, observe
from scheduler.metering.windows import Window
from scheduler.simulation.machines import Machine
from scheduler.simulation.sensors import SIMULATED, Look, SimulatedSensors


class SimulatedAgents:
    """One on each machine. Have them `observe` about every `sample_ms` of simulated time: each reading is a sample, and
    windows come out of it as they fill. `boot_id` tells this run of the simulation from the one before.
    """

    def __init__(
        self,
        sensors: SimulatedSensors,
        boot_id: str,
        *,
        sample_ms: int = MS_PER_MINUTE,
        window_ms: int = 5 * MS_PER_MINUTE,
        gap_samples: int = 4,
    ) -> None:
        self._sensors = sensors
        self._boot_id = f"{SIMULATED}-{boot_id}"
        self._states: dict[GpuUuid, DeviceState] = {}
        machines = {machine.name: machine for machine in sensors.machines.values()}
        self._machines: list[Machine] = [machines[name] for name in sorted(machines)]
        self._rules = {
            name: Integration(name, self._boot_id, window_ms, gap_ms=gap_samples * sample_ms)
            for name in sorted(machines)
        }

    @property
    def boot_id(self) -> str:
        return self._boot_id

    def inventories(self, now: Instant) -> list[Inventory]:
        """What each node's agent would say is there."""
        return [
            Inventory(
                node=machine.name,
                boot_id=self._boot_id,
                taken_at=now,
                sensor_state=SensorState.OK,
                process_view=ProcessView.HOST,
                driver_version=SIMULATED,
                nvml_version=SIMULATED,
                devices=self._sensors.devices(machine),
            )
            for machine in self._machines
        ]

    def look(self, since: Instant | None = None) -> Look:
        """What `observe` needs of the model, for a caller that observes on another thread than the model's, or makes up
        for what it has not observed since then."""
        return self._sensors.look(since)

    def nodes(self) -> list[NodeName]:
        return [machine.name for machine in self._machines]

    def observe(
        self, now: Instant, look: Look | None = None, nodes: AbstractSet[NodeName] | None = None
    ) -> list[Window]:
        """Read the sensors, of these nodes or of all; the windows that this fills, node by node."""
        windows: list[Window] = []
        for sample in self._sensors.read(now, look, nodes).samples:
            known = self._states.get(sample.gpu_uuid)
            if known is None:
                self._states[sample.gpu_uuid] = begin(sample)
                continue
            self._states[sample.gpu_uuid], closed = observe(known, sample, self._rules_of(sample.gpu_uuid))
            windows.extend(closed)
        return windows

    def close(self) -> list[Window]:
        """The windows that are still open, as an agent ends them when it stops."""
        ended = [close(state, self._rules_of(uuid))[1] for uuid, state in self._states.items()]
        self._states.clear()
        return [window for windows in ended for window in windows]

    def _rules_of(self, uuid: GpuUuid) -> Integration:
        return self._rules[self._sensors.machines[uuid].name]
