"""A small company in a database of its own: one team, two engineers, eight GPUs; and a cluster that is told what to say."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from scheduler.adapters.sql.store import SqlStore
from scheduler.decision.plan import Launch, Plan
from scheduler.domain.actions import TellJob
from scheduler.domain.allowances import AllowanceSource, Holder, HolderKind
from scheduler.domain.approvals import ApprovalRules, Persons
from scheduler.domain.awards import Award
from scheduler.domain.cluster import GpuClass, Node, Placement, PodRequest
from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import ClusterChanges, ObservedJob, ObservedPod, PodPhase
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.periods import Period, PeriodLength, period_at, to_instant
from scheduler.domain.policy import (
    AtExhaustion,
    Policy,
    Pool,
    PriorityClass,
    Project,
    Quota,
    SandboxTerms,
    Tier,
)
from scheduler.domain.units import (
    MS_PER_HOUR,
    MS_PER_MINUTE,
    AllowanceId,
    EngineerId,
    GpuClassName,
    Instant,
    JobUid,
    NodeName,
    PerMille,
    PodUid,
    PoolName,
    PriorityClassName,
    ProjectName,
    TeamName,
    TierName,
    WorkloadId,
)
from scheduler.domain.workloads import HoldMode, Workload, WorkloadKind, WorkloadSpec
from scheduler.lifecycle.administration import Administration
from scheduler.lifecycle.commands import Commands
from scheduler.lifecycle.governance.governing import put_policy
from scheduler.lifecycle.intake import new_jobs, take_in_jobs
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.observe import observe
from scheduler.lifecycle.running.record import record
from scheduler.lifecycle.writing.batch import Batch, changing
from tests.adapters.sql.invariants import violations
from tests.plugins.memory import folder_for_databases
from tests.plugins.migrated import open_migrated

H100 = GpuClassName("h100")
FULL = PriorityClassName("standard")
ROLLING = PriorityClassName("interactive")
SPOT = PriorityClassName("spot")
NOON = to_instant(datetime(2026, 11, 20, 12, tzinfo=UTC))
SECOND = 1000

OPERATOR = Caller("olga", frozenset({Role.OPERATOR, Role.FINANCE, Role.PEOPLE, Role.AUDITOR}))


ALONE = ApprovalRules(Persons.ONE, Persons.ONE, Persons.ONE, Persons.ONE)
"""One person is enough: what waits for a second one has tests of its own."""


def policy() -> Policy:
    return Policy(
        name="small",
        hash="0" * 64,
        gpu_classes={H100: GpuClass(H100, PerMille(1000), (("gpu", "h100"),))},
        priority_classes={
            FULL: PriorityClass(FULL, 100, refund_cap_ms=MS_PER_HOUR),
            ROLLING: PriorityClass(
                ROLLING, 200, class_factor=PerMille(1500), hold=HoldMode.ROLLING, slice_ms=15 * MS_PER_MINUTE
            ),
            SPOT: PriorityClass(
                SPOT, 10, hold=HoldMode.ROLLING, at_exhaustion=AtExhaustion.UNFUNDED, may_start_unfunded=True
            ),
        },
        tiers={TierName("staff"): Tier(TierName("staff"), 100 * MS_PER_HOUR, gpus_max=8)},
        pools={
            PoolName("research"): Pool(PoolName("research"), (TeamName("research"),), {H100: Quota(H100, 8)}),
        },
        projects={ProjectName("aurora"): Project(ProjectName("aurora"), TeamName("research"))},
        sandbox=SandboxTerms(images=("notebook:1",), default_image="notebook:1"),
        approvals=ALONE,
    )


@dataclass
class SequentialIds:
    """Ids in the order in which they were asked for."""

    numbers: Iterator[int] = field(default_factory=itertools.count)

    def new(self, prefix: str) -> str:
        return f"{prefix}-{next(self.numbers):04d}"


@cache
def _founded() -> bytes:
    with folder_for_databases() as folder:
        file = Path(folder) / "allot.db"
        Company(store=open_migrated(f"sqlite:///{file}")).close()
        return file.read_bytes()


class Company:
    """The books, the world and the commands, at a `now` that the test moves."""

    def __init__(self, rules: Policy | None = None, store: SqlStore | None = None) -> None:
        """The plain one, with no rules and no store of its own, is a copy: to found it takes longer than most tests."""
        is_plain = rules is None and store is None
        self.now = NOON
        self.store: SqlStore = store or open_migrated(filled=_founded() if is_plain else None)
        self.ids = SequentialIds()
        self.world = World()
        self.commands = Commands(self.store, self.world, self.ids, wake=lambda: None)
        self.administration = Administration(self.store, self.world, self.ids, wake=lambda: None)
        if is_plain:
            self._load()
        else:
            self._found(rules or policy())
        for number in range(2):
            name = NodeName(f"n{number}")
            self.world.put_node(name, Node(name, H100, 4, 64_000, 512_000, labels={"gpu": "h100"}))

    def _found(self, rules: Policy) -> None:
        self.administration.apply_policy(OPERATOR, "text", rules, now=self.now)
        ada = Engineer(EngineerId(""), "ada", TeamName("research"), TierName("staff"), "Ada")
        self.administration.apply_people(OPERATOR, [ada, replace(ada, subject="bob", name="Bob")], now=self.now)

    def _load(self) -> None:
        with self.store.reading() as books:
            self.world.load_directory(books)
        put_policy(self.store, self.world, policy(), self.now)
        for _ in self.world.people:
            self.ids.new("e")

    def close(self) -> None:
        self.store.close()

    def close_in_balance(self) -> None:
        """For a test's end: whatever it did, the books tie."""
        with self.store._write() as connection:
            assert violations(connection) == {}
        self.close()

    def engineer(self, subject: str) -> Engineer:
        return next(e for e in self.world.people.values() if e.subject == subject)

    def caller(self, subject: str) -> Caller:
        engineer = self.engineer(subject)
        return Caller(subject, engineer.roles, engineer.id, engineer.team)

    def grant(self, subject: str, hours: int, **fields: object) -> AllowanceId:
        award = Award(Holder(HolderKind.ENGINEER, self.engineer(subject).id), hours * MS_PER_HOUR)
        return self.commands.grant(OPERATOR, replace(award, **fields), now=self.now).id  # type: ignore[arg-type]  # by name

    def submit(self, subject: str = "ada", **fields: object) -> Workload:
        spec = replace(job_spec(), **fields)  # type: ignore[arg-type]  # by name
        return self.commands.submit(self.caller(subject), spec, now=self.now)

    @contextmanager
    def changing(self) -> Iterator[Batch]:
        with changing(self.store, self.world, self.now) as batch:
            yield batch

    def take_in(self, *jobs: ObservedJob) -> list[TellJob]:
        """Users applied these Jobs to the cluster. Returns what their authors are told."""
        with self.changing() as batch:
            return take_in_jobs(self.commands, batch, new_jobs(self.world, jobs))

    def launch(
        self, workload: Workload, *shares: FundingShare, node: str = "n0", **fields: object
    ) -> list[WorkloadId]:
        """Record a plan that launches it there, as one does of what has only come: it begins to grow old, too. Returns what
        was refused."""
        placement = Placement(((NodeName(node), workload.spec.pods),))
        launch = Launch(workload.id, H100, placement, PoolName("research"), shares, **fields)  # type: ignore[arg-type]
        with self.changing() as batch:
            return record(batch, Plan(self.now, launches=(launch,), ageing=(workload.id,)), self.ids.new)

    def see(self, changes: ClusterChanges) -> None:
        """The cluster reports this. A pod that does not say so was made for its workload's live attempt."""
        pods = tuple(replace(pod, attempt_id=pod.attempt_id or self._live_attempt(pod)) for pod in changes.pods)
        with self.changing() as batch:
            observe(batch, replace(changes, pods=pods))

    def _live_attempt(self, pod: ObservedPod) -> str:
        workload_id = self.world.workload_of_job.get(pod.job_uid)
        attempt = self.world.live_attempt(workload_id) if workload_id is not None else None
        return attempt.id if attempt is not None else ""

    def give_job(self, workload: Workload) -> JobUid:
        """As if its Job had been created."""
        uid = JobUid(f"uid-{workload.id}")
        with self.changing() as batch:
            batch.change_workload(self.workload(workload.id), job_uid=uid)
        return uid

    def workload(self, workload_id: WorkloadId) -> Workload:
        with self.store.reading() as books:
            found = books.workloads.get(workload_id)
        assert found is not None
        return found

    def available(self, allowance_id: AllowanceId) -> int:
        with self.store.reading() as books:
            found = books.allowances.get(allowance_id)
        assert found is not None
        return found.available


def job_spec() -> WorkloadSpec:
    return WorkloadSpec(
        name="train",
        kind=WorkloadKind.JOB,
        project=ProjectName("aurora"),
        gpu_classes=(H100,),
        priority_class=FULL,
        time_limit_ms=2 * MS_PER_HOUR,
        pods=1,
        pod=PodRequest(gpus=2, cpu_milli=4000, memory_mib=8000),
        image="train:1",
    )


def job_seen(workload: Workload, **fields: object) -> ObservedJob:
    seen = ObservedJob(
        JobUid(f"uid-{workload.id}"),
        workload.job_name,
        workload.namespace,
        1,
        workload.submitted_at,
        is_suspended=True,
    )
    return replace(seen, **fields)  # type: ignore[arg-type]  # by name


def pod_seen(workload: Workload, number: int = 0, **fields: object) -> ObservedPod:
    seen = ObservedPod(
        uid=PodUid(f"pod-{workload.id}-{number}"),
        name=f"{workload.job_name}-{number}",
        namespace=workload.namespace,
        job_uid=JobUid(f"uid-{workload.id}"),
        phase=PodPhase.RUNNING,
        gpus=workload.spec.pod.gpus,
        node=NodeName("n0"),
    )
    return replace(seen, **fields)  # type: ignore[arg-type]  # by name


def changes(*seen: ObservedJob | ObservedPod, is_relist: bool = False) -> ClusterChanges:
    return ClusterChanges(
        jobs={item.uid: item for item in seen if isinstance(item, ObservedJob)},
        pods=tuple(item for item in seen if isinstance(item, ObservedPod)),
        is_relist=is_relist,
    )


def compensation() -> AllowanceSource:
    return AllowanceSource.COMPENSATION


def later(instant: Instant, seconds: int) -> Instant:
    return Instant(instant + seconds * SECOND)


def month(at: Instant, time_zone: str = "UTC") -> Period:
    """The one that has the instant."""
    return period_at(at, PeriodLength.MONTH, time_zone)
