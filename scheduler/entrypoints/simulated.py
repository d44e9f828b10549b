"""The embedded default: a simulated cluster, clock and company under the production code.

It is kept in the store, so that a restart goes on where it was. Everything simulated says so.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from scheduler.domain.errors import Refusal
from scheduler.domain.people import Caller
from scheduler.domain.policy import Policy
from scheduler.domain.units import CommandId, GpuClassName, Instant
from scheduler.entrypoints.loops import Loops
from scheduler.entrypoints.settings import Settings
from scheduler.entrypoints.simulated_agents import SimulatedAgentLoop
from scheduler.entrypoints.simulation_state import STATE_KEY, packed_state, saved_state
from scheduler.lifecycle.commands import Commands
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.sensing.meter import Meter
from scheduler.lifecycle.writing.answered import Command
from scheduler.ports import Store
from scheduler.simulation.asking import NobodyCanAsk
from scheduler.simulation.clock import SimulatedClock
from scheduler.simulation.cluster import SimulatedCluster
from scheduler.simulation.fates import fate_of
from scheduler.simulation.machines import Machine, example_machines
from scheduler.simulation.model import ClusterModel
from scheduler.simulation.stream import Arrival, Load, SyntheticStream, opening_instant

log = logging.getLogger(__name__)

SUBMIT_SECONDS = 0.5
LEFT_OPEN = 4
"""Sandboxes that nobody uses, from the first minute: one is preempted or out of hours now and then, all of them never."""
SAVE_SECONDS = 5.0


@dataclass
class Simulation:
    """Everything simulated in one process. `submitted_until` is how far the stream of work has been submitted."""

    store: Store
    clock: SimulatedClock
    cluster: SimulatedCluster
    machines: Sequence[Machine]
    seed: int
    starts_at: Instant
    submitted_until: Instant
    refused: dict[str, int] = field(default_factory=dict)
    _stream: SyntheticStream | None = None
    _cannot_ask_of: Policy | None = None
    """The policy under which the log has said that nobody can submit."""

    def run_on(self, loops: Loops, world: World, commands: Commands, meter: Meter, settings: Settings) -> None:
        """Add the simulated company's loops to the service's: it submits work, its agents post windows, it is saved."""
        deadline = 60.0

        async def submit() -> None:
            await asyncio.to_thread(self.submit_due, world, commands)

        async def save() -> None:
            await self.cluster.prepare_export()
            state = self.export()
            await asyncio.to_thread(self.put, state)

        if settings.stream:
            loops.every("stream", SUBMIT_SECONDS, submit, deadline_seconds=deadline)
        agents = SimulatedAgentLoop(self.cluster, self.clock, meter, settings.factor)
        loops.every("sensors", agents.period_seconds, agents.run_once, deadline_seconds=deadline)
        loops.every("save", SAVE_SECONDS, save, deadline_seconds=deadline)

    def submit_due(self, world: World, commands: Commands) -> int:
        """Submit, as the people they come from, what the stream has up to now. Returns how many were accepted."""
        if world.policy is None or not world.people:
            return 0
        now, since = self.clock.now(), self.submitted_until
        self.submitted_until = now
        try:
            stream = self._stream_for(world.policy, world)
        except NobodyCanAsk as nobody:
            if world.policy is not self._cannot_ask_of:
                self._cannot_ask_of = world.policy
                log.warning("no work is simulated: %s", nobody)
            return 0
        due = stream.between(since, now)
        return sum(self._submit(arrival, world, commands, now) for arrival in due)

    def export(self) -> bytes:
        """The simulation as it is, as JSON. Call it on the event loop: the cluster is not safe for threads."""
        state = {
            "now": self.clock.now(),
            "starts_at": self.starts_at,
            "submitted_until": self.submitted_until,
            "cluster": self.cluster.export(),
        }
        return orjson.dumps(state)

    def put(self, state: bytes) -> None:
        """Keep what was exported. It is packed first, without the interpreter: ten megabytes in a transaction would keep
        everybody who writes waiting."""
        packed = packed_state(state)
        with self.store.writing() as books:
            books.control.put_setting(STATE_KEY, packed)

    def _submit(self, arrival: Arrival, world: World, commands: Commands, now: Instant) -> bool:
        engineer = next((e for e in world.people.values() if e.subject == arrival.subject), None)
        if engineer is None:
            return False
        caller = Caller(engineer.subject, engineer.roles, engineer.id, engineer.team)
        try:
            commands.submit(caller, arrival.spec, now=now, command=Command(CommandId(arrival.id), arrival.id))
        except Refusal as refusal:
            # People ask for what they may not have: the refusal is the answer that they get, and is counted.
            self.refused[refusal.code.value] = self.refused.get(refusal.code.value, 0) + 1
            return False
        return True

    def _stream_for(self, policy: Policy, world: World) -> SyntheticStream:
        if self._stream is None or self._stream.policy is not policy:
            self._stream = SyntheticStream(
                policy,
                sorted(world.people.values(), key=lambda engineer: engineer.subject),
                self.seed,
                self.starts_at,
                Load(gpus=sum(machine.gpus for machine in self.machines), left_open=LEFT_OPEN),
                smallest_nodes(policy, self.machines),
            )
        return self._stream


def smallest_nodes(policy: Policy, machines: Sequence[Machine]) -> Mapping[GpuClassName, int]:
    """GPUs of the smallest node of each GPU class."""
    sizes: dict[GpuClassName, int] = {}
    for machine in machines:
        for gpu_class in policy.gpu_classes.values():
            if gpu_class.selects(machine.all_labels()):
                sizes[gpu_class.name] = min(machine.gpus, sizes.get(gpu_class.name, machine.gpus))
    return sizes


def open_simulation(store: Store, settings: Settings) -> Simulation:
    """The simulation as it was saved, or a new one whose time starts with the working week."""
    with store.reading() as books:
        state = saved_state(books)
    machines = example_machines()
    if state is None:
        now = opening_instant(Instant(int(time.time()) * 1000))
        state = {"now": now, "starts_at": now, "submitted_until": now}
        model = ClusterModel(machines, lambda workload: fate_of(settings.seed, workload.spec))
    else:
        model = ClusterModel.restore(
            state["cluster"], machines, lambda workload: fate_of(settings.seed, workload.spec)
        )
        log.info("the simulation goes on where it was")
    clock = SimulatedClock(Instant(state["now"]), settings.factor, time.monotonic)
    return Simulation(
        store,
        clock,
        SimulatedCluster(model, clock),
        machines,
        settings.seed,
        Instant(state["starts_at"]),
        Instant(state["submitted_until"]),
    )
