"""What every `Cluster` does with elastic Jobs: subclass `ResizingContract` beside `ClusterContract`."""

from dataclasses import replace

from scheduler.domain.actions import ActionOutcome, ActionResult, ResizeJob, SuspendJob
from scheduler.domain.cluster import Placement
from scheduler.domain.observations import ObservedJob
from scheduler.domain.reasons import Reason
from scheduler.domain.units import AttemptId, NodeName
from scheduler.domain.workloads import Workload
from tests.contracts.cluster_contract import ClusterRig


class ResizingContract:
    async def test_an_elastic_job_is_launched_with_the_pods_of_its_placement(self, rig: ClusterRig) -> None:
        workload = _elastic(rig, "w-few", pods=4)
        job = await _running(rig, workload, (rig.nodes[0], 2))
        assert job.pods == 2
        assert {pod.node for pod in rig.seen.running_pods(job.uid)} == {rig.nodes[0]}

    async def test_what_it_gives_back_are_the_pods_of_its_last_indexes_with_their_grace(
        self, rig: ClusterRig
    ) -> None:
        workload = _elastic(rig, "w-shrink", pods=3)
        job = await _running(rig, workload, (rig.nodes[0], 1), (rig.nodes[1], 2))
        before = {pod.uid: pod for pod in rig.seen.running_pods(job.uid)}

        outcome = await _resize(rig, workload, job, (rig.nodes[0], 1))
        assert outcome.result is ActionResult.DONE, outcome.message
        await rig.until(lambda seen: len(seen.live_pods(job.uid)) == 1 and seen.jobs[job.uid].pods == 1)

        (left,) = rig.seen.live_pods(job.uid)
        assert (left.node, left.uid in before) == (rig.nodes[0], True)
        for uid in before.keys() - {left.uid}:
            gone = rig.seen.pods[uid]
            assert gone.deleted_at is not None
            assert gone.grace_seconds == 2
        seen = rig.seen.jobs[job.uid]
        assert not seen.is_suspended
        assert not seen.has_ended

    async def test_it_grows_on_nodes_that_it_was_not_launched_on(self, rig: ClusterRig) -> None:
        workload = _elastic(rig, "w-grow", pods=4)
        job = await _running(rig, workload, (rig.nodes[1], 1))
        (first,) = rig.seen.running_pods(job.uid)

        outcome = await _resize(rig, workload, job, (rig.nodes[1], 2), (rig.nodes[0], 2))
        assert outcome.result is ActionResult.DONE, outcome.message
        await rig.until(lambda seen: len(seen.running_pods(job.uid)) == 4)

        pods = rig.seen.running_pods(job.uid)
        assert sorted(str(pod.node) for pod in pods) == sorted([rig.nodes[0]] * 2 + [rig.nodes[1]] * 2)
        assert first.uid in {pod.uid for pod in pods}
        assert {pod.attempt_id for pod in pods} == {job.attempt_id}

    async def test_it_may_shrink_and_grow_again_elsewhere(self, rig: ClusterRig) -> None:
        workload = _elastic(rig, "w-both", pods=2)
        job = await _running(rig, workload, (rig.nodes[0], 2))
        await _resize(rig, workload, job, (rig.nodes[0], 1))
        await rig.until(lambda seen: len(seen.live_pods(job.uid)) == 1 and seen.jobs[job.uid].pods == 1)

        outcome = await _resize(rig, workload, rig.seen.jobs[job.uid], (rig.nodes[0], 1), (rig.nodes[1], 1))
        assert outcome.result is ActionResult.DONE, outcome.message
        await rig.until(lambda seen: len(seen.running_pods(job.uid)) == 2)
        assert {pod.node for pod in rig.seen.running_pods(job.uid)} == set(rig.nodes)

    async def test_a_suspended_elastic_job_is_launched_again_with_another_number_of_pods(
        self, rig: ClusterRig
    ) -> None:
        workload = _elastic(rig, "w-again-few", pods=3)
        job = await _running(rig, workload, (rig.nodes[0], 3))
        await rig.do(SuspendJob(workload, job.uid, Reason.PREEMPTED))
        await rig.until(lambda seen: seen.is_free(job.uid))

        launch = replace(rig.launching(workload, job, (rig.nodes[1], 2)), attempt_id=AttemptId("w-again-few-a2"))
        outcome = await rig.do(launch)
        assert outcome.result is ActionResult.DONE, outcome.message
        await rig.until(lambda seen: len(seen.running_pods(job.uid)) == 2)
        assert {pod.node for pod in rig.seen.running_pods(job.uid)} == {rig.nodes[1]}

    async def test_a_job_that_has_changed_since_is_not_resized(self, rig: ClusterRig) -> None:
        workload = _elastic(rig, "w-stale-size", pods=2)
        job = await _running(rig, workload, (rig.nodes[0], 2))
        outcome = await _resize(rig, workload, replace(job, generation=job.generation + 7), (rig.nodes[0], 1))
        assert outcome.result is ActionResult.STALE
        gone = await _resize(rig, _elastic(rig, "w-not-there", pods=2), job, (rig.nodes[0], 1))
        assert gone.result is ActionResult.GONE


def _elastic(rig: ClusterRig, name: str, *, pods: int) -> Workload:
    made = rig.workload(name, pods=pods)
    return replace(made, spec=replace(made.spec, min_pods=1))


async def _running(rig: ClusterRig, workload: Workload, *pods_by_node: tuple[NodeName, int]) -> ObservedJob:
    job = await rig.created(workload)
    rig.cluster.account_for({job.uid: True})
    outcome = await rig.launch(rig.launching(workload, job, *pods_by_node))
    assert outcome.result is ActionResult.DONE, outcome.message
    await rig.until(lambda seen: len(seen.running_pods(job.uid)) == sum(pods for _, pods in pods_by_node))
    await rig.until(lambda seen: seen.jobs[job.uid].generation == outcome.generation)
    return rig.seen.jobs[job.uid]


async def _resize(
    rig: ClusterRig, workload: Workload, job: ObservedJob, *pods_by_node: tuple[NodeName, int]
) -> ActionOutcome:
    attempt_id = AttemptId(job.attempt_id)
    return await rig.do(ResizeJob(workload, attempt_id, job.uid, job.generation, Placement(pods_by_node)))
