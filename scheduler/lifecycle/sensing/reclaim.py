"""Reclaim: warn the owners of attempts whose GPUs all rest, and hand back what nobody uses.

Readings move an attempt's idle clock; what is due is done only if nothing stands against it, and every decision keeps
the readings that it rests on. Time up to the end stays charged; the rest of the hold goes back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from scheduler.domain.brakes import Brake, stopped_recently
from scheduler.domain.idleness import CurvePoint, Exemption, IdleAction, IdleDecision, IdleRule
from scheduler.domain.reasons import Reason
from scheduler.domain.units import (
    MS_PER_MINUTE,
    AttemptId,
    GpuUuid,
    Instant,
    WorkloadId,
    standard_total,
)
from scheduler.domain.workloads import Attempt, AttemptState, Workload, WorkloadKind
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.charge import gpu_ms_of
from scheduler.lifecycle.running.record import stop_attempt
from scheduler.lifecycle.writing.batch import Batch
from scheduler.metering.curve import curve_of
from scheduler.metering.idle import IdleState
from scheduler.metering.idle_clock import IdleClock, IdleEvent, IdleEventKind, IdleWatch, tick, touch
from scheduler.metering.kept_states import HISTORY_MS, look_again
from scheduler.metering.spells import Spell, together
from scheduler.metering.use import Stretch

LAG_MS = 15 * MS_PER_MINUTE
"""A device that has been silent for so much longer than its attempt's others is unread, and no longer waited for."""

CURVE_POINTS = 60

CLAIMS = frozenset({IdleEventKind.WARNED, IdleEventKind.DUE})
"""What is said of a rest to somebody's cost."""

DRY_RUN, REPORT, OBSERVING = "dry-run", "report", "observing"
NO_CHECKPOINT, NO_HOME, GAUGE_ALONE = "no-checkpoint", "no-home", "gauge-alone"
"""Hindrances that a decision records: it was due, and is not taken."""


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """What a round did, in attempts. `waiting` are due and held up by a brake or the stop rate."""

    judged: int = 0
    warned: int = 0
    decided: int = 0
    stopped: int = 0
    waiting: int = 0


@dataclass
class _Round:
    """One transaction's round."""

    batch: Batch
    watches: Mapping[AttemptId, IdleWatch]
    exemptions: Mapping[WorkloadId, Exemption]
    changed: list[IdleWatch] = field(default_factory=list)
    ended: set[AttemptId] = field(default_factory=set)
    judged: int = 0
    warned: int = 0
    decided: int = 0
    stopped: int = 0
    waiting: int = 0

    def reclaimed(self) -> Reclaimed:
        return Reclaimed(self.judged, self.warned, self.decided, self.stopped, self.waiting)


class IdleReclaim:
    """Holds the readings that wait for those of an attempt's other devices. `acts` False: only decisions are kept."""

    def __init__(self, world: World, *, acts: bool = True) -> None:
        self._world = world
        self._acts = acts
        self._spells: dict[AttemptId, dict[GpuUuid, list[Spell]]] = {}
        self._judged_until: dict[AttemptId, Instant] = {}
        self._gauges_ms: dict[AttemptId, int] = {}
        """How often the gauge is read that its utilisation is; 0 where it is none. Absent: nothing was read yet."""
        self._unproven: dict[AttemptId, Instant] = {}
        """Since when those rest of which a gauge alone tells, and tells too little to act on."""

    def run(self, batch: Batch) -> Reclaimed:
        """Judge what was read since the last round."""
        self._collect()
        idleness = batch.books.idleness
        watches = {watch.attempt_id: watch for watch in idleness.watches()}
        current = _Round(batch, watches, idleness.exemptions(batch.now))
        current.ended.update(attempt_id for attempt_id in watches if attempt_id not in self._world.attempts)
        for attempt_id in sorted({*self._spells, *watches}):
            attempt = batch.attempt(attempt_id)
            if attempt is not None and attempt.state is AttemptState.RUNNING:
                self._judge(current, attempt)
        idleness.save_watches(current.changed, current.ended)
        return current.reclaimed()

    def _collect(self) -> None:
        for attempt_id, told in self._world.readings.take_unjudged().items():
            devices = self._spells.setdefault(attempt_id, {})
            for uuid, spell in told:
                devices.setdefault(uuid, []).append(spell)
                if spell.gauge_ms is not None:
                    self._gauges_ms[attempt_id] = spell.gauge_ms
                elif spell.state is not IdleState.UNKNOWN:
                    self._gauges_ms.setdefault(attempt_id, 0)
        for attempt_id in [known for known in self._spells if known not in self._world.attempts]:
            self._forget_readings(attempt_id)
            self._judged_until.pop(attempt_id, None)
            self._unproven.pop(attempt_id, None)

    def _forget_readings(self, attempt_id: AttemptId) -> None:
        self._spells.pop(attempt_id, None)
        self._gauges_ms.pop(attempt_id, None)

    def _judge(self, current: _Round, attempt: Attempt) -> None:
        workload = current.batch.workload(attempt.workload_id)
        policy = self._world.require_policy()
        rule = policy.idle_rule(workload.spec.kind, workload.spec.priority_class) if workload is not None else None
        if workload is None or rule is None:
            self._forget_readings(attempt.id)
            return
        if workload.id in current.exemptions:
            self._excuse(current, attempt, workload, rule)
            return
        current.judged += 1
        known = current.watches.get(attempt.id)
        started_at = attempt.started_at if attempt.started_at is not None else attempt.launched_at
        judged_until = self._judged_until.get(attempt.id, started_at)
        watch = known or IdleWatch(attempt.id, judged_until, IdleClock(started_at))
        before = watch.clock
        watch, events = self._advance(watch, attempt, rule, current.batch.now)
        is_put_off = before.is_due and watch.clock.is_due and not _decisions(current.batch, attempt, watch)
        is_put_off = is_put_off and not self._is_held_up(current, attempt)
        if is_put_off or any(event.kind in CLAIMS for event in events):
            watch, events = self._look_again(current.batch, attempt, rule, watch, before, events)
        for event in events:
            self._follow(current, attempt, workload, rule, event)
        if watch.clock.is_due:
            watch = self._act(current, attempt, workload, rule, watch)
        self._judged_until[attempt.id] = watch.judged_until
        self._world.readings.note_rest(attempt.id, watch.clock.since)
        is_worth_keeping = watch.clock.since is not None or watch.clock.keep_alives > 0
        if is_worth_keeping and watch != known:
            current.changed.append(watch)
        elif not is_worth_keeping and known is not None:
            current.ended.add(attempt.id)

    def _excuse(self, current: _Round, attempt: Attempt, workload: Workload, rule: IdleRule) -> None:
        """Somebody answers for its rest: what was warned of does not come, and the clock begins anew when that ends."""
        self._forget_readings(attempt.id)
        self._judged_until[attempt.id] = current.batch.now
        self._world.readings.note_rest(attempt.id, None)
        if attempt.id in current.watches:
            current.ended.add(attempt.id)
            _, events = touch(current.watches[attempt.id].clock, current.batch.now)
            for event in events:
                self._follow(current, attempt, workload, rule, event)

    def _advance(
        self, watch: IdleWatch, attempt: Attempt, rule: IdleRule, now: Instant
    ) -> tuple[IdleWatch, list[IdleEvent]]:
        """Move the clock over what all of its devices have told of by now."""
        devices = self._spells.get(attempt.id, {})
        if len(devices) < attempt.gpus:
            return watch, []  # of some nothing was ever read: they may be at work
        ends = [spells[-1].end for spells in devices.values()]
        until = max(min(ends), max(ends) - LAG_MS)
        clock = watch.clock
        events: list[IdleEvent] = []
        for spell in together(list(devices.values())):
            start = max(spell.start, watch.judged_until)
            if start < spell.end <= until:
                clock, new = tick(clock, spell._replace(start=Instant(start)), rule.policy, now)
                events += new
        for uuid, spells in devices.items():
            # The last one stays: a device without any would look as if it had never been read.
            devices[uuid] = [spell for spell in spells[:-1] if spell.end > until] + spells[-1:]
        # It is told now, when it may have rested for longer than at the time that made it due.
        events = [replace(each, rested_ms=clock.rested_ms) if each.since == clock.since else each for each in events]
        return IdleWatch(attempt.id, Instant(max(watch.judged_until, until)), clock), events

    def _look_again(
        self,
        batch: Batch,
        attempt: Attempt,
        rule: IdleRule,
        watch: IdleWatch,
        before: IdleClock,
        events: list[IdleEvent],
    ) -> tuple[IdleWatch, list[IdleEvent]]:
        """A rest that a gauge tells of is believed only if the energy counter does not speak against it: nobody is warned
        of one that is not. Where no counter tells, what uses were seen says whether it may be acted on."""
        gauge_ms = self._gauges_ms.get(attempt.id, 0)
        if gauge_ms == 0 or watch.clock.since is None:
            return watch, events
        starts_at = Instant(watch.clock.since - HISTORY_MS)
        kept: dict[GpuUuid, list[Stretch]] = {uuid: [] for uuid in self._spells[attempt.id]}
        for stretch in batch.books.samples.windows(kept, starts_at, watch.judged_until):
            if stretch.attempt_id == attempt.id:
                kept[stretch.gpu_uuid].append(stretch)
        look = look_again(kept, watch, rule, gauge_ms)
        if not look.is_believed:
            events = [event for event in events if event.kind not in CLAIMS]
            if before.warned_at and before.since is not None:
                resumed = IdleEvent(IdleEventKind.RESUMED, watch.judged_until, before.since, before.rested_ms)
                events = [*events, resumed]
            return look.watch, events
        if not look.is_proven:
            self._unproven[attempt.id] = watch.clock.since
        return watch, events

    def _follow(
        self, current: _Round, attempt: Attempt, workload: Workload, rule: IdleRule, event: IdleEvent
    ) -> None:
        """Tell the owner. In a dry run nobody is troubled."""
        if rule.policy.is_dry_run or not self._acts:
            return
        minutes = event.rested_ms // MS_PER_MINUTE
        if event.kind is IdleEventKind.RESUMED:
            nodes = ", ".join(node for node, _ in attempt.placement.pods_by_node)
            current.batch.say(workload.id, Reason.RUNNING, {"nodes": nodes})
        elif event.kind is IdleEventKind.WAITING:
            cores = f"{(event.cpu_millicores or 0) / 1_000:.1f}"
            limit = rule.policy.cpu_wait_ms_max // MS_PER_MINUTE
            current.batch.say(
                workload.id, Reason.IDLE_CPU_BUSY, {"gpus": attempt.gpus, "cores": cores, "minutes": limit}
            )
        elif event.kind is IdleEventKind.WARNED:
            current.warned += 1
            if self._hindrance(attempt, workload, rule, event.since, event.at):
                current.batch.say(workload.id, Reason.IDLE_REPORTED, {"minutes": minutes, "gpus": attempt.gpus})
                return
            known = current.watches.get(attempt.id)
            said = 0 if known is None else known.clock.keep_alives
            warn_at_ms = rule.policy.warn_at_ms
            to_answer_ms = warn_at_ms[-1] - warn_at_ms[event.number - 1] + rule.policy.lead_ms
            left_ms = max(rule.policy.window_ms - event.rested_ms, to_answer_ms)
            evidence: dict[str, int | str] = {
                "minutes": minutes,
                "gpus": attempt.gpus,
                "left": -(-left_ms // MS_PER_MINUTE),
                "action": "suspended" if rule.policy.action is IdleAction.SUSPEND else "ended",
                "warning": event.number,
                "rule": rule.name,
                "extensions_left": max(0, rule.policy.keep_alives_max - said),
            }
            current.batch.say(workload.id, Reason.IDLE_WARNING, evidence)

    def _act(
        self, current: _Round, attempt: Attempt, workload: Workload, rule: IdleRule, watch: IdleWatch
    ) -> IdleWatch:
        """What is due is decided once a spell of rest; a brake or the stop rate only puts it off. What was left alone by a
        rule that acts now is decided again; who was not warned of it as often as the rule says is warned anew first."""
        batch, since = current.batch, watch.clock.since
        assert since is not None, "a clock that is due has a spell"
        hindrance = self._hindrance(attempt, workload, rule, since, watch.clock.warned_at[-1])
        decided = _decisions(batch, attempt, watch)
        if decided and (hindrance or not _is_lifted(decided[0], rule)):
            return watch
        # Right after a restart nobody knows yet by what its GPUs are read, and so whether to look again.
        if not hindrance and (attempt.id not in self._gauges_ms or self._is_held_up(current, attempt)):
            current.waiting += 1
            return watch
        if not hindrance and _warnings_told(batch, workload, since) < len(watch.clock.warned_at):
            return replace(watch, clock=replace(watch.clock, warned_at=(), is_due=False))
        decision = IdleDecision(
            attempt_id=attempt.id,
            workload_id=workload.id,
            at=batch.now,
            since=since,
            rested_ms=watch.clock.rested_ms,
            action=rule.policy.action,
            is_taken=not hindrance,
            hindrance=hindrance,
            hours_back=_still_held(batch, attempt),
            curve=self._curve(batch, attempt, since, rule.policy.window_ms),
        )
        batch.books.idleness.decide([decision])
        current.decided += 1
        if not hindrance:
            current.stopped += 1
            current.ended.add(attempt.id)
            _stop(batch, attempt, decision, rule)
        return watch

    def _hindrance(
        self, attempt: Attempt, workload: Workload, rule: IdleRule, since: Instant, warned_at: Instant
    ) -> str:
        """What stood against the action for good at its last warning, or nothing: who was told that it would be left
        alone is not stopped without another warning."""
        if not self._acts:
            return OBSERVING
        if rule.policy.is_dry_run:
            return DRY_RUN
        if rule.policy.action is IdleAction.REPORT:
            return REPORT
        if self._unproven.get(attempt.id) == since:
            return GAUGE_ALONE
        has_checkpoint = attempt.checkpointed_at is not None and attempt.checkpointed_at <= warned_at
        if has_checkpoint or rule.policy.acts_without_checkpoint:
            return ""
        if workload.spec.kind is WorkloadKind.JOB:
            return NO_CHECKPOINT
        job = self._world.job_of(workload)
        return NO_HOME if job is not None and not job.keeps_state else ""

    def _is_held_up(self, current: _Round, attempt: Attempt) -> bool:
        """By an operator, or by the rate at which idle work may be stopped."""
        world = self._world
        if any(pause.brake is Brake.RECLAIM for pause in world.pauses):
            return True
        limit = world.require_policy().idle_rate.limit(world.running_gpus())
        stopped = stopped_recently([*world.stops, *current.batch.stops], Brake.RECLAIM, current.batch.now)
        return limit is not None and stopped + attempt.gpus > limit

    def _curve(self, batch: Batch, attempt: Attempt, since: Instant, window_ms: int) -> tuple[CurvePoint, ...]:
        uuids = [uuid for uuid, holder in self._world.readings.attempt_of_gpu.items() if holder == attempt.id]
        starts_at = Instant(since - window_ms // 4)
        stretches = batch.books.samples.windows(uuids, starts_at, batch.now)
        return curve_of(stretches, starts_at, batch.now, CURVE_POINTS)


def _decisions(batch: Batch, attempt: Attempt, watch: IdleWatch) -> list[IdleDecision]:
    """On this spell of rest, the latest first."""
    known = batch.books.idleness.decisions(attempts=[attempt.id])
    return [decision for decision in known if decision.since == watch.clock.since]


def _is_lifted(decision: IdleDecision, rule: IdleRule) -> bool:
    """Whether it was the operator's word alone that kept it from being taken."""
    if decision.hindrance in {NO_CHECKPOINT, NO_HOME}:
        return rule.policy.acts_without_checkpoint
    return decision.hindrance in {DRY_RUN, REPORT, OBSERVING}


def _warnings_told(batch: Batch, workload: Workload, since: Instant) -> int:
    """Of this spell of rest: a report, and what a dry run would have said, are none."""
    told = batch.books.verdicts.of_workload(workload.id)
    return sum(verdict.reason is Reason.IDLE_WARNING and verdict.at >= since for verdict in told)


def _still_held(batch: Batch, attempt: Attempt) -> int:
    """Standard GPU-milliseconds that its holds cover beyond what it has used by now."""
    used = standard_total(gpu_ms_of(batch.pod_runs(attempt.id), batch.now), attempt.weight, attempt.class_factor)
    return max(0, batch.covered(attempt.id) - used) if attempt.is_funded else 0


def came_back(gpu_ms: int) -> str:
    """Of a rolling hold only what is left of its last slice comes back, mostly minutes; less what its end takes."""
    if gpu_ms <= 0:
        return "nothing was held for it any more"
    if gpu_ms < MS_PER_MINUTE:
        return "less than a minute of GPU time comes back"
    hours, minutes = divmod(gpu_ms // MS_PER_MINUTE, 60)
    spans = [f"{hours} h"] * (hours > 0) + [f"{minutes} min"] * (minutes > 0)
    return f"up to {' '.join(spans)} of GPU time comes back"


def _stop(batch: Batch, attempt: Attempt, decision: IdleDecision, rule: IdleRule) -> None:
    reason = Reason.IDLE if decision.action is IdleAction.SUSPEND else Reason.IDLE_ENDED
    evidence: dict[str, int | str] = {
        "minutes": decision.rested_ms // MS_PER_MINUTE,
        "gpus": attempt.gpus,
        "came_back": came_back(decision.hours_back),
        "rule": rule.name,
    }
    stop_attempt(batch, attempt, reason, evidence)
    batch.count_stop(Brake.RECLAIM, attempt.gpus)
