"""Who rests now, and what became of those who rested: for operators, who see everybody's."""

from dataclasses import dataclass

from scheduler.domain.units import Instant, WorkloadId
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.usage import decision_view
from scheduler.lifecycle.views.usage_shapes import DecisionView
from scheduler.ports import Books


@dataclass(frozen=True, slots=True)
class RestView:
    """An attempt all of whose GPUs rest. `left_ms` is how much longer they may before `action` is due; 0: it is due."""

    workload_id: str
    workload_name: str
    gpus: int
    since: Instant
    rested_ms: int
    warnings: int
    left_ms: int
    action: str
    is_dry_run: bool


@dataclass(frozen=True, slots=True)
class Resting:
    """`rests` the longest first, of `count` in all; `decisions` the latest first, with the names of their workloads."""

    rests: tuple[RestView, ...]
    count: int
    decisions: tuple[tuple[str, DecisionView], ...]


def resting(books: Books, world: World, limit: int) -> Resting:
    """What rests for longer than its rule's startup grace has a clock, and is here."""
    rests: list[RestView] = []
    for watch in books.idleness.watches():
        attempt = world.attempts.get(watch.attempt_id)
        workload = world.workloads.get(attempt.workload_id) if attempt is not None else None
        since = watch.clock.since
        if attempt is None or workload is None or since is None or world.policy is None:
            continue
        rule = world.policy.idle_rule(workload.spec.kind, workload.spec.priority_class)
        if rule is not None:
            rests.append(
                RestView(
                    workload_id=workload.id,
                    workload_name=workload.spec.name,
                    gpus=attempt.gpus,
                    since=since,
                    rested_ms=watch.clock.rested_ms,
                    warnings=len(watch.clock.warned_at),
                    left_ms=max(0, rule.policy.window_ms - watch.clock.rested_ms),
                    action=rule.policy.action.value,
                    is_dry_run=rule.policy.is_dry_run,
                )
            )
    rests.sort(key=lambda each: (-each.rested_ms, each.workload_id))
    decisions = [decision_view(each) for each in books.idleness.decisions(limit=limit)]
    names = {each.workload_id: _name(books, world, each) for each in decisions}
    return Resting(tuple(rests[:limit]), len(rests), tuple((names[each.workload_id], each) for each in decisions))


def _name(books: Books, world: World, decision: DecisionView) -> str:
    """Of work that has ended long ago, from the store."""
    workload_id = WorkloadId(decision.workload_id)
    workload = world.workloads.get(workload_id) or books.workloads.get(workload_id)
    return workload.spec.name if workload is not None else decision.workload_id
