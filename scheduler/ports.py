"""The ports: what the floors above need from the outside, as Protocols. Every one has a real and a simulated side.

The store's books are synchronous and work inside one transaction; the cluster is asynchronous and is never called
inside one.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from scheduler.decision.snapshot import Reservation
from scheduler.domain.access import RoleChange, TokenRecord
from scheduler.domain.actions import Action, ActionOutcome
from scheduler.domain.allowances import Allowance, AllowanceBalance, Freeze, Holder
from scheduler.domain.brakes import Brake, Pause, Stop
from scheduler.domain.cluster import GpuClass
from scheduler.domain.observations import ClusterChanges
from scheduler.domain.people import Caller, Engineer
from scheduler.domain.records import AuditEvent, CommandRecord, PodRun, PolicyVersion, RecordedVerdict, Sandbox
from scheduler.domain.terms import Draw
from scheduler.domain.units import (
    AllowanceId,
    AttemptId,
    CommandId,
    EngineerId,
    GpuClassName,
    HoldId,
    Instant,
    JobUid,
    PodUid,
    TeamName,
    WorkloadId,
)
from scheduler.domain.workloads import Attempt, Workload, WorkloadState, WorkloadTitle
from scheduler.finance.approval_book import ApprovalBook
from scheduler.finance.prices.price_shelf import PriceShelf
from scheduler.finance.proving.ports import HeadBook, PeriodBook
from scheduler.finance.reconciling.capacity_book import CapacityBook
from scheduler.ledger.books import JournalBook
from scheduler.ledger.holds import Hold
from scheduler.ledger.token_holds import TokenHoldBook
from scheduler.metering.books import GpuFaultBook, IdleBook, SampleBook
from scheduler.metering.samples import Reading


class Clock(Protocol):
    """Where `now` comes from. Only bootstrap and the loops hold one."""

    @property
    def is_simulated(self) -> bool: ...

    def now(self) -> Instant: ...

    def seconds_until(self, instant: Instant) -> float:
        """How long to wait in real seconds until then; 0 where it has passed."""
        ...


class Ids(Protocol):
    """Where new ids come from."""

    def new(self, prefix: str) -> str:
        """A fresh id such as `w-7k2m9qx4ab`: lower-case letters and digits, fit for a Kubernetes name."""
        ...


class Cluster(Protocol):
    """A Kubernetes cluster, or a simulated one."""

    @property
    def is_simulated(self) -> bool: ...

    @property
    def is_reachable(self) -> bool:
        """False while the watch is broken: what was reported may be out of date, so nothing is decided on it."""
        ...

    async def start(self) -> None:
        """Begin to watch. Raises Unavailable where it cannot be reached or is too old."""
        ...

    async def close(self) -> None: ...

    def use_gpu_classes(self, classes: Mapping[GpuClassName, GpuClass]) -> None:
        """Which labels make a node offer which GPU class; nodes are reported anew where that changes."""
        ...

    def account_for(self, jobs: Mapping[JobUid, int]) -> None:
        """For how many pods of each Job its live attempt accounts; 0 where none does any longer.

        Pods beyond that, and those of every other Job, take capacity as outside, whatever the Job says of itself: its
        user wrote that.
        """
        ...

    async def changes(self, timeout_seconds: float) -> ClusterChanges:
        """Wait until something changed, at most so long; what came together is returned together.

        The first answer, and the first after the watch was lost, is a relist.
        """
        ...

    async def apply(self, actions: Sequence[Action]) -> list[ActionOutcome]:
        """Do them side by side; one that fails fails alone. The outcomes are in the order of the actions."""
        ...


class GpuSensors(Protocol):
    """GPUs as they can be read. Implemented over NVML and by the simulation; see `metering/samples.py`."""

    @property
    def is_simulated(self) -> bool: ...

    def read(self, now: Instant) -> Reading:
        """Every device at this instant. What cannot be read is absent in it, never zero."""
        ...


class AllowanceBook(Protocol):
    def add(self, allowance: Allowance) -> bool:
        """Record an award (its hours come by a grant transaction). False where that id is there already."""
        ...

    def get(self, allowance_id: AllowanceId) -> AllowanceBalance | None: ...

    def balances(
        self,
        *,
        ids: Iterable[AllowanceId] | None = None,
        holders: Sequence[Holder] | None = None,
        open_at: Instant | None = None,
        unsettled_at: Instant | None = None,
    ) -> list[AllowanceBalance]:
        """Those that all the given conditions select: by id, by holder, open at an instant, or not yet settled then:
        open, still to start, or with anything left available, held or promised."""
        ...

    def newest_period(self) -> Instant | None:
        """When the newest of the periods begins for which policy granted anything; None: it never did."""
        ...

    def add_freeze(self, freeze: Freeze) -> None: ...

    def freezes(self, allowance_id: AllowanceId) -> list[Freeze]:
        """In the order in which they were made."""
        ...


class HoldBook(Protocol):
    def open(self, holds: Sequence[Hold]) -> None: ...

    def of_attempt(self, attempt_id: AttemptId) -> list[Hold]:
        """In funding order, resolved ones too."""
        ...

    def of_attempts(self, ids: Sequence[AttemptId]) -> Mapping[AttemptId, list[Hold]]: ...

    def reserved_for(self, workload_id: WorkloadId) -> list[Hold]:
        """Open holds that have no attempt yet."""
        ...

    def assign(self, ids: Sequence[HoldId], attempt_id: AttemptId) -> None: ...

    def charge(self, amounts: Mapping[HoldId, int], draws: Mapping[HoldId, Draw] = ...) -> None:
        """Add to what is charged; a Conflict where a hold is resolved or would be exceeded."""
        ...

    def resolve(self, ids: Sequence[HoldId], at: Instant) -> None:
        """Once: a Conflict where one is resolved already."""
        ...

    def open_ones(self) -> list[Hold]: ...


class WorkloadBook(Protocol):
    def add(self, workloads: Sequence[Workload]) -> None: ...

    def get(self, workload_id: WorkloadId) -> Workload | None: ...

    def many(self, ids: Sequence[WorkloadId]) -> Mapping[WorkloadId, Workload]: ...

    def titles(self, ids: Sequence[WorkloadId]) -> Mapping[WorkloadId, WorkloadTitle]:
        """What a page or a statement calls them: less to read than `many`."""
        ...

    def with_jobs(self, uids: Sequence[JobUid]) -> set[JobUid]:
        """Which of these Jobs belong to a workload, of whatever state."""
        ...

    def save(self, workloads: Sequence[Workload]) -> list[WorkloadId]:
        """Write each where its stored version is one less than its own; the ids that were not are returned."""
        ...

    def unfinished(self) -> list[Workload]: ...

    def page(
        self,
        *,
        owner: EngineerId | None = None,
        team: TeamName | None = None,
        states: Sequence[WorkloadState] | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[Workload]:
        """Newest first; `before` is the cursor: the last `submitted_at|id` of the page before."""
        ...

    def count(self, *, owner: EngineerId | None = None, states: Sequence[WorkloadState] | None = None) -> int: ...


class AttemptBook(Protocol):
    def add(self, attempts: Sequence[Attempt]) -> None: ...

    def get(self, attempt_id: AttemptId) -> Attempt | None: ...

    def save(self, attempts: Sequence[Attempt]) -> None: ...

    def live(self) -> list[Attempt]: ...

    def ended_since(self, at: Instant) -> list[Attempt]:
        """In the order of their ends."""
        ...

    def of_workload(self, workload_id: WorkloadId) -> list[Attempt]: ...

    def inside(self, ids: Sequence[WorkloadId]) -> Mapping[WorkloadId, list[Attempt]]:
        """What runs, or ran, inside each of these bookings."""
        ...

    def of_workloads(self, ids: Sequence[WorkloadId]) -> Mapping[WorkloadId, list[Attempt]]:
        """Each in the order of their numbers; an empty list where there are none."""
        ...

    def many(self, ids: Sequence[AttemptId]) -> Mapping[AttemptId, Attempt]: ...

    def save_pods(self, runs: Sequence[PodRun]) -> None: ...

    def pods_of(self, ids: Sequence[AttemptId]) -> Mapping[AttemptId, list[PodRun]]: ...

    def pod(self, uid: PodUid) -> PodRun | None: ...

    def save_reservations(self, changes: Mapping[WorkloadId, Reservation | None]) -> None: ...

    def reservations(self) -> list[Reservation]: ...


class VerdictBook(Protocol):
    def add(self, verdicts: Sequence[RecordedVerdict]) -> None:
        """`seq` is given by the book."""
        ...

    def latest(self, ids: Sequence[WorkloadId]) -> Mapping[WorkloadId, RecordedVerdict]:
        """The last verdict of each that has any."""
        ...

    def of_workload(self, workload_id: WorkloadId, limit: int = 50) -> list[RecordedVerdict]: ...

    def of_owner(self, owner: EngineerId, *, until: Instant) -> list[RecordedVerdict]:
        """On all workloads of an engineer, those before `until`: by workload, oldest first."""
        ...

    def recent(self, *, after_seq: int = 0, limit: int = 50) -> list[RecordedVerdict]:
        """Newest first."""
        ...


class PeopleBook(Protocol):
    def save(self, engineers: Sequence[Engineer]) -> None: ...

    def get(self, engineer_id: EngineerId) -> Engineer | None: ...

    def by_subject(self, subject: str) -> Engineer | None: ...

    def all(self) -> list[Engineer]: ...

    def forget(self, engineer_id: EngineerId) -> None:
        """Erase the name and the subject; the opaque id stays in the books."""
        ...

    def add_token(self, token: TokenRecord) -> None: ...

    def tokens(self) -> list[TokenRecord]:
        """All, expired ones too."""
        ...

    def add_role_changes(self, changes: Sequence[RoleChange]) -> None:
        """`seq` is given by the book."""
        ...

    def role_changes(self) -> list[RoleChange]:
        """In the order in which they were made."""
        ...

    def caller_of(self, token_hash: str, now: Instant) -> Caller | None: ...

    def revoke_token(self, token_hash: str) -> None: ...


class ControlBook(Protocol):
    """Policies, brakes, commands, audit events, sandboxes' keys, and the few settings that outlive a process."""

    def add_policy(self, version: PolicyVersion) -> None: ...

    def current_policy(self) -> PolicyVersion | None: ...

    def policies(self, limit: int = 50) -> list[PolicyVersion]: ...

    def put_pause(self, pause: Pause) -> None: ...

    def remove_pause(self, brake: Brake) -> None: ...

    def pauses(self) -> list[Pause]: ...

    def add_stops(self, stops: Sequence[Stop]) -> None: ...

    def stops(self, since: Instant) -> list[Stop]: ...

    def clear_stops(self, brake: Brake) -> None: ...

    def command(self, command_id: CommandId) -> CommandRecord | None: ...

    def add_command(self, record: CommandRecord) -> None: ...

    def add_events(self, events: Sequence[AuditEvent]) -> None: ...

    def events(
        self, *, target: str | None = None, before_seq: int | None = None, limit: int = 100
    ) -> list[AuditEvent]:
        """Newest first."""
        ...

    def put_sandbox(self, sandbox: Sandbox) -> None: ...

    def sandbox(self, workload_id: WorkloadId) -> Sandbox | None: ...

    def note_served(self, workload_id: WorkloadId, at: Instant) -> None:
        """A request that is older than the one that is known changes nothing."""
        ...

    def setting(self, key: str) -> str | None: ...

    def put_setting(self, key: str, value: str) -> None: ...


class Books(Protocol):
    """Everything that one transaction can read and write."""

    @property
    def journal(self) -> JournalBook: ...
    @property
    def allowances(self) -> AllowanceBook: ...
    @property
    def holds(self) -> HoldBook: ...
    @property
    def workloads(self) -> WorkloadBook: ...
    @property
    def attempts(self) -> AttemptBook: ...
    @property
    def capacity(self) -> CapacityBook: ...
    @property
    def verdicts(self) -> VerdictBook: ...
    @property
    def people(self) -> PeopleBook: ...
    @property
    def control(self) -> ControlBook: ...
    @property
    def samples(self) -> SampleBook: ...
    @property
    def gpu_faults(self) -> GpuFaultBook: ...
    @property
    def idleness(self) -> IdleBook: ...
    @property
    def prices(self) -> PriceShelf: ...
    @property
    def heads(self) -> HeadBook: ...
    @property
    def periods(self) -> PeriodBook: ...
    @property
    def approvals(self) -> ApprovalBook: ...
    @property
    def token_holds(self) -> TokenHoldBook: ...


class Store(Protocol):
    """The database. Refuses with a `database-…` code where it is missing a migration, read-only, locked or full."""

    def writing(self) -> AbstractContextManager[Books]:
        """One write transaction: committed when the block ends, rolled back when it raises."""
        ...

    def reading(self) -> AbstractContextManager[Books]:
        """One consistent read."""
        ...

    def close(self) -> None: ...
