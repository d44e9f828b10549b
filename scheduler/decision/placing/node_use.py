"""What is taken on a node, and what that leaves. Amounts are (GPUs, CPU milli, memory MiB), in this order everywhere."""

from scheduler.domain.cluster import Node

Amounts = tuple[int, int, int]

NodeUse = list[list[int]]
"""What is taken on a node, by kind and resource."""

OCCUPIED, STOPPING, CLAIMED = 0, 1, 2
"""Kinds of use: by attempts; the part of that which is coming free; for reservations whose victims still end."""


def empty_use() -> NodeUse:
    return [[0, 0, 0], [0, 0, 0], [0, 0, 0]]


def size_of(node: Node) -> Amounts:
    """What there is of it, for us and for whoever is outside."""
    return (node.gpus + node.outside_gpus, node.cpu_milli, node.memory_mib)


def room_of(node: Node) -> Amounts:
    """What there is of it for us."""
    return (node.gpus, node.cpu_milli, node.memory_mib)


def left_on(node: Node, use: NodeUse) -> tuple[Amounts, Amounts]:
    """What is available on it now; and when all that is stopping has ended and every reservation is served."""
    (
        (gpus, cpu, memory),
        (stopping_gpus, stopping_cpu, stopping_memory),
        (claimed_gpus, claimed_cpu, claimed_memory),
    ) = use
    free_gpus, free_cpu, free_memory = node.gpus - gpus, node.cpu_milli - cpu, node.memory_mib - memory
    coming = (
        free_gpus + stopping_gpus - claimed_gpus,
        free_cpu + stopping_cpu - claimed_cpu,
        free_memory + stopping_memory - claimed_memory,
    )
    if not node.accepts_work:
        return (0, 0, 0), coming
    # A claim is served by what is stopping first: only what exceeds that takes from what is free now.
    available = (
        max(0, min(free_gpus, coming[0])),
        max(0, min(free_cpu, coming[1])),
        max(0, min(free_memory, coming[2])),
    )
    return available, coming
