"""The life of attempts in a replay: launched, renewed, stopped, ended. The decision is told, the books are kept."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from scheduler.decision.plan import Growth, Launch, Preemption
from scheduler.decision.snapshot import Reservation
from scheduler.domain.brakes import STOP_RATE_WINDOW_MS, Brake, Stop, stopped_recently
from scheduler.domain.funding import Shortfall, fund, payers
from scheduler.domain.latest import put
from scheduler.domain.policy import AtExhaustion, Policy
from scheduler.domain.reasons import Reason
from scheduler.domain.retries import next_try
from scheduler.domain.sheltering import Sheltered, day_of, is_within_cap
from scheduler.domain.sizes import gpu_ms_within, resized
from scheduler.domain.terms import Need
from scheduler.domain.units import (
    MS_PER_MINUTE,
    MS_PER_SECOND,
    AllowanceId,
    AttemptId,
    EngineerId,
    Instant,
    WorkloadId,
    standard_total,
)
from scheduler.domain.usage import NO_USE, DecayedUse, growing_old
from scheduler.domain.workloads import Attempt, AttemptState, HoldMode, WorkloadKind
from scheduler.lifecycle.memory.prices_ahead import terms_of
from scheduler.lifecycle.running.renew import RENEW_BEFORE_MS
from scheduler.simulation.replay.books import ReplayBooks
from scheduler.simulation.replay.calendar import Calendar
from scheduler.simulation.replay.feed import Feed
from scheduler.simulation.replay.launching import attempt_of
from scheduler.simulation.replay.measures import Measures
from scheduler.simulation.replay.settling import Held, settle
from scheduler.simulation.replay.sizing import covered_until, done_at, gpus_of, worked_ms
from scheduler.simulation.replay.timeline import Timeline
from scheduler.simulation.replay.works import NextSlice, Run, Work

CHECKPOINTS_EVERY_MS = 60 * MS_PER_MINUTE
"""The decision hears of a checkpoint at most so often; what is lost and refunded is reckoned from the latest."""

LOOK_AGAIN_MS = MS_PER_MINUTE
"""What a brake kept from being stopped is looked at again after so long."""

_REQUEUED = {Reason.PREEMPTED, Reason.ALLOWANCE_EXHAUSTED}


class Attempts:
    """What waits (`waiting`) and what runs (`running`), under one policy."""

    def __init__(self, policy: Policy, books: ReplayBooks, calendar: Calendar, measures: Measures) -> None:
        self.waiting: dict[WorkloadId, Work] = {}
        self.waiting_of: Counter[EngineerId] = Counter()
        self.running: dict[AttemptId, Run] = {}
        self.growable: dict[AttemptId, Run] = {}
        """Elastic work with fewer pods than it was asked for."""
        self.timeline = Timeline()
        self.feed = Feed(books)
        self._policy = policy
        self._books = books
        self._calendar = calendar
        self._measures = measures
        self._stops: tuple[Stop, ...] = ()
        self._usage: dict[EngineerId, DecayedUse] = {}
        self._gpus = 0
        self._shelter: dict[EngineerId, Sheltered] = {}
        self._reserved: dict[WorkloadId, Work] = {}
        """Those for whom hours and a place are set aside."""
        self._unreported: dict[Run, None] = {}
        """Runs whose last checkpoint the decision has not heard of."""

    # what waits

    def queue(self, work: Work, at: Instant) -> None:
        """Have it wait, from now on."""
        work.queued_since = work.waiting_since = at
        self.waiting[work.workload.id] = work
        self.waiting_of[work.workload.owner] += 1
        self.feed.arrive(work.workload)
        self.feed.wait(work.purses, 1)

    def grow_old(self, workload_id: WorkloadId, now: Instant) -> None:
        work = self.waiting[workload_id]
        work.workload = growing_old(work.workload, now)
        self.feed.ageing[workload_id] = work.workload

    def lapse(self, workload_id: WorkloadId) -> None:
        """Its reservation ran out: what was set aside for it comes back."""
        self.feed.reservations[workload_id] = None
        work = self._reserved.pop(workload_id, None)
        if work is not None and work.reserved is not None:
            self._come_back(work.reserved.give_back(self._books), work.queued_since)
            work.reserved = None

    # launching

    def launch(self, launch: Launch, now: Instant) -> None:
        work = self.waiting.pop(launch.workload_id)
        self.waiting_of[work.workload.owner] -= 1
        held = self._take_held(work, launch, now)
        run = Run(
            work,
            self._sheltered(attempt_of(work, launch, self._policy, now)),
            Instant(now + work.submission.start_ms),
            held,
        )
        if work.first_launch_at is None:
            work.first_launch_at = now
        work.attempts += 1
        self._measures.waited(work, now)
        self.feed.wait(work.purses, -1)
        self.running[run.attempt.id] = run
        self._gpus += run.attempt.gpus
        self.feed.launch(work.workload, run.attempt)
        self._plan(run)

    def _take_held(self, work: Work, launch: Launch, now: Instant) -> Held:
        if launch.is_reserved:
            assert work.reserved is not None, "a reservation has its holds"
            held, work.reserved = work.reserved, None
            del self._reserved[work.workload.id]
            self.feed.reservations[work.workload.id] = None
            return held
        held = self._held_for(launch, work)
        held.reserve(self._books, launch.funding, now)
        return held

    def _held_for(self, launch: Launch, work: Work) -> Held:
        priority_class = self._policy.priority_classes[work.workload.spec.priority_class]
        return Held(self._policy.gpu_classes[launch.gpu_class].weight * priority_class.class_factor)

    def _sheltered(self, attempt: Attempt) -> Attempt:
        """With or without its minimum runtime, by what its owner was given of it today."""
        if self._policy.limits.protected_per_day is None:
            return attempt
        known = self._shelter.get(attempt.owner, Sheltered())
        given = known.on(day_of(attempt.launched_at, self._policy))
        is_given = is_within_cap(attempt, given, self._policy)
        made = attempt if is_given else replace(attempt, minimum_runtime_ms=0)
        self._shelter[attempt.owner] = known.and_of(made, self._policy)
        return made

    def _plan(self, run: Run) -> None:
        """Its end, its first renewal, its first checkpoint."""
        attempt, work = run.attempt, run.work
        self._plan_end(run)
        self._note_growable(run)
        if attempt.hold_mode is HoldMode.ROLLING and attempt.is_funded:
            self._plan_renewal(run, run.started_at)
        if work.submission.checkpoint_every_ms:
            self._plan_checkpoint(run, run.started_at)

    def _plan_end(self, run: Run) -> None:
        run.finishes_at = done_at(run)
        self.timeline.plan(run.finishes_at, self._finish, run)

    # as time passes

    def _have_checkpointed(self, run: Run, at: Instant) -> None:
        """Another checkpoint is due, which nobody has heard of yet."""
        if run.stopping_at is None:
            self._unreported[run] = None
            self._plan_checkpoint(run, at)

    def _plan_checkpoint(self, run: Run, since: Instant) -> None:
        every_ms = max(run.work.submission.checkpoint_every_ms, CHECKPOINTS_EVERY_MS)
        self.timeline.plan(Instant(since + every_ms), self._have_checkpointed, run)

    def report_checkpoints(self, now: Instant) -> bool:
        """Have the decision told of checkpoints that it has not heard of. Returns whether there are any."""
        heard_of = [run for run in self._unreported if not run.is_over and run.stopping_at is None]
        for run in heard_of:
            run.attempt = replace(run.attempt, checkpointed_at=run.checkpointed_at(now))
            self.feed.attempts[run.attempt.id] = run.attempt
        self._unreported.clear()
        return bool(heard_of)

    def _finish(self, run: Run, at: Instant) -> None:
        if run.stopping_at is not None or at != run.finishes_at:
            return  # it is coming to its end already, or was resized meanwhile
        if worked_ms(run, at) >= run.work.remaining_ms:
            self._end(run, at, _ending(run.work))
        else:
            self.stop(run, Reason.TIME_LIMIT, at)

    def stop(self, run: Run, reason: Reason, at: Instant) -> None:
        """SIGTERM: it occupies its GPUs until it has ended."""
        run.stopping_at = at
        run.attempt = replace(run.attempt, state=AttemptState.STOPPING, stop_reason=reason, stopping_since=at)
        self.feed.attempts[run.attempt.id] = run.attempt
        grace_ms = min(run.work.submission.termination_ms, run.attempt.grace_seconds * MS_PER_SECOND)
        self.timeline.plan(Instant(at + grace_ms), self._have_stopped, run)

    def _have_stopped(self, run: Run, at: Instant) -> None:
        self._end(run, at, run.attempt.stop_reason or Reason.COMPLETED)

    def _end(self, run: Run, at: Instant, reason: Reason) -> None:
        work, attempt = run.work, run.attempt
        worked_until = run.stopping_at if run.stopping_at is not None else at
        ran_ms = max(0, worked_until - run.started_at)
        run.is_over = True
        del self.running[attempt.id]
        self._gpus -= gpus_of(attempt)
        self._note_growable(run)
        self.feed.end(attempt)
        if reason is Reason.PREEMPTED:  # the last checkpoint says what is refunded, and nothing else does
            attempt = replace(attempt, checkpointed_at=run.checkpointed_at(worked_until))
        cap_ms = self._policy.priority_classes[attempt.priority_class].refund_cap_ms
        settled = settle(self._books, self._calendar, attempt, run.held, at, cap_ms)
        self._come_back(settled.allowances, at)
        work.ends.append(reason)
        work.ran_ms += ran_ms
        not_before = self._tried_again_at(work, reason, at)
        kept_ms = run.kept_ms(ran_ms) if not_before is not None else ran_ms
        kept_until = Instant(run.started_at + kept_ms)
        lost = gpu_ms_within(attempt, kept_until, Instant(run.started_at + ran_ms)) if kept_ms < ran_ms else 0
        is_retried = not_before is not None and reason not in _REQUEUED
        self._measures.ended(run, attempt, at, settled, lost_gpu_ms=lost, is_retried=is_retried)
        self._remember_use(attempt, at)
        if not_before is not None:
            work.remaining_ms -= worked_ms(run, kept_until)
            work.workload = replace(work.workload, state_reason=reason, state_since=at, not_before=not_before)
            self.queue(work, at)
        else:
            work.outcome, work.ended_at = reason, at
            self._measures.finished(work, reason, at)

    def _tried_again_at(self, work: Work, reason: Reason, at: Instant) -> Instant | None:
        """Not before when it is to run again; None: it is over. What fails, fails the same way again."""
        longest = work.workload.spec.runtime_limit(self._policy.limits.runtime_max_ms)
        if longest is not None and work.ran_ms >= longest:
            return None
        if reason in _REQUEUED:
            return Instant(0)
        if reason is Reason.COMPLETED or work.workload.spec.kind is not WorkloadKind.JOB:
            return None
        exit_code = work.submission.exit_code if reason is Reason.FAILED else 0
        retry = next_try(self._policy.retry_rules, work.workload.id, work.ends, exit_code, at)
        return retry.not_before if retry is not None else None

    def _remember_use(self, attempt: Attempt, at: Instant) -> None:
        """What fair share compares, where a pool orders by it."""
        if self._policy.looks_back:
            known = self._usage.get(attempt.owner, NO_USE)
            use = known.and_of(replace(attempt, ended_at=at), self._policy.fair_share.half_life_ms)
            self._usage[attempt.owner] = self.feed.usage[attempt.owner] = use

    def _come_back(self, allowances: Iterable[AllowanceId], at: Instant) -> None:
        """What comes back to an allowance that has expired is gone."""
        self.feed.close(self._books.expire_again(dict.fromkeys(allowances), at))

    # rolling holds

    def _plan_renewal(self, run: Run, now: Instant) -> None:
        """Shortly before what its holds cover is used up."""
        self._look_again(run, max(now, Instant(covered_until(run) - RENEW_BEFORE_MS)))

    def _look_again(self, run: Run, at: Instant) -> None:
        run.renews_at = at
        self.timeline.plan(at, self._renew, run)

    def _renew(self, run: Run, at: Instant) -> None:
        if run.stopping_at is not None or at != run.renews_at:
            return
        attempt, work = run.attempt, run.work
        priority_class = self._policy.priority_classes[attempt.priority_class]
        ordered = payers(self._books.of(work.purses), work.workload.spec, attempt.gpu_class, at)
        shares = fund(ordered, self._slice_of(run, priority_class.slice_ms))
        if not isinstance(shares, Shortfall):
            run.held.reserve(self._books, shares, at)
            self._plan_renewal(run, at)
            return
        self._measures.short_of_hours(work, at)
        ends_at = covered_until(run)
        if at < ends_at:  # the last slice still runs: hours may yet be granted
            self._look_again(run, Instant(min(ends_at, at + LOOK_AGAIN_MS)))
        elif priority_class.at_exhaustion is AtExhaustion.UNFUNDED:
            run.attempt = replace(attempt, is_funded=False)
            self.feed.attempts[attempt.id] = run.attempt
        elif self._may_stop_exhausted(attempt, at):
            self._count_stop(Brake.RECLAIM, attempt.gpus, at)
            self._measures.exhausted += 1
            self.stop(run, Reason.ALLOWANCE_EXHAUSTED, at)
        else:
            self._look_again(run, Instant(at + LOOK_AGAIN_MS))

    def _slice_of(self, run: Run, slice_ms: int) -> Need:
        """What its next slice needs: as the last one, while neither it nor a price is another."""
        known = run.slice
        if known is None or known.attempt is not run.attempt or known.prices is not self._calendar.prices:
            attempt, prices = run.attempt, self._calendar.prices
            need = Need(attempt.gpus * slice_ms, terms_of(attempt, prices))
            known = run.slice = NextSlice(attempt, prices, need)
        return known.need

    def _may_stop_exhausted(self, attempt: Attempt, at: Instant) -> bool:
        limit = self._policy.exhaustion_rate.limit(self._gpus)
        return limit is None or stopped_recently(self._stops, Brake.RECLAIM, at) + attempt.gpus <= limit

    # preemption

    def preempt(self, preemption: Preemption, now: Instant) -> None:
        launch, moves = preemption.launch, {move.workload_id: move for move in preemption.moves}
        self._set_aside(self.waiting[launch.workload_id], launch, preemption.until, now)
        for victim in preemption.victims:
            run = self.running[victim.attempt_id]
            if victim.pods_left is not None:
                self._give_back(run, victim.pods_left, now)
                continue
            if victim.workload_id in moves:
                self._set_aside(run.work, moves[victim.workload_id], preemption.until, now, is_move=True)
            self._count_stop(Brake.PREEMPT, run.attempt.gpus, now)
            self.stop(run, Reason.PREEMPTED, now)

    # elastic work

    def _give_back(self, run: Run, pods_left: int, now: Instant) -> None:
        """Ask for the end of its last pods, which have their grace."""
        shrunk = run.attempt.shrunk_to(pods_left)
        self._count_stop(Brake.PREEMPT, run.attempt.gpus - shrunk.gpus, now)
        run.attempt = self.feed.attempts[shrunk.id] = shrunk
        self._note_growable(run)
        grace_ms = min(run.work.submission.termination_ms, shrunk.grace_seconds * MS_PER_SECOND)
        run.leaves_at = Instant(now + grace_ms)
        self.timeline.plan(run.leaves_at, self._have_left, run)

    def _have_left(self, run: Run, at: Instant) -> None:
        """The pods that it gave back have ended: their GPUs are free, and what was held for them comes back."""
        attempt = run.attempt
        if attempt.leaving is None or at != run.leaves_at:
            return
        self._gpus -= attempt.leaving_gpus
        if attempt.is_funded:
            used = standard_total(
                gpu_ms_within(attempt, run.started_at, max(at, run.started_at)), attempt.weight, attempt.class_factor
            )
            given = run.held.shrink(self._books, used, attempt.gpus, gpus_of(attempt))
            self._come_back(given, at)
        self._resize(run, replace(attempt, leaving=None, past_sizes=resized(attempt, at)), at)

    def grow(self, growth: Growth, now: Instant) -> None:
        """More of its pods run from now on."""
        run = self.running[growth.attempt_id]
        attempt = run.attempt
        run.held.reserve(self._books, growth.funding, now)
        grown = replace(
            attempt,
            placement=growth.placement,
            is_borrowed=growth.is_borrowed,
            past_sizes=resized(attempt, now),
        )
        self._gpus += grown.gpus - attempt.gpus
        self._resize(run, grown, now)

    def _resize(self, run: Run, attempt: Attempt, now: Instant) -> None:
        run.attempt = self.feed.attempts[attempt.id] = attempt
        self._note_growable(run)
        if run.stopping_at is None:
            self._plan_end(run)
            if attempt.hold_mode is HoldMode.ROLLING and attempt.is_funded:
                self._plan_renewal(run, now)

    def _note_growable(self, run: Run) -> None:
        """Whether it could do with more pods: then what is free, and what may pay, concerns it."""
        is_growable = run.attempt.is_growable and not run.is_over
        if is_growable is not (run.attempt.id in self.growable):
            put(self.growable, run.attempt.id, run if is_growable else None)
            self.feed.wait(run.work.purses, 1 if is_growable else -1)

    def _set_aside(self, work: Work, launch: Launch, until: Instant, now: Instant, *, is_move: bool = False) -> None:
        """Its hours and its place, until whoever is in its way, or it itself, has ended where it was."""
        work.reserved = self._held_for(launch, work)
        work.reserved.reserve(self._books, launch.funding, now)
        self._reserved[launch.workload_id] = work
        self.feed.reservations[launch.workload_id] = Reservation(
            launch.workload_id, launch.gpu_class, launch.placement, until, launch.is_borrowed, is_move
        )

    def _count_stop(self, brake: Brake, gpus: int, at: Instant) -> None:
        recent = (stop for stop in self._stops if at - stop.at < STOP_RATE_WINDOW_MS)
        self._stops = self.feed.stops = tuple(chain(recent, [Stop(brake, at, gpus)]))

    def close(self, at: Instant) -> None:
        """The replay stops here: charge what still runs for what it has used."""
        for run in self.running.values():
            if run.started_at < at:
                attempt = replace(run.attempt, stop_reason=None)
                settled = settle(self._books, self._calendar, attempt, run.held, at, 0)
                self._measures.still_running(run, at, settled)


def _ending(work: Work) -> Reason:
    return Reason.FAILED if work.submission.exit_code else Reason.COMPLETED
