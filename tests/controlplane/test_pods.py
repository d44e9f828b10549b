"""What simulated pods do, read from the real apiserver: each test is one thing that real pods do, too."""

import time

import pytest

from scheduler.entrypoints.devcluster import simulated
from scheduler.entrypoints.devcluster.client import ApiClient
from tests.controlplane.jobs import JobRun, seconds, terminated
from tests.plugins.polling import eventually

pytestmark = pytest.mark.controlplane


async def test_a_job_let_go_runs_for_as_long_as_it_was_told_with_truthful_stamps(
    api: ApiClient, namespace: str
) -> None:
    before = int(time.time())
    run = await JobRun.launched(api, namespace, {simulated.RUN_SECONDS: "2"})
    running = await run.pod_in("Running")
    started_at = running["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    pod = await run.pod_in("Succeeded")
    after = int(time.time())

    end = terminated(pod)
    assert end["exitCode"] == 0
    assert end["startedAt"] == started_at
    assert before <= seconds(end["startedAt"]) <= seconds(end["finishedAt"]) <= after
    assert seconds(end["finishedAt"]) - seconds(end["startedAt"]) >= 2
    assert pod["status"]["startTime"] == started_at
    assert pod["spec"]["nodeName"].startswith("simulated-")
    assert pod["status"]["podIP"].startswith("10.244.")
    await run.condition("Complete")


async def test_a_run_told_to_end_earlier_ends_earlier(api: ApiClient, namespace: str) -> None:
    run = await JobRun.launched(api, namespace, {simulated.RUN_SECONDS: "3600"})
    pod = await run.pod_in("Running")
    path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}"
    await api.patch(path, {"metadata": {"annotations": {simulated.RUN_SECONDS: "0"}}})
    end = terminated(await run.pod_in("Succeeded"))
    assert (end["exitCode"], end["reason"]) == (0, "Completed")


async def test_a_run_that_exits_with_a_code_fails_its_job_for_good(api: ApiClient, namespace: str) -> None:
    run = await JobRun.launched(api, namespace, {simulated.RUN_SECONDS: "0.2", simulated.EXIT_CODE: "3"})
    pod = await run.pod_in("Failed")
    assert (terminated(pod)["exitCode"], terminated(pod)["reason"]) == (3, "Error")
    job = await run.condition("Failed")
    assert job["status"]["failed"] == 1


async def test_a_command_that_sleeps_runs_for_as_long_and_ends_as_it_says(api: ApiClient, namespace: str) -> None:
    run = await JobRun.launched(api, namespace, {}, command=("sh", "-c", "sleep 1; exit 7"))
    pod = await run.pod_in("Failed")
    end = terminated(pod)
    assert end["exitCode"] == 7
    assert seconds(end["finishedAt"]) - seconds(end["startedAt"]) >= 1


async def test_an_annotation_goes_before_the_command(api: ApiClient, namespace: str) -> None:
    run = await JobRun.launched(api, namespace, {simulated.RUN_SECONDS: "0"}, command=("sleep", "3600"))
    assert terminated(await run.pod_in("Succeeded"))["exitCode"] == 0


async def test_a_slow_start_leaves_time_between_binding_and_the_containers_start(
    api: ApiClient, namespace: str
) -> None:
    run = await JobRun.launched(api, namespace, {simulated.START_DELAY_SECONDS: "2", simulated.RUN_SECONDS: "0"})
    pod = await run.pod_in("Succeeded")
    waited = seconds(terminated(pod)["startedAt"]) - seconds(pod["status"]["startTime"])
    assert waited in (2, 3)


@pytest.mark.parametrize(
    ("hang", "reason"),
    [("start", "ContainerCreating"), ("image", "ImagePullBackOff")],
    ids=["for no visible reason", "for want of its image"],
)
async def test_a_pod_told_not_to_start_is_bound_and_waits(
    api: ApiClient, namespace: str, hang: str, reason: str
) -> None:
    run = await JobRun.launched(api, namespace, {simulated.HANG: hang, simulated.RUN_SECONDS: "0"})
    pod = await eventually(run.pod, lambda pod: "startTime" in pod.get("status", {}))
    assert pod["status"]["phase"] == "Pending"
    assert pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason

    await run.suspend()
    last = await run.removal_after(pod)
    assert last["status"]["phase"] == "Failed"
    assert "startedAt" not in terminated(last) or terminated(last)["startedAt"] is None


async def test_suspending_a_job_ends_its_pod_and_the_deletion_shows_when(api: ApiClient, namespace: str) -> None:
    run = await JobRun.launched(api, namespace, {})
    running = await run.pod_in("Running")
    before = int(time.time())
    await run.suspend()
    last = await run.removal_after(running)

    end = terminated(last)
    assert last["metadata"]["uid"] == running["metadata"]["uid"]
    assert last["status"]["phase"] == "Failed"
    assert end["exitCode"] == 143
    assert end["startedAt"] == running["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    assert before <= seconds(end["finishedAt"]) <= int(time.time())
    await eventually(run.job, lambda job: not job["status"].get("active") and not job["status"].get("terminating"))


async def test_a_pod_that_saves_its_work_on_sigterm_ends_within_the_grace(api: ApiClient, namespace: str) -> None:
    run = await JobRun.launched(
        api, namespace, {simulated.TERMINATION_SECONDS: "2", simulated.TERMINATION_EXIT_CODE: "0"}
    )
    await run.pod_in("Running")
    await run.suspend()
    # Read while it terminates: the last event's deletionTimestamp is the removal's, because the Job controller's
    # finalizer was still there when the kubelet let go of the pod.
    terminating = await eventually(run.pod, lambda pod: "deletionTimestamp" in pod["metadata"])
    asked = seconds(terminating["metadata"]["deletionTimestamp"]) - 30
    last = await run.removal_after(terminating)
    assert terminated(last)["exitCode"] == 0
    assert 2 <= seconds(terminated(last)["finishedAt"]) - asked < 30


async def test_a_pod_that_outlasts_its_grace_is_killed(api: ApiClient, namespace: str) -> None:
    told = {simulated.TERMINATION_SECONDS: "60", simulated.KILL_SECONDS: "1"}
    run = await JobRun.launched(api, namespace, told, grace_seconds=1)
    running = await run.pod_in("Running")
    await run.suspend()
    assert terminated(await run.removal_after(running))["exitCode"] == 137


async def test_a_pod_deaf_to_sigkill_stays_until_it_is_told_otherwise(api: ApiClient, namespace: str) -> None:
    run = await JobRun.launched(
        api, namespace, {simulated.HANG: "termination", simulated.RUN_SECONDS: "2"}, grace_seconds=1
    )
    await run.pod_in("Running")
    await run.suspend()
    # Past its grace and past the end it was told first: neither happens.
    pod = await eventually(
        run.pod,
        lambda pod: seconds(pod["metadata"].get("deletionTimestamp", "9999-01-01T00:00:00Z")) + 2 < time.time(),
    )
    assert pod["status"]["phase"] == "Running"

    path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}"
    await api.patch(path, {"metadata": {"annotations": {simulated.HANG: None}}})
    assert terminated(await run.removal_after(pod))["exitCode"] == 143
