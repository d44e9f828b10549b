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
    occupied, stopping, claimed = use
    gpus, cpu, memory = node.gpus - occupied[0], node.cpu_milli - occupied[1], node.memory_mib - occupied[2]
    free = coming = (gpus, cpu, memory)
    if stopping != claimed:  # as on few nodes
        coming = (
            gpus + stopping[0] - claimed[0],
            cpu + stopping[1] - claimed[1],
            memory + stopping[2] - claimed[2],
        )
        # A claim is served by what is stopping first: only what exceeds that takes from what is free now.
        free = (min(gpus, coming[0]), min(cpu, coming[1]), min(memory, coming[2]))
    if not node.accepts_work:
        return (0, 0, 0), coming
    if min(free) < 0:
        free = (max(0, free[0]), max(0, free[1]), max(0, free[2]))
    return free, coming
