"""What a pod asks of its node: the rows of the fit table, and a part of what tells lines and lanes apart."""

from dataclasses import dataclass

from scheduler.decision.placing.node_use import Amounts
from scheduler.domain.cluster import PodRequest
from scheduler.domain.topology import TopologyAsk


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """What one pod asks of a node, the labels that the node must have, and where it is to stand to the others of its
    gang. Whoever makes them makes each only once: they are told apart by identity, because they are looked up for every
    workload that is served."""

    pod: PodRequest
    nodes_with: tuple[tuple[str, str], ...] = ()
    topology: TopologyAsk | None = None


def amounts(pod: PodRequest) -> Amounts:
    return (pod.gpus, pod.cpu_milli, pod.memory_mib)
