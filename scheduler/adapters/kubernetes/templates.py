"""A Job that somebody applied, read as the workload it asks for, or refused with the reason. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from scheduler.adapters.kubernetes.names import (
    DOMAIN,
    GPU_CLASSES,
    KIND,
    KUEUE_PREFERRED_TOPOLOGY,
    KUEUE_REQUIRED_TOPOLOGY,
    MIN_PODS,
    ON_JOBS,
    PERSONAL,
    PLACEMENT,
    PRIORITY_CLASS,
    PROJECT,
    TIME_LIMIT,
    TOPOLOGY,
    USES_COMPENSATION,
    RawObject,
)
from scheduler.adapters.kubernetes.resources import Amounts, pod_request
from scheduler.domain.cluster import GpuClass, PodRequest
from scheduler.domain.errors import InvalidInput
from scheduler.domain.topology import LevelName, TopologyAsk, TopologyMode, topology_ask
from scheduler.domain.units import MS_PER_SECOND, GpuClassName, PriorityClassName, ProjectName
from scheduler.domain.workloads import WorkloadKind, WorkloadSpec

DEFAULT_GRACE_SECONDS: Final = 30
"""Kubernetes' own default."""

_SECONDS_OF: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"(?:[0-9]{1,9}[smhd]){1,8}")
_DURATION_PART: Final = re.compile(r"([0-9]+)([smhd])")


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why a Job cannot be taken in: for its author, so it says what to write instead."""

    cause: str


_KUEUE_TOPOLOGY = (
    (KUEUE_REQUIRED_TOPOLOGY, TopologyMode.REQUIRE),
    (KUEUE_PREFERRED_TOPOLOGY, TopologyMode.PREFER),
)


class _Refused(Exception):
    pass


def read_template(job: RawObject, classes: Sequence[GpuClass]) -> WorkloadSpec | Unfit:
    """The Job as a workload.

    Labels and annotations of the Job say project, priority class (empty: the policy's default), GPU classes (else
    every class that its nodeSelector and resource allow, cheapest first) and time limit (else activeDeadlineSeconds).
    It is read as a Job that is new to us is: one that was launched has our own pin on it and may run, which nobody
    asks about any more.
    """
    metadata, spec = job["metadata"], job["spec"]
    words = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}
    pod_spec = spec["template"].get("spec") or {}
    try:
        _require_known(words)
        _require_suspended(spec)
        _require_one_run(spec)
        _require_fit_pod(pod_spec)
        asked = pod_request(pod_spec)
        nodes_with = _nodes_with(pod_spec)
        gpu_classes = _gpu_classes(words, asked, dict(nodes_with), classes)
        return WorkloadSpec(
            name=metadata["name"],
            kind=WorkloadKind.SANDBOX if words.get(KIND) == WorkloadKind.SANDBOX else WorkloadKind.JOB,
            project=_project(words),
            gpu_classes=tuple(gpu_class.name for gpu_class in gpu_classes),
            priority_class=PriorityClassName(words.get(PRIORITY_CLASS, "")),
            time_limit_ms=_time_limit_ms(words, spec),
            pods=_pods(spec),
            min_pods=_min_pods(words, spec),
            pod=PodRequest(
                gpus=asked.count(gpu_classes[0].resource) if gpu_classes else 0,
                cpu_milli=asked.cpu_milli,
                memory_mib=asked.memory_mib,
            ),
            image=_first_container(pod_spec).get("image", ""),
            command=_command(_first_container(pod_spec)),
            grace_seconds=_grace_seconds(pod_spec),
            uses_compensation=words.get(USES_COMPENSATION) == "true",
            nodes_with=nodes_with,
            topology=_topology(words, spec["template"].get("metadata") or {}),
        )
    except _Refused as refused:
        return Unfit(str(refused))


def _require_known(words: RawObject) -> None:
    """A label misspelt, such as `gpu-class` for `gpu-classes`, would let the Job run as it was not meant. What resembles
    none of ours may be somebody else's business."""
    for name in sorted(words):
        if name.startswith(DOMAIN) and name not in ON_JOBS:
            said, ours = name.removeprefix(DOMAIN), sorted(each.removeprefix(DOMAIN) for each in ON_JOBS)
            near = [each for each in ours if each.startswith(said)] or get_close_matches(said, ours, n=1, cutoff=0.8)
            if near:
                raise _Refused(f"{name} says nothing to allot; did you mean {DOMAIN}{near[0]}?")


def _require_suspended(spec: RawObject) -> None:
    """A Job that runs though we never launched it has taken its GPUs past the ledger."""
    if not spec.get("suspend"):
        raise _Refused("it was not created suspended; write `suspend: true` under spec, allot launches it")


def _require_one_run(spec: RawObject) -> None:
    """A launch lets no failed pod be made anew; but of a failure that a rule ignores none is counted, and a rule may not
    be changed. Kubernetes would wait up to ten minutes between two runs, with the GPUs held and nothing used of them."""
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        if rule.get("action") == "Ignore" and "onExitCodes" in rule:
            raise _Refused(
                "its podFailurePolicy ignores exit codes, and an attempt is one run of each pod; leave that rule out, "
                "a retry rule of the policy tries again"
            )


def _require_fit_pod(pod_spec: RawObject) -> None:
    """What the launch cannot put right, because a template may not be changed in it."""
    if pod_spec.get("restartPolicy") != "Never":
        raise _Refused("its restartPolicy is not Never; an attempt is one run of each pod")
    if pod_spec.get("nodeName"):
        raise _Refused("it names a node in nodeName; allot chooses the node, a nodeSelector may narrow the choice")
    if pod_spec.get("priorityClassName"):
        raise _Refused(
            f"it names the Kubernetes priority class {pod_spec['priorityClassName']}, by which its pods could evict "
            f"others'; leave it out, the label {PRIORITY_CLASS} says how important it is"
        )
    gates = [gate["name"] for gate in pod_spec.get("schedulingGates") or () if gate["name"] != PLACEMENT]
    if gates:
        raise _Refused(f"it has the scheduling gate {gates[0]}; nothing would open it")
    if pod_spec.get("resourceClaims"):
        raise _Refused("it asks for devices by resourceClaims; ask for a GPU resource under limits")


def _project(words: RawObject) -> ProjectName | None:
    project = words.get(PROJECT)
    if not project:
        raise _Refused(f"the label {PROJECT} is missing; name a project, or `{PERSONAL}`")
    return None if project == PERSONAL else ProjectName(project)


def _topology(words: RawObject, template: RawObject) -> TopologyAsk | None:
    """`require:rack`; as a label's value may hold no colon, a dot does as well. Where our word is not said, Kueue's on the
    pod template: these name the level by its node label, which `domain.topology.by_name` makes a level of the policy."""
    asked = words.get(TOPOLOGY)
    if not asked:
        annotations = template.get("annotations") or {}
        for key, mode in _KUEUE_TOPOLOGY:
            if annotations.get(key):
                return TopologyAsk(mode, LevelName(annotations[key]))
        return None
    try:
        return topology_ask(asked.replace(".", ":", 1))
    except InvalidInput as invalid:
        raise _Refused(f"{TOPOLOGY} is {asked[:80]!r}; expected {invalid.expected}") from invalid


def _pods(spec: RawObject) -> int:
    parallelism = 1 if spec.get("parallelism") is None else int(spec["parallelism"])
    completions = 1 if spec.get("completions") is None else int(spec["completions"])
    if parallelism != completions or parallelism < 1:
        raise _Refused(
            f"its parallelism ({parallelism}) and completions ({completions}) differ or are 0; "
            "all pods of a workload run at once"
        )
    if parallelism > 1 and spec.get("completionMode") != "Indexed":
        raise _Refused("it has several pods and no index; write `completionMode: Indexed` under spec")
    return parallelism


def _min_pods(words: RawObject, spec: RawObject) -> int | None:
    """With how few pods it still runs: what makes it elastic."""
    written = words.get(MIN_PODS)
    if not written:
        return None
    pods = _pods(spec)
    if written == str(pods):
        return None
    if not re.fullmatch(r"[0-9]{1,6}", written) or not 1 <= int(written) < pods:
        raise _Refused(f"{MIN_PODS} is {written[:80]!r}; expected a number from 1 to its {pods} pods")
    return int(written)


def _gpu_classes(
    words: RawObject, asked: Amounts, selector: dict[str, str], classes: Sequence[GpuClass]
) -> list[GpuClass]:
    known = {gpu_class.name: gpu_class for gpu_class in classes}
    resources = {gpu_class.resource for gpu_class in classes}
    used = [name for name, _ in asked.devices if name in resources]
    if len(used) > 1:
        raise _Refused(f"it asks for GPUs of two sorts, {used[0]} and {used[1]}; a workload has one")
    named = [GpuClassName(name.strip()) for name in words.get(GPU_CLASSES, "").split(",") if name.strip()]
    unknown = [name for name in named if name not in known]
    if unknown:
        raise _Refused(f"no GPU class is named {unknown[0][:80]}; there are {', '.join(sorted(known))}")
    if named:
        chosen = [known[name] for name in named]
    else:
        chosen = sorted(
            (gpu_class for gpu_class in classes if _agrees(gpu_class, selector)), key=lambda c: (c.weight, c.name)
        )
    fitting = [gpu_class for gpu_class in chosen if not used or gpu_class.resource == used[0]]
    if not used:
        others = [name for name, _ in asked.devices]
        beside = f"{others[0]} is of no GPU class; ask" if others else "ask"
        raise _Refused(f"it asks for no GPU: {beside} under resources.limits for {' or '.join(sorted(resources))}")
    if not fitting:
        raise _Refused(f"no GPU class offers {used[0]} on nodes with the labels that it asks for")
    return fitting


def _agrees(gpu_class: GpuClass, selector: dict[str, str]) -> bool:
    return all(selector.get(key, value) == value for key, value in gpu_class.node_selector)


def _nodes_with(pod_spec: RawObject) -> tuple[tuple[str, str], ...]:
    """The labels that its nodes must have: its nodeSelector, and what of its node affinity says the same."""
    selector: dict[str, str] = dict(pod_spec.get("nodeSelector") or {})
    node_affinity = (pod_spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms") or []
    if len(terms) > 1:
        raise _Refused("its node affinity has several terms; write one, or a nodeSelector")
    for term in terms:
        if term.get("matchFields"):
            raise _Refused("its node affinity matches fields; allot chooses the node, a nodeSelector may narrow it")
        for expression in term.get("matchExpressions") or ():
            values = expression.get("values") or []
            if expression.get("operator") != "In" or len(values) != 1:
                raise _Refused(
                    f"its node affinity on {expression.get('key')} is not In with one value; write a nodeSelector"
                )
            selector[expression["key"]] = values[0]
    return tuple(sorted(selector.items()))


def _time_limit_ms(words: RawObject, spec: RawObject) -> int:
    deadline = spec.get("activeDeadlineSeconds")
    written = words.get(TIME_LIMIT)
    if not written:
        if deadline is None:
            raise _Refused(
                f"it has no time limit; write the label {TIME_LIMIT}, such as 4h, or activeDeadlineSeconds"
            )
        return int(deadline) * MS_PER_SECOND
    if not _DURATION.fullmatch(written):
        raise _Refused(f"{TIME_LIMIT} is {written[:80]!r}; expected a duration such as 90m, 4h or 1d12h")
    seconds = sum(int(count) * _SECONDS_OF[unit] for count, unit in _DURATION_PART.findall(written))
    return min(seconds, int(deadline) if deadline is not None else seconds) * MS_PER_SECOND


def _grace_seconds(pod_spec: RawObject) -> int:
    grace_seconds = pod_spec.get("terminationGracePeriodSeconds")
    return DEFAULT_GRACE_SECONDS if grace_seconds is None else int(grace_seconds)


def _first_container(pod_spec: RawObject) -> RawObject:
    containers: list[RawObject] = pod_spec.get("containers") or [{}]
    return containers[0]


def _command(container: RawObject) -> tuple[str, ...]:
    return (*(container.get("command") or ()), *(container.get("args") or ()))
