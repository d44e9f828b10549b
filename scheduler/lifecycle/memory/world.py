"""The service's memory: what the store and the cluster said last, kept so that no cycle reads the world anew.

Everything here can be rebuilt: from the store by `load`, from the cluster by its next relist. Values are immutable
and replaced whole; a lock guards the few lines that replace them, because commands run in threads beside the cycle.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from scheduler.decision.snapshot import Changes, Reservation
from scheduler.domain.allowances import AllowanceBalance, Holder
from scheduler.domain.brakes import STOP_RATE_WINDOW_MS, Pause, Stop
from scheduler.domain.cluster import Node
from scheduler.domain.errors import RefusalCode, Unavailable
from scheduler.domain.latest import put
from scheduler.domain.observations import ObservedJob, ObservedPod
from scheduler.domain.people import Engineer
from scheduler.domain.policy import Policy
from scheduler.domain.records import PodRun, RecordedVerdict
from scheduler.domain.terms import Prices
from scheduler.domain.units import (
    AllowanceId,
    AttemptId,
    EngineerId,
    Instant,
    JobUid,
    NodeName,
    PodUid,
    WorkloadId,
)
from scheduler.domain.workloads import Attempt, Workload, WorkloadState
from scheduler.finance.prices.price_book import PriceBook
from scheduler.lifecycle.memory.conditions import Conditions
from scheduler.lifecycle.memory.entrance import Entrance
from scheduler.lifecycle.memory.launched_jobs import LaunchedJobs
from scheduler.lifecycle.memory.observed_only import ObservedOnly
from scheduler.lifecycle.memory.past_use import PastUse
from scheduler.lifecycle.memory.pending import Pending
from scheduler.lifecycle.memory.prices_ahead import PricesAhead
from scheduler.lifecycle.memory.readings import Readings
from scheduler.lifecycle.memory.rounds import Rounds
from scheduler.lifecycle.memory.whereabouts import AttemptsOn, note_nodes
from scheduler.lifecycle.memory.words import Words
from scheduler.metering.use import Metered
from scheduler.ports import Books


@dataclass(eq=False)
class World:
    """The mirror, and what of it changed since the decision last looked (`take_changes`)."""

    tick: int = 0
    """Grows with every visible change."""
    lock: AbstractContextManager[bool] = field(default_factory=threading.RLock)
    writer: AbstractContextManager[bool] = field(default_factory=threading.RLock)
    """Held from the first look at the world to its update: in this process the world is what the store says.
    Between processes the versions of workloads and the floors of accounts decide."""
    deciding: AbstractContextManager[bool] = field(default_factory=threading.RLock)
    """Held while the decision's memory changes or is read."""
    policy: Policy | None = None
    price_book: PriceBook | None = None
    ahead: PricesAhead = field(default_factory=PricesAhead)
    people: dict[EngineerId, Engineer] = field(default_factory=dict)
    by_subject: dict[str, Engineer] = field(default_factory=dict)
    nodes: dict[NodeName, Node] = field(default_factory=dict)
    workloads: dict[WorkloadId, Workload] = field(default_factory=dict)
    """All that are not final, and final ones whose Job must still be dealt with."""
    attempts: dict[AttemptId, Attempt] = field(default_factory=dict)
    attempt_of: dict[WorkloadId, AttemptId] = field(default_factory=dict)
    pods: dict[AttemptId, dict[PodUid, PodRun]] = field(default_factory=dict)
    jobs: dict[JobUid, ObservedJob] = field(default_factory=dict)
    workload_of_job: dict[JobUid, WorkloadId] = field(default_factory=dict)
    launched: LaunchedJobs = field(default_factory=LaunchedJobs)
    observed_pods: dict[PodUid, ObservedPod] = field(default_factory=dict)
    balances: dict[AllowanceId, AllowanceBalance] = field(default_factory=dict)
    balances_of: dict[Holder, dict[AllowanceId, AllowanceBalance]] = field(default_factory=dict)
    reservations: dict[WorkloadId, Reservation] = field(default_factory=dict)
    conditions: Conditions = field(default_factory=Conditions)
    past_use: PastUse = field(default_factory=PastUse)
    pauses: tuple[Pause, ...] = ()
    stops: tuple[Stop, ...] = ()
    verdicts: dict[WorkloadId, RecordedVerdict] = field(default_factory=dict)
    untold: dict[WorkloadId, RecordedVerdict] = field(default_factory=dict)
    """Verdicts that their Jobs have not been told, oldest first."""
    attempts_made: dict[WorkloadId, int] = field(default_factory=dict)
    """How many attempts a workload has had, where that has been asked."""
    covered: dict[AttemptId, int] = field(default_factory=dict)
    """Standard GPU-milliseconds that the holds of an attempt cover in all, where that has been asked."""
    closed_periods: tuple[tuple[Instant, Instant], ...] = ()
    """What would be dated inside one counts in the open period, as a correction."""
    keys: dict[WorkloadId, str] = field(default_factory=dict)
    dirty: set[WorkloadId] = field(default_factory=set)
    """Workloads whose Job may not be as it should: `act` looks at them."""
    readings: Readings = field(default_factory=Readings)
    rounds: Rounds = field(default_factory=Rounds)
    words: Words = field(default_factory=Words)
    attempts_on: AttemptsOn = field(default_factory=dict)
    """The GPUs of a node that each live attempt has there."""
    attempt_of_pod: dict[PodUid, AttemptId] = field(default_factory=dict)
    awaited: dict[WorkloadId, Instant] = field(default_factory=dict)
    """Workloads whose attempts look ended, but not everything about it has been reported; since when."""
    in_flight: set[WorkloadId] = field(default_factory=set)
    """Workloads for which a call to the cluster is under way: their attempts do not end meanwhile."""
    generations: dict[JobUid, int] = field(default_factory=dict)
    """The generation that our last write gave a Job: an older report of it is stale."""
    entrance: Entrance = field(default_factory=Entrance)
    gone_unheard: set[JobUid] = field(default_factory=set)  # while a call was under way that may have made them
    observed: ObservedOnly | None = None
    """What would have been done, where this process only observes."""
    _pending: Pending = field(default_factory=Pending)

    # reading

    def require_policy(self) -> Policy:
        """The policy in force, or `no-policy`."""
        if self.policy is None:
            raise Unavailable(
                "no policy has been applied yet",
                code=RefusalCode.NO_POLICY,
                remedy="an operator applies one with `allot policy apply FILE`",
            )
        return self.policy

    def live_attempt(self, workload_id: WorkloadId) -> Attempt | None:
        attempt_id = self.attempt_of.get(workload_id)
        return self.attempts.get(attempt_id) if attempt_id is not None else None

    def job_of(self, workload: Workload) -> ObservedJob | None:
        return self.jobs.get(workload.job_uid) if workload.job_uid is not None else None

    def is_stale(self, job: ObservedJob) -> bool:
        """Whether the report is older than what we wrote."""
        return job.generation < self.generations.get(job.uid, 0)

    def prices_at(self, now: Instant) -> Prices | None:
        """The highest prices of the time ahead; the decision is told where one is another."""
        with self.lock:
            if self.ahead.renew(self.price_book, self.policy, now):
                self._pending.prices = self.ahead.prices
            return self.ahead.prices

    def running_gpus(self) -> int:
        return sum(attempt.gpus for attempt in list(self.attempts.values()) if not attempt.is_booking)

    # writing: each of these follows a committed transaction or a report of the cluster

    def put_policy(self, policy: Policy) -> None:
        with self.lock:
            self.policy = self._pending.policy = policy
            self.tick += 1

    def count_past_use(self, ended: Iterable[Attempt]) -> None:
        with self.lock:
            self.past_use.forget(self._pending)
            self.past_use.count(ended, self.require_policy(), self._pending)

    def put_people(self, engineers: Iterable[Engineer]) -> None:
        with self.lock:
            for engineer in engineers:
                self.people[engineer.id] = engineer
                self.by_subject[engineer.subject] = engineer
                self._pending.tiers[engineer.id] = engineer.tier

    def put_node(self, name: NodeName, node: Node | None) -> None:
        with self.lock:
            if self.nodes.get(name) != node:
                put(self.nodes, name, node)
                self._pending.nodes[name] = node
                self.tick += 1

    def put_workloads(self, workloads: Iterable[Workload]) -> None:
        with self.lock:
            for workload in workloads:
                known = self.workloads.get(workload.id)
                if known is not None and known.version > workload.version:
                    continue  # a thread that committed later was here first
                self.workloads[workload.id] = workload
                if known is not None and known.job_uid is not None and known.job_uid != workload.job_uid:
                    self.workload_of_job.pop(known.job_uid, None)  # a retry has a Job of its own
                self._note_launched(workload, known)
                self.conditions.note(workload)
                self.entrance.note(workload, known)
                self._pending.note(workload)
                if workload.job_uid is not None:
                    self.workload_of_job[workload.job_uid] = workload.id
                self.dirty.add(workload.id)
                self.tick += 1

    def drop_workload(self, workload_id: WorkloadId) -> None:
        """Forget a final workload: nothing is left to do for it in the cluster."""
        with self.lock:
            workload = self.workloads.pop(workload_id, None)
            if workload is not None and workload.job_uid is not None:
                self.workload_of_job.pop(workload.job_uid, None)
            self.keys.pop(workload_id, None)
            self.awaited.pop(workload_id, None)
            self.attempts_made.pop(workload_id, None)
            self.verdicts.pop(workload_id, None)
            self.untold.pop(workload_id, None)

    def put_attempts(self, attempts: Iterable[Attempt]) -> None:
        with self.lock:
            for attempt in attempts:
                if not attempt.is_live and attempt.id in self.attempts and self.policy is not None:
                    self.past_use.count([attempt], self.policy, self._pending)
                live = attempt if attempt.is_live else None
                known = self.attempts.get(attempt.id)
                put(self.attempts, attempt.id, live)
                self._pending.attempts[attempt.id] = live
                note_nodes(self.attempts_on, attempt.id, known, live)
                if live is not None:
                    self.attempt_of[attempt.workload_id] = attempt.id
                    self.attempts_made[attempt.workload_id] = attempt.number
                else:
                    for pod_uid in self.pods.pop(attempt.id, {}):
                        self.attempt_of_pod.pop(pod_uid, None)
                    self.covered.pop(attempt.id, None)
                    self.readings.forget(attempt.id)
                    if self.attempt_of.get(attempt.workload_id) == attempt.id:
                        del self.attempt_of[attempt.workload_id]
                if (workload := self.workloads.get(attempt.workload_id)) is not None:
                    self._note_launched(workload)
                self.dirty.add(attempt.workload_id)
                self.tick += 1

    def put_pod_runs(self, runs: Iterable[PodRun]) -> None:
        with self.lock:
            for run in runs:
                if run.attempt_id in self.attempts:
                    self.pods.setdefault(run.attempt_id, {})[run.pod_uid] = run
                    self.attempt_of_pod[run.pod_uid] = run.attempt_id

    def put_balances(self, balances: Iterable[AllowanceBalance]) -> None:
        with self.lock:
            for balance in balances:
                self.balances[balance.allowance.id] = balance
                self.balances_of.setdefault(balance.allowance.holder, {})[balance.allowance.id] = balance
                self._pending.balances[balance.allowance.id] = balance
            self.tick += 1

    def drop_balance(self, allowance_id: AllowanceId) -> None:
        with self.lock:
            dropped = self.balances.pop(allowance_id, None)
            if dropped is not None:
                del self.balances_of[dropped.allowance.holder][allowance_id]
                self._pending.balances[allowance_id] = None

    def put_reservations(self, changes: Mapping[WorkloadId, Reservation | None]) -> None:
        with self.lock:
            for workload_id, reservation in changes.items():
                put(self.reservations, workload_id, reservation)
                self._pending.reservations[workload_id] = reservation

    def put_brakes(self, pauses: Sequence[Pause] | None = None, stops: Sequence[Stop] | None = None) -> None:
        with self.lock:
            if pauses is not None:
                self.pauses = self._pending.pauses = tuple(pauses)
            if stops is not None:
                self.stops = self._pending.stops = tuple(stops)
            self.tick += 1

    def put_verdicts(self, verdicts: Iterable[RecordedVerdict]) -> None:
        with self.lock:
            for verdict in verdicts:
                self.verdicts[verdict.workload_id] = verdict
                self.untold.pop(verdict.workload_id, None)
                self.untold[verdict.workload_id] = verdict
                self.tick += 1

    def put_job(self, uid: JobUid, job: ObservedJob | None) -> None:
        with self.lock:
            put(self.jobs, uid, job)
            if job is None:
                self.generations.pop(uid, None)
                self.entrance.forget(uid)
            workload_id = self.workload_of_job.get(uid)
            if workload_id is not None:
                self.dirty.add(workload_id)

    def put_observed_pod(self, pod: ObservedPod) -> None:
        with self.lock:
            put(self.observed_pods, pod.uid, None if pod.is_gone else pod)

    def put_metered(self, metered: Iterable[Metered]) -> None:
        with self.lock:
            self.readings.put_metered(metered, self.attempts.keys())
            self.tick += 1

    def _note_launched(self, workload: Workload, known: Workload | None = None) -> None:
        """Keep `launched` after its workload, as it was `known` until now, or its attempt has changed."""
        if known is not None and known.job_uid != workload.job_uid:
            self.launched.mark(known.job_uid, 0)
        attempt = self.live_attempt(workload.id)
        self.launched.mark(workload.job_uid, attempt.everywhere.pods if attempt is not None else 0)

    # for the cycle

    def take_changes(self) -> Changes:
        """What changed since the last call; the caller owes it to the decision."""
        with self.lock:
            pending, self._pending = self._pending, Pending()
        return pending.as_changes()

    def everything(self) -> Changes:
        """The whole world as changes, for a decision that begins anew; what was pending is in it."""
        with self.lock:
            self._pending = Pending()
            return Changes(
                policy=self.policy,
                nodes=dict(self.nodes),
                queued={w.id: w for w in self.workloads.values() if w.state is WorkloadState.QUEUED},
                attempts=dict(self.attempts),
                launched={w.id: w for w in self.workloads.values() if w.state.is_live},
                balances=dict(self.balances),
                reservations=dict(self.reservations),
                tiers={engineer.id: engineer.tier for engineer in self.people.values()},
                usage=dict(self.past_use.usage),
                spent=dict(self.past_use.spent),
                pauses=self.pauses,
                stops=self.stops,
                prices=self.ahead.prices,
            )

    def take_relaunched(self) -> dict[JobUid, int]:
        """What to tell the cluster of the Jobs that live attempts account for."""
        with self.lock:
            return self.launched.take_moved()

    def take_dirty(self) -> list[WorkloadId]:
        with self.lock:
            dirty = sorted(self.dirty)
            self.dirty.clear()
        return dirty

    def load_directory(self, books: Books) -> None:
        """Who there is, and which periods are closed: all that those need of it who only read what was posted."""
        self.put_people(books.people.all())
        self.closed_periods = tuple(books.periods.closed())

    def load(self, books: Books, now: Instant) -> None:
        """Fill the mirror from the store; the policy is put by whoever can read its text."""
        with self.lock:
            self.load_directory(books)
            unfinished = books.workloads.unfinished()
            self.put_workloads(unfinished)
            live = books.attempts.live()
            self.put_attempts(live)
            for runs in books.attempts.pods_of([attempt.id for attempt in live]).values():
                self.put_pod_runs(runs)
            self.put_balances(books.allowances.balances(unsettled_at=now))
            self.put_reservations({r.workload_id: r for r in books.attempts.reservations()})
            for inventory in books.samples.inventories():
                self.readings.put_inventory(inventory)
            self.readings.attempt_of_gpu.update(
                (gpu.gpu_uuid, gpu.attempt_id)
                for gpu in books.samples.all_gpus()
                if gpu.attempt_id is not None and gpu.attempt_id in self.attempts
            )
            self.put_brakes(books.control.pauses(), books.control.stops(Instant(now - STOP_RATE_WINDOW_MS)))
            latest = books.verdicts.latest([workload.id for workload in unfinished])
            self.put_verdicts(sorted(latest.values(), key=lambda verdict: verdict.seq))
            sandboxes = ((workload.id, books.control.sandbox(workload.id)) for workload in unfinished)
            self.keys.update((workload_id, known.key) for workload_id, known in sandboxes if known is not None)
