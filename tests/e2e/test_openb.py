"""A production trace on 1,213 nodes of a real control plane, end to end; then what the apiserver said is held against
what the service recorded. The replay runs once, for minutes; each test is one claim about it."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable

import pytest

from scheduler.domain.reasons import Reason
from scheduler.domain.units import standard_total
from scheduler.domain.workloads import Attempt, Origin, WorkloadState
from scheduler.entrypoints.devcluster.cluster import ControlPlane, Options
from scheduler.ledger.holds import HoldState
from scheduler.ledger.journal import AccountKind, TransactionKind
from tests.e2e.openb import (
    FACTORS,
    G2_BORROWED_MAX,
    G2_PER_POOL,
    GPUS,
    LEFT_OUT,
    T4_PER_POOL,
    TEAMS,
    WEIGHTS,
    Ending,
    TracePod,
    read_nodes,
    read_pods,
    trace_folder,
)
from tests.e2e.replaying import Outcome, replay
from tests.e2e.witness import PodSeen, most_at_once

pytestmark = [
    pytest.mark.controlplane,
    pytest.mark.timeout(1800),  # The first of them waits for the whole replay.
]

_S = WorkloadState


@pytest.fixture(scope="module")
def trace() -> tuple[TracePod, ...]:
    folder = trace_folder()
    if folder is None:
        pytest.skip(LEFT_OUT)
    return read_pods(folder)


@pytest.fixture(scope="module")
def outcome(
    trace: tuple[TracePod, ...],
    start_control_plane: Callable[[Options], ControlPlane],
    tmp_path_factory: pytest.TempPathFactory,
) -> Outcome:
    folder = trace_folder()
    assert folder is not None
    plane = start_control_plane(Options(read_nodes(folder)))
    return asyncio.run(replay(plane, trace, tmp_path_factory.mktemp("openb")))


@pytest.fixture(scope="module")
def gpus_of() -> dict[str, int]:
    """By node; a pod that was never bound was on none."""
    folder = trace_folder()
    assert folder is not None
    return {"": 0, **{node.name: node.gpus for node in read_nodes(folder)}}


@pytest.fixture(scope="module")
def pods_of(outcome: Outcome) -> dict[str, list[PodSeen]]:
    """What the witness saw of each attempt."""
    found: dict[str, list[PodSeen]] = defaultdict(list)
    for pod in outcome.pods:
        found[pod.attempt].append(pod)
    return found


def test_every_workload_ended_as_the_trace_says_or_was_refused_for_a_recorded_reason(
    outcome: Outcome, trace: tuple[TracePod, ...]
) -> None:
    expected = {Ending.COMPLETES: _S.COMPLETED, Ending.FAILS: _S.FAILED, Ending.CANCELLED: _S.CANCELLED}
    by_name = {workload.spec.name: workload for workload in outcome.workloads.values()}
    otherwise = {
        pod.name: by_name[pod.name].state if pod.name in by_name else outcome.refusals.get(pod.number, "unknown")
        for pod in trace
        if pod.name not in by_name or by_name[pod.name].state is not expected[pod.ending]
    }
    # One asks for more memory than any node with these GPUs has; nothing else may differ.
    assert otherwise == {pod.name: "unplaceable" for pod in trace if pod.memory_mib > 600_000}
    assert len(by_name) == len(outcome.workloads)


def test_both_ways_in_were_used(outcome: Outcome) -> None:
    origins = Counter(workload.origin for workload in outcome.workloads.values())
    assert origins[Origin.KUBECTL] == 150
    assert origins[Origin.API] > 1300


def test_every_workload_says_how_it_ended(outcome: Outcome) -> None:
    how = {
        _S.COMPLETED: {Reason.COMPLETED},
        _S.FAILED: {Reason.FAILED},
        _S.CANCELLED: {Reason.CANCELLED, Reason.JOB_DELETED},
    }
    assert [
        (workload.id, workload.state, outcome.verdicts[workload.id])
        for workload in outcome.workloads.values()
        if outcome.verdicts[workload.id][-1].reason not in how[workload.state]
    ] == []


def test_what_was_charged_is_what_the_pods_ran_to_the_second(
    outcome: Outcome, pods_of: dict[str, list[PodSeen]]
) -> None:
    charged, physical = Counter[str](), Counter[str]()
    for entry in outcome.entries:
        if entry.kind is TransactionKind.CHARGE and entry.account.kind is AccountKind.CHARGED:
            assert entry.attempt_id is not None
            charged[entry.attempt_id] += entry.amount
            physical[entry.attempt_id] += entry.gpu_ms
    wrong = {
        attempt.id: (charged[attempt.id], physical[attempt.id], _cost(attempt, pods_of[attempt.id]))
        for attempt in outcome.attempts.values()
        if (charged[attempt.id], physical[attempt.id]) != _cost(attempt, pods_of[attempt.id])
    }
    assert wrong == {}
    assert set(pods_of) <= set(outcome.attempts)
    assert charged.total() > 0
    assert physical.total() == sum(pod.gpu_seconds for pod in outcome.pods) * 1000


def test_every_attempt_kept_the_terms_of_the_policy(outcome: Outcome) -> None:
    for attempt in outcome.attempts.values():
        assert attempt.weight == WEIGHTS[attempt.gpu_class]
        assert attempt.class_factor == FACTORS[attempt.priority_class]


def test_no_attempt_had_more_pods_than_one_and_none_ran_twice_at_once(
    outcome: Outcome, pods_of: dict[str, list[PodSeen]]
) -> None:
    assert max(len(pods) for pods in pods_of.values()) == 1
    for workload in outcome.workloads.values():
        own = [pod for pod in outcome.pods if pod.job_uid == workload.job_uid]
        assert most_at_once(own) <= workload.spec.gpus


def test_no_gpu_was_ever_placed_twice(outcome: Outcome, gpus_of: dict[str, int]) -> None:
    on_node: dict[str, list[PodSeen]] = defaultdict(list)
    for pod in outcome.pods:
        on_node[pod.node].append(pod)
    assert {node: most_at_once(pods) for node, pods in on_node.items() if most_at_once(pods) > gpus_of[node]} == {}


def test_no_pool_used_more_than_its_quota_and_what_it_may_borrow(
    outcome: Outcome, pods_of: dict[str, list[PodSeen]]
) -> None:
    used: dict[tuple[str, str], list[PodSeen]] = defaultdict(list)
    for attempt in outcome.attempts.values():
        used[attempt.pool, attempt.gpu_class] += pods_of[attempt.id]
    quota = {"G2": G2_PER_POOL + G2_BORROWED_MAX, "T4": TEAMS * T4_PER_POOL}
    assert {key: most_at_once(pods) for key, pods in used.items() if most_at_once(pods) > quota[key[1]]} == {}
    assert most_at_once(outcome.pods) <= GPUS


def test_priorities_budgets_and_preemption_mattered(outcome: Outcome) -> None:
    reasons = Counter(verdict.reason for verdicts in outcome.verdicts.values() for verdict in verdicts)
    assert most_at_once(outcome.pods) > GPUS * 0.9
    assert reasons[Reason.PREEMPTED] > 0
    assert reasons[Reason.ALLOWANCE_SHORT] > 0
    assert any(attempt.is_borrowed for attempt in outcome.attempts.values())


def test_every_preemption_recorded_for_whom_and_by_which_comparison(outcome: Outcome) -> None:
    preempted = [attempt for attempt in outcome.attempts.values() if attempt.stop_reason is Reason.PREEMPTED]
    said = [v for verdicts in outcome.verdicts.values() for v in verdicts if v.reason is Reason.PREEMPTED]
    # One that ended by itself while it was being preempted ran to its end all the same.
    assert len(said) >= len(preempted) > 0
    assert all({"preemptor_id", "rule", "comparison"} <= set(verdict.evidence) for verdict in said)


def test_no_allowance_went_below_its_overdraft(outcome: Outcome) -> None:
    balances = Counter[str]()
    lowest = Counter[str]()
    for entry in outcome.entries:
        if entry.account.kind is AccountKind.ALLOWANCE:
            owner = entry.account.owner
            balances[owner] += entry.amount
            lowest[owner] = min(lowest[owner], balances[owner])
    assert {owner: low for owner, low in lowest.items() if low < outcome.floors[owner]} == {}


def test_the_journal_rebuilt_is_the_cached_balances_and_every_invariant_holds(outcome: Outcome) -> None:
    assert outcome.differences == []
    assert outcome.violations == {}


def test_every_hold_is_resolved(outcome: Outcome) -> None:
    assert len(outcome.holds) > len(outcome.workloads) / 2
    assert [hold for hold in outcome.holds if hold.state is not HoldState.RESOLVED] == []


def _cost(attempt: Attempt, pods: list[PodSeen]) -> tuple[int, int]:
    """Standard and physical GPU-milliseconds, from the apiserver's stamps and the policy's text alone."""
    gpu_ms = sum(pod.gpu_seconds for pod in pods) * 1000
    return standard_total(gpu_ms, attempt.weight, attempt.class_factor), gpu_ms
