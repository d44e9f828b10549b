"""Commands: what people ask of the platform for their work, each one transaction, each judged by who asks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from scheduler.domain.allowances import Allowance
from scheduler.domain.approvals import Persons, approval_needed
from scheduler.domain.awards import Award
from scheduler.domain.errors import Conflict, InvalidInput, NotFound, Refusal, RefusalCode
from scheduler.domain.observations import ObservedJob
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.reasons import Reason
from scheduler.domain.units import AllowanceId, EngineerId, Instant, JobUid, WorkloadId
from scheduler.domain.workloads import (
    Attempt,
    AttemptState,
    Origin,
    Workload,
    WorkloadKind,
    WorkloadSpec,
    WorkloadState,
)
from scheduler.lifecycle.asking.booking import BookingWish, book
from scheduler.lifecycle.asking.confirming import ONE, require_confirmation
from scheduler.lifecycle.asking.extend import extend_attempt
from scheduler.lifecycle.asking.judge import new_workload, with_defaults
from scheduler.lifecycle.asking.submit import (
    AS_IT_IS,
    SubmissionTerms,
    indexes_of,
    judge_for,
    queue_all,
    require_room_for,
)
from scheduler.lifecycle.awarding.cover import require_coverage
from scheduler.lifecycle.awarding.grant import award, require_granter, told
from scheduler.lifecycle.awarding.outlook import committed_by
from scheduler.lifecycle.awarding.own_gain import require_no_own_gain
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.booked_time import cancel_booking
from scheduler.lifecycle.running.outcome import what_becomes
from scheduler.lifecycle.running.record import drop_reservation, stop_attempt
from scheduler.lifecycle.writing.answered import Command, answer, earlier_answer
from scheduler.lifecycle.writing.audited import checkpoint_told, workload_told
from scheduler.lifecycle.writing.batch import Batch, changing
from scheduler.lifecycle.writing.together import Together
from scheduler.ports import Ids, Store

COURTESY_SECONDS = 0.01
"""Submissions that never cease must not keep the cycle from coming round."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A Job that somebody applied, read as the workload that it asks for."""

    author: Engineer
    spec: WorkloadSpec
    job: ObservedJob


class Commands:
    """Work, bookings and ad-hoc grants. `wake` is called after each, for the cycle to look at it."""

    def __init__(
        self, store: Store, world: World, ids: Ids, *, namespace: str = "allot", wake: Callable[[], None]
    ) -> None:
        self._store = store
        self._world = world
        self._ids = ids
        self._namespace = namespace
        self._wake = wake
        self._submissions: Together[Workload, Batch] = Together(self._changing)

    # workloads

    def submit(
        self,
        caller: Caller,
        spec: WorkloadSpec,
        *,
        now: Instant,
        command: Command | None = None,
        owner: EngineerId | None = None,
        request_id: str = "",
        terms: SubmissionTerms = AS_IT_IS,
    ) -> Workload:
        """Queue a workload, or the indexes of an array: then the first is returned. An operator may submit for somebody
        else. Submissions of one moment share a commit."""
        engineer = self._owner_for(caller, owner)

        def queue(batch: Batch) -> Workload:
            earlier = earlier_answer(batch, caller, command)
            if earlier is not None:
                return self._known(batch, WorkloadId(earlier))
            workload = queue_all(batch, self._ids, self._namespace, engineer, spec, terms)
            answer(batch, caller, command, workload.id)
            by, after = caller.acting_for(engineer.id), workload_told(workload)
            batch.audit(by, "submit", workload.id, request_id=request_id, after=after)
            return workload

        return self._submissions.run(queue, now)

    def give_way(self) -> None:
        """Wait for submissions that are under way, a moment at most: those who submitted wait for an answer."""
        self._submissions.give_way(COURTESY_SECONDS)

    def take_in(self, batch: Batch, candidates: Sequence[Candidate]) -> dict[JobUid, Refusal]:
        """Queue Jobs that engineers applied to the cluster, together. Returns why some were refused."""
        refused: dict[JobUid, Refusal] = {}
        for candidate in candidates:
            policy = self._world.require_policy()
            spec = with_defaults(candidate.spec, policy)
            try:
                judge_for(self._world, batch.books, spec, candidate.author, batch.now)
                if not candidate.job.is_confirmed:
                    require_confirmation(self._world, spec, ONE, candidate.author, batch.now, batch.added)
                require_room_for(self._world, candidate.author, 1, beside=batch.added_by(candidate.author.id))
            except Refusal as refusal:
                refused[candidate.job.uid] = refusal
                continue
            self._add_taken_in(batch, candidate, spec)
        return refused

    def _add_taken_in(self, batch: Batch, candidate: Candidate, spec: WorkloadSpec) -> None:
        job, author = candidate.job, candidate.author
        workload = new_workload(
            spec,
            author,
            workload_id=WorkloadId(self._ids.new("w")),
            namespace=job.namespace,
            now=batch.now,
            origin=Origin.KUBECTL,
            job_name=job.name,
        )
        batch.add_workload(replace(workload, job_uid=job.uid))
        caller = Caller(author.subject, author.roles, author.id, author.team)
        batch.audit(caller, "take in", workload.id, after=f"{job.namespace}/{job.name}")

    def cancel(self, caller: Caller, workload_id: WorkloadId, *, now: Instant, request_id: str = "") -> Workload:
        """End it for good, or what is left of an array by the array's id. What runs is given its grace; its GPUs are
        charged until its pods have ended."""
        with self._changing(now) as batch:
            first = None
            for each in indexes_of(self._world, workload_id) or [workload_id]:
                workload = self._own(batch, caller, each)
                if workload.spec.kind is WorkloadKind.BOOKING and not workload.state.is_final:
                    cancel_booking(batch, workload)
                    self._note(batch, caller, "cancel", workload, request_id)
                elif not workload.state.is_final and not _is_ending(workload, Reason.CANCELLED):
                    self._end(batch, caller, workload, Reason.CANCELLED)
                    self._note(batch, caller, "cancel", workload, request_id)
                first = first or self._known(batch, workload.id)
            assert first is not None, "one at least was looked at"
            return first

    def stop(self, caller: Caller, workload_id: WorkloadId, *, now: Instant, request_id: str = "") -> Workload:
        """Stop a sandbox so that it can be resumed: its home stays."""
        with self._changing(now) as batch:
            workload = self._own(batch, caller, workload_id)
            _require_sandbox(workload)
            if workload.state is not WorkloadState.STOPPED and not _is_ending(workload, Reason.STOPPED):
                self._end(batch, caller, workload, Reason.STOPPED)
                self._note(batch, caller, "stop", workload, request_id)
            return self._known(batch, workload.id)

    def resume(self, caller: Caller, workload_id: WorkloadId, *, now: Instant, request_id: str = "") -> Workload:
        """Queue a stopped sandbox again, or any work that was suspended because it rested.

        What is being stopped still is queued as soon as its pods have ended; what runs, or comes back by itself, is left
        as it is. Raises Conflict (`wrong-state`) for what has ended, or is about to, for good.
        """
        with self._changing(now) as batch:
            workload = self._own(batch, caller, workload_id)
            if workload.state_reason is not Reason.IDLE:
                _require_sandbox(workload)
            if not _is_to_be_resumed(workload, self._world.live_attempt(workload.id)):
                return workload
            state = WorkloadState.STOPPING if workload.state.is_live else WorkloadState.QUEUED
            changed = batch.change_workload(workload, state=state, state_reason=Reason.SUBMITTED, eligible_at=now)
            self._note(batch, caller, "resume", workload, request_id)
        return changed

    def extend(
        self,
        caller: Caller,
        workload_id: WorkloadId,
        extra_ms: int,
        *,
        now: Instant,
        command: Command | None = None,
        request_id: str = "",
    ) -> Workload:
        """Lengthen the time limit of what is queued or runs. It needs its hold and keeps to the maxima; the same
        command lengthens it once."""
        with self._changing(now) as batch:
            workload = self._own(batch, caller, workload_id)
            if earlier_answer(batch, caller, command) is not None:
                return workload
            sees_pay = workload.owner == caller.engineer
            extend_attempt(batch, workload, extra_ms, self._ids.new, sees_pay=sees_pay)
            answer(batch, caller, command, workload.id)
            self._note(batch, caller, "extend", workload, request_id)
            return self._known(batch, workload.id)

    def record_checkpoint(
        self, caller: Caller, workload_id: WorkloadId, *, now: Instant, request_id: str = ""
    ) -> Attempt:
        """Note that the workload has saved its work: what a preemption costs and refunds counts from here. Of two that
        overtake each other the later counts."""
        with self._changing(now) as batch:
            workload = self._own(batch, caller, workload_id)
            attempt = self._world.live_attempt(workload.id)
            if attempt is None:
                raise Conflict(f"{workload_id} does not run", code=RefusalCode.WRONG_STATE)
            if attempt.checkpointed_at is not None and attempt.checkpointed_at >= now:
                return attempt
            changed = replace(attempt, checkpointed_at=now)
            batch.put_attempt(changed)
            before, after = checkpoint_told(attempt), checkpoint_told(changed)
            by = caller.acting_for(workload.owner)
            batch.audit(by, "checkpoint", workload.id, request_id=request_id, before=before, after=after)
        return changed

    # bookings

    def book(
        self,
        caller: Caller,
        wish: BookingWish,
        *,
        now: Instant,
        command: Command | None = None,
        owner: EngineerId | None = None,
        request_id: str = "",
    ) -> Workload:
        """Book GPUs for a window. Its hours are held from now on; the same command books once."""
        engineer = self._owner_for(caller, owner)
        with self._changing(now) as batch:
            earlier = earlier_answer(batch, caller, command)
            if earlier is not None:
                return self._known(batch, WorkloadId(earlier))
            sees_pay = engineer.id == caller.engineer
            booked = book(batch, engineer, wish, self._ids.new, self._namespace, sees_pay=sees_pay)
            answer(batch, caller, command, booked.id)
            by, after = caller.acting_for(engineer.id), workload_told(booked)
            batch.audit(by, "book", booked.id, request_id=request_id, after=after)
            return booked

    # money

    def grant(
        self, caller: Caller, asked: Award, *, now: Instant, command: Command | None = None, request_id: str = ""
    ) -> Allowance:
        """An ad-hoc grant (finance, operator), or one of compensation (people). Nobody grants to themselves or their team.

        Raises Conflict (`approval-needed`) where it takes a second person: see `Proposals.grant`.
        """
        caller = require_granter(caller, asked)
        if self._world.require_policy().approvals.grants is Persons.TWO:
            raise approval_needed("a grant")
        require_no_own_gain(self._world, caller, asked.holder, "grants hours")
        with self._changing(now) as batch:
            earlier = earlier_answer(batch, caller, command)
            if earlier is not None:
                known = batch.books.allowances.get(AllowanceId(earlier))
                assert known is not None, "an answered grant is in the books"
                return known.allowance
            require_coverage(batch, [committed_by(asked, self._world.require_policy(), now)])
            allowance = award(batch, asked, AllowanceId(self._ids.new("g")), caller.actor)
            answer(batch, caller, command, allowance.id)
            batch.audit(caller, "grant", allowance.id, request_id=request_id, after=told(asked))
        return allowance

    @contextmanager
    def _changing(self, now: Instant) -> Iterator[Batch]:
        with changing(self._store, self._world, now) as batch:
            yield batch
        self._wake()

    def _owner_for(self, caller: Caller, owner: EngineerId | None) -> Engineer:
        wanted = owner if owner is not None else caller.engineer
        if owner is not None and owner != caller.engineer:
            caller.require(Role.OPERATOR)
        engineer = self._world.people.get(wanted) if wanted is not None else None
        if engineer is None:
            raise NotFound(
                f"{wanted or caller.subject} is no engineer in the directory",
                code=RefusalCode.UNKNOWN_ENGINEER,
                remedy="an operator adds people with `allot people apply FILE`",
            )
        return engineer

    def _known(self, batch: Batch, workload_id: WorkloadId) -> Workload:
        workload = batch.workload(workload_id) or batch.books.workloads.get(workload_id)
        if workload is None:
            raise NotFound(f"there is no workload {workload_id!r}", code=RefusalCode.UNKNOWN_WORKLOAD)
        return workload

    def _id_of(self, caller: Caller, name_or_id: WorkloadId) -> WorkloadId:
        """An id, or the name of the one workload of the caller's that goes by it and is not over."""
        if name_or_id in self._world.workloads:
            return name_or_id
        named = [
            workload.id
            for workload in list(self._world.workloads.values())
            if workload.owner == caller.engineer and workload.spec.name == name_or_id and not workload.state.is_final
        ]
        if len(named) > 1:
            raise Conflict(f"{len(named)} of your workloads are called {name_or_id!r}", expected="an id")
        return named[0] if named else name_or_id

    def _own(self, batch: Batch, caller: Caller, workload_id: WorkloadId) -> Workload:
        """The workload, if the caller owns it or is an operator. To anybody else it does not exist."""
        workload = self._known(batch, self._id_of(caller, workload_id))
        if workload.owner != caller.engineer and not caller.has(Role.OPERATOR):
            raise NotFound(f"there is no workload {workload_id!r}", code=RefusalCode.UNKNOWN_WORKLOAD)
        return workload

    def _note(self, batch: Batch, caller: Caller, verb: str, before: Workload, request_id: str) -> None:
        """Keep who changed it, by which right, and from what to what."""
        by = caller.acting_for(before.owner)
        after = workload_told(self._known(batch, before.id))
        batch.audit(by, verb, before.id, request_id=request_id, before=workload_told(before), after=after)

    def _end(self, batch: Batch, caller: Caller, workload: Workload, reason: Reason) -> None:
        to = WorkloadState.CANCELLED if reason is Reason.CANCELLED else WorkloadState.STOPPED
        attempt = self._world.live_attempt(workload.id)
        if attempt is None:
            if workload.id in self._world.reservations:
                drop_reservation(batch, workload.id)
            batch.change_workload(workload, state=to, state_reason=reason)
            batch.say(workload.id, reason, {"by": caller.actor})
        elif attempt.state is AttemptState.STOPPING:
            batch.put_attempt(replace(attempt, stop_reason=reason))
            batch.change_workload(workload, state_reason=reason)
            batch.say(workload.id, reason, {"by": caller.actor})
        else:
            stop_attempt(batch, attempt, reason, {"by": caller.actor})


def _is_ending(workload: Workload, reason: Reason) -> bool:
    """Whether it was asked to end so already: asked again, nothing is written again."""
    return workload.state is WorkloadState.STOPPING and workload.state_reason is reason


def _is_to_be_resumed(workload: Workload, attempt: Attempt | None) -> bool:
    """Whether it is stopped, or will be by what ends its attempt. Raises Conflict (`wrong-state`)."""
    if attempt is None or attempt.stop_reason is None:
        if workload.state.is_final:
            raise Conflict(
                f"{workload.id} is {workload.state.value}",
                code=RefusalCode.WRONG_STATE,
                expected="a sandbox that was stopped",
                remedy="submit it again as a new workload",
            )
        return workload.state is WorkloadState.STOPPED
    match what_becomes(workload, attempt.stop_reason):
        case WorkloadState.QUEUED:
            return False
        case WorkloadState.STOPPED:
            return workload.state_reason is not Reason.SUBMITTED
        case becomes:
            raise Conflict(
                f"{workload.id} is ending, and will be {becomes.value}",
                code=RefusalCode.WRONG_STATE,
                expected="a sandbox that was stopped",
                remedy="submit it again as a new workload",
            )


def _require_sandbox(workload: Workload) -> None:
    if workload.spec.kind is not WorkloadKind.SANDBOX:
        raise InvalidInput(
            f"{workload.id} is a job", expected="a sandbox", remedy="`allot cancel` ends a job", where="workload"
        )
