"""Agents as operators see them: what each node's sensing is worth, and what has come of it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from scheduler.domain.idleness import MisuseTerms
from scheduler.domain.units import MS_PER_DAY, Instant, NodeName
from scheduler.lifecycle.memory.world import World
from scheduler.metering.devices import Inventory, ProcessView
from scheduler.metering.windows import ProcessSeen, Window
from scheduler.ports import Books


@dataclass(frozen=True, slots=True)
class AgentView:
    """`sensor_state` and `process_view` as the agent said last, at `told_at`. `windows_until` is where the readings
    of its latest device end, None before the first. `lost` and `refused` are windows that will never be had. Without
    `has_pod_resources` (None: an older agent) GPUs are attributed by their processes alone; `unresolved_allocations` are
    GPUs that the kubelet names and the sensors do not. `never_idle` are GPUs that in some hour of the last day were
    without use and drew more than the rules learn as idle power, `never_idle_watts` at least: at work for any rule until
    `baseline_watts_max` is raised."""

    node: str
    told_at: Instant
    sensor_state: str
    process_view: str
    driver_version: str | None
    driver_error: str | None
    devices: int
    unhealthy: int
    windows_until: Instant | None
    sampler_restarts: int
    waiting: int
    lost: int
    refused: int
    has_pod_resources: bool | None
    unresolved_allocations: int
    never_idle: int
    never_idle_watts: int | None


def unseen_nodes(world: World) -> tuple[str, ...]:
    """Nodes with GPUs whose processes cannot be seen."""
    inventories = dict(world.readings.inventories)  # others come meanwhile, as nodes do
    blind = {name for name, told in inventories.items() if told.process_view is ProcessView.UNAVAILABLE}
    unread = {name for name, node in list(world.nodes.items()) if node.gpus and name not in inventories}
    return tuple(sorted(blind | unread))


def at_work_for_nobody(world: World, windows: Iterable[Window]) -> int:
    """How many of these devices have processes of nobody's: of no attempt, and by the kubelet of no other pod. Where it
    could not be asked, pods that are not ours account for as many as they asked for. What the policy allows on any GPU
    is no work. Where nobody can see processes, any use is work."""
    excused = world.policy.misuse if world.policy is not None else MisuseTerms()
    busy = [
        window
        for window in windows
        if _has_work(world, window, excused) and window.gpu_uuid not in world.readings.attempt_of_gpu
    ]
    unasked = Counter(window.node for window in busy if window.granted is None)
    known = {name: node.outside_gpus for name in unasked if (node := world.nodes.get(name)) is not None}
    unexplained = sum(max(0, count - known.get(name, 0)) for name, count in unasked.items())
    return unexplained + sum(1 for window in busy if window.granted == ())


def _has_work(world: World, window: Window, excused: MisuseTerms) -> bool:
    if window.process_count_max is None:
        return window.utilization is not None and window.utilization.max_percent > 0
    seen = window.processes or ()
    return bool(window.process_count_max) and (
        not seen or not all(_is_excused(world, each, excused) for each in seen)
    )


def _is_excused(world: World, process: ProcessSeen, excused: MisuseTerms) -> bool:
    if process.pod_uid is None:
        return process.name in excused.allowed_processes
    return process.name in excused.allowed_in_pods and process.pod_uid not in world.attempt_of_pod


def agent_views(books: Books, world: World, now: Instant) -> tuple[AgentView, ...]:
    never_idle: dict[NodeName, list[int]] = {}
    for each in books.samples.never_idle(Instant(now - MS_PER_DAY)):
        never_idle.setdefault(each.node, []).append(each.milliwatts)
    nodes = sorted(world.readings.inventories.items())
    return tuple(_view(world, inventory, never_idle.get(node, [])) for node, inventory in nodes)


def _view(world: World, inventory: Inventory, never_idle: list[int]) -> AgentView:
    windows = [world.readings.windows[d.gpu_uuid] for d in inventory.devices if d.gpu_uuid in world.readings.windows]
    return AgentView(
        node=inventory.node,
        told_at=inventory.taken_at,
        sensor_state=inventory.sensor_state.value,
        process_view=inventory.process_view.value,
        driver_version=inventory.driver_version,
        driver_error=inventory.driver_error,
        devices=len(inventory.devices),
        unhealthy=sum(device.health.value != "ok" for device in inventory.devices),
        windows_until=max((window.end for window in windows), default=None),
        sampler_restarts=inventory.agent.sampler_restarts,
        waiting=inventory.agent.waiting,
        lost=inventory.agent.lost,
        refused=inventory.agent.refused,
        has_pod_resources=inventory.agent.has_pod_resources,
        unresolved_allocations=inventory.agent.unresolved_allocations,
        never_idle=len(never_idle),
        never_idle_watts=min(never_idle) // 1_000 if never_idle else None,
    )
