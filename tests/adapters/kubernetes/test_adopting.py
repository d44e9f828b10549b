"""The launch of a Job that a user applied: what of theirs stays, and what it needs beside it."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import cast

import orjson
import pytest

from scheduler.adapters.kubernetes.connection import Answer, Connection
from scheduler.adapters.kubernetes.launching import adoptable, adopting_patch, launch_patch
from scheduler.adapters.kubernetes.manifests import SandboxShape, job_manifest
from scheduler.adapters.kubernetes.mirror import ClusterMirror
from scheduler.adapters.kubernetes.writing import Writer
from scheduler.domain.actions import ActionResult, LaunchJob
from scheduler.domain.units import Instant
from scheduler.domain.workloads import Origin
from tests.adapters.kubernetes.objects import Json, job
from tests.adapters.kubernetes.test_manifests import SPEC, A, launch


def merged(known: Json, patch: Json) -> Json:
    """The Job after a strategic merge patch, as far as a launch makes use of them: of all lists only that of gates is
    merged, by name, and a map that is to replace what is not there comes to nothing. That the apiserver does the same is
    seen in test_kubectl_jobs.py."""
    result = {} if patch.get("$patch") == "replace" else deepcopy(known)
    for key, value in patch.items():
        if key == "schedulingGates":
            names = [gate["name"] for gate in value]
            result[key] = [gate for gate in result.get(key, ()) if gate["name"] not in names]
            result[key] += [gate for gate in value if "$patch" not in gate]
        elif isinstance(value, dict) and (key in result or "$patch" not in value):
            result[key] = merged(result.get(key) or {}, value)
        elif isinstance(value, dict):
            continue
        elif value is None:
            result.pop(key, None)
        elif key != "$patch":
            result[key] = value
    return result


def as_stored(raw: Json) -> Json:
    raw["metadata"] |= {"uid": "u-1", "generation": 3}
    return raw


@pytest.mark.parametrize("annotations", [{}, {"theirs": "kept", "allot.dev/min-pods": "1"}])
def test_an_elastic_job_of_kubectl_goes_where_we_say_whatever_its_template_says(annotations: dict[str, str]) -> None:
    theirs = as_stored(job(template_annotations={"allot.dev/placement": "node-z=9"}, annotations=annotations))

    patch = adopting_patch(launch(replace(SPEC, pods=4, min_pods=1), (A, 2)), adoptable(theirs))

    launched = merged(theirs, patch)
    assert launched["metadata"]["annotations"] == {**annotations, "allot.dev/placement": "node-a=2"}
    assert "allot.dev/placement" not in launched["spec"]["template"]["metadata"]["annotations"]


def test_launching_a_job_of_kubectl_keeps_what_its_author_wrote() -> None:
    theirs = as_stored(
        job(
            pod={
                "affinity": {
                    "podAffinity": {"x": 1},
                    "nodeAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1}],
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [{"matchExpressions": ["one"]}, {"matchExpressions": ["two"]}]
                        },
                    },
                },
                "schedulingGates": [{"name": "theirs"}, {"name": "allot.dev/placement"}],
                "tolerations": [{"key": "spot", "operator": "Exists"}],
            },
            template_annotations={"theirs": "kept"},
        )
    )

    launched = merged(theirs, adopting_patch(launch(SPEC, (A, 1)), adoptable(theirs)))

    template = launched["spec"]["template"]
    pin = {"key": "metadata.name", "operator": "In", "values": [A]}
    assert template["metadata"]["annotations"]["theirs"] == "kept"
    assert template["spec"]["schedulingGates"] == [{"name": "theirs"}]
    assert template["spec"]["affinity"] == {
        "podAffinity": {"x": 1},
        "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1}],
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": ["one"], "matchFields": [pin]},
                    {"matchExpressions": ["two"], "matchFields": [pin]},
                ]
            },
        },
    }
    assert template["spec"]["tolerations"] == [
        {"key": "spot", "operator": "Exists"},
        {"key": "nvidia.com/gpu", "operator": "Exists"},
    ]
    assert (launched["spec"]["backoffLimit"], launched["spec"]["podReplacementPolicy"]) == (0, "Failed")


@pytest.mark.parametrize("pod", [{}, {"affinity": {}}, {"affinity": {"podAffinity": {"x": 1}}}], ids=str)
def test_a_job_of_kubectl_goes_to_its_node_whatever_affinity_it_came_with(pod: Json) -> None:
    theirs = as_stored(job(pod=pod))

    launched = merged(theirs, adopting_patch(launch(SPEC, (A, 1)), adoptable(theirs)))

    pin = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [A]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [pin]}}
    assert launched["spec"]["template"]["spec"]["affinity"] == {**pod.get("affinity", {}), "nodeAffinity": required}


@pytest.mark.parametrize(
    "tolerations",
    [
        pytest.param([{"operator": "Exists"}], id="every taint"),
        pytest.param([{"key": "nvidia.com/gpu", "operator": "Exists"}], id="ours"),
    ],
)
def test_a_job_that_tolerates_the_gpu_taint_needs_no_more(tolerations: list[Json]) -> None:
    theirs = job(pod={"tolerations": tolerations})

    patch = adopting_patch(launch(SPEC, (A, 1)), theirs)

    assert "tolerations" not in patch["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("operations", "said"),
    [
        pytest.param(["Update", "Update"], [{}], id="written by clients that track nothing"),
        pytest.param(["Apply", "Update"], None, id="applied server-side by somebody"),
        pytest.param([], None, id="not tracked"),
    ],
)
def test_a_launch_ends_the_tracking_of_fields_where_nobody_rests_on_it(
    operations: list[str], said: list[Json] | None
) -> None:
    theirs = job()
    theirs["metadata"]["managedFields"] = [{"manager": "theirs", "operation": each} for each in operations]

    patches = [adopting_patch(launch(SPEC, (A, 1)), known) for known in (theirs, adoptable(theirs))]

    for patch in patches:
        assert patch["metadata"].get("managedFields") == said


class Apiserver:
    """Keeps one Job, whose version is not the one that a launch was told, and answers as the apiserver does."""

    def __init__(self, known: Json, refuses_always: bool = False) -> None:
        self.job = known
        self.refuses_always = refuses_always
        self.asked: list[str] = []

    async def request(self, method: str, _: str, *, body: bytes = b"", **__: object) -> Answer:
        self.asked.append(method)
        if method == "GET":
            return Answer(200, orjson.dumps(self.job))
        version = orjson.loads(body)["metadata"]["resourceVersion"]
        if version != self.job["metadata"]["resourceVersion"] or self.refuses_always:
            return Answer(409, b'{"message": "the object has been modified"}')
        self.job = merged(self.job, orjson.loads(body))
        return Answer(200, orjson.dumps({"metadata": self.job["metadata"]}))


def written(apiserver: Apiserver, known: Json) -> Writer:
    mirror = ClusterMirror(("research",))
    mirror.put_job(known)
    return Writer(cast(Connection, apiserver), mirror, now=lambda: Instant(0))


def of_kubectl() -> LaunchJob:
    asked = launch(SPEC, (A, 1))
    return replace(asked, workload=replace(asked.workload, origin=Origin.KUBECTL))


@pytest.mark.parametrize(
    ("generation", "result", "asked"),
    [
        pytest.param(3, ActionResult.DONE, ["PATCH", "GET", "PATCH"], id="beside what was judged"),
        pytest.param(4, ActionResult.STALE, ["PATCH", "GET"], id="what was judged"),
    ],
)
async def test_a_job_that_was_written_since_it_was_seen_is_launched_where_it_is_as_it_was_judged(
    generation: int, result: ActionResult, asked: Sequence[str]
) -> None:
    seen = as_stored(job())
    now = deepcopy(seen)
    now["metadata"] |= {"resourceVersion": "8", "generation": generation, "labels": {"somebody": "wrote this"}}
    apiserver = Apiserver(now)

    outcome = await written(apiserver, seen).carry_out(of_kubectl())

    assert (outcome.result, apiserver.asked) == (result, asked)
    assert apiserver.job["metadata"]["labels"] == {"somebody": "wrote this"}
    assert apiserver.job["spec"]["suspend"] is (result is not ActionResult.DONE)


async def test_a_job_that_is_written_all_the_time_is_tried_again_by_the_next_cycle() -> None:
    seen = as_stored(job())
    apiserver = Apiserver(seen, refuses_always=True)

    outcome = await written(apiserver, seen).carry_out(of_kubectl())

    assert outcome.result is ActionResult.RETRY
    assert apiserver.asked.count("PATCH") == 6


@pytest.mark.parametrize(
    "toleration",
    [
        pytest.param({"key": "nvidia.com/gpu", "operator": "Equal", "value": "other"}, id="another value"),
        pytest.param({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}, id="another effect"),
        pytest.param({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}, id="one effect"),
        pytest.param({"key": "nvidia.com/gpu", "value": "other"}, id="Equal, as it is where nothing is said"),
    ],
)
def test_a_job_that_tolerates_the_gpu_taint_in_part_gets_the_rest(toleration: Json) -> None:
    theirs = job(pod={"tolerations": [toleration]})

    patches = [adopting_patch(launch(SPEC, (A, 1)), known) for known in (theirs, adoptable(theirs))]

    for patch in patches:
        assert merged(theirs, patch)["spec"]["template"]["spec"]["tolerations"] == [
            toleration,
            {"key": "nvidia.com/gpu", "operator": "Exists"},
        ]


def test_pods_tolerate_what_the_gpu_class_of_their_nodes_says() -> None:
    asked = launch(SPEC, (A, 1))
    asked = replace(asked, gpu_class=replace(asked.gpu_class, tolerates=("sku", "spot")))
    gpu, sku, spot = ({"key": key, "operator": "Exists"} for key in ("nvidia.com/gpu", "sku", "spot"))

    made = job_manifest(asked.workload, asked.gpu_class, SandboxShape(), kept_seconds=60)
    assert made["spec"]["template"]["spec"]["tolerations"] == [gpu, sku, spot]
    told = {str(step["path"]): step["value"] for step in launch_patch(asked, changes_resource=False)}
    assert told["/spec/template/spec/tolerations"] == [gpu, sku, spot]
    theirs = job(pod={"tolerations": [sku]})
    launched = merged(theirs, adopting_patch(asked, theirs))
    assert launched["spec"]["template"]["spec"]["tolerations"] == [sku, gpu, spot]


@pytest.mark.parametrize(("mode", "is_set"), [("Indexed", True), ("NonIndexed", False), (None, False)])
def test_the_completions_of_a_job_without_indexes_are_left_alone(mode: str | None, is_set: bool) -> None:
    """They are immutable there, and a Job that says `parallelism: 1` alone has none."""
    theirs = job(spec={"completions": None, **({"completionMode": mode} if mode else {})})

    patches = [adopting_patch(launch(SPEC, (A, 1)), known) for known in (theirs, adoptable(theirs))]

    for patch in patches:
        assert patch["spec"]["parallelism"] == 1
        assert ("completions" in patch["spec"]) is is_set
