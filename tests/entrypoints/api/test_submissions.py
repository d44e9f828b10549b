"""What a submission may say: each bad input of the issue is refused with its code before anything is asked of it."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from scheduler.domain.cluster import PodRequest
from scheduler.domain.errors import RefusalCode
from scheduler.domain.units import GpuClassName, PriorityClassName, ProjectName
from scheduler.domain.workloads import WorkloadKind, WorkloadSpec
from scheduler.entrypoints.api.submissions import JobSubmission, SandboxSubmission
from scheduler.entrypoints.api.validation import refusals_in

GOOD: dict[str, Any] = {
    "name": "train",
    "project": "atlas",
    "gpu_classes": ["h100", "a100"],
    "time_limit_ms": 3_600_000,
    "pods": 2,
    "gpus_per_pod": 8,
    "command": ["python", "train.py"],
    "nodes_with": {"rack": "r1"},
}

_GPUS, _TIME, _VALUE = RefusalCode.INVALID_GPUS, RefusalCode.INVALID_TIME_LIMIT, RefusalCode.INVALID_VALUE

BAD: dict[str, tuple[str, RefusalCode]] = {
    "negative GPUs": ('{"gpus_per_pod": -1}', _GPUS),
    "no GPUs": ('{"gpus_per_pod": 0}', _GPUS),
    "2⁶³−1 GPUs": ('{"gpus_per_pod": 9223372036854775807}', _GPUS),
    "2⁶³ GPUs": ('{"gpus_per_pod": 9223372036854775808}', _GPUS),
    "half a GPU": ('{"gpus_per_pod": 0.5}', _GPUS),
    "one GPU as a float": ('{"gpus_per_pod": 1.0}', _GPUS),
    "GPUs as text": ('{"gpus_per_pod": "1"}', _GPUS),
    "true GPUs": ('{"gpus_per_pod": true}', _GPUS),
    "NaN GPUs": ('{"gpus_per_pod": NaN}', _GPUS),
    "1e400 GPUs": ('{"gpus_per_pod": 1e400}', _GPUS),
    "a billion pods": ('{"pods": 1000000000}', _GPUS),
    "null pods": ('{"pods": null}', _GPUS),
    "a negative time limit": ('{"time_limit_ms": -1}', _TIME),
    "no time": ('{"time_limit_ms": 0}', _TIME),
    "2⁶³−1 milliseconds": ('{"time_limit_ms": 9223372036854775807}', _TIME),
    "a fraction of a millisecond": ('{"time_limit_ms": 0.1}', _TIME),
    "time as text": ('{"time_limit_ms": "8h"}', _TIME),
    "infinite time": ('{"time_limit_ms": Infinity}', _TIME),
    "an empty name": ('{"name": ""}', _VALUE),
    "a name with a line break": ('{"name": "a\\nb"}', _VALUE),
    "a name with half a character": ('{"name": "\\ud800"}', _VALUE),
    "a name of a thousand letters": (json.dumps({"name": "a" * 1000}), _VALUE),
    "no GPU class": ('{"gpu_classes": []}', _VALUE),
    "GPU classes as text": ('{"gpu_classes": "h100"}', _VALUE),
    "a command with a NUL": ('{"command": ["a\\u0000b"]}', _VALUE),
    "a field that there is not": ('{"price": 1}', _VALUE),
    "a field of the server's": ('{"state": "running"}', _VALUE),
    "a number as the project": ('{"project": 7}', _VALUE),
    "no word on compensation but a number": ('{"uses_compensation": 1}', _VALUE),
    "a label that is no label": ('{"nodes_with": {"a b": "c"}}', _VALUE),
}


@pytest.mark.parametrize(("change", "code"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused_with_its_code_and_place(change: str, code: RefusalCode) -> None:
    changed = json.loads(change)
    with pytest.raises(ValidationError) as caught:
        JobSubmission.model_validate({**GOOD, **changed})
    refusal = refusals_in(caught.value.errors())[0]
    (field,) = changed
    assert (refusal.code, refusal.where.split(".")[0].split("[")[0]) == (code, field)
    assert refusal.expected


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        JobSubmission.model_validate({"name": "x", "gpus_per_pod": -1})
    refusals = refusals_in(caught.value.errors())
    assert {refusal.where for refusal in refusals} == {"project", "gpu_classes", "time_limit_ms", "gpus_per_pod"}


def test_a_job_is_what_was_asked_for() -> None:
    assert JobSubmission.model_validate(GOOD).spec() == WorkloadSpec(
        name="train",
        kind=WorkloadKind.JOB,
        project=ProjectName("atlas"),
        gpu_classes=(GpuClassName("h100"), GpuClassName("a100")),
        priority_class=PriorityClassName(""),
        time_limit_ms=3_600_000,
        pods=2,
        pod=PodRequest(8, 1000, 1024),
        command=("python", "train.py"),
        nodes_with=(("rack", "r1"),),
    )


def test_personal_stands_where_a_project_would() -> None:
    assert JobSubmission.model_validate({**GOOD, "project": "personal"}).spec().project is None


def test_a_sandbox_is_one_pod_and_leaves_the_rest_to_the_policy() -> None:
    asked = {"name": "nb", "project": "atlas", "gpu_classes": ["h100"], "time_limit_ms": 1000, "gpus": 2}
    spec = SandboxSubmission.model_validate(asked).spec()
    assert (spec.kind, spec.pods, spec.pod.gpus) == (WorkloadKind.SANDBOX, 1, 2)
    assert (spec.image, spec.command, spec.priority_class) == ("", (), "")


def test_the_examples_of_the_documentation_are_good() -> None:
    for model in (JobSubmission, SandboxSubmission):
        extra: Any = model.model_config["json_schema_extra"]
        for example in extra["examples"]:
            assert model.model_validate(example).spec().time_limit_ms > 0
