"""The Job we write, what surrounds a sandbox, and the patches that launch."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.adapters.kubernetes.launching import (
    launch_patch,
    node_of_pod,
    pinned_affinity,
    placement_of,
    placement_text,
    pod_patch,
    resize_patch,
    unpinned_affinity,
)
from scheduler.adapters.kubernetes.manifests import SandboxShape, job_manifest
from scheduler.adapters.kubernetes.sandboxes import surroundings
from scheduler.adapters.kubernetes.templates import read_template
from scheduler.domain.actions import LaunchJob, ResizeJob
from scheduler.domain.cluster import GpuClass, Placement, PodRequest
from scheduler.domain.topology import topology_ask
from scheduler.domain.units import (
    AttemptId,
    EngineerId,
    GpuClassName,
    Instant,
    JobUid,
    NodeName,
    PerMille,
    PriorityClassName,
    ProjectName,
    TeamName,
    WorkloadId,
)
from scheduler.domain.workloads import Workload, WorkloadKind, WorkloadSpec
from tests.adapters.kubernetes.objects import Json, pod

H100 = GpuClass(GpuClassName("h100"), PerMille(1000), (("gpu", "H100"),))
A, B, C = NodeName("node-a"), NodeName("node-b"), NodeName("node-c")
SHAPE = SandboxShape()


def workload(spec: WorkloadSpec) -> Workload:
    return Workload(
        id=WorkloadId("w-1"),
        owner=EngineerId("e-1"),
        team=TeamName("vision"),
        spec=spec,
        submitted_at=Instant(0),
        namespace="research",
        job_name="w-1",
    )


SPEC = WorkloadSpec(
    name="w-1",
    kind=WorkloadKind.JOB,
    project=None,
    gpu_classes=(H100.name,),
    priority_class=PriorityClassName("standard"),
    time_limit_ms=60_000,
    image="registry.example/train:1",
)
PLACED = Placement(((A, 1),))


def manifest(spec: WorkloadSpec) -> Json:
    return job_manifest(workload(spec), H100, SHAPE, kept_seconds=60)


def launch(spec: WorkloadSpec, *placed: tuple[NodeName, int]) -> LaunchJob:
    return LaunchJob(workload(spec), AttemptId("a-1"), JobUid("u-1"), 3, H100, Placement(placed))


def specs() -> st.SearchStrategy[WorkloadSpec]:
    return st.builds(
        WorkloadSpec,
        name=st.just("w-1"),
        kind=st.sampled_from([WorkloadKind.JOB, WorkloadKind.SANDBOX]),
        project=st.sampled_from([None, ProjectName("atlas")]),
        gpu_classes=st.just((H100.name,)),
        priority_class=st.just(PriorityClassName("standard")),
        time_limit_ms=st.integers(1, 10**6).map(lambda seconds: seconds * 1000),
        pods=st.integers(1, 64),
        pod=st.builds(PodRequest, st.integers(1, 16), st.integers(0, 10**6), st.integers(0, 10**7)),
        image=st.just("registry.example/train:1"),
        command=st.lists(st.text(max_size=5), max_size=3).map(tuple),
        grace_seconds=st.integers(0, 3600),
        uses_compensation=st.booleans(),
        nodes_with=st.sampled_from([(), (("zone", "a"),)]),
        topology=st.sampled_from([None, topology_ask("require:rack"), topology_ask("prefer:node")]),
        min_pods=st.none() | st.integers(1, 64),
    ).map(_sane)


def _sane(spec: WorkloadSpec) -> WorkloadSpec:
    is_elastic = spec.min_pods is not None and spec.min_pods < spec.pods
    return spec if is_elastic else replace(spec, min_pods=None)


@given(specs())
def test_a_job_that_we_write_reads_back_as_what_was_asked(spec: WorkloadSpec) -> None:
    raw = manifest(spec)
    raw["metadata"]["uid"] = "u"

    assert read_template(raw, (H100,)) == spec


@given(specs(), specs())
def test_the_spec_hash_tells_two_specs_apart_and_nothing_else(one: WorkloadSpec, other: WorkloadSpec) -> None:
    hashes = [manifest(spec)["metadata"]["annotations"]["allot.dev/spec-hash"] for spec in (one, other)]

    assert (hashes[0] == hashes[1]) is (one == other)


def test_a_job_is_created_suspended_and_runs_each_pod_once() -> None:
    spec = manifest(SPEC)["spec"]

    assert spec["suspend"] is True
    assert (spec["backoffLimit"], spec["podReplacementPolicy"]) == (0, "Failed")
    assert (spec["parallelism"], spec["completions"], spec["completionMode"]) == (1, 1, "NonIndexed")
    pod_spec = spec["template"]["spec"]
    assert (pod_spec["restartPolicy"], pod_spec["automountServiceAccountToken"]) == ("Never", False)
    assert pod_spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    resources = pod_spec["containers"][0]["resources"]
    assert resources["requests"] == resources["limits"] == {"nvidia.com/gpu": "1", "cpu": "1000m", "memory": "1024Mi"}
    assert "schedulingGates" not in pod_spec


def test_a_gang_is_indexed_and_waits_at_our_gate() -> None:
    spec = manifest(replace(SPEC, pods=3))["spec"]

    assert (spec["parallelism"], spec["completions"], spec["completionMode"]) == (3, 3, "Indexed")
    assert spec["template"]["spec"]["schedulingGates"] == [{"name": "allot.dev/placement"}]


def test_a_sandbox_has_a_home_that_stays_and_furniture_that_goes_with_its_job() -> None:
    sandbox = workload(replace(SPEC, kind=WorkloadKind.SANDBOX))

    around = surroundings(sandbox, JobUid("u-1"), "s3cret", SHAPE)

    assert "ownerReferences" not in around.home["metadata"]
    assert [piece["kind"] for _, piece in around.furniture] == [
        "ServiceAccount",
        "Secret",
        "NetworkPolicy",
        "Service",
    ]
    assert all(piece["metadata"]["ownerReferences"][0]["uid"] == "u-1" for _, piece in around.furniture)


def test_the_key_of_a_sandbox_is_in_its_secret_and_nowhere_in_its_job() -> None:
    sandbox = workload(replace(SPEC, kind=WorkloadKind.SANDBOX))

    raw = job_manifest(sandbox, H100, SHAPE, kept_seconds=60)
    container = raw["spec"]["template"]["spec"]["containers"][0]

    keys = [entry["valueFrom"]["secretKeyRef"] for entry in container["env"] if "valueFrom" in entry]
    assert keys == [{"name": "w-1", "key": "key"}] * 2
    assert raw["spec"]["template"]["spec"]["serviceAccountName"] == "w-1"


def apply_patch(document: Json, patch: list[dict[str, object]]) -> Json:
    """RFC 6902 for the two operations that we use, on a copy."""
    result: Any = deepcopy(document)
    for step in patch:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in str(step["path"]).split("/")[1:]]
        target = result
        for parent in parents:
            target = target[int(parent)] if isinstance(target, list) else target[parent]
        if step["op"] == "test":
            assert target[last] == step["value"]
        else:
            target[last] = step["value"]
    changed: Json = result
    return changed


def as_stored(spec: WorkloadSpec) -> Json:
    raw = manifest(spec)
    raw["metadata"] |= {"uid": "u-1", "generation": 3}
    return raw


def test_a_launch_on_one_node_pins_it_by_name_and_opens_the_gate() -> None:
    spec = replace(SPEC, pods=2)

    launched = apply_patch(as_stored(spec), launch_patch(launch(spec, (A, 2)), changes_resource=False))

    template = launched["spec"]["template"]
    pin = {"key": "metadata.name", "operator": "In", "values": [A]}
    assert launched["spec"]["suspend"] is False
    assert template["spec"]["affinity"]["nodeAffinity"] == {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": [pin]}]}
    }
    assert template["spec"]["schedulingGates"] == []
    assert template["metadata"]["annotations"] == {
        "allot.dev/workload": "w-1",
        "allot.dev/attempt": "a-1",
        "allot.dev/placement": "node-a=2",
    }


def test_a_launch_on_several_nodes_unpins_and_shuts_the_gate() -> None:
    spec = replace(SPEC, pods=3)
    once = apply_patch(as_stored(spec), launch_patch(launch(spec, (A, 3)), changes_resource=False))

    again = apply_patch(once, launch_patch(launch(spec, (A, 1), (B, 2)), changes_resource=False))

    pod_spec = again["spec"]["template"]["spec"]
    assert pod_spec["affinity"] == {}
    assert pod_spec["schedulingGates"] == [{"name": "allot.dev/placement"}]


def test_an_elastic_job_is_launched_in_its_size_with_its_placement_on_the_job_where_it_can_change() -> None:
    spec = replace(SPEC, pods=4, min_pods=1)
    launched = apply_patch(as_stored(spec), launch_patch(launch(spec, (A, 2)), changes_resource=False))
    assert (launched["spec"]["parallelism"], launched["spec"]["completions"]) == (2, 2)
    assert launched["metadata"]["annotations"]["allot.dev/placement"] == "node-a=2"
    template = launched["spec"]["template"]
    assert "allot.dev/placement" not in template["metadata"]["annotations"]
    assert template["spec"]["schedulingGates"] == [{"name": "allot.dev/placement"}]
    assert template["spec"]["affinity"] == {}

    action = ResizeJob(workload(spec), AttemptId("a-1"), JobUid("u-1"), 3, Placement(((A, 2), (B, 1))))
    grown = apply_patch(launched, resize_patch(action))
    assert (grown["spec"]["parallelism"], grown["spec"]["completions"]) == (3, 3)
    assert grown["metadata"]["annotations"]["allot.dev/placement"] == "node-a=2,node-b=1"
    assert grown["spec"]["template"] == template


def test_a_launch_on_a_class_of_another_resource_changes_the_request() -> None:
    mig = GpuClass(GpuClassName("mig"), PerMille(140), (), resource="nvidia.com/mig-1g.10gb")

    action = replace(launch(SPEC, (A, 1)), gpu_class=mig)
    launched = apply_patch(as_stored(SPEC), launch_patch(action, changes_resource=True))

    (container,) = launched["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {
        "nvidia.com/mig-1g.10gb": "1",
        "cpu": "1000m",
        "memory": "1024Mi",
    }


@given(
    st.sampled_from(
        [
            None,
            {},
            {"podAffinity": {"x": 1}},
            {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1}]}},
            {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": ["one"]}]
                    }
                }
            },
        ]
    )
)
def test_pinning_again_replaces_the_pin_and_unpinning_gives_back_what_was(affinity: Json | None) -> None:
    pinned = pinned_affinity(affinity, A)

    assert pinned_affinity(pinned, B) == pinned_affinity(affinity, B)
    assert unpinned_affinity(pinned) == (affinity or {})


def pod_with(index: int | None, placement: str) -> Json:
    annotations = {"allot.dev/placement": placement}
    if index is not None:
        annotations["batch.kubernetes.io/job-completion-index"] = str(index)
    return pod(
        node=None,
        metadata={"annotations": annotations},
        spec={"nodeSelector": {"zone": "a"}, "schedulingGates": [{"name": "allot.dev/placement"}]},
    )


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_indexes_are_dealt_out_in_the_counts_of_the_placement(counts: list[int]) -> None:
    placement = Placement(tuple(zip((A, B, C), counts, strict=False)))
    text = placement_text(placement)

    dealt = [node_of_pod(pod_with(index, text), text) for index in range(sum(counts))]

    assert [(node, dealt.count(node)) for node, _ in placement.pods_by_node] == list(placement.pods_by_node)
    assert node_of_pod(pod_with(sum(counts), text), text) is None


@pytest.mark.parametrize(
    "gated", [pod_with(None, "node-a=1"), pod_with(0, "node-a"), pod_with(0, "node-a=x"), pod_with(0, "")]
)
def test_a_pod_without_a_readable_place_has_none(gated: Json) -> None:
    assert node_of_pod(gated, placement_of(gated["metadata"]["annotations"])) is None


def test_opening_the_gate_adds_the_host_to_the_selector() -> None:
    gated = pod_with(0, "node-a=1")

    opened = apply_patch(gated, pod_patch(gated, "host-a"))

    assert opened["spec"]["nodeSelector"] == {"zone": "a", "kubernetes.io/hostname": "host-a"}
    assert opened["spec"]["schedulingGates"] == []
