"""Values with every field away from its default, so that a column which is forgotten shows."""

from scheduler.domain.allowances import Allowance, AllowanceSource, Holder, HolderKind, Purpose
from scheduler.domain.approvals import Change, Move, Proposal, ProposalKind, ProposalState
from scheduler.domain.awards import Award
from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.people import Engineer, Role
from scheduler.domain.reasons import Reason
from scheduler.domain.records import (
    AuditEvent,
    CommandRecord,
    EndEvidence,
    PodRun,
    PolicyVersion,
    RecordedVerdict,
    Sandbox,
)
from scheduler.domain.units import (
    AllowanceId,
    AttemptId,
    CommandId,
    EngineerId,
    GpuClassName,
    HoldId,
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
    Unit,
    WorkloadId,
)
from scheduler.domain.workloads import (
    Activity,
    Attempt,
    AttemptState,
    AttestedUse,
    HoldMode,
    Origin,
    Workload,
    WorkloadKind,
    WorkloadSpec,
    WorkloadState,
)
from scheduler.ledger.holds import Hold

SPEC = WorkloadSpec(
    name="tune ü",
    kind=WorkloadKind.SANDBOX,
    project=ProjectName("vision"),
    gpu_classes=(GpuClassName("h100"), GpuClassName("a100")),
    priority_class=PriorityClassName("urgent"),
    time_limit_ms=7_200_000,
    pods=2,
    pod=PodRequest(gpus=4, cpu_milli=8000, memory_mib=65536),
    image="registry.example/train:1",
    command=("python", "-m", "train"),
    grace_seconds=45,
    uses_compensation=True,
    nodes_with=(("zone", "b"),),
    activity=Activity.FINE_TUNING,
    attested_use=AttestedUse.BUSINESS,
)

WORKLOAD = Workload(
    id=WorkloadId("w-1"),
    owner=EngineerId("e-1"),
    team=TeamName("research"),
    spec=SPEC,
    submitted_at=Instant(1_000),
    state=WorkloadState.STOPPED,
    state_reason=Reason.IDLE,
    state_since=Instant(2_000),
    origin=Origin.KUBECTL,
    namespace="team-research",
    job_name="w-1-1",
    job_uid=JobUid("uid-1"),
    retries=1,
    not_before=Instant(3_000),
    version=4,
    eligible_at=Instant(2_500),
    ages_from=Instant(2_700),
)

ATTEMPT = Attempt(
    id=AttemptId("w-1.1"),
    workload_id=WORKLOAD.id,
    number=3,
    owner=WORKLOAD.owner,
    team=WORKLOAD.team,
    pool=PoolName("research"),
    gpu_class=GpuClassName("h100"),
    priority_class=PriorityClassName("urgent"),
    placement=Placement(((NodeName("n1"), 1), (NodeName("n2"), 1))),
    pod=SPEC.pod,
    weight=PerMille(1100),
    class_factor=PerMille(1500),
    hold_mode=HoldMode.ROLLING,
    time_limit_ms=7_200_000,
    launched_at=Instant(4_000),
    is_funded=False,
    is_borrowed=True,
    state=AttemptState.STOPPING,
    started_at=Instant(5_000),
    stopping_since=Instant(6_000),
    ended_at=Instant(7_000),
    stop_reason=Reason.PREEMPTED,
    checkpointed_at=Instant(5_500),
    charged_gpu_ms=123,
    charged=456,
    grace_seconds=45,
    submitted_at=Instant(1_000),
)

POD = PodRun(
    pod_uid=PodUid("p-1"),
    attempt_id=ATTEMPT.id,
    name="w-1-0",
    node=NodeName("n1"),
    gpus=4,
    started_at=Instant(5_000),
    ended_at=Instant(7_000),
    billable_until=Instant(6_500),
    end_evidence=EndEvidence.DELETION,
    last_seen_at=Instant(6_900),
    exit_code=137,
)

ALLOWANCE = Allowance(
    id=AllowanceId("a-1"),
    holder=Holder(HolderKind.ENGINEER, "e-1"),
    source=AllowanceSource.COMPENSATION,
    amount=1_000,
    starts_at=Instant(10),
    expires_at=Instant(20),
    granted_at=Instant(5),
    unit=Unit("tokens"),
    gpu_classes=frozenset({GpuClassName("h100"), GpuClassName("a100")}),
    kinds=frozenset({WorkloadKind.JOB}),
    purposes=frozenset({Purpose.PERSONAL, Purpose.PROJECT}),
    period="2026-11",
    overdraft=50,
)

HOLD = Hold(
    id=HoldId("h-1"),
    workload_id=WORKLOAD.id,
    allowance_id=ALLOWANCE.id,
    order=2,
    amount=500,
    opened_at=Instant(4_000),
    attempt_id=ATTEMPT.id,
)

ENGINEER = Engineer(
    id=EngineerId("e-1"),
    subject="ada@example.org",
    team=TeamName("research"),
    tier=TierName("senior"),
    name="Ada",
    roles=frozenset({Role.ENGINEER, Role.LEAD}),
)

VERDICT = RecordedVerdict(
    seq=1, workload_id=WORKLOAD.id, at=Instant(9), reason=Reason.QUOTA, evidence={"needed": 8, "ahead": "w-0"}
)
EVENT = AuditEvent(
    at=Instant(1), actor="e-1", role="operator", verb="pause", target="launch", request_id="r", before="{}", after="1"
)
COMMAND = CommandRecord(id=CommandId("c-1"), caller="e-1", body_hash="ab", answer='{"id":1}', at=Instant(3))
POLICY = PolicyVersion(hash="cd", name="example", text="name: example", applied_at=Instant(4), applied_by="e-2")
SANDBOX = Sandbox(workload_id=WORKLOAD.id, owner=ENGINEER.id, key="secret", extensions=2, active_at=Instant(8))
CHANGE = Change(Holder(HolderKind.ENGINEER, "e-1"), 40, until=Instant(9))
PROPOSAL = Proposal("p-1", "ab" * 32, ProposalKind.HOURS, Instant(1), "e-1", "engineer", "more", change=CHANGE)
MOVE = Move("p-1", ProposalState.APPROVED, Instant(2), "e-2", "finance", change=CHANGE, made="g-1")
AWARD = Award(Holder(HolderKind.TEAM, "research"), 7, gpu_classes=frozenset({GpuClassName("H100")}), reason="x")
