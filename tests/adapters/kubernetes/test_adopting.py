"""The launch of a Job that a user applied: what of theirs stays, and what it needs beside it."""

import pytest

from scheduler.adapters.kubernetes.launching import adoptable, adopting_patch
from tests.adapters.kubernetes.objects import Json, job
from tests.adapters.kubernetes.test_manifests import SPEC, A, launch


@pytest.mark.parametrize(
    "toleration",
    [
        pytest.param({"key": "nvidia.com/gpu", "operator": "Equal", "value": "other"}, id="another value"),
        pytest.param({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}, id="another effect"),
        pytest.param({"key": "nvidia.com/gpu", "value": "other"}, id="Equal, as it is where nothing is said"),
    ],
)
def test_a_job_that_tolerates_the_gpu_taint_in_part_gets_the_rest(toleration: Json) -> None:
    theirs = job(pod={"tolerations": [toleration]})

    patches = [adopting_patch(launch(SPEC, (A, 1)), known) for known in (theirs, adoptable(theirs))]

    for patch in patches:
        (tolerations,) = [step["value"] for step in patch if step["path"] == "/spec/template/spec/tolerations"]
        assert tolerations == [toleration, {"key": "nvidia.com/gpu", "operator": "Exists"}]


@pytest.mark.parametrize(("mode", "is_set"), [("Indexed", True), ("NonIndexed", False), (None, False)])
def test_the_completions_of_a_job_without_indexes_are_left_alone(mode: str | None, is_set: bool) -> None:
    """They are immutable there, and a Job that says `parallelism: 1` alone has none."""
    theirs = job(spec={"completions": None, **({"completionMode": mode} if mode else {})})

    patches = [adopting_patch(launch(SPEC, (A, 1)), known) for known in (theirs, adoptable(theirs))]

    for patch in patches:
        paths = [step["path"] for step in patch]
        assert "/spec/parallelism" in paths
        assert ("/spec/completions" in paths) is is_set
