"""A described cluster as a YAML file: groups of nodes that are alike. Read as strictly as a policy."""

from scheduler.adapters.policy_files.document import parse
from scheduler.adapters.policy_files.kinds import ListOf, MapOf, Name, Reading, Text, Whole
from scheduler.adapters.policy_files.problems import Problems, refusal
from scheduler.adapters.policy_files.sections import Field, Record, Section
from scheduler.domain.cluster import Node
from scheduler.domain.errors import RefusalCode
from scheduler.domain.units import NodeName

NODES_MAX = 20_000

NAME = Field("name", Name(), "what the group's nodes are called, with a number behind it", is_required=True)
COUNT = Field("count", Whole(1, NODES_MAX), "how many nodes it has", is_required=True)
GPUS = Field("gpus", Whole(1, 64, "GPUs"), "GPUs of each node", is_required=True)
CPUS = Field("cpus", Whole(1, 10_000, "cores"), "CPU cores of each node", is_required=True)
MEMORY = Field("memory_gib", Whole(1, 100_000, "GiB"), "memory of each node", is_required=True)
LABELS = Field(
    "labels",
    MapOf(Text("a label's name", length_max=253), Text("a label's value", length_max=63), "labels"),
    "labels, by which a policy's GPU classes select nodes",
    is_required=True,
)
GROUP = Section("nodes[]", "Nodes that are alike.", (NAME, COUNT, GPUS, CPUS, MEMORY, LABELS))
VERSION = Field("version", Whole(1, 1), "the version of this format", is_required=True)
NODES = Field("nodes", ListOf(GROUP, high=1000, is_distinct=False), "the groups", is_required=True)
CLUSTER = Section("the file", "The cluster.", (VERSION, NODES))


def read_cluster(source: bytes, name: str) -> tuple[Node, ...]:
    """The nodes in the order of the file, without GPU classes: those are a policy's. Raises InvalidInput
    `invalid-trace` with every problem and its place."""
    problems = Problems()
    root = parse(source, problems)
    record = CLUSTER.read(root, "", Reading(problems)) if root is not None else None
    groups = (record.find(NODES) if record is not None else None) or ()
    if not problems:
        _require_distinct(groups, problems)
    if problems:
        raise refusal(name, problems.in_order(), RefusalCode.INVALID_TRACE)
    return tuple(node for group in groups for node in _nodes(group))


def _require_distinct(groups: tuple[Record, ...], problems: Problems) -> None:
    seen: set[str] = set()
    for group in groups:
        if group.value(NAME) in seen:
            problems.add(group.mark_of(NAME), f"{group.path}.name: found {group.value(NAME)!r} again")
        seen.add(group.value(NAME))
    if sum(group.value(COUNT) for group in groups) > NODES_MAX:
        problems.add(groups[0].mark, f"nodes: found more than {NODES_MAX} in all")


def _nodes(group: Record) -> list[Node]:
    return [
        Node(
            name=NodeName(f"{group.value(NAME)}-{number:04d}"),
            gpu_class=None,
            gpus=group.value(GPUS),
            cpu_milli=group.value(CPUS) * 1000,
            memory_mib=group.value(MEMORY) * 1024,
            labels=group.value(LABELS),
        )
        for number in range(group.value(COUNT))
    ]
