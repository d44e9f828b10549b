"""What victims give up is their preemptor's only when they have ended, however many free GPUs the cluster has."""

from scheduler.decision.decide import decide
from scheduler.decision.snapshot import Reservation
from scheduler.domain.cluster import Placement
from scheduler.domain.reasons import Reason
from scheduler.domain.units import Instant, NodeName, WorkloadId
from scheduler.domain.workloads import AttemptState
from tests.decision.builders import H100, NOW, URGENT, attempt, node, nodes, policy, pool, reasons, snapshot, workload

ROOMY = nodes(node("n1", 64), node("n2", 64))
RULES = policy(pool("red", gpus=8))


def reserved(name: str) -> list[Reservation]:
    placement = Placement(((NodeName("n2"), 1),))
    return [Reservation(WorkloadId(name), H100, placement, Instant(NOW + 600_000))]


def test_a_preemptor_waits_for_the_quota_of_victims_that_are_still_ending() -> None:
    victim = attempt("v", "n1", gpus=8, state=AttemptState.STOPPING, stop_reason=Reason.PREEMPTED)
    waiting = workload("p", gpus=8, priority_class=URGENT)

    held = decide(snapshot(ROOMY, [waiting], by=RULES, attempts=[victim], reservations=reserved("p")))
    assert held.launches == ()
    assert held.preemptions == ()
    free = decide(snapshot(ROOMY, [waiting], by=RULES, reservations=reserved("p")))
    assert [launch.is_reserved for launch in free.launches] == [True]


def test_nobody_else_starts_on_the_quota_that_victims_still_use_or_have_promised() -> None:
    victim = attempt("v", "n1", gpus=8, state=AttemptState.STOPPING, stop_reason=Reason.PREEMPTED)
    preemptor, other = workload("p", gpus=2, priority_class=URGENT), workload("o", gpus=6, owner="bob")

    held = decide(snapshot(ROOMY, [preemptor, other], by=RULES, attempts=[victim], reservations=reserved("p")))
    assert held.launches == ()
    assert reasons(held)["o"] is Reason.QUOTA
    free = decide(snapshot(ROOMY, [preemptor, other], by=RULES, reservations=reserved("p")))
    assert {launch.workload_id for launch in free.launches} == {"p", "o"}
    crowded = decide(
        snapshot(ROOMY, [preemptor, workload("o", gpus=7, owner="bob")], by=RULES, reservations=reserved("p"))
    )
    assert {launch.workload_id for launch in crowded.launches} == {"p"}
