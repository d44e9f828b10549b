"""Charges, pods and devices compared: what agrees says nothing, what does not is one difference of one class."""

from dataclasses import replace

import pytest

from scheduler.domain.units import AttemptId, Instant, NodeName
from scheduler.finance.reconciling.reconciliation import (
    TOLERANCE_MS,
    AttemptUse,
    DifferenceKind,
    Evidence,
    Settlement,
    SettlementKind,
    reconcile,
)

HOUR, LONG = 3_600_000, 360_000
A, N1, N2 = AttemptId("a-1"), NodeName("n-1"), NodeName("n-2")


def use(charged: int = HOUR, pods: int = HOUR, billable: int = HOUR, devices: int = HOUR) -> AttemptUse:
    return AttemptUse(charged, pods, billable, devices, gpus=1, nodes=frozenset({N1}))


def differences(evidence: Evidence, *settlements: Settlement) -> list[tuple[DifferenceKind, str, int]]:
    found = reconcile("2026-10", evidence, settlements)
    return [(each.kind, each.subject, each.gpu_ms) for each in found.differences]


CASES = {
    "what agrees": (use(), []),
    "windows cut at both ends": (use(devices=HOUR - TOLERANCE_MS), []),
    "ending beyond the grace": (use(pods=HOUR + 7), [(DifferenceKind.OVERHEAD, "a-1:ending", 7)]),
    "never charged": (
        use(charged=0, devices=0),
        [(DifferenceKind.UNATTRIBUTED, "a-1:pods", HOUR)],
    ),
    "charged for longer than its pods ran": (
        use(pods=HOUR - 1, billable=HOUR - 1),
        [(DifferenceKind.EVIDENCE_LOST, "a-1:pods", 1)],
    ),
    "windows as long as those at both ends": (replace(use(devices=HOUR + 2 * LONG), window_ms=LONG), []),
    "longer than its windows explain": (
        replace(use(devices=HOUR + 2 * LONG + HOUR // 100 + 1), window_ms=LONG),
        [(DifferenceKind.UNATTRIBUTED, "a-1:devices", 2 * LONG + HOUR // 100 + 1)],
    ),
    "its pods had GPUs while they pulled their image": (
        replace(use(devices=2 * HOUR), starting=2 * HOUR),
        [(DifferenceKind.OVERHEAD, "a-1:starting", HOUR)],
    ),
    "for longer than it pulled and than it was charged": (
        replace(use(devices=2 * HOUR), starting=HOUR // 2),
        [
            (DifferenceKind.OVERHEAD, "a-1:starting", HOUR // 2),
            (DifferenceKind.UNATTRIBUTED, "a-1:devices", HOUR // 2),
        ],
    ),
    "seen while it was ending beyond the grace": (
        use(pods=2 * HOUR, devices=2 * HOUR),
        [(DifferenceKind.OVERHEAD, "a-1:ending", HOUR)],
    ),
    "half of it unseen": (use(devices=HOUR // 2), [(DifferenceKind.EVIDENCE_LOST, "a-1:devices", HOUR // 2)]),
    "seen for longer": (use(devices=2 * HOUR), [(DifferenceKind.UNATTRIBUTED, "a-1:devices", HOUR)]),
}


@pytest.mark.parametrize(("one", "expected"), CASES.values(), ids=CASES)
def test_each_difference_has_one_class(one: AttemptUse, expected: list[tuple[DifferenceKind, str, int]]) -> None:
    assert differences(Evidence({A: one}, frozenset({N1}))) == expected


def test_a_node_without_an_agent_is_one_difference_and_not_one_an_attempt() -> None:
    attempts = {AttemptId(f"a-{n}"): use(devices=0) for n in range(5)}
    assert differences(Evidence(attempts, frozenset({N2}))) == [(DifferenceKind.EVIDENCE_LOST, "node:n-1", 5 * HOUR)]


def test_a_device_that_was_active_for_nobody_is_told() -> None:
    unowned = {"GPU-1": HOUR, "GPU-2": TOLERANCE_MS, "GPU-3": 2 * LONG}
    assert differences(Evidence({}, unowned=unowned, window_ms={"GPU-1": LONG, "GPU-3": LONG})) == [
        (DifferenceKind.UNATTRIBUTED, "gpu:GPU-1", HOUR)
    ]


def test_a_settlement_holds_for_the_amount_that_was_settled_alone() -> None:
    evidence = Evidence({A: use(devices=0)}, frozenset({N1}))
    (lost,) = reconcile("2026-10", evidence, []).differences
    settled = Settlement(lost.id, lost.gpu_ms, SettlementKind.WRITE_OFF, "", "agent away", "e-1", Instant(1))
    assert reconcile("2026-10", evidence, [settled]).unresolved == ()
    grown = Evidence({A: use(HOUR + 1, HOUR + 1, HOUR + 1, 0)}, frozenset({N1}))
    assert len(reconcile("2026-10", grown, [settled]).unresolved) == 1


def test_overhead_is_the_platforms_by_rule() -> None:
    found = reconcile("2026-10", Evidence({A: use(pods=HOUR + 7)}, frozenset({N1})), [])
    assert found.unresolved == ()
    assert found.differences[0].settlement is not None
    assert found.differences[0].settlement.owner == "platform"


def test_charges_are_devices_and_differences_and_what_lies_within_tolerance() -> None:
    attempts = {AttemptId(f"a-{n}"): use(devices=HOUR - n * 20_000) for n in range(8)}
    found = reconcile("2026-10", Evidence(attempts, frozenset({N1})), [])
    lost = sum(each.gpu_ms for each in found.differences)
    assert found.charged == found.seen_on_devices + lost + found.within_tolerance
    assert lost > 0 < found.within_tolerance
