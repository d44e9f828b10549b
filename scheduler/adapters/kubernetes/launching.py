"""The patches that launch a Job and send its pods where the placement says. Pure."""

from collections.abc import Mapping
from typing import Final

from scheduler.adapters.kubernetes.manifests import GATE, UNTRACKED, container_resources, tolerations
from scheduler.adapters.kubernetes.names import (
    ATTEMPT,
    COMPLETION_INDEX,
    HOSTNAME,
    OVER_SECONDS,
    PLACEMENT,
    RawObject,
)
from scheduler.domain.actions import LaunchJob, ResizeJob
from scheduler.domain.cluster import Placement
from scheduler.domain.units import NodeName

Patch = list[dict[str, object]]

_TEMPLATE: Final = "/spec/template"
_NODE_NAME: Final = "metadata.name"
_INDEXED: Final = "Indexed"
_PLACEMENT: Final = "/metadata/annotations/allot.dev~1placement"


def launch_patch(action: LaunchJob, *, changes_resource: bool) -> Patch:
    """For a Job that we created, whose template is known without reading it.

    `changes_resource` is True where the classes it may run on are different resources: then its request is set to
    that of the class it was placed on.
    """
    patch = [
        *_guards(action),
        _put("/spec/suspend", False),
        *_size(action.placement),
        *(_put(f"{_TEMPLATE}/metadata/annotations/{_escaped(key)}", term) for key, term in _terms(action).items()),
        _put(f"{_TEMPLATE}/spec/affinity", _affinity(action, None)),
        _put(f"{_TEMPLATE}/spec/schedulingGates", [GATE] if _waits_at_gate(action) else []),
    ]
    if _is_elastic(action):
        patch.append(_put(_PLACEMENT, placement_text(action.placement)))
    if changes_resource:
        resources = container_resources(action.workload.spec, action.gpu_class)
        patch.append(_put(f"{_TEMPLATE}/spec/containers/0/resources", resources))
    if action.gpu_class.tolerates:  # the Job may have been made for another class
        patch.append(_put(f"{_TEMPLATE}/spec/tolerations", tolerations(action.gpu_class)))
    return patch


def adopting_patch(action: LaunchJob, job: RawObject) -> RawObject:
    """For a Job that a user applied: the same, beside what the user wrote, and made to run each pod once.

    As a strategic merge patch it costs the apiserver a sixth less than a list of changes would. It tests nothing, but says
    of which version of the Job it is, and is refused where the Job was written since.
    """
    pod_spec = job["spec"]["template"].get("spec") or {}
    gate = GATE if _waits_at_gate(action) else {"$patch": "delete", **GATE}
    template: RawObject = {**_said_affinity(action, pod_spec.get("affinity")), "schedulingGates": [gate]}
    borne = pod_spec.get("tolerations") or []
    lacking = [
        each for each in tolerations(action.gpu_class) if not any(_bears(known, each["key"]) for known in borne)
    ]
    if lacking:
        template["tolerations"] = [*borne, *lacking]
    metadata: RawObject = {"uid": action.job_uid, "resourceVersion": job["metadata"]["resourceVersion"]}
    if _is_elastic(action):
        metadata["annotations"] = {PLACEMENT: placement_text(action.placement)}
    if _is_tracked_for_nobody(job):
        metadata["managedFields"] = UNTRACKED
    pods = action.placement.pods
    return {
        "metadata": metadata,
        "spec": {
            "suspend": False,
            "parallelism": pods,
            **({"completions": pods} if _is_indexed(job) else {}),
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "template": {"metadata": {"annotations": {PLACEMENT: None, **_terms(action)}}, "spec": template},
        },
    }


def adoptable(job: RawObject) -> RawObject:
    """What `adopting_patch` reads of a Job, and no more: kept of each that waits, so that a launch need not ask."""
    pod_spec = job["spec"]["template"].get("spec") or {}
    kept = {key: pod_spec[key] for key in ("affinity", "tolerations") if pod_spec.get(key)}
    tracked = [{"operation": operation} for operation in sorted(_operations(job))]
    mode = {"completionMode": _INDEXED} if _is_indexed(job) else {}
    return {
        "metadata": {"resourceVersion": job["metadata"]["resourceVersion"], "managedFields": tracked},
        "spec": {**mode, "template": {"spec": kept}},
    }


def resize_patch(action: ResizeJob) -> Patch:
    """Both at once, as Kubernetes lets an Indexed Job be resized: it ends the pods of the highest indexes."""
    said = [_put(_PLACEMENT, placement_text(action.placement))] if _is_elastic(action) else []
    return [*_guards(action), *_size(action.placement), *said]


def _size(placement: Placement) -> Patch:
    """As many pods as were placed: somebody may have changed that since."""
    return [_put("/spec/parallelism", placement.pods), _put("/spec/completions", placement.pods)]


def _is_indexed(job: RawObject) -> bool:
    """Only then may `completions` change. One that counts no completions, whose only pod decides, may not be given any."""
    return bool(job["spec"].get("completionMode") == _INDEXED)


def _bears(toleration: RawObject, key: str) -> bool:
    """Whether it bears every taint of the key; one that bears less gets ours beside it."""
    return (
        toleration.get("key") in {key, None}
        and toleration.get("operator") == "Exists"
        and not toleration.get("effect")
    )


def _is_elastic(action: LaunchJob | ResizeJob) -> bool:
    return action.workload.spec.min_pods is not None


def _is_tracked_for_nobody(job: RawObject) -> bool:
    """Whether the apiserver keeps, at each write, who wrote which field, though nobody applies it server-side (ADR 18)."""
    return _operations(job) == {"Update"}


def _operations(job: RawObject) -> set[str]:
    return {entry["operation"] for entry in job["metadata"].get("managedFields") or ()}


def suspend_patch(job_uid: str) -> Patch:
    return [_test("/metadata/uid", job_uid), _put("/spec/suspend", True)]


def ending_patch(job_uid: str) -> Patch:
    """For one that is deleted and kept: its controller ends its pods once its deadline is over, unless it is suspended."""
    deadline = _put("/spec/activeDeadlineSeconds", OVER_SECONDS)
    return [_test("/metadata/uid", job_uid), _put("/spec/suspend", False), deadline]


def pod_patch(pod: RawObject, hostname: str) -> Patch:
    """Send a gated pod to its node: its selector gains the host name, and the gate goes."""
    spec = pod["spec"]
    gates = [gate for gate in spec.get("schedulingGates") or () if gate["name"] != PLACEMENT]
    return [
        _test("/metadata/uid", pod["metadata"]["uid"]),
        _put("/spec/nodeSelector", {**(spec.get("nodeSelector") or {}), HOSTNAME: hostname}),
        _put("/spec/schedulingGates", gates),
    ]


def placement_text(placement: Placement) -> str:
    """`node-a=2,node-b=4`: what the annotation says; indexes are dealt out in this order."""
    return ",".join(f"{node}={pods}" for node, pods in placement.pods_by_node)


def placement_of(annotations: Mapping[str, str] | None) -> str:
    """What is said there of where pods go; empty where nothing is."""
    return (annotations or {}).get(PLACEMENT, "")


def node_of_pod(pod: RawObject, placement: str) -> NodeName | None:
    """Which node a pod is meant for: from the placement and its index alone, so that a restart changes nothing."""
    annotations: Mapping[str, str] = pod["metadata"].get("annotations") or {}
    try:
        index = int(annotations[COMPLETION_INDEX])
        for part in placement.split(","):
            node, _, pods = part.rpartition("=")
            if index < int(pods):
                return NodeName(node)
            index -= int(pods)
    except (KeyError, ValueError):
        return None
    return None


def _terms(action: LaunchJob) -> dict[str, str]:
    """What every pod is told. The template of a Job that runs cannot change: so it does not say where the pods of an
    elastic one go."""
    where = {} if _is_elastic(action) else {PLACEMENT: placement_text(action.placement)}
    return {ATTEMPT: action.attempt_id, **where}


def _guards(action: LaunchJob | ResizeJob) -> Patch:
    """The Job must be the one that was judged, and as it was judged."""
    return [_test("/metadata/uid", action.job_uid), _test("/metadata/generation", action.generation)]


def _waits_at_gate(action: LaunchJob) -> bool:
    """One node is pinned by affinity. Several are not: affinity cannot pin counts, so each pod waits at a gate; and so
    do those of an elastic Job, which may come to stand on more."""
    return not action.placement.is_single_node or _is_elastic(action)


def _affinity(action: LaunchJob, known: RawObject | None) -> RawObject:
    if _waits_at_gate(action):
        return unpinned_affinity(known)
    return pinned_affinity(known, action.placement.pods_by_node[0][0])


def _said_affinity(action: LaunchJob, known: RawObject | None) -> RawObject:
    """For a strategic merge patch. Only what is there is said to be replaced: where nothing is, the apiserver drops a map
    that says so with all that it holds, and the pod would go to any node."""
    affinity = _affinity(action, known)
    if known:
        return {"affinity": {"$patch": "replace", **affinity}}
    return {"affinity": affinity} if affinity else {}


def pinned_affinity(affinity: RawObject | None, node: NodeName) -> RawObject:
    """The affinity with this node required, ANDed into each of its terms; an earlier pin of ours is replaced."""
    pin = {"key": _NODE_NAME, "operator": "In", "values": [node]}
    unpinned = unpinned_affinity(affinity)
    node_affinity = unpinned.get("nodeAffinity") or {}
    required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = [
        {**term, "matchFields": [*(term.get("matchFields") or ()), pin]}
        for term in required.get("nodeSelectorTerms") or [{}]
    ]
    return {
        **unpinned,
        "nodeAffinity": {
            **node_affinity,
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms},
        },
    }


def unpinned_affinity(affinity: RawObject | None) -> RawObject:
    """The affinity without our pin; a term that said nothing else goes, and so does what it leaves empty."""
    node_affinity = dict((affinity or {}).get("nodeAffinity") or {})
    required = node_affinity.pop("requiredDuringSchedulingIgnoredDuringExecution", None) or {}
    terms = [term for term in map(_without_pin, required.get("nodeSelectorTerms") or ()) if term]
    if terms:
        node_affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": terms}
    rest = {key: value for key, value in (affinity or {}).items() if key != "nodeAffinity"}
    return {**rest, "nodeAffinity": node_affinity} if node_affinity else rest


def _without_pin(term: RawObject) -> RawObject:
    fields = [field for field in term.get("matchFields") or () if field.get("key") != _NODE_NAME]
    rest = {key: value for key, value in term.items() if key != "matchFields"}
    return {**rest, "matchFields": fields} if fields else rest


def _escaped(key: str) -> str:
    """As a step of a JSON Pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _put(path: str, value: object) -> dict[str, object]:
    """RFC 6902 `add` sets a member whether it is there or not, so doing it twice is harmless."""
    return {"op": "add", "path": path, "value": value}


def _test(path: str, value: object) -> dict[str, object]:
    return {"op": "test", "path": path, "value": value}
