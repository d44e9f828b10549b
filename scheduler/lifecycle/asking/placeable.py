"""Whether the cluster's nodes, were they empty, could hold what is asked: what they never could is refused at once."""

from collections import Counter
from collections.abc import Collection

from scheduler.domain.cluster import GpuClass, Node, PodRequest
from scheduler.domain.errors import InvalidInput, NotFound, RefusalCode
from scheduler.domain.policy import Policy
from scheduler.domain.topology import NODE, domain_of, domain_text
from scheduler.domain.wording import counted
from scheduler.domain.workloads import WorkloadSpec


def require_placeable(
    spec: WorkloadSpec, classes: Collection[GpuClass], nodes: Collection[Node], policy: Policy
) -> None:
    """Refuse what no node, or no domain of the level that it requires, could hold: `unplaceable`.

    All pods of a gang run on GPUs of one class. An empty cluster is given the benefit of the doubt. As a rule the first
    few nodes show that it can be held: no more of them are looked at then.
    """
    _require_level(spec, policy)
    if not nodes:
        return
    fitting: dict[str | None, int] = {gpu_class.name: 0 for gpu_class in classes}
    largest = 0
    for node in nodes:
        gpu_class = node.gpu_class
        if gpu_class not in fitting or not _matches(node, spec):
            continue
        fitting[gpu_class] += _pods_that_fit(node, spec.pod)
        largest = max(largest, node.gpus + node.outside_gpus)
        if fitting[gpu_class] >= spec.pods:
            _require_domain(spec, classes, nodes, policy)
            return
    raise _unplaceable(spec, max(fitting.values(), default=0), largest)


def _unplaceable(spec: WorkloadSpec, fitting: int, largest: int) -> InvalidInput:
    """`fitting` such pods would find room in one class if its nodes were empty; the largest node has so many GPUs."""
    if fitting:
        found = f"were they empty, those of one class would hold {counted(fitting, 'such pod')}"
        where, expected = "pods", f"at most {counted(fitting, 'pod')} of that size"
    elif largest:
        found = "none is large enough for one such pod"
        where, expected = "gpus_per_pod", f"at most {counted(largest, 'GPU')} per pod, within the cluster's nodes"
    else:
        found = "none has such GPUs"
        where, expected = "gpus_per_pod", "a class that nodes offer"
    return InvalidInput(
        f"the nodes could never hold {spec.pods} × {spec.pod.gpus} {'|'.join(spec.gpu_classes)} with "
        f"{spec.pod.cpu_milli} mCPU and {spec.pod.memory_mib} MiB each: {found}",
        where=where,
        code=RefusalCode.UNPLACEABLE,
        expected=expected,
        remedy="ask for smaller pods, fewer of them, or another GPU class",
    )


def _require_level(spec: WorkloadSpec, policy: Policy) -> None:
    if spec.topology is None:
        return
    known = [*(level.name for level in policy.topology), NODE]
    if spec.topology.level not in known:
        raise NotFound(
            f"the policy knows no topology level {spec.topology.level[:80]!r}",
            where="topology",
            code=RefusalCode.UNKNOWN_TOPOLOGY_LEVEL,
            expected="one of " + ", ".join(known),
        )


def _require_domain(
    spec: WorkloadSpec, classes: Collection[GpuClass], nodes: Collection[Node], policy: Policy
) -> None:
    """All pods of a gang that requires a level stand in one domain of it, on GPUs of one class."""
    if spec.topology is None or not spec.topology.is_required:
        return
    held: Counter[tuple[str, str]] = Counter()
    for gpu_class in classes:
        for node in nodes:
            if node.gpu_class == gpu_class.name and _matches(node, spec):
                domain = domain_of(node.name, node.labels, policy.topology, spec.topology.level)
                held[domain_text(domain), gpu_class.name] += _pods_that_fit(node, spec.pod)
    (domain_name, gpu_class_name), pods = min(held.items(), key=lambda item: (-item[1], item[0]))
    if pods < spec.pods:
        level = spec.topology.level
        raise InvalidInput(
            f"no {level} could ever hold {spec.pods} × {spec.pod.gpus} {'|'.join(spec.gpu_classes)}: the largest, "
            f"{domain_name}, holds {counted(pods, 'such pod')} of {gpu_class_name}",
            where="topology",
            code=RefusalCode.UNPLACEABLE,
            expected=f"at most {counted(pods, 'pod')} in one {level}",
            remedy=f"ask for fewer pods, a wider level, or prefer:{level}",
        )


def _matches(node: Node, spec: WorkloadSpec) -> bool:
    return not spec.nodes_with or all(node.labels.get(key) == value for key, value in spec.nodes_with)


def _pods_that_fit(node: Node, request: PodRequest) -> int:
    """How many such pods the node could hold if it were empty."""
    if not node.could_hold(request):
        return 0
    return min(
        (node.gpus + node.outside_gpus) // request.gpus,
        node.cpu_milli // max(1, request.cpu_milli),
        node.memory_mib // max(1, request.memory_mib),
    )
