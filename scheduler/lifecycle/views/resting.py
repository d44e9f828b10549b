"""Who rests now, and what became of those who rested: for operators, who see everybody's."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields

from scheduler.domain.idleness import IdleDecision
from scheduler.domain.quantities import quantity_text
from scheduler.domain.units import MS_PER_DAY, STANDARD_GPU, Instant, Unit
from scheduler.domain.workloads import Workload
from scheduler.ledger.holds import Hold, HoldState
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.usage import decision_view
from scheduler.lifecycle.views.usage_shapes import ReclaimView
from scheduler.lifecycle.views.workloads import owner_name
from scheduler.metering.never_idle import NeverIdle
from scheduler.ports import Books


@dataclass(frozen=True, slots=True)
class RestView:
    """An attempt all of whose GPUs rest. `left_ms` is how much longer they may before `action` is due; 0: it is due, or it
    was left alone in this rest for what `hindrance` names."""

    workload_id: str
    workload_name: str
    owner_name: str
    gpus: int
    since: Instant
    rested_ms: int
    warnings: int
    left_ms: int
    action: str
    is_dry_run: bool
    hindrance: str = ""


@dataclass(frozen=True, slots=True)
class Resting:
    """`rests` the longest first, of `count` in all; `decisions` the latest first. `never_idle` are GPUs that were
    without use in some hour of the last day and drew more than is learned as idle power, and so rest for no rule."""

    rests: tuple[RestView, ...]
    count: int
    decisions: tuple[ReclaimView, ...]
    never_idle: tuple[NeverIdle, ...] = ()


def resting(books: Books, world: World, now: Instant, limit: int) -> Resting:
    """What rests for longer than its rule's startup grace has a clock, and is here."""
    rests: list[RestView] = []
    watches = list(books.idleness.watches())
    due = [watch.attempt_id for watch in watches if watch.clock.is_due]
    latest = {each.attempt_id: each for each in reversed(books.idleness.decisions(attempts=due))} if due else {}
    for watch in watches:
        attempt = world.attempts.get(watch.attempt_id)
        workload = world.workloads.get(attempt.workload_id) if attempt is not None else None
        since = watch.clock.since
        if attempt is None or workload is None or since is None or world.policy is None:
            continue
        rule = world.policy.idle_rule(workload.spec.kind, workload.spec.priority_class)
        if rule is not None:
            decided = latest.get(watch.attempt_id)
            rests.append(
                RestView(
                    workload_id=workload.id,
                    workload_name=workload.spec.name,
                    owner_name=owner_name(world, workload),
                    gpus=attempt.gpus,
                    since=since,
                    rested_ms=watch.clock.rested_ms,
                    warnings=len(watch.clock.warned_at),
                    left_ms=max(0, rule.policy.window_ms - watch.clock.rested_ms),
                    action=rule.policy.action.value,
                    is_dry_run=rule.policy.is_dry_run,
                    hindrance=decided.hindrance if decided is not None and decided.since == since else "",
                )
            )
    rests.sort(key=lambda each: (-each.rested_ms, each.workload_id))
    never_idle = tuple(books.samples.never_idle(Instant(now - MS_PER_DAY)))
    return Resting(tuple(rests[:limit]), len(rests), reclaims(books, world, limit), never_idle)


def reclaims(books: Books, world: World, limit: int) -> tuple[ReclaimView, ...]:
    """What was due, taken or not, the latest first. The work of most of it has ended and is in the books alone."""
    decisions = books.idleness.decisions(limit=limit)
    found = {id_: world.workloads.get(id_) for id_ in {each.workload_id for each in decisions}}
    ended = books.workloads.many(sorted(id_ for id_, workload in found.items() if workload is None))
    holds = books.holds.of_attempts(sorted({each.attempt_id for each in decisions if each.is_taken}))
    return tuple(
        _reclaim(world, each, found[each.workload_id] or ended[each.workload_id], holds.get(each.attempt_id, ()))
        for each in decisions
    )


def _reclaim(world: World, decision: IdleDecision, workload: Workload, holds: Sequence[Hold]) -> ReclaimView:
    told = decision_view(decision)
    is_settled = decision.is_taken and all(hold.state is HoldState.RESOLVED for hold in holds)
    back = Counter[Unit]()
    for hold in holds if is_settled else ():
        back[hold.unit] += hold.remaining
    return ReclaimView(
        **{field.name: getattr(told, field.name) for field in fields(told)},
        workload_name=workload.spec.name,
        owner=workload.owner,
        owner_name=owner_name(world, workload),
        came_back_ms=back[STANDARD_GPU] if is_settled else None,
        came_back=tuple(
            quantity_text(amount, unit) for unit, amount in sorted(back.items()) if amount and unit != STANDARD_GPU
        ),
    )
