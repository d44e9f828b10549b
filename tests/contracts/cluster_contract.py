"""What every `Cluster` does, the simulated one and Kubernetes alike: subclass `ClusterContract` and give a `rig`."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from scheduler.domain.actions import (
    Action,
    ActionOutcome,
    ActionResult,
    CreateJob,
    DeleteJob,
    LaunchJob,
    SuspendJob,
    TellJob,
)
from scheduler.domain.cluster import GpuClass, Node, Placement, PodRequest
from scheduler.domain.observations import ClusterChanges, ObservedJob, ObservedPod, PodPhase
from scheduler.domain.reasons import Reason
from scheduler.domain.units import (
    AttemptId,
    EngineerId,
    Instant,
    JobUid,
    NodeName,
    PodUid,
    PriorityClassName,
    ProjectName,
    TeamName,
    WorkloadId,
)
from scheduler.domain.workloads import Workload, WorkloadKind, WorkloadSpec
from scheduler.ports import Cluster
from tests.plugins.polling import DEADLINE_SECONDS


@dataclass
class Seen:
    """What a caller of `changes` knows: every answer folded into the ones before."""

    nodes: dict[NodeName, Node] = field(default_factory=dict)
    jobs: dict[JobUid, ObservedJob] = field(default_factory=dict)
    pods: dict[PodUid, ObservedPod] = field(default_factory=dict)

    def fold(self, changes: ClusterChanges) -> None:
        if changes.is_relist:
            self.nodes, self.jobs, self.pods = {}, {}, {}
        self.nodes = {name: node for name, node in {**self.nodes, **changes.nodes}.items() if node is not None}
        self.jobs = {uid: job for uid, job in {**self.jobs, **changes.jobs}.items() if job is not None}
        self.pods.update({pod.uid: pod for pod in changes.pods})

    def job_named(self, name: str) -> ObservedJob | None:
        return next((job for job in self.jobs.values() if job.name == name), None)

    def live_pods(self, uid: JobUid) -> list[ObservedPod]:
        return [pod for pod in self.pods.values() if pod.job_uid == uid and not pod.has_ended]

    def running_pods(self, uid: JobUid) -> list[ObservedPod]:
        return [pod for pod in self.live_pods(uid) if pod.phase is PodPhase.RUNNING]

    def is_free(self, uid: JobUid) -> bool:
        """The design's confirmation that a preempted Job holds nothing any more."""
        job = self.jobs.get(uid)
        return (
            job is not None
            and job.is_confirmed_suspended
            and job.active == 0
            and job.terminating == 0
            and not self.live_pods(uid)
        )


@dataclass
class ClusterRig:
    """A started cluster. `nodes` are two of `gpu_class` that nobody else uses, with at least four GPUs each.

    `end_after` makes the pods of a suspended Job end by themselves, so many seconds after they start.
    """

    cluster: Cluster
    gpu_class: GpuClass
    nodes: tuple[NodeName, NodeName]
    namespace: str
    end_after: Callable[[ObservedJob, int], Awaitable[None]]
    limit_seconds: float = DEADLINE_SECONDS
    seen: Seen = field(default_factory=Seen)

    async def until(self, accept: Callable[[Seen], bool]) -> Seen:
        """Look until what was seen is acceptable; fails with what was seen last when it never is."""
        deadline = time.monotonic() + self.limit_seconds
        while not accept(self.seen):
            assert time.monotonic() < deadline, f"not seen in time; last: {self.seen.jobs} {self.seen.pods}"
            self.seen.fold(await self.cluster.changes(0.5))
        return self.seen

    async def do(self, action: Action) -> ActionOutcome:
        (outcome,) = await self.cluster.apply([action])
        return outcome

    async def launch(self, action: LaunchJob) -> ActionOutcome:
        """As the cycles do it: again, where the Job's controller has not seen it yet."""
        deadline = time.monotonic() + self.limit_seconds
        while (outcome := await self.do(action)).result is ActionResult.RETRY:
            assert time.monotonic() < deadline, outcome.message
        return outcome

    def workload(self, name: str, *, pods: int = 1, gpus: int = 1) -> Workload:
        return Workload(
            id=WorkloadId(name),
            owner=EngineerId("e-1"),
            team=TeamName("vision"),
            spec=WorkloadSpec(
                name=name,
                kind=WorkloadKind.JOB,
                project=ProjectName("atlas"),
                gpu_classes=(self.gpu_class.name,),
                priority_class=PriorityClassName("standard"),
                time_limit_ms=3_600_000,
                pods=pods,
                pod=PodRequest(gpus=gpus, cpu_milli=500, memory_mib=256),
                image="registry.example/train:1",
                grace_seconds=2,
            ),
            submitted_at=Instant(1_000),
            namespace=self.namespace,
            job_name=name,
        )

    async def created(self, workload: Workload) -> ObservedJob:
        outcome = await self.do(CreateJob(workload, self.gpu_class))
        assert outcome.result is ActionResult.DONE, outcome.message
        seen = await self.until(lambda seen: seen.job_named(workload.job_name) is not None)
        job = seen.job_named(workload.job_name)
        assert job is not None
        return job

    def launching(self, workload: Workload, job: ObservedJob, *pods_by_node: tuple[NodeName, int]) -> LaunchJob:
        return LaunchJob(
            workload=workload,
            attempt_id=AttemptId(f"{workload.id}-a1"),
            job_uid=job.uid,
            generation=self.seen.jobs[job.uid].generation,
            gpu_class=self.gpu_class,
            placement=Placement(pods_by_node),
        )

    async def launched(
        self, workload: Workload, *pods_by_node: tuple[NodeName, int], is_accounted: bool = True
    ) -> ObservedJob:
        job = await self.created(workload)
        self.cluster.account_for({job.uid: workload.spec.pods if is_accounted else 0})
        outcome = await self.launch(self.launching(workload, job, *pods_by_node))
        assert outcome.result is ActionResult.DONE, outcome.message
        await self.until(lambda seen: len(seen.running_pods(job.uid)) == workload.spec.pods)
        return self.seen.jobs[job.uid]


class ClusterContract:
    async def test_the_first_look_names_every_node_with_its_class_and_gpus(self, rig: ClusterRig) -> None:
        changes = await rig.cluster.changes(5.0)

        assert changes.is_relist
        for name in rig.nodes:
            node = changes.nodes[name]
            assert node is not None
            assert node.gpu_class == rig.gpu_class.name
            assert node.gpus >= 4
            assert node.accepts_work

    async def test_a_created_job_is_suspended_and_says_whose_it_is(self, rig: ClusterRig) -> None:
        workload = rig.workload("w-created")

        job = await rig.created(workload)

        assert job.is_suspended
        assert job.workload_id == workload.id
        assert job.spec_hash
        assert job.attempt_id == ""
        assert rig.seen.live_pods(job.uid) == []

    async def test_creating_twice_adopts_the_first(self, rig: ClusterRig) -> None:
        workload = rig.workload("w-twice")
        first = await rig.do(CreateJob(workload, rig.gpu_class))

        again = await rig.do(CreateJob(workload, rig.gpu_class))

        assert (again.result, again.job_uid) == (ActionResult.DONE, first.job_uid)

    async def test_a_job_of_that_name_with_another_spec_is_foreign(self, rig: ClusterRig) -> None:
        workload = rig.workload("w-foreign")
        await rig.do(CreateJob(workload, rig.gpu_class))
        other = replace(workload, id=WorkloadId("w-other"))

        outcome = await rig.do(CreateJob(other, rig.gpu_class))

        assert outcome.result is ActionResult.FOREIGN

    async def test_a_launched_job_runs_on_the_node_it_was_placed_on(self, rig: ClusterRig) -> None:
        workload = rig.workload("w-launched", gpus=2)

        job = await rig.launched(workload, (rig.nodes[1], 1))

        (pod,) = rig.seen.running_pods(job.uid)
        assert (pod.node, pod.gpus) == (rig.nodes[1], 2)
        assert pod.started_at is not None
        assert job.attempt_id == "w-launched-a1"
        assert not job.is_suspended

    async def test_pods_that_no_attempt_accounts_for_take_capacity_as_outside(self, rig: ClusterRig) -> None:
        await rig.until(lambda seen: rig.nodes[0] in seen.nodes)
        before = rig.seen.nodes[rig.nodes[0]]
        workload = rig.workload("w-unaccounted", gpus=3)

        job = await rig.launched(workload, (rig.nodes[0], 1), is_accounted=False)
        await rig.until(lambda seen: seen.nodes[rig.nodes[0]].outside_gpus == before.outside_gpus + 3)
        outside = rig.seen.nodes[rig.nodes[0]]
        rig.cluster.account_for({job.uid: 1})
        await rig.until(lambda seen: seen.nodes[rig.nodes[0]] == before)
        rig.cluster.account_for({job.uid: 0})
        await rig.until(lambda seen: seen.nodes[rig.nodes[0]] == outside)
        await rig.do(SuspendJob(workload, job.uid, Reason.SUSPENDED))
        await rig.until(lambda seen: seen.nodes[rig.nodes[0]] == before)

        assert (before.gpus - outside.gpus, before.cpu_milli - outside.cpu_milli) == (3, 500)
        assert before.memory_mib - outside.memory_mib == 256

    async def test_a_launch_of_a_job_that_has_changed_since_is_stale(self, rig: ClusterRig) -> None:
        workload = rig.workload("w-stale")
        job = await rig.created(workload)
        launch = rig.launching(workload, job, (rig.nodes[0], 1))

        outcome = await rig.do(replace(launch, generation=launch.generation + 7))

        assert outcome.result is ActionResult.STALE
        assert rig.seen.jobs[job.uid].is_suspended

    async def test_a_gang_lands_in_the_counts_of_its_placement(self, rig: ClusterRig) -> None:
        workload = rig.workload("w-gang", pods=3, gpus=1)

        job = await rig.launched(workload, (rig.nodes[0], 1), (rig.nodes[1], 2))

        nodes = sorted(str(pod.node) for pod in rig.seen.running_pods(job.uid))
        assert nodes == sorted([rig.nodes[0], rig.nodes[1], rig.nodes[1]])

    async def test_a_suspended_job_frees_its_gpus_and_runs_again_elsewhere(self, rig: ClusterRig) -> None:
        workload = rig.workload("w-again")
        job = await rig.launched(workload, (rig.nodes[0], 1))
        outcome = await rig.do(SuspendJob(workload, job.uid, Reason.PREEMPTED))
        assert outcome.result is ActionResult.DONE
        await rig.until(lambda seen: seen.is_free(job.uid))

        again = await rig.launch(rig.launching(workload, job, (rig.nodes[1], 1)))

        assert again.result is ActionResult.DONE, again.message
        await rig.until(lambda seen: len(seen.running_pods(job.uid)) == 1)
        assert rig.seen.running_pods(job.uid)[0].node == rig.nodes[1]

    async def test_a_suspended_pod_is_seen_being_ended_with_its_grace(self, rig: ClusterRig) -> None:
        workload = rig.workload("w-grace")
        job = await rig.launched(workload, (rig.nodes[0], 1))
        (pod,) = rig.seen.running_pods(job.uid)

        await rig.do(SuspendJob(workload, job.uid, Reason.PREEMPTED))
        await rig.until(lambda seen: seen.is_free(job.uid))

        ended = rig.seen.pods[pod.uid]
        assert ended.has_ended
        assert ended.deleted_at is not None
        assert ended.grace_seconds == 2
        assert ended.started_at == pod.started_at

    async def test_a_job_that_ran_to_its_end_is_complete_with_true_stamps(self, rig: ClusterRig) -> None:
        workload = rig.workload("w-complete")
        job = await rig.created(workload)
        await rig.until(lambda seen: seen.jobs[job.uid].is_confirmed_suspended)  # until then its template is fixed
        await rig.end_after(job, 1)
        await rig.until(lambda seen: seen.jobs[job.uid].generation > 0)
        outcome = await rig.launch(rig.launching(workload, job, (rig.nodes[0], 1)))
        while outcome.result is ActionResult.STALE:  # `end_after` has changed the Job: look again, as the cycle does
            assert outcome.generation is not None
            stale = rig.launching(workload, job, (rig.nodes[0], 1))
            outcome = await rig.launch(replace(stale, generation=outcome.generation))

        await rig.until(lambda seen: seen.jobs[job.uid].is_complete)

        complete = rig.seen.jobs[job.uid]
        (pod,) = [pod for pod in rig.seen.pods.values() if pod.job_uid == job.uid]
        assert (pod.phase, pod.exit_code) == (PodPhase.SUCCEEDED, 0)
        assert pod.started_at is not None
        assert pod.finished_at is not None
        assert 1_000 <= pod.finished_at - pod.started_at < DEADLINE_SECONDS * 1_000
        assert complete.ended_at is not None
        assert complete.ended_at >= pod.finished_at

    async def test_a_deleted_job_goes_and_its_pods_with_it(self, rig: ClusterRig) -> None:
        workload = rig.workload("w-deleted")
        job = await rig.launched(workload, (rig.nodes[0], 1))

        outcome = await rig.do(DeleteJob(workload, job.uid))

        assert outcome.result is ActionResult.DONE
        await rig.until(lambda seen: job.uid not in seen.jobs and not seen.live_pods(job.uid))

    async def test_what_is_not_there_is_gone(self, rig: ClusterRig) -> None:
        workload = rig.workload("w-nowhere")
        uid = JobUid("00000000-0000-4000-8000-000000000000")
        launch = LaunchJob(workload, AttemptId("a"), uid, 1, rig.gpu_class, Placement(((rig.nodes[0], 1),)))

        outcomes = await rig.cluster.apply(
            [launch, SuspendJob(workload, uid, Reason.PREEMPTED), DeleteJob(workload, uid)]
        )

        assert [outcome.result for outcome in outcomes] == [ActionResult.GONE] * 3

    async def test_outcomes_come_in_the_order_of_the_actions_and_one_fails_alone(self, rig: ClusterRig) -> None:
        known, unknown = rig.workload("w-known"), rig.workload("w-unknown")
        uid = JobUid("00000000-0000-4000-8000-000000000000")

        outcomes = await rig.cluster.apply(
            [SuspendJob(unknown, uid, Reason.PREEMPTED), CreateJob(known, rig.gpu_class)]
        )

        assert [outcome.result for outcome in outcomes] == [ActionResult.GONE, ActionResult.DONE]
        assert [outcome.action.workload for outcome in outcomes if not isinstance(outcome.action, TellJob)] == [
            unknown,
            known,
        ]

    async def test_telling_makes_no_judgement_stale(self, rig: ClusterRig) -> None:
        workload = rig.workload("w-told")
        job = await rig.created(workload)
        tell = TellJob(rig.namespace, job.name, job.uid, Reason.QUOTA, "Waiting: the pool is used up.")

        told = await rig.do(tell)
        again = await rig.do(tell)
        launch = await rig.launch(rig.launching(workload, job, (rig.nodes[0], 1)))

        assert [told.result, again.result, launch.result] == [ActionResult.DONE] * 3

    async def test_a_word_beside_the_verdict_is_told_and_told_again(self, rig: ClusterRig) -> None:
        workload = rig.workload("w-warned")
        job = await rig.created(workload)
        tell = TellJob(rig.namespace, job.name, job.uid, Reason.MISUSE, "Its process 7 is astray.", is_status=False)

        told = await rig.do(tell)
        again = await rig.do(tell)

        assert [told.result, again.result] == [ActionResult.DONE] * 2

    async def test_looking_when_nothing_happens_answers_nothing_in_time(self, rig: ClusterRig) -> None:
        await rig.cluster.changes(1.0)
        began = time.monotonic()

        changes = await rig.cluster.changes(0.2)
        while not changes.is_empty and time.monotonic() - began < DEADLINE_SECONDS:
            changes = await rig.cluster.changes(0.2)

        assert changes.is_empty
