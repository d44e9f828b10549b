"""Work of the small company that runs, and some that ran: what no request of the API makes by itself."""

from dataclasses import replace

from scheduler.decision.plan import Launch, Plan
from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.funding import FundingShare
from scheduler.domain.people import Caller, Role
from scheduler.domain.records import EndEvidence, PodRun
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    GpuClassName,
    Instant,
    NodeName,
    PodUid,
    PoolName,
    PriorityClassName,
    ProjectName,
)
from scheduler.domain.workloads import Attempt, AttemptState, WorkloadKind, WorkloadSpec
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.running.record import record
from scheduler.lifecycle.running.settle import end_attempt
from scheduler.lifecycle.writing.batch import changing
from tests.entrypoints.company import engineer_id

RAN_BEFORE_MS = 8 * MS_PER_DAY
NODE = NodeName("node-0")


def runs_one(service: Service, subject: str) -> Attempt:
    """A job of theirs with one GPU, launched this instant for four hours that their tier pays."""
    return _launched(service, subject, service.clock.now())


def ran_unseen(service: Service, subject: str) -> None:
    """The same a good week ago: an hour of it is charged, and no agent's window says that it ran."""
    at = Instant(service.clock.now() - RAN_BEFORE_MS)
    attempt, until = _launched(service, subject, at), Instant(at + MS_PER_HOUR)
    pod = PodRun(
        *(PodUid("pod-past"), attempt.id, "past-0", NODE, 1, at, until),
        end_evidence=EndEvidence.FINISHED,
        last_seen_at=until,
        exit_code=0,
    )
    with changing(service.store, service.world, until) as batch:
        batch.put_pod(pod)
        began = replace(attempt, state=AttemptState.RUNNING, started_at=at)
        batch.put_attempt(began)
        end_attempt(batch, began, None)


def _launched(service: Service, subject: str, at: Instant) -> Attempt:
    owner = engineer_id(service, subject)
    spec = WorkloadSpec(
        name="at-work",
        kind=WorkloadKind.JOB,
        project=ProjectName("atlas"),
        gpu_classes=(GpuClassName("H100"),),
        priority_class=PriorityClassName("standard"),
        time_limit_ms=4 * MS_PER_HOUR,
        pod=PodRequest(1, 1000, 1024),
        image="registry.example.com/train:1",
    )
    workload = service.commands.submit(
        Caller(subject, frozenset({Role.ENGINEER}), owner), spec, now=service.clock.now()
    )
    paid_by = next(each.allowance.id for each in service.world.balances.values() if each.allowance.holder.id == owner)
    launch = Launch(
        *(workload.id, spec.gpu_classes[0], Placement(((NODE, 1),)), PoolName("research")),
        (FundingShare(paid_by, 4 * MS_PER_HOUR),),
    )
    with changing(service.store, service.world, at) as batch:
        assert record(batch, Plan(at, launches=(launch,)), service.ids.new) == []
    return service.world.attempts[service.world.attempt_of[workload.id]]
