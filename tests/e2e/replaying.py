"""Replays the trace on a control plane of its own, and brings back what the service recorded and what a witness saw."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from scheduler.adapters.sql.engine import open_engine, parse
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.awards import Award
from scheduler.domain.cluster import PodRequest
from scheduler.domain.errors import Refusal
from scheduler.domain.people import Caller, Role
from scheduler.domain.records import RecordedVerdict
from scheduler.domain.units import AttemptId, GpuClassName, PriorityClassName, ProjectName, WorkloadId
from scheduler.domain.workloads import Attempt, Workload
from scheduler.entrypoints.devcluster import simulated
from scheduler.entrypoints.devcluster.client import ApiClient, Json
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from scheduler.ledger.books import BalanceDifference
from scheduler.ledger.holds import Hold
from scheduler.ledger.journal import PostedEntry
from tests.adapters.sql.invariants import violations
from tests.controlplane.planes import kubeconfig_of
from tests.e2e.admission import let_edit, stamp_authors
from tests.e2e.openb import ENGINEERS, PEOPLE, POLICY, TIME_LIMIT_SECONDS, Ending, TracePod, is_intern
from tests.e2e.running import Running, Site, job
from tests.e2e.witness import PodSeen, Witness
from tests.plugins.polling import eventually

NAMESPACE = "openb"
WITH_KUBECTL = frozenset({5, 16, 27, 38})
"""Engineers, one of each team, who apply their Jobs to the cluster; the others go through the API's commands."""
LAST_ENDING_SECONDS = 600
CANCELLED_AFTER_SECONDS = 1.0
FIRST_GRANT_SECONDS, LATER_GRANT_SECONDS, LATER_AFTER_SECONDS = 150, 3000, 240
"""Standard GPU-seconds that each intern gets at the start, and again while the last fifth of the work arrives."""
_OPERATOR = Caller("olga", frozenset({Role.OPERATOR, Role.FINANCE}))


@dataclass
class Outcome:
    """`workload_of` is by the number of the pod in the trace; `refusals` are what submissions were answered."""

    workloads: dict[WorkloadId, Workload] = field(default_factory=dict)
    workload_of: dict[int, WorkloadId] = field(default_factory=dict)
    refusals: dict[int, str] = field(default_factory=dict)
    attempts: dict[AttemptId, Attempt] = field(default_factory=dict)
    verdicts: dict[WorkloadId, list[RecordedVerdict]] = field(default_factory=dict)
    entries: list[PostedEntry] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    pods: list[PodSeen] = field(default_factory=list)
    differences: list[BalanceDifference] = field(default_factory=list)
    violations: Mapping[str, list[str]] = field(default_factory=dict)
    floors: Mapping[str, int] = field(default_factory=dict)


async def replay(plane: ControlPlane, pods: Sequence[TracePod], folder: Path) -> Outcome:
    """All of it: minutes of real time."""
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "people.yaml").write_text(PEOPLE)
    site = Site(folder, plane.kubeconfig, NAMESPACE)
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(plane.client())
        await api.post(
            "/api/v1/namespaces", {"metadata": {"name": NAMESPACE, "labels": {"allot.dev/managed": "true"}}}
        )
        await stamp_authors(api, NAMESPACE)
        users = {n: await _user(stack, plane, api, n) for n in WITH_KUBECTL}
        witness = Witness(api, NAMESPACE)
        await witness.begin()
        stack.push_async_callback(witness.end)
        running = await Running.start(site)
        stack.push_async_callback(running.close)
        outcome = Outcome()
        await _play(_Stage(running, users, outcome), pods)
        await _collect(running, witness, outcome)
    engine = open_engine(parse(site.settings().database), to_write=False)
    with engine.begin() as connection:
        outcome.violations = violations(connection)
    engine.dispose()
    return outcome


async def _user(stack: AsyncExitStack, plane: ControlPlane, api: ApiClient, number: int) -> ApiClient:
    subject = f"engineer-{number:02}"
    await let_edit(api, NAMESPACE, subject)
    return await stack.enter_async_context(ApiClient.from_kubeconfig(kubeconfig_of(plane, subject)))


@dataclass
class _Stage:
    running: Running
    users: Mapping[int, ApiClient]
    outcome: Outcome

    async def bring(self, pod: TracePod) -> None:
        """Submit it as its engineer would; cancel it where the trace says that it never ran."""
        user = self.users.get(pod.number % ENGINEERS)
        await (self._apply(user, pod) if user is not None else self._submit(pod))
        if pod.ending is Ending.CANCELLED:
            await asyncio.sleep(CANCELLED_AFTER_SECONDS)  # its engineer waits so long for it
            await self._take_back(user, pod)

    async def grant(self, gpu_seconds: int) -> None:
        service = self.running.service
        for number in filter(is_intern, range(ENGINEERS)):
            holder = Holder(HolderKind.ENGINEER, self.running.engineer(f"engineer-{number:02}").id)
            award = Award(holder, gpu_seconds * 1000)
            await asyncio.to_thread(service.commands.grant, _OPERATOR, award, now=service.clock.now())

    async def _submit(self, pod: TracePod) -> None:
        command = ("sh", "-c", f"sleep {pod.run_seconds}; exit {1 if pod.ending is Ending.FAILS else 0}")
        try:
            workload = await self.running.submit(
                pod.engineer,
                *command,
                name=pod.name,
                project=ProjectName(pod.project),
                gpu_classes=(GpuClassName("G2"), GpuClassName("T4")),
                priority_class=PriorityClassName(pod.priority_class),
                time_limit_ms=TIME_LIMIT_SECONDS * 1000,
                pod=PodRequest(pod.gpus, pod.cpu_milli, pod.memory_mib),
            )
        except Refusal as refusal:
            self.outcome.refusals[pod.number] = refusal.code.value
        else:
            self.outcome.workload_of[pod.number] = workload.id

    async def _apply(self, user: ApiClient, pod: TracePod) -> None:
        await user.post(f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", _job_of(pod))

    async def _take_back(self, user: ApiClient | None, pod: TracePod) -> None:
        workload_id = self.outcome.workload_of.get(pod.number)
        if user is not None:
            # A Job that goes before a busy service heard of it leaves nothing that could be compared.
            await eventually(partial(self._was_heard_of, pod), bool)
            path = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/{pod.name}"
            await user.delete(path, {"propagationPolicy": "Foreground"})
        elif workload_id is not None:
            await self.running.cancel(pod.engineer, workload_id)

    async def _was_heard_of(self, pod: TracePod) -> bool:
        with self.running.service.store.reading() as books:
            return any(workload.spec.name == pod.name for workload in books.workloads.page(limit=10_000))


def _job_of(pod: TracePod) -> Json:
    amounts = {"nvidia.com/gpu": str(pod.gpus), "cpu": f"{pod.cpu_milli}m", "memory": f"{pod.memory_mib}Mi"}
    told = {
        simulated.RUN_SECONDS: str(pod.run_seconds),
        simulated.EXIT_CODE: "1" if pod.ending is Ending.FAILS else "0",
    }
    return {
        "metadata": {
            "name": pod.name,
            "labels": {"allot.dev/project": pod.project, "allot.dev/priority-class": pod.priority_class},
            "annotations": {"allot.dev/gpu-classes": "G2,T4", "allot.dev/time-limit": f"{TIME_LIMIT_SECONDS}s"},
        },
        "spec": {
            "suspend": True,
            "template": {
                "metadata": {"annotations": told},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": job().grace_seconds,
                    "containers": [
                        {
                            "name": "main",
                            "image": job().image,
                            "resources": {"requests": amounts, "limits": amounts},
                        }
                    ],
                },
            },
        },
    }


async def _play(stage: _Stage, pods: Sequence[TracePod]) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await stage.grant(FIRST_GRANT_SECONDS)
    has_granted_later = False
    async with asyncio.TaskGroup() as bringing:
        for pod in pods:
            # The arrivals are the input: each comes at its own time.
            await asyncio.sleep(began + pod.arrives_after_seconds - loop.time())
            bringing.create_task(stage.bring(pod))
            if not has_granted_later and pod.arrives_after_seconds >= LATER_AFTER_SECONDS:
                has_granted_later = True
                await stage.grant(LATER_GRANT_SECONDS)

    async def unfinished() -> list[str]:
        with stage.running.service.store.reading() as books:
            return [f"{w.id} {w.state.value}" for w in books.workloads.unfinished()]

    await eventually(unfinished, lambda left: not left, LAST_ENDING_SECONDS)


async def _collect(running: Running, witness: Witness, outcome: Outcome) -> None:
    async def still_running() -> int:
        return len(witness.running())

    await eventually(still_running, lambda count: count == 0)
    outcome.pods = list(witness.pods.values())
    with running.service.store.reading() as books:
        known = books.workloads.page(limit=10_000)
        outcome.workloads = {workload.id: workload for workload in known}
        for workload in known:
            for attempt in books.attempts.of_workload(workload.id):
                outcome.attempts[attempt.id] = attempt
                outcome.holds += books.holds.of_attempt(attempt.id)
            outcome.verdicts[workload.id] = list(reversed(books.verdicts.of_workload(workload.id, limit=1000)))
        outcome.holds += books.holds.open_ones()
        outcome.entries = list(books.journal.entries())
        outcome.differences = books.journal.differences()
        ids = {entry.account.owner for entry in outcome.entries if entry.account.kind.value == "allowance"}
        outcome.floors = {
            b.allowance.id: -b.allowance.overdraft for b in books.allowances.balances() if b.allowance.id in ids
        }
