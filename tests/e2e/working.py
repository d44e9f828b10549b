"""Scripts of work and of readings for processes that die: each is one transaction, cut at its commit on either side."""

from dataclasses import replace

from scheduler.adapters.sql.store import SqlStore
from scheduler.decision.plan import Launch, Plan
from scheduler.domain.cluster import Node, Placement, PodRequest
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import ObservedJob, PodPhase
from scheduler.domain.people import Role
from scheduler.domain.records import PodRun
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    AllowanceId,
    GpuClassName,
    Instant,
    JobUid,
    NodeName,
    PodUid,
    PoolName,
    PriorityClassName,
    ProjectName,
    WorkloadId,
)
from scheduler.domain.workloads import AttemptState, WorkloadKind, WorkloadSpec, WorkloadState
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.asking.booking import BookingWish
from scheduler.lifecycle.running.record import record
from scheduler.lifecycle.running.settle import end_attempt
from scheduler.lifecycle.sensing.burning import BurnAlerts
from scheduler.lifecycle.turning import catch_up
from scheduler.lifecycle.writing.batch import changing
from scheduler.metering.wire import inventory_json
from tests.e2e.scripts import AGAIN, LOGGED, Script, nothing, who
from tests.entrypoints.company import NOON, SYSTEM, engineer_id
from tests.lifecycle.agents import WINDOW_MS, agent_of, body_of, inventory, window
from tests.lifecycle.booked import Booked
from tests.lifecycle.build import changes, job_seen, pod_seen

_H100 = GpuClassName("H100")
_NODE = NodeName("node-0")
_MERIDIAN = ProjectName("meridian")
_TOKEN_HASH = "fedcba9876543210" * 4
_AGENT = agent_of(_NODE)


def _launched(service: Service, kind: WorkloadKind) -> None:
    """One GPU of Ada's runs since noon; its whole hour is held where it is a job."""
    spec = WorkloadSpec(
        name="hers",
        kind=kind,
        project=_MERIDIAN,
        gpu_classes=(_H100,),
        priority_class=PriorityClassName("standard" if kind is WorkloadKind.JOB else "sandbox"),
        time_limit_ms=MS_PER_HOUR,
        pod=PodRequest(1, 1000, 1024),
        image="registry.example.com/nvidia/pytorch:1",
    )
    workload = service.commands.submit(who(service, "ada"), spec, now=NOON)
    paid_by = next(
        each.allowance.id
        for each in service.world.balances.values()
        if each.allowance.holder.id == engineer_id(service, "ada")
    )
    placement = Placement(((_NODE, 1),))
    launch = Launch(workload.id, _H100, placement, PoolName("research"), (FundingShare(paid_by, MS_PER_HOUR),))
    with changing(service.store, service.world, NOON) as batch:
        assert record(batch, Plan(NOON, launches=(launch,)), service.ids.new) == []
    with changing(service.store, service.world, NOON) as batch:
        attempt = service.world.live_attempt(workload.id)
        assert attempt is not None
        batch.put_attempt(replace(attempt, state=AttemptState.RUNNING, started_at=NOON))
        batch.change_workload(service.world.workloads[workload.id], state=WorkloadState.RUNNING)


def _job(service: Service) -> None:
    _launched(service, WorkloadKind.JOB)


def _sandbox(service: Service) -> None:
    _launched(service, WorkloadKind.SANDBOX)


def _hers(service: Service) -> WorkloadId:
    (found,) = service.world.workloads
    return found


def _extend(service: Service) -> object:
    return service.commands.extend(who(service, "ada"), _hers(service), MS_PER_HOUR, now=NOON, command=AGAIN)


def _stop(service: Service) -> object:
    return service.commands.stop(who(service, "ada"), _hers(service), now=NOON)


def _stopped(service: Service) -> None:
    """Before it was launched."""
    spec = WorkloadSpec(
        name="hers",
        kind=WorkloadKind.SANDBOX,
        project=_MERIDIAN,
        gpu_classes=(_H100,),
        priority_class=PriorityClassName("sandbox"),
        time_limit_ms=MS_PER_HOUR,
        pod=PodRequest(1, 1000, 1024),
        image="registry.example.com/nvidia/pytorch:1",
    )
    service.commands.submit(who(service, "ada"), spec, now=NOON)
    _stop(service)


def _resume(service: Service) -> object:
    return service.commands.resume(who(service, "ada"), _hers(service), now=NOON)


def _checkpoint(service: Service) -> object:
    return service.commands.record_checkpoint(who(service, "ada"), _hers(service), now=NOON)


def _exempt(service: Service) -> object:
    until = Instant(NOON + MS_PER_DAY)
    return service.exemptions.exempt(who(service, "ada"), _hers(service), "a demo", until, now=NOON)


def _exempted(service: Service) -> None:
    _job(service)
    _exempt(service)


def _withdraw(service: Service) -> None:
    service.exemptions.withdraw(who(service, "ada"), _hers(service), now=NOON)


def _book(service: Service) -> object:
    _seen(service, 8)
    wish = BookingWish(_H100, 2, Instant(NOON + MS_PER_DAY), 2 * MS_PER_HOUR, _MERIDIAN)
    return service.commands.book(who(service, "ada"), wish, now=NOON, command=AGAIN)


def _issue(service: Service) -> None:
    service.administration.issue_token(SYSTEM, "robot", frozenset({Role.AUDITOR}), _TOKEN_HASH, now=NOON)


def _burned(service: Service) -> None:
    """Ten hours on each of five days, and a hundred today."""
    assert isinstance(service.store, SqlStore)
    booked, ada = Booked(service.store), engineer_id(service, "ada")
    midnight = Instant(NOON - 12 * MS_PER_HOUR)
    own: AllowanceId = booked.allowance(ada, 500, Instant(midnight - 10 * MS_PER_DAY))
    for days_ago in range(5, -1, -1):
        start, gpus = Instant(midnight - days_ago * MS_PER_DAY), 10 if days_ago else 100
        attempt = booked.start(f"of-{days_ago}", ada, start, (own, gpus), gpus=gpus, gpu_class="H100", project=None)
        booked.run(attempt, Instant(start + MS_PER_HOUR))
        booked.end(attempt, Instant(start + MS_PER_HOUR))


def _tell(service: Service) -> None:
    """Who is told again of what was told is told nothing: the alert is due once."""
    alerts = BurnAlerts(service.store, service.world)
    for notice in alerts.due(NOON):
        alerts.keep(notice, NOON)


def _seen(service: Service, gpus: int) -> None:
    """The cluster has one node."""
    service.world.put_node(_NODE, Node(_NODE, _H100, gpus, 128_000, 1_024_000))


def _counted(service: Service) -> None:
    service.census.run(NOON)


def _census(service: Service) -> None:
    """It lost a GPU, and the other nodes went."""
    _seen(service, 7)
    service.census.run(Instant(NOON + 1))


def _register(service: Service) -> object:
    told = inventory_json(inventory(_NODE, NOON))
    return service.meter.accept_inventory(_AGENT, _NODE, told, now=NOON)


def _registered(service: Service) -> None:
    _register(service)


def _post(service: Service) -> object:
    latest = replace(window(_NODE, 0, 1, Instant(NOON - WINDOW_MS)), xids=(79,))
    return service.meter.accept_windows(_AGENT, _NODE, body_of(latest, node=_NODE), now=NOON)


def _broke(service: Service) -> None:
    """It failed after half an hour, ten minutes after its checkpoint, and its GPU was lost from the bus just before."""
    _job(service)
    _register(service)
    ended_at = Instant(NOON + MS_PER_HOUR // 2)
    told = window(_NODE, 0, 1, Instant(ended_at - WINDOW_MS), pods=("pod-hers",))
    with changing(service.store, service.world, NOON) as batch:
        attempt = service.world.live_attempt(_hers(service))
        assert attempt is not None
        run = PodRun(PodUid("pod-hers"), attempt.id, "hers-0", _NODE, 1, NOON)
        batch.put_attempt(replace(attempt, checkpointed_at=Instant(NOON + MS_PER_HOUR // 3)))
        batch.put_pod(run)
    service.meter.accept_windows(_AGENT, _NODE, body_of(replace(told, xids=(79,)), node=_NODE), now=ended_at)
    failed = ObservedJob(JobUid("uid-hers"), "hers", "n", 1, NOON, is_suspended=False, is_failed=True)
    with changing(service.store, service.world, ended_at) as batch:
        batch.put_pod(replace(run, ended_at=ended_at, exit_code=1))
        attempt = batch.live_attempt(_hers(service))
        assert attempt is not None
        end_attempt(batch, attempt, failed)


def _unheard_of(service: Service) -> None:
    """Her pod runs, and the cluster was not heard of since."""
    _job(service)
    workload = service.world.workloads[_hers(service)]
    with changing(service.store, service.world, NOON) as batch:
        attempt = batch.live_attempt(workload.id)
        assert attempt is not None
        batch.put_pod(PodRun(pod_seen(workload).uid, attempt.id, "hers-0", _NODE, 1, NOON))
        batch.change_workload(workload, job_uid=job_seen(workload).uid)


def _hear(service: Service) -> None:
    """It ended half an hour later, of which the cluster tells in the next hour."""
    workload = service.world.workloads[_hers(service)]
    ended_at = Instant(NOON + MS_PER_HOUR // 2)
    ended = pod_seen(workload, phase=PodPhase.SUCCEEDED, node=_NODE, started_at=NOON, finished_at=ended_at)
    told = changes(job_seen(workload, is_complete=True), ended, is_relist=True)
    catch_up(service.store, service.world, [told], Instant(NOON + MS_PER_HOUR), renews=True)


def _judge(service: Service) -> None:
    service.periodic._judge_now(Instant(NOON + MS_PER_HOUR))


def _refuse(service: Service) -> None:
    service.meter.refuse_body(_AGENT, _NODE, InvalidInput("no JSON", code=RefusalCode.INVALID_SAMPLE), now=NOON)


WORKING: dict[str, Script] = {
    "judge a GPU's fault": Script(_broke, _judge),
    "extend": Script(_job, _extend),
    "hear of an outage": Script(_unheard_of, _hear),
    "stop": Script(_sandbox, _stop),
    "resume a sandbox": Script(_stopped, _resume),
    "checkpoint": Script(_job, _checkpoint),
    "exempt": Script(_job, _exempt, told_again=LOGGED),
    "withdraw an exemption": Script(_exempted, _withdraw),
    "book": Script(nothing, _book),
    "issue a token": Script(nothing, _issue),
    "tell of a jump": Script(_burned, _tell),
    "count nodes": Script(_counted, _census),
    "an inventory": Script(nothing, _register),
    "windows": Script(_registered, _post),
    "a refused body": Script(_registered, _refuse, counted_again=frozenset({"sample_refusals"})),
}
