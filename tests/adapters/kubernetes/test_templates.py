"""Jobs that somebody applied: read as workloads, or refused with what to write instead."""

from dataclasses import replace

import pytest

from scheduler.adapters.kubernetes.jobs import concerns_us, read_job
from scheduler.adapters.kubernetes.templates import Unfit, read_template
from scheduler.domain.cluster import GpuClass, PodRequest
from scheduler.domain.observations import ObservedJob
from scheduler.domain.topology import topology_ask
from scheduler.domain.units import GpuClassName, Instant, JobUid, PerMille, PriorityClassName, ProjectName, WorkloadId
from scheduler.domain.workloads import WorkloadKind, WorkloadSpec
from tests.adapters.kubernetes.objects import Json, container, job

H100 = GpuClass(GpuClassName("h100"), PerMille(1000), (("gpu", "H100"),))
L4 = GpuClass(GpuClassName("l4"), PerMille(150), (("gpu", "L4"),))
MIG = GpuClass(GpuClassName("mig"), PerMille(140), (("gpu", "H100"),), resource="nvidia.com/mig-1g.10gb")
CLASSES = (H100, L4, MIG)

ASKED = WorkloadSpec(
    name="train",
    kind=WorkloadKind.JOB,
    project=ProjectName("atlas"),
    gpu_classes=(L4.name, H100.name),
    priority_class=PriorityClassName(""),
    time_limit_ms=7_200_000,
    pod=PodRequest(gpus=1, cpu_milli=2000, memory_mib=4096),
    image="registry.example/train:1",
    command=("python", "train.py"),
    grace_seconds=60,
)
GANG = {"parallelism": 4, "completions": 4, "completionMode": "Indexed"}
PLAIN = {"allot.dev/project": "atlas", "allot.dev/time-limit": "2h"}


def kueue(mode: str, label: str, annotations: dict[str, str] | None = None) -> Json:
    made = job(annotations=annotations)
    made["spec"]["template"]["metadata"] = {"annotations": {f"kueue.x-k8s.io/podset-{mode}-topology": label}}
    return made


def test_a_labelled_suspended_job_is_a_workload() -> None:
    assert read_template(job(), CLASSES) == ASKED


def test_a_name_that_resembles_none_of_ours_is_left_to_whoever_wrote_it() -> None:
    assert read_template(job(labels={**PLAIN, "allot.dev/cost-owner": "bob"}), CLASSES) == ASKED


SPARED = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
IGNORED = {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [42]}}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(
            job(labels={**PLAIN, "allot.dev/project": "personal"}), replace(ASKED, project=None), id="personal work"
        ),
        pytest.param(
            job(labels={**PLAIN, "allot.dev/priority-class": "urgent"}),
            replace(ASKED, priority_class=PriorityClassName("urgent")),
            id="a priority class",
        ),
        pytest.param(
            job(annotations={"allot.dev/gpu-classes": "h100, l4"}),
            replace(ASKED, gpu_classes=(H100.name, L4.name)),
            id="GPU classes in order of preference",
        ),
        pytest.param(
            job(pod={"nodeSelector": {"gpu": "H100", "zone": "a"}}),
            replace(ASKED, gpu_classes=(H100.name,), nodes_with=(("gpu", "H100"), ("zone", "a"))),
            id="a node selector that leaves one class",
        ),
        pytest.param(
            job(labels={"allot.dev/project": "atlas"}, spec={"activeDeadlineSeconds": 90}),
            replace(ASKED, time_limit_ms=90_000),
            id="a time limit as activeDeadlineSeconds",
        ),
        pytest.param(
            job(labels={**PLAIN, "allot.dev/time-limit": "1d12h"}, spec={"activeDeadlineSeconds": 60}),
            replace(ASKED, time_limit_ms=60_000),
            id="the shorter of two time limits",
        ),
        pytest.param(
            job(spec=GANG, annotations={"allot.dev/min-pods": "2"}),
            replace(ASKED, pods=4, min_pods=2),
            id="fewer pods that it runs with",
        ),
        pytest.param(
            job(spec=GANG, annotations={"allot.dev/min-pods": "4"}),
            replace(ASKED, pods=4),
            id="as few pods as it has, which makes it none that is elastic",
        ),
        pytest.param(
            job(annotations={"allot.dev/topology": "require:rack"}),
            replace(ASKED, topology=topology_ask("require:rack")),
            id="a topology level as an annotation",
        ),
        pytest.param(
            job(labels={**PLAIN, "allot.dev/topology": "prefer.block"}),
            replace(ASKED, topology=topology_ask("prefer:block")),
            id="a topology level as a label, which holds no colon",
        ),
        pytest.param(
            kueue("required", "cloud.example/rack"),
            replace(ASKED, topology=topology_ask("require:cloud.example/rack")),
            id="what Kueue calls required topology",
        ),
        pytest.param(
            kueue("preferred", "cloud.example/rack"),
            replace(ASKED, topology=topology_ask("prefer:cloud.example/rack")),
            id="what Kueue calls preferred topology",
        ),
        pytest.param(
            kueue("preferred", "cloud.example/rack", annotations={"allot.dev/topology": "require:block"}),
            replace(ASKED, topology=topology_ask("require:block")),
            id="our own word before Kueue's",
        ),
        pytest.param(
            job(spec={"parallelism": 4, "completions": 4, "completionMode": "Indexed"}),
            replace(ASKED, pods=4),
            id="an indexed gang",
        ),
        pytest.param(
            job(pod={"containers": [container({"nvidia.com/mig-1g.10gb": "2"})]}),
            replace(ASKED, gpu_classes=(MIG.name,), pod=PodRequest(2, 0, 0)),
            id="a MIG profile",
        ),
        pytest.param(
            job(spec={"podFailurePolicy": {"rules": [SPARED, {**IGNORED, "action": "FailJob"}]}}),
            ASKED,
            id="a rule that spares what the platform ends",
        ),
        pytest.param(
            job(annotations={"allot.dev/uses-compensation": "true"}),
            replace(ASKED, uses_compensation=True),
            id="the owner's word",
        ),
    ],
)
def test_what_a_job_says_is_read(raw: Json, expected: WorkloadSpec) -> None:
    assert read_template(raw, CLASSES) == expected


def affinity(*terms: Json) -> Json:
    required = {"nodeSelectorTerms": list(terms)}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


ZONE = {"key": "zone", "operator": "In", "values": ["a"]}


def test_an_affinity_that_says_what_a_selector_could_is_one() -> None:
    asked = read_template(job(pod=affinity({"matchExpressions": [ZONE]})), CLASSES)

    assert asked == replace(ASKED, nodes_with=(("zone", "a"),))


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (job(spec={"suspend": False}), "was not created suspended"),
        (
            job(spec={"suspend": False}, template_annotations={"allot.dev/attempt": "forged"}),
            "was not created suspended",
        ),
        (
            job(annotations={"allot.dev/gpu-class": "h100"}),
            "allot.dev/gpu-class says nothing to allot; did you mean allot.dev/gpu-classes?",
        ),
        (job(labels={**PLAIN, "allot.dev/priority": "urgent"}), "did you mean allot.dev/priority-class?"),
        (job(labels={**PLAIN, "allot.dev/timelimit": "1h"}), "did you mean allot.dev/time-limit?"),
        (job(labels={"allot.dev/time-limit": "2h"}), "allot.dev/project is missing"),
        (job(labels={"allot.dev/project": "atlas"}), "has no time limit"),
        (job(annotations={"allot.dev/topology": "rack"}), "expected require:LEVEL or prefer:LEVEL"),
        (job(spec=GANG, annotations={"allot.dev/min-pods": "5"}), "a number from 1 to its 4 pods"),
        (job(spec=GANG, annotations={"allot.dev/min-pods": "0"}), "a number from 1 to its 4 pods"),
        (job(spec=GANG, annotations={"allot.dev/min-pods": "two"}), "a number from 1 to its 4 pods"),
        (job(labels={**PLAIN, "allot.dev/time-limit": "soon"}), "expected a duration such as 90m"),
        (job(labels={**PLAIN, "allot.dev/time-limit": "-1h"}), "expected a duration such as 90m"),
        (job(labels={**PLAIN, "allot.dev/time-limit": "10"}), "expected a duration such as 90m"),
        (job(labels={**PLAIN, "allot.dev/time-limit": "1e3h"}), "expected a duration such as 90m"),
        (job(labels={**PLAIN, "allot.dev/time-limit": "4h\n"}), "expected a duration such as 90m"),
        (job(labels={**PLAIN, "allot.dev/time-limit": "٤h"}), "expected a duration such as 90m"),
        (job(labels={**PLAIN, "allot.dev/time-limit": "9d" * 9}), "expected a duration such as 90m"),
        (job(labels={**PLAIN, "allot.dev/time-limit": "x" * 60_000}), "is '" + "x" * 80 + "';"),
        (job(annotations={"allot.dev/gpu-classes": "h" * 60_000}), "is named " + "h" * 80 + ";"),
        (job(pod={"restartPolicy": "OnFailure"}), "restartPolicy is not Never"),
        (job(spec={"podFailurePolicy": {"rules": [SPARED, IGNORED]}}), "ignores exit codes"),
        (job(pod={"nodeName": "node-1"}), "names a node"),
        (
            job(pod={"priorityClassName": "high"}),
            "priority class high, by which its pods could evict others'; leave it out",
        ),
        (job(pod={"schedulingGates": [{"name": "example.com/gate"}]}), "scheduling gate example.com/gate"),
        (job(pod={"resourceClaims": [{"name": "gpu"}]}), "resourceClaims"),
        (job(spec={"parallelism": 2, "completions": 4}), "completions (4) differ"),
        (job(spec={"parallelism": 0, "completions": 0}), "differ or are 0"),
        (job(spec={"parallelism": 2, "completions": 2}), "completionMode: Indexed"),
        (job(annotations={"allot.dev/gpu-classes": "h900"}), "no GPU class is named h900; there are h100, l4, mig"),
        (job(annotations={"allot.dev/gpu-classes": "mig"}), "no GPU class offers nvidia.com/gpu"),
        (job(pod={"nodeSelector": {"gpu": "B300"}}), "no GPU class offers nvidia.com/gpu"),
        (job(pod={"containers": [container({"cpu": "1"})]}), "asks for no GPU: ask under resources.limits"),
        (
            job(pod={"containers": [container({"nvidia.com/mig-3g.40gb": "1"})]}),
            "asks for no GPU: nvidia.com/mig-3g.40gb is of no GPU class; ask under resources.limits for nvidia.com/gpu or",
        ),
        (
            job(pod={"containers": [container({"nvidia.com/gpu": "1", "nvidia.com/mig-1g.10gb": "1"})]}),
            "GPUs of two sorts",
        ),
        (job(pod=affinity({"matchExpressions": [ZONE]}, {"matchExpressions": [ZONE]})), "several terms"),
        (job(pod=affinity({"matchFields": [{**ZONE, "key": "metadata.name"}]})), "allot chooses the node"),
        (job(pod=affinity({"matchExpressions": [{**ZONE, "operator": "NotIn"}]})), "not In with one value"),
    ],
)
def test_what_cannot_be_made_fit_is_refused_with_the_cause(raw: Json, cause: str) -> None:
    unfit = read_template(raw, CLASSES)

    assert isinstance(unfit, Unfit)
    assert cause in unfit.cause


@pytest.mark.parametrize(
    ("raw", "concerned"),
    [
        pytest.param(job(labels={}), True, id="it asks for a GPU"),
        pytest.param(
            job(labels={}, pod={"containers": [container({"cpu": "1"})]}), False, id="nothing to do with us"
        ),
        pytest.param(job(pod={"containers": [container({"cpu": "1"})]}), True, id="it carries a label of ours"),
        pytest.param(job(labels={"kueue.x-k8s.io/queue-name": "q"}), False, id="it is Kueue's"),
        pytest.param(
            job(labels={"kueue.x-k8s.io/queue-name": "q"}, annotations={"allot.dev/workload": "w"}),
            False,
            id="it is Kueue's whatever else it says",
        ),
        pytest.param(
            job(labels={"kueue.x-k8s.io/queue-name": "q"}, template_annotations={"allot.dev/attempt": "a"}),
            True,
            id="we launched it, before it was labelled as Kueue's",
        ),
        pytest.param(
            job(labels={}, annotations={"allot.dev/author": "ada"}, pod={"containers": [container({"cpu": "1"})]}),
            False,
            id="the stamp of its author alone",
        ),
    ],
)
def test_a_job_concerns_us_when_it_is_a_workload(raw: Json, concerned: bool) -> None:
    assert concerns_us(raw, CLASSES) is concerned


def test_a_failed_job_is_read_whole() -> None:
    raw = job(
        annotations={
            "allot.dev/author": "ada@example.com",
            "allot.dev/workload": "w-1",
            "allot.dev/spec-hash": "abc",
            "allot.dev/checkpointed-at": "2026-03-02T10:30:00Z",
        },
        spec={"suspend": False},
        template_annotations={"allot.dev/attempt": "a-1"},
        status={
            "active": 0,
            "terminating": 1,
            "conditions": [
                {"type": "Suspended", "status": "False"},
                {
                    "type": "Failed",
                    "status": "True",
                    "reason": "BackoffLimitExceeded",
                    "message": "Job has reached the specified backoff limit",
                    "lastTransitionTime": "2026-03-02T11:00:00Z",
                },
            ],
        },
    )

    assert read_job(raw, CLASSES) == ObservedJob(
        uid=JobUid("uid-of-train"),
        name="train",
        namespace="research",
        generation=1,
        created_at=Instant(1_772_445_600_000),
        is_suspended=False,
        terminating=1,
        is_failed=True,
        failure="BackoffLimitExceeded: Job has reached the specified backoff limit",
        ended_at=Instant(1_772_449_200_000),
        workload_id=WorkloadId("w-1"),
        attempt_id="a-1",
        author="ada@example.com",
        unfit="it was not created suspended; write `suspend: true` under spec, allot launches it",
        spec_hash="abc",
        checkpointed_at=Instant(1_772_447_400_000),
        keeps_state=False,
    )


KEEPING: dict[str, tuple[Json, bool]] = {
    "nothing": ({}, False),
    "a claim": ({"volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": "home"}}]}, True),
    "volumes that go with the pod": (
        {"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "ephemeral": {"volumeClaimTemplate": {}}}]},
        False,
    ),
    "a hook that saves": (
        {"containers": [{"name": "main", "lifecycle": {"preStop": {"exec": {"command": ["save"]}}}}]},
        True,
    ),
    "a hook at the start alone": (
        {"containers": [{"name": "main", "lifecycle": {"postStart": {"exec": {"command": ["load"]}}}}]},
        False,
    ),
}


@pytest.mark.parametrize(("pod_spec", "keeps"), KEEPING.values(), ids=KEEPING)
def test_a_job_keeps_its_state_in_a_claim_or_by_a_hook(pod_spec: Json, keeps: bool) -> None:
    raw = job()
    raw["spec"]["template"]["spec"] |= pod_spec
    assert read_job(raw, CLASSES).keeps_state is keeps


PROBES: dict[str, tuple[Json, bool]] = {
    "a request": ({"readinessProbe": {"httpGet": {"port": 8888}, "periodSeconds": 10}}, True),
    "a connection": ({"livenessProbe": {"tcpSocket": {"port": 8888}}}, True),
    "a call": ({"startupProbe": {"grpc": {"port": 8888}}}, True),
    "a command": ({"readinessProbe": {"exec": {"command": ["true"]}}}, False),
    "nothing": ({}, False),
}


@pytest.mark.parametrize("kind", ["containers", "initContainers"])
@pytest.mark.parametrize(("container", "is_probed"), PROBES.values(), ids=PROBES)
def test_a_job_whose_pods_the_kubelet_connects_to_is_known(container: Json, is_probed: bool, kind: str) -> None:
    raw = job()
    raw["spec"]["template"]["spec"] |= {kind: [{"name": "main", **container}]}
    assert read_job(raw, CLASSES).is_probed is is_probed


@pytest.mark.parametrize(
    ("words", "is_confirmed"),
    [
        ({"annotations": {"allot.dev/confirmed": "true"}}, True),
        ({"labels": {"allot.dev/confirmed": "true"}}, True),
        ({"annotations": {"allot.dev/confirmed": "false"}}, False),
        ({}, False),
    ],
)
def test_a_job_says_whether_its_owner_need_not_be_asked(words: Json, is_confirmed: bool) -> None:
    raw = job()
    for key, said in words.items():
        raw["metadata"][key] = {**(raw["metadata"].get(key) or {}), **said}
    assert read_job(raw, CLASSES).is_confirmed is is_confirmed


def test_a_suspended_job_is_confirmed_by_its_condition() -> None:
    raw = job(status={"conditions": [{"type": "Suspended", "status": "True"}]})

    read = read_job(raw, CLASSES)

    assert (read.is_suspended, read.is_confirmed_suspended, read.has_ended) == (True, True, False)


def test_a_complete_job_ended_when_it_says() -> None:
    raw = job(
        status={
            "conditions": [{"type": "Complete", "status": "True"}],
            "completionTime": "2026-03-02T10:00:01Z",
        }
    )

    read = read_job(raw, CLASSES)

    assert (read.is_complete, read.ended_at) == (True, 1_772_445_601_000)


def test_what_its_pods_ask_for_is_read_while_it_is_suspended_fit_or_not() -> None:
    pinned = affinity({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n0"]}]})
    fit, unfit = read_job(job(), CLASSES), read_job(job(pod=pinned), CLASSES)

    assert (fit.pod, unfit.pod) == (ASKED.pod, ASKED.pod)
    assert unfit.asked is None
    assert read_job(job(spec={"suspend": False}), CLASSES).pod is None
