"""The cluster as an operator reads it: every GPU, the queue's size, the brakes."""

from collections import defaultdict

from scheduler.domain.brakes import Brake, stopped_recently
from scheduler.domain.cluster import Node
from scheduler.domain.units import Instant, NodeName
from scheduler.domain.workloads import Attempt, WorkloadState
from scheduler.lifecycle.views.shapes import BrakesView, ClusterView, GpuView, NodeView
from scheduler.lifecycle.world import World
from scheduler.metering.windows import Window

BUSY_PERCENT = 50
IDLE_PERCENT = 5


def cluster_view(world: World, now: Instant, *, is_simulated: bool, shows_owner: bool) -> ClusterView:
    attempts_on = _attempts_by_node(world)
    nodes = tuple(
        _node_view(world, node, attempts_on.get(node.name, []), shows_owner=shows_owner)
        for node in sorted(world.nodes.values(), key=lambda node: (node.gpu_class or "~", node.name))
        if node.gpus + node.outside_gpus > 0
    )
    gpus = [gpu for node in nodes for gpu in node.gpus]
    queued = [w for w in list(world.workloads.values()) if w.state is WorkloadState.QUEUED]
    return ClusterView(
        now=now,
        is_simulated=is_simulated,
        gpus=len(gpus),
        in_use=sum(1 for gpu in gpus if gpu.workload_id),
        busy=sum(1 for gpu in gpus if gpu.state in {"busy", "light"}),
        idle=sum(1 for gpu in gpus if gpu.state == "idle"),
        queued=len(queued),
        running=sum(1 for w in list(world.workloads.values()) if w.state is WorkloadState.RUNNING),
        oldest_wait_ms=max((now - workload.submitted_at for workload in queued), default=0),
        nodes=nodes,
        brakes=brakes_view(world, now),
    )


def brakes_view(world: World, now: Instant) -> BrakesView:
    policy = world.policy
    running = world.running_gpus()
    rates = []
    if policy is not None:
        for brake, rate in ((Brake.PREEMPT, policy.preempt_rate), (Brake.RECLAIM, policy.exhaustion_rate)):
            rates.append((brake.value, stopped_recently(world.stops, brake, now), rate.limit(running)))
    return BrakesView(world.pauses, tuple(rates))


def _attempts_by_node(world: World) -> dict[NodeName, list[tuple[Attempt, int]]]:
    """Attempts on each node with the GPUs that they take there, in order of launch."""
    on: dict[NodeName, list[tuple[Attempt, int]]] = defaultdict(list)
    for attempt in sorted(world.attempts.values(), key=lambda a: (a.launched_at, a.id)):
        for node, pods in attempt.placement.pods_by_node:
            on[node].append((attempt, pods * attempt.pod.gpus))
    return on


def _node_view(world: World, node: Node, attempts: list[tuple[Attempt, int]], *, shows_owner: bool) -> NodeView:
    """One cell a GPU. The device plugin chooses GPUs: where no agent says which, cells fill in order of launch."""
    windows = _windows_of(world, node.name)
    holders: list[Attempt | None] = [attempt for attempt, gpus in attempts for _ in range(gpus)]
    total = node.gpus + node.outside_gpus
    free = max(0, node.gpus - len(holders))
    holders += [None] * (total - len(holders))
    cells = tuple(
        _gpu_view(
            world, node, index, holders[index], windows.get(index), index >= total - node.outside_gpus, shows_owner
        )
        for index in range(total)
    )
    return NodeView(node.name, node.gpu_class or "", cells, node.accepts_work, free, node.outside_gpus)


def _windows_of(world: World, node: NodeName) -> dict[int, Window]:
    inventory = world.inventories.get(node)
    if inventory is None:
        return {}
    return {
        device.index: world.windows[device.gpu_uuid]
        for device in inventory.devices
        if device.parent_uuid is None and device.gpu_uuid in world.windows
    }


def _gpu_view(
    world: World,
    node: Node,
    index: int,
    attempt: Attempt | None,
    window: Window | None,
    is_outside: bool,
    shows_owner: bool,
) -> GpuView:
    mean = window.utilization.mean_permille if window is not None and window.utilization is not None else None
    percent = mean // 10 if mean is not None else None
    milliwatts = window.energy.mean_milliwatts if window is not None and window.energy is not None else None
    workload = world.workloads.get(attempt.workload_id) if attempt is not None else None
    return GpuView(
        index=index,
        uuid=window.gpu_uuid if window is not None else "",
        state=_state(node, attempt, percent, is_outside=is_outside),
        utilization_percent=percent,
        power_watts=milliwatts // 1000 if milliwatts is not None else None,
        memory_used_bytes=window.memory_used_bytes_max if window is not None else None,
        workload_id=attempt.workload_id if attempt is not None else "",
        workload_name=workload.spec.name if workload is not None else "",
        owner=_owner_name(world, attempt) if shows_owner else "",
        team=attempt.team if attempt is not None else "",
    )


def _state(node: Node, attempt: Attempt | None, percent: int | None, *, is_outside: bool) -> str:
    if attempt is None:
        if is_outside:
            return "outside"
        return "free" if node.accepts_work else "drained"
    if percent is None:
        return "unknown"
    return "busy" if percent >= BUSY_PERCENT else "light" if percent >= IDLE_PERCENT else "idle"


def _owner_name(world: World, attempt: Attempt | None) -> str:
    engineer = world.people.get(attempt.owner) if attempt is not None else None
    return engineer.name or engineer.subject if engineer is not None else ""
