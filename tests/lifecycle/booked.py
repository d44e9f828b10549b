"""Books as months of work leave them, written straight to a store: attempts, charges, refunds, readings."""

from dataclasses import replace

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.allowances import Allowance, AllowanceSource, Holder, HolderKind
from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.sizes import gpu_ms_within, resized
from scheduler.domain.units import (
    MS_PER_HOUR,
    AllowanceId,
    AttemptId,
    EngineerId,
    GpuClassName,
    GpuUuid,
    HoldId,
    Instant,
    NodeName,
    PerMille,
    PoolName,
    PriorityClassName,
    ProjectName,
    TeamName,
    WorkloadId,
)
from scheduler.domain.workloads import (
    Activity,
    Attempt,
    AttemptState,
    AttestedUse,
    ElasticTerms,
    HoldMode,
    Workload,
    WorkloadKind,
    WorkloadSpec,
)
from scheduler.ledger.charging import charge
from scheduler.ledger.grants import grant
from scheduler.ledger.holding import hold, release
from scheduler.ledger.holds import Hold
from scheduler.ledger.refunds import refund
from scheduler.metering.devices import KnownGpu
from scheduler.metering.idle import IdleState
from scheduler.metering.samples import UtilizationSource
from scheduler.metering.use import Metered
from scheduler.metering.windows import EnergyIntegral, UtilizationIntegral, Window

RESEARCH = TeamName("research")


class Booked:
    """What happened, in the order in which the test says so."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.holds: dict[AttemptId, list[Hold]] = {}
        self.attempts: dict[AttemptId, Attempt] = {}

    def allowance(self, holder: str, hours: int, at: Instant, kind: HolderKind = HolderKind.ENGINEER) -> AllowanceId:
        made = Allowance(
            AllowanceId(f"a-{holder}"),
            Holder(kind, holder),
            AllowanceSource.TIER,
            hours * MS_PER_HOUR,
            at,
            None,
            at,
        )
        with self.store.writing() as books:
            books.allowances.add(made)
            books.journal.post([grant(made, actor="policy", memo="by policy")], at)
        return made.id

    def start(
        self,
        name: str,
        owner: str,
        at: Instant,
        *holds: tuple[AllowanceId, int],
        gpus: int = 1,
        gpu_class: str = "h100",
        weight: int = 1000,
        project: str | None = "aurora",
        title: str = "",
        activity: Activity | None = None,
        attested_use: AttestedUse | None = None,
    ) -> AttemptId:
        """An attempt that starts now, with hours held on these allowances; without any it runs unfunded."""
        spec = WorkloadSpec(
            name=title or name,
            kind=WorkloadKind.JOB,
            project=None if project is None else ProjectName(project),
            gpu_classes=(GpuClassName(gpu_class),),
            priority_class=PriorityClassName("standard"),
            time_limit_ms=100 * MS_PER_HOUR,
            pod=PodRequest(gpus, 1000, 1024),
            activity=activity,
            attested_use=attested_use,
        )
        workload = Workload(
            WorkloadId(f"w-{name}"), EngineerId(owner), RESEARCH, spec, at, namespace="n", job_name=name
        )
        attempt = Attempt(
            id=AttemptId(f"w-{name}.1"),
            workload_id=workload.id,
            number=1,
            owner=EngineerId(owner),
            team=RESEARCH,
            pool=PoolName("research"),
            gpu_class=GpuClassName(gpu_class),
            priority_class=PriorityClassName("standard"),
            placement=Placement(((NodeName("n1"), 1),)),
            pod=spec.pod,
            weight=PerMille(weight),
            class_factor=PerMille(1000),
            hold_mode=HoldMode.FULL,
            time_limit_ms=spec.time_limit_ms,
            launched_at=at,
            is_funded=bool(holds),
            state=AttemptState.RUNNING,
            started_at=at,
        )
        made = [
            Hold(HoldId(f"h-{name}-{order}"), workload.id, allowance, order, hours * MS_PER_HOUR, at, attempt.id)
            for order, (allowance, hours) in enumerate(holds)
        ]
        with self.store.writing() as books:
            books.workloads.add([workload])
            books.attempts.add([attempt])
            books.journal.post(hold(made), at)
        self.holds[attempt.id] = made
        self.attempts[attempt.id] = attempt
        return attempt.id

    def resize(self, attempt_id: AttemptId, at: Instant, pods: int) -> None:
        """From then on it has so many pods; what it gives back is gone at once."""
        attempt = self.attempts[attempt_id]
        changed = replace(
            attempt,
            placement=Placement(((NodeName("n1"), pods),)),
            past_sizes=resized(attempt, at),
            elastic=ElasticTerms(1, 8),
        )
        with self.store.writing() as books:
            books.attempts.save([changed])
        self.attempts[attempt_id] = changed

    def run(self, attempt_id: AttemptId, until: Instant) -> None:
        """Charge it for all its GPUs from its start until then."""
        attempt, holds = self.attempts[attempt_id], self.holds[attempt_id]
        assert attempt.started_at is not None
        made = charge(attempt, holds, gpu_ms_within(attempt, attempt.started_at, until), Instant(until - 1))
        assert made.transactions
        with self.store.writing() as books:
            books.journal.post(made.transactions, until)
            self.attempts[attempt_id] = replace(attempt, charged_gpu_ms=made.gpu_ms, charged=made.total)
            books.attempts.save([self.attempts[attempt_id]])
        self.holds[attempt_id] = [replace(h, charged=h.charged + made.from_holds.get(h.id, 0)) for h in holds]

    def end(self, attempt_id: AttemptId, at: Instant, lost_gpu_ms: int = 0) -> None:
        """It ended: what is still held goes back, and what work it lost."""
        ended = replace(self.attempts[attempt_id], state=AttemptState.ENDED, ended_at=at)
        with self.store.writing() as books:
            books.journal.post(release(self.holds[attempt_id], at), at)
            given = refund(ended, self.holds[attempt_id], lost_gpu_ms, at, "work lost") if lost_gpu_ms else []
            books.journal.post(given, at)
            books.attempts.save([ended])
        self.attempts[attempt_id] = ended

    def read(self, attempt_id: AttemptId, hour: Instant, gpu: str, *, resting_minutes: int = 0) -> None:
        """An hour of a GPU of the attempt, read throughout: it rested for the first so many minutes of it."""
        uuid, node = GpuUuid(gpu), NodeName("n1")
        known = KnownGpu(gpu_uuid=uuid, node=node)
        middle = Instant(hour + resting_minutes * 60_000)
        spans = ((hour, middle, IdleState.IDLE_HELD, 0), (middle, Instant(hour + MS_PER_HOUR), IdleState.ACTIVE, 80))
        with self.store.writing() as books:
            if not books.samples.gpus([uuid]):
                books.samples.put_gpus([known])
            books.samples.add(
                [
                    Metered(_window(node, uuid, start, end, percent), state, attempt_id)
                    for start, end, state, percent in spans
                    if end > start
                ]
            )


def _window(node: NodeName, uuid: GpuUuid, start: Instant, end: Instant, percent: int) -> Window:
    length = end - start
    return Window(
        node=node,
        gpu_uuid=uuid,
        boot_id="b",
        sequence=start // 1000,
        start=start,
        end=end,
        covered_ms=length,
        sample_count=length // 1000,
        utilization=UtilizationIntegral(length, percent * length, percent, UtilizationSource.SAMPLES),
        energy=EnergyIntegral(length, 500 * length),
    )
