"""The cluster as an operator reads it: every GPU, the queue's size, the brakes."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace

from scheduler.domain.brakes import Brake, stopped_recently
from scheduler.domain.cluster import Node
from scheduler.domain.units import MS_PER_SECOND, Instant, NodeName
from scheduler.domain.workloads import Attempt, WorkloadState
from scheduler.lifecycle.memory.named import pause_named
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.shapes import BrakesView, ClusterView, GpuView, NodeView
from scheduler.metering.windows import Window

BUSY_PERCENT = 50
IDLE_PERCENT = 5
FRESH_MS = 60 * MS_PER_SECOND
"""How late a window may come, on top of the time that it takes to fill."""


_NOBODYS = frozenset({"free", "drained", "outside"})

Shows = Callable[[Attempt], bool]
"""Whether the reader may see whose this attempt is and what it is called: what its GPUs do is its owner's efficiency."""


def cluster_view(
    world: World, now: Instant, *, is_simulated: bool, shows_work: Shows, shows_owner: bool
) -> ClusterView:
    attempts_on = _attempts_by_node(world)
    nodes = tuple(
        _node_view(world, node, attempts_on.get(node.name, []), now, shows_work, shows_owner=shows_owner)
        for node in sorted(world.nodes.values(), key=lambda node: (node.gpu_class or "~", node.name))
        if node.gpus + node.outside_gpus > 0
    )
    gpus = [gpu for node in nodes for gpu in node.gpus]
    queued = [w for w in list(world.workloads.values()) if w.state is WorkloadState.QUEUED]
    return ClusterView(
        now=now,
        is_simulated=is_simulated,
        gpus=len(gpus),
        in_use=sum(1 for gpu in gpus if gpu.state not in _NOBODYS),
        busy=sum(1 for gpu in gpus if gpu.state in {"busy", "light"}),
        idle=sum(1 for gpu in gpus if gpu.state == "idle"),
        queued=len(queued),
        running=sum(1 for w in list(world.workloads.values()) if w.state is WorkloadState.RUNNING),
        oldest_wait_ms=max([0, *(now - workload.waits_since for workload in queued)]),
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
    return BrakesView(tuple(pause_named(world, pause) for pause in world.pauses), tuple(rates))


def _attempts_by_node(world: World) -> dict[NodeName, list[tuple[Attempt, int]]]:
    """Attempts on each node with the GPUs that they take there, in order of launch."""
    on: dict[NodeName, list[tuple[Attempt, int]]] = defaultdict(list)
    for attempt in sorted(world.attempts.values(), key=lambda a: (a.launched_at, a.id)):
        for node, pods in attempt.placement.pods_by_node:
            on[node].append((attempt, pods * attempt.pod.gpus))
    return on


def _node_view(
    world: World,
    node: Node,
    attempts: list[tuple[Attempt, int]],
    now: Instant,
    shows_work: Shows,
    *,
    shows_owner: bool,
) -> NodeView:
    """One cell a GPU, each with whoever its readings say; the rest fills in order of launch, for the device plugin
    chooses GPUs and nobody else knows."""
    windows = _windows_of(world, node.name, now)
    total = node.gpus + node.outside_gpus
    holders = _holders(world, attempts, windows, total)
    taken = sum(gpus for _, gpus in attempts)
    empty = [index for index in range(total) if holders[index] is None]
    outside = set(empty[len(empty) - node.outside_gpus :]) if node.outside_gpus else set()
    cells = []
    for index in range(total):
        cell = _gpu_view(node, index, holders[index], windows.get(index), is_outside=index in outside)
        holder = holders[index]
        shown = cell if holder is None or not shows_work(holder) else _named(world, cell, holder)
        cells.append(
            replace(shown, owner=_owner_name(world, holder)) if holder is not None and shows_owner else shown
        )
    free = max(0, node.gpus - taken)
    return NodeView(
        node.name,
        node.gpu_class or "",
        tuple(cells),
        node.accepts_work,
        free,
        node.outside_gpus,
        _taints(world, node),
    )


def _taints(world: World, node: Node) -> tuple[str, ...]:
    """What of it keeps work out, for whoever wonders why."""
    policy = world.policy
    gpu_class = policy.gpu_classes.get(node.gpu_class) if policy is not None and node.gpu_class is not None else None
    return () if node.accepts_work else tuple(str(each) for each in node.taints if each.keeps_out(gpu_class))


def _holders(
    world: World, attempts: list[tuple[Attempt, int]], windows: dict[int, Window], total: int
) -> list[Attempt | None]:
    by_id = {attempt.id: attempt for attempt, _ in attempts}
    holders: list[Attempt | None] = [None] * total
    lacking = Counter({attempt.id: gpus for attempt, gpus in attempts})
    for index, window in windows.items():
        holder = world.readings.attempt_of_gpu.get(window.gpu_uuid)
        if holder in by_id and index < total and lacking[holder] > 0:
            holders[index] = by_id[holder]
            lacking[holder] -= 1
    rest = [attempt for attempt, _ in attempts for _ in range(lacking[attempt.id])]
    for index in range(total):
        if holders[index] is None and rest:
            holders[index] = rest.pop(0)
    return holders


def _windows_of(world: World, node: NodeName, now: Instant) -> dict[int, Window]:
    """The latest of each whole GPU, by index. One that ended long ago says nothing of now."""
    inventory = world.readings.inventories.get(node)
    if inventory is None:
        return {}
    latest = {
        device.index: world.readings.windows[device.gpu_uuid]
        for device in inventory.devices
        if device.parent_uuid is None and device.gpu_uuid in world.readings.windows
    }
    return {index: window for index, window in latest.items() if is_fresh(window, now)}


def is_fresh(window: Window, now: Instant) -> bool:
    """Whether the next window of its device is not overdue yet."""
    return now - window.end <= 2 * (window.end - window.start) + FRESH_MS


def _gpu_view(node: Node, index: int, attempt: Attempt | None, window: Window | None, *, is_outside: bool) -> GpuView:
    mean = window.utilization.mean_permille if window is not None and window.utilization is not None else None
    percent = mean // 10 if mean is not None else None
    milliwatts = window.energy.mean_milliwatts if window is not None and window.energy is not None else None
    return GpuView(
        index=index,
        uuid=window.gpu_uuid if window is not None else "",
        state=_state(node, attempt, percent, is_outside=is_outside),
        utilization_percent=percent,
        power_watts=milliwatts // 1000 if milliwatts is not None else None,
        memory_used_bytes=window.memory_used_bytes_max if window is not None else None,
        team=attempt.team if attempt is not None else "",
    )


def _named(world: World, cell: GpuView, attempt: Attempt) -> GpuView:
    workload = world.workloads.get(attempt.workload_id)
    return replace(
        cell, workload_id=attempt.workload_id, workload_name=workload.spec.name if workload is not None else ""
    )


def _state(node: Node, attempt: Attempt | None, percent: int | None, *, is_outside: bool) -> str:
    if attempt is None:
        if is_outside:
            return "outside"
        return "free" if node.accepts_work else "drained"
    if percent is None:
        return "unknown"
    return "busy" if percent >= BUSY_PERCENT else "light" if percent >= IDLE_PERCENT else "idle"


def _owner_name(world: World, attempt: Attempt) -> str:
    engineer = world.people.get(attempt.owner)
    return engineer.name or engineer.subject if engineer is not None else ""
