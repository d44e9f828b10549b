"""The next Job of a user's: what of the failed one it keeps, and which Jobs it is never made from."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from scheduler.adapters.kubernetes.manifests import SPARES_THE_DISRUPTED, spec_hash
from scheduler.adapters.kubernetes.successors import succeeds, successor
from scheduler.adapters.kubernetes.templates import Unfit, read_template
from scheduler.domain.actions import CreateJob
from scheduler.domain.cluster import GpuClass
from scheduler.domain.units import EngineerId, GpuClassName, Instant, PerMille, TeamName, WorkloadId
from scheduler.domain.workloads import Origin, Workload

H100 = GpuClass(GpuClassName("H100"), PerMille(1000), (("gpu", "h100"),))
CLASSES = {H100.name: H100}
PIN = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n0"]}]}
ZONE = {"key": "zone", "operator": "In", "values": ["a"]}


def failed(**pod: Any) -> dict[str, Any]:
    """As Ada applied it and allot launched it on n0, and as the Job controller left it."""
    return {
        "metadata": {
            "name": "train",
            "uid": "first",
            "labels": {"allot.dev/project": "atlas", "allot.dev/time-limit": "1h", "stage": "draft"},
            "annotations": {"allot.dev/author": "ada", "allot.dev/status": "Running on n0.", "note": "mine"},
        },
        "spec": {
            "suspend": False,
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "activeDeadlineSeconds": 7200,
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "first"}},
            "template": {
                "metadata": {
                    "labels": {"batch.kubernetes.io/controller-uid": "first", "job-name": "train", "stage": "draft"},
                    "annotations": {"allot.dev/attempt": "a-1", "allot.dev/placement": "n0=1", "seed": "7"},
                },
                "spec": {
                    "restartPolicy": "Never",
                    "affinity": {
                        "nodeAffinity": {
                            "requiredDuringSchedulingIgnoredDuringExecution": {
                                "nodeSelectorTerms": [{"matchExpressions": [ZONE], **PIN}]
                            }
                        }
                    },
                    "containers": [
                        {"name": "main", "image": "train:1", "resources": {"limits": {"nvidia.com/gpu": "2"}}}
                    ],
                    **pod,
                },
            },
        },
        "status": {"conditions": [{"type": "Failed", "status": "True"}]},
    }


def second() -> Workload:
    """Its workload, of which the next Job is to be made."""
    applied = failed()
    applied["spec"]["suspend"] = True
    pinned = applied["spec"]["template"]["spec"].pop("affinity")
    assert pinned is not None
    applied["spec"]["template"]["spec"]["nodeSelector"] = {"zone": "a"}
    asked = read_template(applied, [H100])
    assert not isinstance(asked, Unfit)
    return Workload(
        id=WorkloadId("w-1"),
        owner=EngineerId("e-1"),
        team=TeamName("research"),
        spec=asked,
        submitted_at=Instant(1),
        origin=Origin.KUBECTL,
        namespace="allot",
        job_name="train-2",
        retries=1,
    )


def is_made_from(former: dict[str, Any], workload: Workload | None = None) -> bool:
    create = CreateJob(workload or second(), H100, former="train", author="ada")
    return succeeds(create, former, CLASSES, "allot")


def test_the_next_job_is_what_its_user_wrote_without_what_the_launch_and_the_controller_added() -> None:
    made = successor(second(), failed(), "allot")

    assert made["metadata"] == {
        "name": "train-2",
        "namespace": "allot",
        "labels": {
            "allot.dev/project": "atlas",
            "allot.dev/time-limit": "1h",
            "stage": "draft",
            "allot.dev/workload": "w-1",
        },
        "annotations": {
            "note": "mine",
            "allot.dev/workload": "w-1",
            "allot.dev/spec-hash": spec_hash(second()),
            "allot.dev/author": "allot",
        },
        "managedFields": [{}],
    }
    spec = made["spec"]
    assert "selector" not in spec
    assert (spec["suspend"], spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (True, 0, 7200)
    assert spec["podFailurePolicy"] == SPARES_THE_DISRUPTED
    assert spec["template"]["metadata"] == {"labels": {"stage": "draft"}, "annotations": {"seed": "7"}}
    affinity = spec["template"]["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert affinity == {"nodeSelectorTerms": [{"matchExpressions": [ZONE]}]}


def test_a_users_own_rule_for_failed_pods_stays() -> None:
    former = failed()
    former["spec"]["podFailurePolicy"] = {"rules": []}
    assert successor(second(), former, "")["spec"]["podFailurePolicy"] == {"rules": []}


def test_the_job_that_failed_is_known_by_its_author_its_attempt_and_what_it_asks_for() -> None:
    assert is_made_from(failed())
    later = failed()
    later["metadata"]["annotations"] |= {"allot.dev/author": "allot", "allot.dev/workload": "w-1"}
    assert is_made_from(later, replace(second(), retries=2, job_name="train-3"))


def _by_another(job: dict[str, Any]) -> None:
    job["metadata"]["annotations"]["allot.dev/author"] = "bao"


def _never_launched(job: dict[str, Any]) -> None:
    del job["spec"]["template"]["metadata"]["annotations"]["allot.dev/attempt"]


def _that_runs(job: dict[str, Any]) -> None:
    job["status"] = {}


def _of_more_gpus(job: dict[str, Any]) -> None:
    job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = "8"


def _of_another_image(job: dict[str, Any]) -> None:
    job["spec"]["template"]["spec"]["containers"][0]["image"] = "mine:1"


@pytest.mark.parametrize("change", [_by_another, _never_launched, _that_runs, _of_more_gpus, _of_another_image])
def test_a_job_that_took_the_name_of_the_one_that_failed_is_not_it(change: Any) -> None:
    other = deepcopy(failed())
    change(other)
    assert not is_made_from(other)


def test_a_later_job_that_we_did_not_write_is_not_it() -> None:
    assert not is_made_from(failed(), replace(second(), retries=2, job_name="train-3"))
