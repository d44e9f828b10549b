"""The cycle: observe, decide, record, act.

An event-driven task: it runs when the cluster or a command changed something, and at least every second. Database
work runs in one thread at a time; calls to the cluster run beside it and report back into the next cycle.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from scheduler.decision.decide import step
from scheduler.decision.plan import Plan
from scheduler.decision.state import State
from scheduler.domain.actions import Action, ActionOutcome, ActionResult, DeleteJob, LaunchJob, TellJob
from scheduler.domain.units import Instant, WorkloadId
from scheduler.lifecycle.commands import Commands
from scheduler.lifecycle.inbox import Inbox
from scheduler.lifecycle.intake import jobs_with_room, new_jobs, take_in_jobs, words_about_changes
from scheduler.lifecycle.memory.observed_only import Observed
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.rehearse import Rehearsal, to_record
from scheduler.lifecycle.running.act import backoff_until, next_action, note_outcome
from scheduler.lifecycle.running.ending import postpone
from scheduler.lifecycle.running.limits import enforce_limits, limits_are_due
from scheduler.lifecycle.running.observe import look_again, observe
from scheduler.lifecycle.running.pacing import BREATH_SECONDS, Pace, is_pressing, rest_seconds
from scheduler.lifecycle.running.record import record
from scheduler.lifecycle.running.tell import due_to_tell, keep_last_words
from scheduler.lifecycle.turning import catch_up, note_heard
from scheduler.lifecycle.writing.batch import Batch, changing
from scheduler.ports import Clock, Cluster, Ids, Store

LONGEST_WAIT_SECONDS = 1.0
ACTIONS_AT_ONCE = 16
"""Calls that are sent to the cluster together: their outcomes come back together too, so that few wait for one."""
CALLS_AT_ONCE = 64
"""Such groups under way at a time: the rest waits as the few words that it is, not as tens of thousands of requests."""
TELLS_AT_ONCE = 4
TAKEN_IN_AT_ONCE = 200
"""Jobs of users that are queued in one transaction."""
INTENTS_AT_ONCE = 50
"""Launches that are recorded in one transaction, so that no submission waits long for the next one."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class CycleReport:
    """What one cycle did, for metrics. `observed` is what is new of what it would have done."""

    now: Instant
    plan: Plan
    actions: int
    refused: int
    observed: tuple[Observed, ...] = ()


class Cycle:
    """Owns the decision's state. `report` is called after each cycle, on the event loop."""

    def __init__(
        self,
        store: Store,
        world: World,
        cluster: Cluster,
        clock: Clock,
        ids: Ids,
        commands: Commands,
        *,
        acts: bool = True,
    ) -> None:
        self._store = store
        self._world = world
        self._cluster = cluster
        self._clock = clock
        self._ids = ids
        self._commands = commands
        self._rehearsal = None if acts else Rehearsal(store, world)
        self.state = State()
        self._is_whole = True
        self.report: Callable[[CycleReport], None] = _nobody_reads
        self.last_plan: Plan | None = None
        self._inbox = Inbox()
        self._wake = asyncio.Event()
        self._due: asyncio.TimerHandle | None = None
        self._began = 0.0
        self._is_asked = False
        self._retries: dict[WorkloadId, int] = {}
        self._retry_at: dict[WorkloadId, Instant] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._to_send: tuple[deque[Action], deque[Action]] = (deque(), deque())
        self._tells: list[TellJob] = []
        self._telling: asyncio.Task[None] | None = None
        self._tells_from = 0.0
        self._pace = Pace()

    def wake(self) -> None:
        """Have the next cycle run soon: somebody asked for something. Call it on the event loop."""
        self._is_asked = True
        self._wake.set()

    async def watch_once(self) -> None:
        """Bring in what the cluster reports next, waiting at most a second for it."""
        self._cluster.account_for(self._world.take_relaunched())
        changes = await self._cluster.changes(LONGEST_WAIT_SECONDS)
        if not changes.is_empty:
            self._inbox.changes.append(changes)
            self._pace.note(asyncio.get_running_loop().time(), len(changes.jobs) + len(changes.pods))
            self._wake_for(is_pressing(changes))

    async def run_once(self) -> CycleReport:
        """Wait for something to do, at most a second, and do it."""
        with suppress(TimeoutError):  # after a second age, pace and limits may have changed what is right
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                await self._wake.wait()
        self._wake.clear()
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self._is_asked = False
        inbox = self._inbox.take()
        now = self._clock.now()
        loop = asyncio.get_running_loop()
        began = self._began = loop.time()
        try:
            report = await asyncio.to_thread(
                self._think, inbox, now, lambda actions: loop.call_soon_threadsafe(self._send, actions)
            )
        except BaseException:
            self._inbox.put_back(inbox)  # nothing that was reported is lost to a failure: it is looked at again
            raise
        self._cluster.account_for(self._world.take_relaunched())
        if self._rehearsal is None:
            self._tell_what_is_due()
        self.report(report)
        await asyncio.sleep(rest_seconds(loop.time() - began, is_asked=self._is_asked))
        return report

    async def drain(self) -> None:
        """Wait for the calls that are under way. What was still to be sent is found again by the next start."""
        for waiting in self._to_send:
            waiting.clear()
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)
            # What has ended leaves the set in a turn of the loop, and Python 3.12 takes none where all have ended already.
            await asyncio.sleep(0)

    # in the thread

    def _think(self, inbox: Inbox, now: Instant, send: Callable[[list[Action]], object]) -> CycleReport:
        """What is recorded is sent at once: the first launches of a long plan do not wait for the last to be written."""
        self._commands.give_way()
        told = self._absorb(inbox, now)
        self._commands.give_way()
        self.last_plan = plan = self._decide(now)
        if self._rehearsal is not None:
            for part in _parts(to_record(plan)):
                self._record(part, now)
            return CycleReport(now, plan, 0, 0, tuple(self._rehearsal.look(plan, inbox.changes, now)))
        self._tells += told
        sent = refused = 0
        for part in _parts(plan):
            self._commands.give_way()
            refused += self._record(part, now)
            actions = self._next_actions(now)
            sent += len(actions)
            if actions:
                send(actions)
        return CycleReport(now, plan, sent, refused)

    def _absorb(self, inbox: Inbox, now: Instant) -> list[TellJob]:
        """Take in what was reported, and what follows of itself. Returns the words that users' Jobs are to hear."""
        world = self._world
        self._settle_calls(inbox.outcomes, now)
        seen = {uid: job for changes in inbox.changes for uid, job in changes.jobs.items()}
        jobs = jobs_with_room(world, seen) + new_jobs(world, seen.values())
        told = words_about_changes(world, (job for changes in inbox.changes for job in changes.jobs.values()))
        acts = self._rehearsal is None
        limits = acts and world.rounds.come_to_limits(now)
        if not world.rounds.is_cluster_away:
            catch_up(self._store, world, inbox.changes, now, renews=acts)
        *first, last = inbox.pieces()
        for piece in first:
            with changing(self._store, world, now) as batch:
                self._note(batch, piece)
        if jobs or last.changes or last.outcomes or world.awaited or (limits and limits_are_due(world, now)):
            with changing(self._store, world, now) as batch:
                self._note(batch, last)
                look_again(batch)
                if world.policy is not None and limits:
                    enforce_limits(batch)
                if world.policy is not None:
                    told += take_in_jobs(self._commands, batch, jobs[:TAKEN_IN_AT_ONCE])
        if not world.rounds.is_cluster_away:
            note_heard(world, inbox.changes, now)
        if not world.in_flight:
            world.gone_unheard.clear()
        if world.policy is not None:
            for start in range(TAKEN_IN_AT_ONCE, len(jobs), TAKEN_IN_AT_ONCE):
                with changing(self._store, world, now) as batch:
                    told += take_in_jobs(self._commands, batch, jobs[start : start + TAKEN_IN_AT_ONCE])
        return told

    def _settle_calls(self, outcomes: Sequence[ActionOutcome], now: Instant) -> None:
        """Calls are over. While the cluster is away, nothing that runs there is taken to be late."""
        for outcome in outcomes:
            self._settle_call(outcome, now)
        rounds = self._world.rounds
        rounds.is_cluster_away = not self._cluster.is_reachable
        if rounds.is_cluster_away:
            postpone(self._world, now)

    def _note(self, batch: Batch, inbox: Inbox) -> None:
        for outcome in inbox.outcomes:
            note_outcome(batch, outcome, self._retries)
        for changes in inbox.changes:
            observe(batch, changes)

    def _settle_call(self, outcome: ActionOutcome, now: Instant) -> None:
        """The call is over: its workload may end again, and is looked at anew, later where it did not work."""
        if isinstance(outcome.action, TellJob):
            return
        workload_id = outcome.action.workload.id
        self._world.in_flight.discard(workload_id)
        if outcome.job_uid is not None and outcome.generation is not None:
            self._world.generations[outcome.job_uid] = outcome.generation
        if outcome.result is ActionResult.DONE:
            self._world.dirty.add(workload_id)
        elif outcome.result is ActionResult.GONE and isinstance(outcome.action, DeleteJob):
            self._world.drop_workload(workload_id)
        else:
            self._retry_at[workload_id] = backoff_until(now, self._retries.get(workload_id, 0))

    def _decide(self, now: Instant) -> Plan:
        if self._world.policy is None or not self._cluster.is_reachable:
            return Plan(now)
        self._world.prices_at(now)
        with self._world.deciding:
            if self._is_whole:
                state, changes = self.state, self._world.take_changes()
            else:
                state, changes = State(), self._world.everything()
            self._is_whole = False  # a decision that fails half way leaves a memory that cannot be trusted
            self.state, plan = step(state, changes, now)
            self._is_whole = True
        return plan

    def _record(self, plan: Plan, now: Instant) -> int:
        """In one transaction. Returns how many intents were refused."""
        if plan.is_empty:
            return 0
        with changing(self._store, self._world, now) as batch:
            return len(record(batch, plan, self._ids.new))

    def _next_actions(self, now: Instant) -> list[Action]:
        world = self._world
        for workload_id in [w for w, at in self._retry_at.items() if at <= now]:
            del self._retry_at[workload_id]
            world.dirty.add(workload_id)
        if world.policy is None:
            return []
        actions: list[Action] = []
        for workload_id in world.take_dirty():
            workload = world.workloads.get(workload_id)
            if workload is None or workload_id in world.in_flight or workload_id in self._retry_at:
                continue
            following = next_action(world, workload)
            if following.is_done:
                keep_last_words(world, workload_id)
                world.drop_workload(workload_id)
            if following.action is not None:
                world.in_flight.add(workload_id)
                actions.append(following.action)
        return actions

    # on the event loop

    def _send(self, actions: Sequence[Action]) -> None:
        """Launches first: people wait for those."""
        self._cluster.account_for(self._world.take_relaunched())
        for action in actions:
            self._to_send[_urgency(action)].append(action)
        self._send_some()
        self._pace.note(asyncio.get_running_loop().time(), len(actions))

    def _send_some(self, _: object = None) -> None:
        """As many groups as may be under way."""
        for waiting in self._to_send:
            while waiting and len(self._running) < CALLS_AT_ONCE:
                group = [waiting.popleft() for _ in range(min(ACTIONS_AT_ONCE, len(waiting)))]
                self._start(self._apply(group)).add_done_callback(self._send_some)

    def _tell_what_is_due(self) -> None:
        """Words come last, and wait for the words before them."""
        moment = asyncio.get_running_loop().time()
        if moment >= self._tells_from and (self._telling is None or self._telling.done()):
            pace = self._pace.words_a_second(moment, len(self._world.in_flight))
            tells = [*self._tells, *due_to_tell(self._world, self._clock.now(), pace)]
            self._tells = []
            if tells:
                self._tells_from = moment + len(tells) / pace
                self._telling = self._start(self._tell(tells))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _tell(self, tells: Sequence[TellJob]) -> None:
        """A few at a time: telling must not keep a launch waiting for a connection. A word that is lost is not said
        again; the next verdict is."""
        for start in range(0, len(tells), TELLS_AT_ONCE):
            await self._cluster.apply(tells[start : start + TELLS_AT_ONCE])

    async def _apply(self, actions: Sequence[Action]) -> None:
        outcomes: list[ActionOutcome] = []
        try:
            outcomes = await self._cluster.apply(actions)
        finally:
            answered = {id(outcome.action) for outcome in outcomes}
            lost = [ActionOutcome(a, ActionResult.RETRY, "no answer") for a in actions if id(a) not in answered]
            self._inbox.outcomes += [*outcomes, *lost]
            self._wake_for(any(not _is_launch_done(outcome) for outcome in (*outcomes, *lost)))

    def _wake_for(self, presses: bool) -> None:
        """What does not press waits a moment for company, where a cycle was just now."""
        if presses:
            self._wake.set()
        elif self._due is None:
            self._due = asyncio.get_running_loop().call_at(self._began + BREATH_SECONDS, self._wake.set)


def _is_launch_done(outcome: ActionOutcome) -> bool:
    return isinstance(outcome.action, LaunchJob) and outcome.result is ActionResult.DONE


def _urgency(action: Action) -> int:
    return 0 if isinstance(action, LaunchJob) else 1


def _parts(plan: Plan) -> list[Plan]:
    """The plan in pieces that a transaction records without keeping others waiting. Who is launched begins to grow old in
    the transaction that says so; of the others nobody waits to hear it."""
    if max(len(plan.launches), len(plan.verdicts), len(plan.ageing)) <= INTENTS_AT_ONCE:
        return [plan]
    growing = dict.fromkeys(plan.ageing)
    parts = [replace(plan, launches=(), verdicts=(), ageing=())]
    for launches in _in_turn(plan.launches):
        launched = [each.workload_id for each in launches]
        parts.append(Plan(plan.now, launches=launches, ageing=tuple(each for each in launched if each in growing)))
    started = {each.workload_id for each in plan.launches}
    waiting = tuple(each for each in plan.ageing if each not in started)
    parts += [Plan(plan.now, verdicts=part) for part in _in_turn(plan.verdicts)]
    parts += [Plan(plan.now, ageing=part) for part in _in_turn(waiting)]
    return parts


def _in_turn(items: tuple[_T, ...]) -> list[tuple[_T, ...]]:
    return [items[first : first + INTENTS_AT_ONCE] for first in range(0, len(items), INTENTS_AT_ONCE)]


def _nobody_reads(report: CycleReport) -> None:
    """Until metrics are wired."""
