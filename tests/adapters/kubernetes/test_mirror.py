"""The mirror: what is reported of what the watches put into it, and what it makes of pods that are not ours."""

from scheduler.adapters.kubernetes.mirror import ClusterMirror
from scheduler.domain.cluster import GpuClass
from scheduler.domain.observations import ClusterChanges, ObservedPod
from scheduler.domain.units import GpuClassName, Instant, JobUid, NodeName, PerMille
from tests.adapters.kubernetes.objects import Json, job, node, pod

H100 = GpuClass(GpuClassName("h100"), PerMille(1000), (("nvidia.com/gpu.product", "H100"),))
NODE = NodeName("node-1")
TRAIN = JobUid("uid-of-train")
LAUNCHED: Json = {"template_annotations": {"allot.dev/attempt": "a-1"}, "spec": {"suspend": False}}
RUNNING = {"phase": "Running", "containerStatuses": [{"state": {"running": {"startedAt": "2026-03-02T10:00:00Z"}}}]}
DONE = {
    "phase": "Succeeded",
    "containerStatuses": [
        {
            "state": {
                "terminated": {
                    "startedAt": "2026-03-02T10:00:00Z",
                    "finishedAt": "2026-03-02T10:10:00Z",
                    "exitCode": 0,
                }
            }
        }
    ],
}


def mirror_with(*nodes: Json) -> ClusterMirror:
    mirror = ClusterMirror(namespaces=["research"])
    mirror.use_classes([H100])
    for raw in nodes or (node(),):
        mirror.put_node(raw)
    return mirror


def settled(*nodes: Json) -> ClusterMirror:
    mirror = mirror_with(*nodes)
    mirror.drain()
    return mirror


def outside_gpus(changes: ClusterChanges) -> int:
    read = changes.nodes[NODE]
    assert read is not None
    assert read.gpus + read.outside_gpus == 8
    return read.outside_gpus


def only_pod(changes: ClusterChanges) -> ObservedPod:
    (read,) = changes.pods
    return read


def test_what_did_not_change_is_reported_once() -> None:
    mirror = mirror_with()
    mirror.put_job(job())
    mirror.put_pod(pod())

    first, again = mirror.drain(is_relist=True), mirror.drain()
    mirror.put_node(node(heartbeat="2026-03-02T10:05:00Z"))
    mirror.put_job({**job(), "status": {"ready": 0}})
    mirror.put_pod(pod(status={"podIP": "10.0.0.1"}))

    assert (set(first.nodes), set(first.jobs), len(first.pods), first.is_relist) == ({NODE}, {TRAIN}, 1, True)
    assert again.is_empty
    assert mirror.drain().is_empty


def test_a_pod_of_nobody_takes_from_its_node_until_it_ends() -> None:
    mirror = settled()

    mirror.put_pod(pod("theirs", job_uid=None, namespace="other", gpus=3))
    taken = outside_gpus(mirror.drain())
    mirror.put_pod(pod("theirs", job_uid=None, namespace="other", gpus=3, status={"phase": "Succeeded"}))

    assert taken == 3
    assert outside_gpus(mirror.drain()) == 0


def test_a_pod_without_a_node_takes_nothing() -> None:
    mirror = settled()

    mirror.put_pod(pod("theirs", job_uid=None, node=None, gpus=3))

    assert mirror.drain().is_empty


def test_a_deleted_pod_of_nobody_gives_back_what_it_took() -> None:
    mirror = settled()
    theirs = pod("theirs", job_uid=None, gpus=3)
    mirror.put_pod(theirs)
    mirror.drain()

    mirror.remove_pod(theirs)

    assert outside_gpus(mirror.drain()) == 0


def test_a_pod_that_a_live_attempt_accounts_for_takes_nothing_from_outside() -> None:
    mirror = settled()
    mirror.account_for({TRAIN: 1})
    mirror.put_job(job(**LAUNCHED))

    mirror.put_pod(pod(status=RUNNING))
    changes = mirror.drain()

    assert changes.nodes == {}
    assert only_pod(changes).job_uid == TRAIN


def test_a_job_that_runs_without_us_takes_from_its_node() -> None:
    mirror = settled()
    mirror.put_job(job(spec={"suspend": False}))

    mirror.put_pod(pod(gpus=2))

    assert outside_gpus(mirror.drain()) == 2


def test_what_a_user_wrote_into_the_template_makes_no_pod_ours() -> None:
    mirror = settled()
    forged = {"allot.dev/attempt": "a-1", "allot.dev/workload": "w-1"}
    mirror.put_job(job(annotations=forged, template_annotations=forged, spec={"suspend": False}))

    mirror.put_pod(pod(gpus=8, status=RUNNING, metadata={"annotations": forged}))

    assert outside_gpus(mirror.drain()) == 8


def test_a_pod_of_a_job_that_is_not_known_is_outside_until_an_attempt_accounts_for_it() -> None:
    mirror = settled()
    mirror.put_pod(pod(status=RUNNING))
    unknown = outside_gpus(mirror.drain())

    mirror.account_for({TRAIN: 1})
    ours = outside_gpus(mirror.drain())
    mirror.account_for({TRAIN: 1})
    told_twice = mirror.drain()
    mirror.account_for({TRAIN: 0})

    assert (unknown, ours, told_twice.is_empty) == (1, 0, True)
    assert outside_gpus(mirror.drain()) == 1


def test_a_job_of_kueue_is_not_reported_and_its_pods_are_outside() -> None:
    mirror = settled()
    mirror.put_job(job(labels={"kueue.x-k8s.io/queue-name": "q"}, spec={"suspend": False}))

    mirror.put_pod(pod(gpus=4))
    changes = mirror.drain()

    assert changes.jobs == {}
    assert outside_gpus(changes) == 4


def test_a_job_in_another_namespace_is_nobodys() -> None:
    mirror = settled()
    foreign = job()
    foreign["metadata"]["namespace"] = "other"

    mirror.put_job(foreign)
    mirror.put_pod(pod(namespace="other"))
    changes = mirror.drain()

    assert (changes.jobs, changes.pods) == ({}, ())
    assert outside_gpus(changes) == 1


def test_a_job_that_goes_is_reported_as_gone() -> None:
    mirror = settled()
    mirror.put_job(job())
    mirror.drain()

    mirror.drop_job(TRAIN)

    assert mirror.drain().jobs == {TRAIN: None}
    mirror.drop_job(TRAIN)
    assert mirror.drain().is_empty


def test_a_job_that_is_deleted_at_its_end_is_reported_as_ended_and_then_as_gone() -> None:
    mirror = settled()
    mirror.put_job(job())
    mirror.drain()

    mirror.put_job(job(status={"conditions": [{"type": "Complete", "status": "True"}]}))
    mirror.drop_job(TRAIN)

    ended = mirror.drain().jobs[TRAIN]
    assert ended is not None
    assert ended.is_complete
    assert mirror.has_changes
    assert mirror.drain().jobs == {TRAIN: None}
    assert mirror.drain().is_empty


def test_a_job_handed_to_kueue_is_gone_for_us() -> None:
    mirror = settled()
    mirror.put_job(job())
    mirror.drain()

    mirror.put_job(job(labels={"kueue.x-k8s.io/queue-name": "q"}))

    assert mirror.drain().jobs == {TRAIN: None}


def test_a_pod_that_goes_is_reported_once_more_with_its_last_status() -> None:
    mirror = settled()
    mirror.put_job(job(**LAUNCHED))
    mirror.put_pod(pod(status=RUNNING))
    mirror.drain()

    mirror.remove_pod(pod(status=DONE))
    gone = only_pod(mirror.drain())

    assert gone.is_gone
    assert gone.finished_at is not None


def test_a_pod_that_a_relist_misses_is_gone_with_what_was_last_known() -> None:
    mirror = settled()
    mirror.put_pod(pod(status=RUNNING))
    mirror.drain()

    mirror.drop_pod("uid-of-train-x1")
    gone = only_pod(mirror.drain())

    assert (gone.is_gone, gone.finished_at, gone.evidence_at) == (True, None, gone.started_at)


def test_the_kubelets_last_word_does_not_hide_when_deletion_was_asked_for() -> None:
    mirror = settled()
    asked = {"deletionTimestamp": "2026-03-02T10:05:30Z", "deletionGracePeriodSeconds": 30}
    mirror.put_pod(pod(status=RUNNING, metadata=asked))
    first = only_pod(mirror.drain())

    last = {"deletionTimestamp": "2026-03-02T10:05:10Z", "deletionGracePeriodSeconds": 0}
    mirror.remove_pod(pod(status=DONE, metadata=last))
    gone = only_pod(mirror.drain())

    assert first.grace_seconds == 30
    assert (gone.deleted_at, gone.grace_seconds) == (first.deleted_at, 30)


def test_a_lost_node_is_asked_after_and_its_heartbeat_is_evidence() -> None:
    mirror = settled()
    mirror.put_pod(pod(status=RUNNING))
    started = only_pod(mirror.drain()).started_at

    mirror.put_node(node(ready="Unknown"))
    lost = mirror.drain_lost_nodes()
    mirror.drain()
    heartbeat = Instant((started or 0) + 600_000)
    mirror.note_evidence(NODE, heartbeat)

    assert lost == {NODE}
    assert only_pod(mirror.drain()).evidence_at == heartbeat


def test_a_heartbeat_older_than_the_pods_own_stamps_changes_nothing() -> None:
    mirror = settled()
    mirror.put_pod(pod(status=RUNNING))
    mirror.drain()

    mirror.note_evidence(NODE, Instant(1))

    assert mirror.drain().is_empty


def test_evidence_outlives_the_next_look_at_the_pod() -> None:
    mirror = settled()
    mirror.put_pod(pod(status=RUNNING))
    heartbeat = Instant((only_pod(mirror.drain()).started_at or 0) + 600_000)
    mirror.note_evidence(NODE, heartbeat)
    mirror.drain()

    mirror.put_pod(pod(status=RUNNING, metadata={"deletionTimestamp": "2026-03-02T10:30:00Z"}))

    assert only_pod(mirror.drain()).evidence_at == heartbeat


def test_a_node_that_goes_is_reported_as_gone() -> None:
    mirror = settled()

    mirror.drop_node(NODE)

    assert mirror.drain().nodes == {NODE: None}
    assert mirror.drain_lost_nodes() == {NODE}


def test_new_classes_report_the_nodes_that_they_change() -> None:
    mirror = settled()

    mirror.use_classes([GpuClass(GpuClassName("hopper"), PerMille(1000), H100.node_selector)])
    changes = mirror.drain()

    assert {name: read.gpu_class for name, read in changes.nodes.items() if read} == {NODE: "hopper"}


def test_a_gated_pod_is_given_out_until_it_is_open() -> None:
    mirror = settled()
    gate = {"schedulingGates": [{"name": "allot.dev/placement"}]}
    placed = {"annotations": {"allot.dev/placement": "node-1=1"}}
    mirror.put_pod(pod(node=None, spec=gate, metadata=placed))
    mirror.put_pod(pod("no-placement", node=None, spec=gate))

    given = mirror.drain_gated()

    assert [raw["metadata"]["name"] for raw in given] == ["train-x1"]
    assert mirror.drain_gated() == []


def test_namespaces_are_managed_by_their_label() -> None:
    mirror = ClusterMirror()
    mirror.use_classes([H100])

    mirror.put_namespace({"metadata": {"name": "research", "labels": {"allot.dev/managed": "true"}}})
    mirror.put_namespace({"metadata": {"name": "other", "labels": {"allot.dev/managed": "false"}}})
    mirror.put_job(job())

    assert mirror.managed_namespaces == {"research"}
    assert set(mirror.drain().jobs) == {TRAIN}
    mirror.put_namespace({"metadata": {"name": "research"}})
    mirror.put_job(job())
    assert mirror.drain().jobs == {TRAIN: None}


def test_what_was_launched_is_followed_to_its_end_though_its_namespace_is_managed_no_more() -> None:
    mirror = ClusterMirror()
    mirror.use_classes([H100])
    mirror.account_for({TRAIN: 1})  # also where the label went while nobody watched
    launched = job()

    mirror.put_job(launched)
    mirror.put_pod(pod())
    seen = mirror.drain()
    assert (set(seen.jobs), [each.job_uid for each in seen.pods]) == ({TRAIN}, [TRAIN])

    mirror.account_for({TRAIN: 0})
    mirror.put_job(launched)
    assert mirror.drain().jobs == {TRAIN: None}


def test_the_host_name_of_a_node_is_what_its_label_says() -> None:
    mirror = mirror_with(node(labels={"kubernetes.io/hostname": "ip-10-0-0-1"}))

    assert mirror.hostname(NODE) == "ip-10-0-0-1"
    assert mirror.hostname(NodeName("unknown")) == "unknown"


def test_pods_beyond_those_that_an_attempt_accounts_for_are_outside() -> None:
    mirror = settled()
    mirror.account_for({TRAIN: 1})
    mirror.put_job(job(**LAUNCHED))
    mirror.put_pod(pod(gpus=2, status=RUNNING))
    mirror.drain()

    mirror.put_pod(pod("train-beyond", gpus=2, status=RUNNING))
    with_one_more = outside_gpus(mirror.drain())
    mirror.account_for({TRAIN: 2})
    accounted = outside_gpus(mirror.drain())
    mirror.account_for({TRAIN: 1})
    again = outside_gpus(mirror.drain())
    mirror.remove_pod(pod("train-beyond", gpus=2, status=RUNNING))

    assert (with_one_more, accounted, again) == (2, 0, 2)
    assert outside_gpus(mirror.drain()) == 0


def test_a_pod_that_its_job_left_behind_stays_that_jobs_until_it_ends() -> None:
    """`kubectl delete --cascade=orphan`: it runs on, and is charged; nobody is told to think that it had ended."""
    mirror = mirror_with()
    mirror.put_job(job(**LAUNCHED))
    mirror.put_pod(pod(status=RUNNING))
    mirror.account_for({TRAIN: 1})
    mirror.drain()
    orphan, ended = pod(status=RUNNING), pod(status=DONE)
    for each in (orphan, ended):
        del each["metadata"]["ownerReferences"]

    mirror.drop_job(TRAIN)
    mirror.put_pod(orphan)
    left = mirror.drain()
    mirror.put_pod(ended)
    over = only_pod(mirror.drain())

    assert (left.jobs, left.nodes) == ({TRAIN: None}, {})
    assert (over.job_uid, over.has_ended, over.finished_at) == (TRAIN, True, Instant(1_772_446_200_000))
