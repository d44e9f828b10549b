"""What happens in the simulated cluster: starts, ends, failures, lost nodes; and that it goes on after a restart."""

from collections import Counter

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.cluster import GpuClass, Placement, PodRequest
from scheduler.domain.observations import ClusterChanges, ObservedPod, PodPhase
from scheduler.domain.units import (
    AttemptId,
    EngineerId,
    GpuClassName,
    Instant,
    NodeName,
    PerMille,
    PriorityClassName,
    TeamName,
    WorkloadId,
)
from scheduler.domain.workloads import Workload, WorkloadKind, WorkloadSpec
from scheduler.simulation.fates import Fate
from scheduler.simulation.jobs import SimulatedJob
from scheduler.simulation.kubelets import IMAGE_PULL_MS
from scheduler.simulation.machines import H100, Machine, example_machines
from scheduler.simulation.model import EVICTION_MS, FINISHED_KEPT_MS, ClusterModel

T0 = Instant(1_700_000_000_000)
A, B = NodeName("sim-a"), NodeName("sim-b")
SECOND = 1_000


def machine(name: NodeName, *, outside_gpus: int = 0) -> Machine:
    return Machine(name, H100, gpus=8, cpu_milli=96_000, memory_mib=500_000, outside_gpus=outside_gpus)


def workload(name: str, *, gpus: int = 1, pods: int = 1, grace_seconds: int = 30) -> Workload:
    spec = WorkloadSpec(
        name=name,
        kind=WorkloadKind.JOB,
        project=None,
        gpu_classes=(GpuClassName("H100"),),
        priority_class=PriorityClassName("standard"),
        time_limit_ms=3_600_000,
        pods=pods,
        pod=PodRequest(gpus, 1_000, 1_000),
        image="registry.example.com/train:1",
        grace_seconds=grace_seconds,
    )
    return Workload(WorkloadId(name), EngineerId("e"), TeamName("t"), spec, T0, namespace="allot", job_name=name)


def model_with(fate: Fate, *machines: Machine) -> ClusterModel:
    model = ClusterModel(machines or (machine(A), machine(B)), lambda _: fate)
    model.advance(T0)
    return model


def launch(model: ClusterModel, job: SimulatedJob, *pods_by_node: tuple[NodeName, int]) -> None:
    model.launch(job, AttemptId(f"{job.name}-a{job.launches + 1}"), Placement(pods_by_node))


def run_for(model: ClusterModel, ms: int) -> ClusterChanges:
    model.advance(Instant(model.now + ms))
    return model.drain()


def pods_of(changes: ClusterChanges) -> list[ObservedPod]:
    return list(changes.pods)


def test_a_pod_starts_after_its_image_is_pulled_and_the_next_at_once() -> None:
    model = model_with(Fate(run_ms=None, start_ms=2 * SECOND))
    first, second = model.create(workload("one")), model.create(workload("two"))
    launch(model, first, (A, 1))
    (pod,) = pods_of(run_for(model, IMAGE_PULL_MS + 2 * SECOND - 1))
    assert (pod.phase, pod.node, pod.waiting_reason) == (PodPhase.PENDING, A, "ContainerCreating")
    (pod,) = pods_of(run_for(model, 1))
    assert (pod.phase, pod.started_at) == (PodPhase.RUNNING, T0 + IMAGE_PULL_MS + 2 * SECOND)
    launch(model, second, (A, 1))
    (pod,) = pods_of(run_for(model, 2 * SECOND))
    assert pod.phase is PodPhase.RUNNING


def test_stamps_are_whole_seconds() -> None:
    model = model_with(Fate(run_ms=1_700, start_ms=2_345))
    launch(model, model.create(workload("one")), (A, 1))
    (pod,) = pods_of(run_for(model, 60 * SECOND))
    assert (pod.started_at, pod.finished_at) == (T0 + 27_000, T0 + 29_000)


def test_a_gang_works_only_once_its_last_pod_has_started() -> None:
    model = model_with(Fate(run_ms=10 * SECOND, start_ms=1 * SECOND))
    warm = model.create(workload("warm"))
    launch(model, warm, (A, 1))
    run_for(model, 60 * SECOND)
    gang = model.create(workload("gang", pods=2))
    began = model.now
    launch(model, gang, (A, 1), (B, 1))  # B has yet to pull the image
    run_for(model, 120 * SECOND)
    assert gang.is_complete
    assert gang.ended_at == began + 1 * SECOND + IMAGE_PULL_MS + 10 * SECOND


def test_a_pod_that_does_not_fit_waits_until_it_does() -> None:
    model = model_with(Fate(run_ms=100 * SECOND, start_ms=0), machine(A, outside_gpus=2))
    launch(model, model.create(workload("first", gpus=4)), (A, 1))
    second = model.create(workload("second", gpus=4))
    launch(model, second, (A, 1))
    (waiting,) = [pod for pod in pods_of(run_for(model, 30 * SECOND)) if pod.name.startswith("second")]
    assert (waiting.node, waiting.waiting_reason) == (None, "Unschedulable")
    run_for(model, 100 * SECOND)
    assert [pod.node for pod in second.live_pods] == [A]


def test_one_failing_pod_fails_the_job_and_ends_the_others_with_their_grace() -> None:
    model = model_with(Fate(run_ms=10 * SECOND, exit_code=3, start_ms=0, termination_ms=5 * SECOND))
    job = model.create(workload("gang", pods=2))
    launch(model, job, (A, 2))
    changes = run_for(model, IMAGE_PULL_MS + 10 * SECOND)
    assert sorted(pod.exit_code or 0 for pod in changes.pods) == [0, 3]
    assert (job.is_failed, job.terminating) == (False, 1)
    changes = run_for(model, 5 * SECOND)
    assert job.is_failed
    assert changes.jobs[job.uid] is not None
    assert "exit code 3" in job.failing
    assert [(pod.exit_code, pod.is_gone) for pod in changes.pods] == [(143, True)]


def test_a_pod_deaf_to_sigterm_is_killed_at_the_end_of_its_grace() -> None:
    model = model_with(Fate(run_ms=None, start_ms=0, termination_ms=500 * SECOND))
    job = model.create(workload("deaf", grace_seconds=30))
    launch(model, job, (A, 1))
    run_for(model, 60 * SECOND)
    told_at = model.now
    model.suspend(job)
    run_for(model, 29 * SECOND)
    assert job.terminating == 1
    (pod,) = pods_of(run_for(model, 1 * SECOND))
    assert (pod.exit_code, pod.finished_at, pod.is_gone) == (137, told_at + 30 * SECOND, True)


def test_a_resumed_job_does_what_its_last_checkpoint_left() -> None:
    fate = Fate(run_ms=100 * SECOND, checkpoint_every_ms=30 * SECOND, start_ms=0, termination_ms=1 * SECOND)
    model = model_with(fate)
    job = model.create(workload("one"))
    launch(model, job, (A, 1))
    run_for(model, IMAGE_PULL_MS + 70 * SECOND)
    assert job.checkpointed_at == T0 + IMAGE_PULL_MS + 60 * SECOND
    model.suspend(job)
    run_for(model, 10 * SECOND)
    again_at = model.now
    launch(model, job, (A, 1))
    run_for(model, 200 * SECOND)
    assert job.is_complete
    assert job.ended_at == again_at + 40 * SECOND


def test_a_preempted_launch_leaves_nothing_behind_that_could_end_the_next() -> None:
    model = model_with(Fate(run_ms=50 * SECOND, start_ms=0, termination_ms=1 * SECOND))
    job = model.create(workload("one"))
    launch(model, job, (A, 1))
    run_for(model, IMAGE_PULL_MS + 40 * SECOND)
    model.suspend(job)
    run_for(model, 5 * SECOND)
    launch(model, job, (A, 1))
    run_for(model, 30 * SECOND)  # the first launch would have finished meanwhile
    assert job.active == 1
    run_for(model, 20 * SECOND)
    assert job.is_complete


def test_pods_of_a_lost_node_are_given_up_with_the_last_evidence_that_they_ran() -> None:
    model = model_with(Fate(run_ms=None, start_ms=0))
    job = model.create(workload("one"))
    launch(model, job, (A, 1))
    run_for(model, 60 * SECOND)
    lost_at = model.now
    model.lose(A)
    node = run_for(model, 0).nodes[A]
    assert node is not None
    assert not node.accepts_work
    (pod,) = pods_of(run_for(model, EVICTION_MS))
    assert (pod.is_gone, pod.finished_at, pod.evidence_at) == (True, None, lost_at)
    assert job.is_failed
    assert job.failing == "NodeLost: node sim-a did not answer"


def test_a_node_that_comes_back_in_time_keeps_its_pods() -> None:
    model = model_with(Fate(run_ms=200 * SECOND, start_ms=0))
    job = model.create(workload("one"))
    launch(model, job, (A, 1))
    run_for(model, 60 * SECOND)
    model.lose(A)
    run_for(model, 200 * SECOND)  # its work ends meanwhile, and nobody sees it
    assert job.active == 1
    model.recover(A)
    run_for(model, EVICTION_MS)
    assert job.is_complete


def test_a_cordoned_node_takes_no_new_pods_and_keeps_those_it_has() -> None:
    model = model_with(Fate(run_ms=None, start_ms=0))
    before, after = model.create(workload("before")), model.create(workload("after"))
    launch(model, before, (A, 1))
    run_for(model, 60 * SECOND)
    model.cordon(A)
    launch(model, after, (A, 1))
    run_for(model, 60 * SECOND)
    assert (before.active, [pod.node for pod in after.live_pods]) == (1, [None])
    model.cordon(A, is_cordoned=False)
    run_for(model, 60 * SECOND)
    assert [pod.node for pod in after.live_pods] == [A]


def test_a_finished_job_is_forgotten_after_its_time() -> None:
    model = model_with(Fate(run_ms=1 * SECOND, start_ms=0))
    job = model.create(workload("one"))
    launch(model, job, (A, 1))
    run_for(model, 60 * SECOND)
    changes = run_for(model, FINISHED_KEPT_MS)
    assert changes.jobs == {job.uid: None}
    assert [pod.is_gone for pod in changes.pods] == [True]
    assert model.job_named("allot", "one") is None


def test_nodes_have_the_class_that_policy_gives_them() -> None:
    model = ClusterModel(example_machines(), lambda _: Fate(None))
    h100 = GpuClass(GpuClassName("H100"), PerMille(1000), (("nvidia.com/gpu.product", H100.product),))
    model.use_classes({h100.name: h100})
    nodes = [node for node in model.relist().nodes.values() if node is not None]
    assert len(nodes) == 104
    assert Counter(node.gpu_class for node in nodes) == {"H100": 24, None: 80}
    assert sum(node.gpus + node.outside_gpus for node in nodes) == 640
    assert sum(node.outside_gpus for node in nodes) == 3
    assert all(node.labels["simulated.allot.dev/node"] == "true" for node in nodes)


# Whatever is done to it, it is a possible cluster, and one that goes on from its kept state as if it had never stopped.

_steps = st.lists(
    st.tuples(
        st.sampled_from(["launch", "suspend", "delete", "lose", "recover", "cordon", "wait"]),
        st.integers(0, 5),
        st.integers(0, 400),
    ),
    max_size=30,
)
_FATES = (
    Fate(run_ms=90 * SECOND, start_ms=700, checkpoint_every_ms=20 * SECOND, termination_ms=3 * SECOND),
    Fate(run_ms=45 * SECOND, exit_code=1, start_ms=1_300, termination_ms=90 * SECOND),
    Fate(run_ms=None, start_ms=5 * SECOND, termination_ms=0),
)


MACHINES = (machine(A), machine(B, outside_gpus=3))


def _fate_of(asked: Workload) -> Fate:
    return _FATES[len(asked.id) % len(_FATES)]


def _model() -> ClusterModel:
    return ClusterModel(MACHINES, _fate_of)


def _do(model: ClusterModel, step: tuple[str, int, int]) -> None:
    verb, which, seconds = step
    node = (A, B)[which % 2]
    job = model.job_named("allot", f"job-{'x' * which}")
    if job is None:
        asked = workload(f"job-{'x' * which}", gpus=1 + which % 4, pods=1 + which % 3)
        job = model.create(asked)
    match verb:
        case "launch" if job.is_suspended and not job.live_pods and not job.has_ended and not job.is_deleted:
            launch(model, job, (node, 1 + which % 3))
        case "suspend":
            model.suspend(job)
        case "delete":
            model.delete(job)
        case "lose":
            model.lose(node)
        case "recover":
            model.recover(node)
        case "cordon":
            model.cordon(node, is_cordoned=bool(seconds % 2))
    model.advance(Instant(model.now + seconds * SECOND))


def _assert_possible(model: ClusterModel) -> None:
    for name, free_of_ours in ((A, 8), (B, 5)):
        held = [index for _, pod in model.pods_on(name) for index in pod.gpu_indexes]
        assert len(held) == len(set(held)) <= free_of_ours
    for job in model.jobs.values():
        assert not (job.is_complete and job.is_failed)
        assert not (job.has_ended and job.live_pods)
        for pod in job.pods.values():
            assert pod.finished_at is None or (pod.started_at is not None and pod.finished_at >= pod.started_at)


@given(_steps)
@settings(deadline=None)
def test_no_gpu_is_given_twice_and_no_job_ends_twice(steps: list[tuple[str, int, int]]) -> None:
    model = _model()
    model.advance(T0)
    for step in steps:
        _do(model, step)
        _assert_possible(model)


@given(_steps, st.integers(0, 30))
@settings(deadline=None)
def test_it_goes_on_from_its_kept_state_as_if_it_had_not_stopped(
    steps: list[tuple[str, int, int]], stop_at: int
) -> None:
    whole, first = _model(), _model()
    for model in (whole, first):
        model.advance(T0)
    for step in steps[:stop_at]:
        _do(whole, step)
        _do(first, step)
        orjson.dumps(first.export())
    state = orjson.dumps(first.export())
    assert state == orjson.dumps(whole.export())  # what it remembered of one export has not made the next one wrong
    resumed = ClusterModel.restore(orjson.loads(state), MACHINES, _fate_of)
    for step in (*steps[stop_at:], ("wait", 0, 4_000)):
        _do(whole, step)
        _do(resumed, step)
    kept = [orjson.loads(orjson.dumps(model.export())) for model in (resumed, whole)]
    assert kept[0]["jobs"] == kept[1]["jobs"]
    assert kept[0]["timeline"] == kept[1]["timeline"]
    lists = [model.relist() for model in (resumed, whole)]
    assert lists[0].nodes == lists[1].nodes
    assert {pod.uid: pod for pod in lists[0].pods} == {pod.uid: pod for pod in lists[1].pods}


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 0; expected 1"):
        ClusterModel.restore({"version": 0}, MACHINES, _fate_of)
