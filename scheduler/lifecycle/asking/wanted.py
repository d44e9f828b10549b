"""Wanted: an owner's word that what rests is to stay: by extending it, or by an exemption with a reason and an end."""

from dataclasses import replace

from scheduler.domain.errors import Conflict, InvalidInput, NotFound, RefusalCode
from scheduler.domain.idleness import Exemption
from scheduler.domain.people import Caller, Role
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, Instant, WorkloadId
from scheduler.domain.workloads import Attempt, Workload
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.audited import exemption_told
from scheduler.lifecycle.writing.batch import Batch, changing
from scheduler.metering.idle_clock import keep_alive
from scheduler.ports import Store

EXEMPTION_MAX_MS = 7 * MS_PER_DAY
"""Who needs longer says so again: an exemption that nobody remembers keeps GPUs idle for good."""

WHY_MAX = 300


def keep_alive_by(batch: Batch, workload: Workload, attempt: Attempt) -> bool:
    """Set the attempt's idle clock back, if its owner has not done so too often. False where nothing was set back."""
    watch = batch.books.idleness.watch(attempt.id)
    rule = batch.world.require_policy().idle_rule(workload.spec.kind, workload.spec.priority_class)
    if watch is None or rule is None:
        return False
    clock, is_kept = keep_alive(watch.clock, batch.now, rule.policy)
    if is_kept:
        judged_until = Instant(max(watch.judged_until, batch.now))
        batch.books.idleness.save_watches([replace(watch, clock=clock, judged_until=judged_until)])
        if watch.clock.warned_at:
            nodes = ", ".join(node for node, _ in attempt.placement.pods_by_node)
            batch.say(workload.id, Reason.RUNNING, {"nodes": nodes})
    return is_kept


class Exemptions:
    """Who answers for work that rests, and until when. To anybody but its owner and operators it does not exist."""

    def __init__(self, store: Store, world: World) -> None:
        self._store = store
        self._world = world

    def exempt(
        self,
        caller: Caller,
        workload_id: WorkloadId,
        why: str,
        expires_at: Instant,
        *,
        now: Instant,
        request_id: str = "",
    ) -> Exemption:
        """From now until then its rest has no consequences. Raises InvalidInput where the end or the reason is none."""
        with changing(self._store, self._world, now) as batch:
            workload = _own(batch, caller, workload_id)
            made = _exemption(caller, workload, why, (now, expires_at))
            before = exemption_told(batch.books.idleness.exemptions(now).get(workload.id))
            batch.books.idleness.exempt(made)
            after = exemption_told(made)
            by = caller.acting_for(workload.owner)
            batch.audit(by, "exempt", workload.id, request_id=request_id, before=before, after=after)
        return made

    def withdraw(self, caller: Caller, workload_id: WorkloadId, *, now: Instant, request_id: str = "") -> None:
        with changing(self._store, self._world, now) as batch:
            workload = _own(batch, caller, workload_id)
            before = exemption_told(batch.books.idleness.exemptions(now).get(workload.id))
            if before:
                batch.books.idleness.withdraw(workload.id)
                by = caller.acting_for(workload.owner)
                batch.audit(by, "withdraw exemption", workload.id, request_id=request_id, before=before)


def _own(batch: Batch, caller: Caller, workload_id: WorkloadId) -> Workload:
    """By its id; the command line and the pages have looked names up before they ask."""
    workload = batch.workload(workload_id) or batch.books.workloads.get(workload_id)
    if workload is None or (workload.owner != caller.engineer and not caller.has(Role.OPERATOR)):
        raise NotFound(f"there is no workload {workload_id!r}", code=RefusalCode.UNKNOWN_WORKLOAD)
    return workload


def _exemption(caller: Caller, workload: Workload, why: str, span: tuple[Instant, Instant]) -> Exemption:
    now, expires_at = span
    if workload.state.is_final:
        raise Conflict(f"{workload.id} is {workload.state.value}", code=RefusalCode.WRONG_STATE)
    if not now < expires_at <= now + EXEMPTION_MAX_MS:
        raise InvalidInput(
            f"an exemption for {(expires_at - now) / MS_PER_HOUR:.1f} h cannot be made",
            where="expires_at",
            expected=f"a time to come, within {EXEMPTION_MAX_MS // MS_PER_DAY} days",
        )
    reason = why.strip()
    if not reason or len(reason) > WHY_MAX:
        raise InvalidInput(
            "an exemption needs a reason", where="why", expected=f"a sentence of at most {WHY_MAX} characters"
        )
    return Exemption(workload.id, reason, caller.actor, now, expires_at)
