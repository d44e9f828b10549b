"""The launch of a Job that a user applied: what of theirs stays, and what it needs beside it."""

from dataclasses import replace

import pytest

from scheduler.adapters.kubernetes.launching import adoptable, adopting_patch, launch_patch
from scheduler.adapters.kubernetes.manifests import SandboxShape, job_manifest
from tests.adapters.kubernetes.objects import Json, job
from tests.adapters.kubernetes.test_manifests import SPEC, A, launch


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
        (tolerations,) = [step["value"] for step in patch if step["path"] == "/spec/template/spec/tolerations"]
        assert tolerations == [toleration, {"key": "nvidia.com/gpu", "operator": "Exists"}]


def test_pods_tolerate_what_the_gpu_class_of_their_nodes_says() -> None:
    asked = launch(SPEC, (A, 1))
    asked = replace(asked, gpu_class=replace(asked.gpu_class, tolerates=("sku", "spot")))
    gpu, sku, spot = ({"key": key, "operator": "Exists"} for key in ("nvidia.com/gpu", "sku", "spot"))

    made = job_manifest(asked.workload, asked.gpu_class, SandboxShape(), kept_seconds=60)
    assert made["spec"]["template"]["spec"]["tolerations"] == [gpu, sku, spot]
    for patch, expected in (
        (launch_patch(asked, changes_resource=False), [gpu, sku, spot]),
        (adopting_patch(asked, job(pod={"tolerations": [sku]})), [sku, gpu, spot]),
    ):
        told = {str(step["path"]): step["value"] for step in patch}
        assert told["/spec/template/spec/tolerations"] == expected


@pytest.mark.parametrize(("mode", "is_set"), [("Indexed", True), ("NonIndexed", False), (None, False)])
def test_the_completions_of_a_job_without_indexes_are_left_alone(mode: str | None, is_set: bool) -> None:
    """They are immutable there, and a Job that says `parallelism: 1` alone has none."""
    theirs = job(spec={"completions": None, **({"completionMode": mode} if mode else {})})

    patches = [adopting_patch(launch(SPEC, (A, 1)), known) for known in (theirs, adoptable(theirs))]

    for patch in patches:
        paths = [step["path"] for step in patch]
        assert "/spec/parallelism" in paths
        assert ("/spec/completions" in paths) is is_set
