"""Pods: starts, ends, deletions, and what they say of themselves."""

import pytest

from scheduler.adapters.kubernetes.pods import owning_job, read_pod
from scheduler.adapters.kubernetes.stamps import instant_of, micro_time
from scheduler.domain.observations import ObservedPod, PodPhase
from scheduler.domain.units import Instant, JobUid, NodeName, PodUid
from tests.adapters.kubernetes.objects import Json, pod

UID = JobUid("uid-of-train")


def at(clock: str) -> Instant:
    instant = instant_of(stamp(clock))
    assert instant is not None
    return instant


def stamp(clock: str) -> str:
    return f"2026-03-02T{clock}Z"


def running(clock: str) -> Json:
    return {"state": {"running": {"startedAt": stamp(clock)}}}


def ended(started: str, finished: str, code: int = 0) -> Json:
    return {"state": {"terminated": {"startedAt": stamp(started), "finishedAt": stamp(finished), "exitCode": code}}}


def read(**parts: object) -> ObservedPod:
    return read_pod(pod(**parts), UID, gpus=1)  # type: ignore[arg-type]  # parts of the fixture object


def test_a_running_pod_is_read_whole() -> None:
    observed = read(status={"phase": "Running", "containerStatuses": [running("10:00:05")]})

    assert observed == ObservedPod(
        uid=PodUid("uid-of-train-x1"),
        name="train-x1",
        namespace="research",
        job_uid=UID,
        phase=PodPhase.RUNNING,
        gpus=1,
        node=NodeName("node-1"),
        started_at=at("10:00:05"),
        evidence_at=at("10:00:05"),
    )


def test_a_pod_starts_with_its_first_container_and_ends_with_its_last() -> None:
    status = {
        "phase": "Failed",
        "initContainerStatuses": [ended("10:00:01", "10:00:02")],
        "containerStatuses": [ended("10:00:03", "10:20:00"), ended("10:00:04", "10:30:00", code=137)],
    }

    observed = read(status=status)

    assert (observed.started_at, observed.finished_at, observed.exit_code) == (at("10:00:01"), at("10:30:00"), 137)


def test_a_container_that_was_restarted_began_when_it_began_first() -> None:
    restarted = {
        "state": {"running": {"startedAt": stamp("10:10:00")}},
        "lastState": {"terminated": {"startedAt": stamp("10:00:00"), "finishedAt": stamp("10:09:00")}},
    }

    observed = read(status={"phase": "Running", "containerStatuses": [restarted]})

    assert (observed.started_at, observed.finished_at) == (at("10:00:00"), None)


def test_a_pod_has_not_ended_while_a_container_runs() -> None:
    status = {"phase": "Running", "containerStatuses": [ended("10:00:00", "10:01:00"), running("10:00:00")]}

    assert read(status=status).finished_at is None


def test_a_container_that_never_began_has_no_start() -> None:
    never = {"state": {"terminated": {"startedAt": "1970-01-01T00:00:00Z", "finishedAt": None, "exitCode": 128}}}

    observed = read(status={"phase": "Failed", "containerStatuses": [never]})

    assert (observed.started_at, observed.finished_at, observed.exit_code) == (None, None, 128)


def test_deletion_was_asked_for_a_grace_before_its_stamp() -> None:
    observed = read(metadata={"deletionTimestamp": stamp("10:05:30"), "deletionGracePeriodSeconds": 90})

    assert (observed.deleted_at, observed.grace_seconds) == (at("10:04:00"), 90)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        pytest.param(
            {"status": {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}},
            "ImagePullBackOff",
            id="a container waits",
        ),
        pytest.param(
            {
                "node": None,
                "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]},
            },
            "Unschedulable",
            id="no node was found",
        ),
        pytest.param({}, "", id="nothing is in its way"),
    ],
)
def test_a_pod_says_why_it_has_not_started(parts: Json, reason: str) -> None:
    assert read(**parts).waiting_reason == reason


def test_only_our_gate_makes_a_pod_gated() -> None:
    assert read(spec={"schedulingGates": [{"name": "allot.dev/placement"}]}).is_gated
    assert not read(spec={"schedulingGates": [{"name": "example.com/other"}]}).is_gated


def test_only_the_controlling_job_owns_a_pod() -> None:
    owner = {"apiVersion": "batch/v1", "kind": "Job", "uid": "j", "controller": True}

    assert owning_job({"ownerReferences": [owner]}) == "j"
    assert owning_job({"ownerReferences": [{**owner, "controller": False}]}) is None
    assert owning_job({"ownerReferences": [{**owner, "kind": "ReplicaSet", "apiVersion": "apps/v1"}]}) is None
    assert owning_job({}) is None


@pytest.mark.parametrize("text", [None, "", "yesterday", "0001-01-01T00:00:00Z"])
def test_what_is_no_stamp_is_no_instant(text: str | None) -> None:
    assert instant_of(text) is None


def test_an_instant_survives_being_stamped() -> None:
    assert instant_of(micro_time(Instant(1_772_445_600_123))) == 1_772_445_600_123
