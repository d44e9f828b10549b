"""The cluster of a replay: described nodes under the GPU classes of each policy, or one as large as its quotas."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scheduler.domain.cluster import GpuClass, Node
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.policy import Policy
from scheduler.domain.units import GpuClassName, NodeName
from scheduler.simulation.traces.openb import OpenbNode

PRODUCT = "nvidia.com/gpu.product"
_NODE_GPUS, _NODE_CPU_MILLI, _NODE_MEMORY_MIB = 8, 128_000, 1_048_576


def openb_cluster(nodes: Sequence[OpenbNode]) -> tuple[Node, ...]:
    """The nodes that have GPUs, with their model as GPU feature discovery would label it."""
    return tuple(
        Node(NodeName(node.name), None, node.gpus, node.cpu_milli, node.memory_mib, labels={PRODUCT: node.model})
        for node in nodes
        if node.gpus
    )


def quota_cluster(policy: Policy) -> tuple[Node, ...]:
    """As many nodes of eight GPUs of each class as the policy's nominal quotas come to."""
    nodes: list[Node] = []
    for gpu_class in policy.gpu_classes.values():
        gpus = policy.nominal_gpus(gpu_class.name)
        nodes += (
            Node(
                NodeName(f"{gpu_class.name.lower()}-{number:04d}"),
                None,
                _NODE_GPUS,
                _NODE_CPU_MILLI,
                _NODE_MEMORY_MIB,
                labels={PRODUCT: gpu_class.name, **dict(gpu_class.node_selector)},
            )
            for number in range(-(-gpus // _NODE_GPUS))
        )
    return tuple(nodes)


def under(policy: Policy, nodes: Sequence[Node], aliases: Mapping[str, GpuClassName]) -> tuple[Node, ...]:
    """The nodes with the policy's GPU classes; those of no class of it are left out.

    Raises InvalidInput `invalid-trace` where none is left.
    """
    known: dict[str, GpuClassName | None] = {}
    classed: list[Node] = []
    for node in nodes:
        key = repr(sorted(node.labels.items()))
        if key not in known:
            known[key] = class_of(policy, node.labels, aliases)
        if known[key] is not None:
            classed.append(replace(node, gpu_class=known[key]))
    if not classed:
        models = ", ".join(sorted({node.labels.get(PRODUCT) or "no model" for node in nodes})[:8])
        found = f"the nodes have {models}" if nodes else "there is no node with GPUs"
        raise InvalidInput(
            f"no node is of a GPU class of the policy {policy.name}; {found}",
            code=RefusalCode.INVALID_TRACE,
            expected="nodes that the classes " + ", ".join(sorted(policy.gpu_classes)) + " select",
            remedy="say which is which with --gpu-class MODEL=CLASS",
        )
    return tuple(classed)


def class_of(policy: Policy, labels: Mapping[str, str], aliases: Mapping[str, GpuClassName]) -> GpuClassName | None:
    """The policy's GPU class of a node: by what was said, by its selector, else by a name that is alike."""
    model = labels.get(PRODUCT, "")
    said = aliases.get(model)
    if said is not None:
        return said if said in policy.gpu_classes else None
    selecting = sorted(
        (c for c in policy.gpu_classes.values() if c.node_selector and c.selects(labels)),
        key=lambda c: (-len(c.node_selector), c.name),
    )
    if selecting:
        return selecting[0].name
    named = class_named(policy, model, aliases)
    if named is not None:
        return named
    everything = [c.name for c in policy.gpu_classes.values() if not c.node_selector]
    return everything[0] if everything else None


def class_named(policy: Policy, model: str, aliases: Mapping[str, GpuClassName]) -> GpuClassName | None:
    """The policy's GPU class that a model's name means: the same name, or one that holds all words of the other (a100
    is NVIDIA-A100-SXM4-80GB); None where none or several do."""
    said = aliases.get(model)
    if said is not None:
        return said if said in policy.gpu_classes else None
    wanted = _words(model)
    if not wanted:
        return None
    same = [c.name for c in policy.gpu_classes.values() if wanted in _names(c)]
    if same:
        return same[0]
    alike = [
        c.name
        for c in policy.gpu_classes.values()
        if any(name and (wanted <= name or name <= wanted) for name in _names(c))
    ]
    return alike[0] if len(alike) == 1 else None


def _names(gpu_class: GpuClass) -> tuple[frozenset[str], frozenset[str]]:
    return _words(gpu_class.name), _words(dict(gpu_class.node_selector).get(PRODUCT, ""))


def _words(text: str) -> frozenset[str]:
    """Whole words alone are compared: an A10 is no A100."""
    return frozenset(re.findall(r"[a-z0-9]+", text.lower()))
