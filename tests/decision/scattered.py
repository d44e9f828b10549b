"""Small work strewn over nodes, and a policy that lets it be moved."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from scheduler.decision.plan import Launch, Plan, Preemption
from scheduler.decision.snapshot import Snapshot
from scheduler.domain.consolidation import ConsolidationTerms
from scheduler.domain.policy import Policy, PriorityClass
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, Instant, NodeName
from scheduler.domain.workloads import Attempt
from tests.decision.applying import workload_of
from tests.decision.builders import (
    NOW,
    SPARE,
    STANDARD,
    URGENT,
    attempt,
    balance,
    node,
    nodes,
    policy,
    pool,
    snapshot,
    workload,
)
from tests.decision.worlds import mostly

TERMS = ConsolidationTerms(frozenset({STANDARD.name}), lost_max=60 * MS_PER_MINUTE, moves_max=4)
THREE = nodes(node("n1", 8), node("n2", 8), node("n3", 8))


def moving(*classes: PriorityClass, **changes: Any) -> Policy:
    """A policy that lets standard work be moved that loses an hour of one GPU at most."""
    terms = replace(TERMS, **{key: changes.pop(key) for key in ("lost_max", "moves_max") if key in changes})
    made = policy(pool("red", gpus=changes.pop("quota", 64)), classes=classes or (URGENT, STANDARD, SPARE))
    return replace(made, **{"consolidation": terms, **changes})


def saved(name: str, on: str, gpus: int, *, minutes_ago: int = 5, **changes: Any) -> Attempt:
    """A running attempt that wrote a checkpoint so long ago."""
    return attempt(name, on, gpus=gpus, checkpointed_at=Instant(NOW - minutes_ago * MS_PER_MINUTE), **changes)


FRAGMENTS = (saved("a", "n1", 4), saved("b", "n2", 4, minutes_ago=3), saved("c", "n3", 6))
"""Ten of 24 GPUs are free, and no node is."""


def world(*attempts: Attempt, by: Policy | None = None, **changes: Any) -> Snapshot:
    """Who runs, on three nodes of eight GPUs, beside one who wants a whole one; all can pay for a thousand hours."""
    queued = changes.pop("queued", [workload("whole", gpus=8)])
    owners = sorted({*(each.owner for each in attempts), *(each.owner for each in queued)})
    return snapshot(
        changes.pop("known", THREE),
        queued,
        by=by if by is not None else moving(),
        attempts=attempts,
        launched={each.workload_id: workload_of(each) for each in attempts},
        balances=changes.pop("balances", [balance(owner) for owner in owners]),
        **changes,
    )


def moves(plan: Plan) -> dict[str, dict[str, int]]:
    """Where each that is moved goes."""
    return {
        move.workload_id: dict(move.placement.pods_by_node)
        for preemption in plan.preemptions
        for move in preemption.moves
    }


@st.composite
def scattered(draw: st.DrawFn) -> Snapshot:
    """Nodes of eight GPUs with small work strewn over them, and gangs that want whole or half ones."""
    known = nodes(*(node(f"n{number}", 8) for number in range(draw(st.integers(2, 4)))))
    free = {name: each.gpus for name, each in known.items()}
    attempts = []
    for number in range(draw(st.integers(3, 7))):
        on, gpus = NodeName(f"n{number % len(known)}"), draw(st.integers(1, 3))
        if free[on] >= gpus:
            free[on] -= gpus
            made = saved(
                f"r{number}",
                on,
                gpus,
                minutes_ago=draw(st.integers(0, 60)),
                owner=draw(st.sampled_from(["bob", "cyd"])),
                priority_class=draw(mostly(STANDARD, SPARE)),
                running_for=draw(mostly(7200, 60)),
            )
            unsaved = draw(mostly(False, False, True))
            attempts.append(replace(made, checkpointed_at=None) if unsaved else made)
    queued = [
        workload(
            f"w{number}",
            gpus=draw(mostly(8, 6, 4)),
            pods=draw(mostly(1, 2)),
            priority_class=draw(mostly(STANDARD, SPARE)),
            age=number,
        )
        for number in range(draw(mostly(1, 2, 3)))
    ]
    sheltered = replace(STANDARD, minimum_runtime_ms=draw(mostly(0, 600_000)))
    by = moving(URGENT, sheltered, SPARE)
    terms = ConsolidationTerms(frozenset({STANDARD.name, SPARE.name}), 3 * MS_PER_HOUR, draw(st.integers(1, 5)))
    balances = [balance("ada"), balance("bob", draw(mostly(100, 6))), balance("cyd")]
    return world(*attempts, by=replace(by, consolidation=terms), known=known, queued=queued, balances=balances)


def moves_of(plan: Plan) -> list[tuple[Preemption, Launch]]:
    return [(preemption, move) for preemption in plan.preemptions for move in preemption.moves]
