"""A company on the real node: whose a GPU is, what a preemption and a rest come to, and what it all costs.

Containers, their processes, signals and stamps are real, kubelet says who has which GPU, and the agent sees the
machine's processes; what they use of the GPUs is told by the fake NVML library.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from scheduler.adapters.nvml.proc import ProcessTable
from scheduler.domain.cluster import PodRequest
from scheduler.domain.reasons import Reason
from scheduler.domain.units import GpuUuid, Instant, PriorityClassName, WorkloadId
from scheduler.domain.workloads import Attempt, Workload, WorkloadState
from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.entrypoints.devcluster.processes import free_ports
from scheduler.ledger.journal import AccountKind, TransactionKind
from scheduler.metering.devices import ProcessView
from tests.e2e.witness import PodSeen
from tests.plugins.polling import eventually
from tests.plugins.realnode import IMAGE, leave_out
from tests.realnode import enforcer
from tests.realnode.company import GREETING, OPERATOR, SANDBOX_PORT, TOLD, Company
from tests.realnode.pods import LIMIT_SECONDS, Reached, answer_of, environment_of, idle_pod, reached_from

URGENT, STANDARD, OFF_PEAK = (PriorityClassName(name) for name in ("urgent", "standard", "off-peak"))
_S = WorkloadState
GATEWAYS = "allot-system"
"""The one namespace from which a sandbox is reached inside the cluster."""

WORKS = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done")
DEAF = ("sh", "-c", "trap '' TERM; while :; do sleep 1; done")


@pytest.fixture(scope="module", autouse=True)
def resting(company: Company) -> WorkloadId:
    """Cai's sandbox, which nobody uses: it rests while the other tests are at work, and the last one looks at it."""
    return asyncio.run(_started_sandbox(company, "cai", "resting"))


async def test_what_a_container_uses_is_its_attempts_by_kubelets_word_and_the_kernels(
    company: Company,
) -> None:
    workload = await _submit(company, "ada", WORKS, gpus=1)
    await company.running.until(workload.id, _S.RUNNING, limit_seconds=LIMIT_SECONDS)
    pod = await _pod_of(company, workload)
    (uuid,) = _gpus_of(company, pod)
    pid = _program_of(company, pod)

    company.gpus.begin(pid, uuid, duty_permille=900)

    (attempt,) = company.running.attempts(workload.id)

    async def seen() -> tuple[str | None, str | None, int]:
        cells = {
            cell.uuid: cell
            for node in company.service.views.cluster(OPERATOR, company.service.clock.now()).nodes
            for cell in node.gpus
        }
        cell = cells.get(uuid)
        return (None, None, 0) if cell is None else (cell.owner, cell.workload_name, cell.utilization_percent or 0)

    found = await eventually(seen, lambda cell: cell[2] > 80, LIMIT_SECONDS)
    assert found[:2] == ("ada", "train")
    assert company.service.world.readings.attempt_of_gpu[uuid] == attempt.id
    company.gpus.end(pid)
    await company.running.cancel("ada", workload.id)
    await company.running.until(workload.id, _S.CANCELLED, limit_seconds=LIMIT_SECONDS)
    await _assert_charged_to_the_second(company, workload, per_mille=1000)


async def test_a_preempted_job_saves_its_work_in_the_grace_and_loses_only_what_came_after(
    company: Company,
) -> None:
    saves = (
        f"wget -q -O /dev/null --header 'Authorization: Bearer {company.token('ada')}' --post-data '' "
        f"{company.server}/v1/workloads/$ALLOT_WORKLOAD/checkpoint"
    )
    # On SIGTERM it says that it has saved its work, and takes two seconds more of its grace.
    command = ("sh", "-c", f'trap "{saves}; sleep 2; exit {TOLD}" TERM; while :; do sleep 1 & wait $!; done')
    victim = await _submit(company, "ada", command, gpus=3, priority_class=OFF_PEAK, grace_seconds=60)
    await company.running.until(victim.id, _S.RUNNING, limit_seconds=LIMIT_SECONDS)
    await _pod_of(company, victim)

    preemptor = await _submit(company, "bao", ("sleep", "2"), gpus=3, priority_class=URGENT)

    await company.running.until(preemptor.id, _S.COMPLETED, limit_seconds=LIMIT_SECONDS)
    again = await company.running.until(victim.id, _S.RUNNING, limit_seconds=LIMIT_SECONDS)
    await company.running.cancel("ada", victim.id)
    await company.running.until(victim.id, _S.CANCELLED, limit_seconds=LIMIT_SECONDS)
    first, second = company.running.attempts(victim.id)
    assert (first.stop_reason, second.stop_reason) == (Reason.PREEMPTED, Reason.CANCELLED)
    pod = company.witness.of_job(again.job_uid)[0]
    assert (pod.attempt, pod.exit_code) == (first.id, TOLD)
    assert pod.told_at is not None
    assert pod.finished_at is not None
    assert first.checkpointed_at is not None
    # It was told, it saved, it ended: real instants, stamped in whole seconds where Kubernetes does it.
    assert pod.told_at * 1000 <= first.checkpointed_at <= (pod.finished_at + 1) * 1000
    lost_ms = max(0, pod.finished_at * 1000 - first.checkpointed_at)
    # What stays charged is rounded down, so what comes back is rounded up.
    assert _refunded(company, first) == (-(-lost_ms * 3 * 500 // 1000), lost_ms * 3)
    await _assert_charged_to_the_second(company, victim, per_mille=500)
    await _assert_charged_to_the_second(company, preemptor, per_mille=1500)


async def test_what_does_not_hear_its_sigterm_is_charged_to_the_end_of_its_grace_and_no_longer(
    company: Company,
) -> None:
    workload = await _submit(company, "ada", DEAF, gpus=1, grace_seconds=2)
    await company.running.until(workload.id, _S.RUNNING, limit_seconds=LIMIT_SECONDS)
    await _pod_of(company, workload)

    await company.running.cancel("ada", workload.id)

    ended = await company.running.until(workload.id, _S.CANCELLED, limit_seconds=LIMIT_SECONDS)
    (pod,) = company.witness.of_job(ended.job_uid)
    assert (pod.exit_code, pod.grace_seconds) == (137, 2)
    await _assert_charged_to_the_second(company, workload, per_mille=1000)


async def test_a_sandbox_answers_its_owner_at_its_address_and_through_the_apiserver(company: Company) -> None:
    sandbox = await _started_sandbox(company, "bao", "notebook")
    await company.running.until(sandbox, _S.RUNNING, limit_seconds=LIMIT_SECONDS)
    pod = await _pod_of(company, await company.running.workload(sandbox))

    assert await answer_of(f"http://{pod.address}:{SANDBOX_PORT}/") == f"{GREETING}\n"

    async def asked_again() -> Instant | None:
        await answer_of(f"http://{pod.address}:{SANDBOX_PORT}/")
        return await _served_at(company, "bao", sandbox)

    assert await eventually(asked_again, bool, LIMIT_SECONDS), "the agent saw that it serves"
    (port,) = free_ports(1)
    forward = await asyncio.create_subprocess_exec(
        *(company.node.plane.kubectl, f"--kubeconfig={company.node.plane.kubeconfig}", "port-forward"),
        *(f"--namespace={company.namespace}", f"service/{sandbox}", f"{port}:{SANDBOX_PORT}"),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        assert await answer_of(f"http://127.0.0.1:{port}/") == f"{GREETING}\n"
    finally:
        forward.kill()
        await forward.wait()
    await asyncio.to_thread(
        company.service.commands.stop, company.running.caller("bao"), sandbox, now=company.service.clock.now()
    )
    stopped = await company.running.until(sandbox, _S.STOPPED, limit_seconds=LIMIT_SECONDS)
    await _assert_charged_to_the_second(company, stopped, per_mille=1000)
    await _assert_its_home_is_as_it_left_it(company, "bao", sandbox, pod)


async def test_where_policies_are_enforced_a_sandbox_is_its_owners_and_no_other_pods(
    company: Company, node_api: ApiClient, node_namespace: str
) -> None:
    sandbox = await _started_sandbox(company, "bao", "closed")
    colleagues = await _submit(company, "ada", WORKS, gpus=1)
    pods = []
    for workload in (sandbox, colleagues.id):
        await company.running.until(workload, _S.RUNNING, limit_seconds=LIMIT_SECONDS)
        pods.append(await _pod_of(company, await company.running.workload(workload)))
    address = f"http://{pods[0].address}"
    await node_api.post("/api/v1/namespaces", {"metadata": {"name": GATEWAYS}})
    for namespace in (GATEWAYS, node_namespace):
        await idle_pod(node_api, namespace, "caller", company.node.name, IMAGE)
    callers = ((company.namespace, pods[1].name), (node_namespace, "caller"), (GATEWAYS, "caller"))

    async def reached(port: int = SANDBOX_PORT) -> list[Reached]:
        return [await reached_from(company.node.plane, *caller, f"{address}:{port}/") for caller in callers]

    await enforcer.connect(company.node, node_api)
    assert await reached() == [Reached.ANSWER] * 3, "nothing else keeps them out"
    assert await reached(port=9) == [Reached.NOBODY] * 3

    await enforcer.enforce(company.node, node_api)

    assert await reached() == [Reached.BAR, Reached.BAR, Reached.ANSWER]
    assert await reached(port=9) == [Reached.BAR] * 3
    assert await _answer_to_its_owner(company, "bao", sandbox) == f"{GREETING}\n"
    await node_api.delete(f"/apis/networking.k8s.io/v1/namespaces/{company.namespace}/networkpolicies/{sandbox}")
    await enforcer.enforce(company.node, node_api)
    assert await reached() == [Reached.ANSWER] * 3, "it was the sandbox's own policy"
    for subject, workload in (("bao", sandbox), ("ada", colleagues.id)):
        await company.running.cancel(subject, workload)
        await company.running.until(workload, _S.CANCELLED, limit_seconds=LIMIT_SECONDS)


async def test_a_process_that_no_pod_has_is_reported_with_its_number(company: Company) -> None:
    if ProcessTable().view() is not ProcessView.HOST:
        leave_out("processes are told apart in the machine's first PID namespace alone")
    stray = await asyncio.create_subprocess_exec("sleep", "3600")
    try:
        company.gpus.begin(stray.pid, company.node.gpus[-1])

        async def reported() -> list[tuple[str, str, int]]:
            found = company.service.views.misuses(OPERATOR, company.service.clock.now())
            return [(misuse.kind, misuse.name or "", misuse.pid) for misuse in found.items]

        assert ("host-process", "sleep", stray.pid) in await eventually(reported, bool, LIMIT_SECONDS)
    finally:
        company.gpus.end(stray.pid)
        stray.kill()
        await stray.wait()


async def test_a_sandbox_that_rests_is_warned_then_suspended_and_the_rest_of_its_hold_comes_back(
    company: Company, node_api: ApiClient, resting: WorkloadId
) -> None:
    suspended = await company.running.until(resting, _S.STOPPED, limit_seconds=LIMIT_SECONDS)

    assert set(company.running.reasons(resting)) >= {Reason.IDLE_WARNING, Reason.IDLE}
    path = f"/apis/events.k8s.io/v1/namespaces/{company.namespace}/events"
    told = {
        event["reason"] for event in await node_api.items(path) if event["regarding"]["name"] == suspended.job_name
    }
    assert Reason.IDLE_WARNING in told
    (decision,) = [each for each in company.service.views.reclaims(OPERATOR) if each.workload_id == resting]
    assert (decision.is_taken, decision.action) == (True, "suspend")
    assert decision.curve
    assert await _served_at(company, "cai", resting) is None, "nobody asked it anything"
    held = sum(hold.amount for hold in company.running.holds(resting))
    charged, _ = company.running.charged(resting)
    assert held == 3_600_000
    assert 0 < charged < held
    (pod,) = company.witness.of_job(suspended.job_uid)
    assert pod.exit_code == TOLD
    await _assert_charged_to_the_second(company, suspended, per_mille=1000)
    # The rest is its owner's again, and the statement says how much came back and why.
    statement = company.service.views.statement(company.running.caller("cai"), None, company.service.clock.now())
    (back,) = [each for each in statement.returned if each.workload_id == resting]
    assert (back.reason, back.hours_back_ms) == (Reason.IDLE, held - charged)
    balance = company.service.views.balance(company.running.caller("cai"), company.service.clock.now())
    assert (balance.held, balance.available) == (0, balance.granted - charged)
    await _assert_its_home_is_as_it_left_it(company, "cai", resting, pod)


async def _served_at(company: Company, subject: str, sandbox: WorkloadId) -> Instant | None:
    """By when its node's agent saw it accept a connection."""
    caller, now = company.running.caller(subject), company.service.clock.now()
    idle = (await asyncio.to_thread(company.service.views.explain, caller, sandbox, now)).idle
    assert idle is not None
    return idle.served_at


async def _submit(
    company: Company,
    subject: str,
    command: tuple[str, ...],
    *,
    gpus: int,
    priority_class: PriorityClassName = STANDARD,
    grace_seconds: int = 5,
) -> Workload:
    pod = PodRequest(gpus=gpus, cpu_milli=50, memory_mib=64)
    return await company.running.submit(
        subject, *command, pod=pod, priority_class=priority_class, grace_seconds=grace_seconds
    )


async def _started_sandbox(company: Company, subject: str, name: str) -> WorkloadId:
    asked = {
        "name": name,
        "project": "aurora",
        "gpu_classes": ["H100"],
        "time_limit_ms": 3_600_000,
        "cpu_milli": 50,
        "memory_mib": 64,
    }
    signed = {"Authorization": f"Bearer {company.token(subject)}"}
    async with (
        aiohttp.ClientSession(company.server, headers=signed) as http,
        http.post("/v1/sandboxes", json=asked) as answer,
    ):
        assert answer.status == 201, await answer.text()
        return WorkloadId((await answer.json())["id"])


async def _pod_of(company: Company, workload: Workload) -> PodSeen:
    """Its running pod, once the watch has told of it."""
    known = await company.running.workload(workload.id)

    async def pods() -> list[PodSeen]:
        return [pod for pod in company.witness.of_job(known.job_uid) if pod.phase == "Running"]

    return (await eventually(pods, bool, LIMIT_SECONDS))[0]


async def _answer_to_its_owner(company: Company, subject: str, sandbox: WorkloadId) -> str:
    """At the end of `allot sandbox connect`."""
    plane = company.node.plane
    (port,) = free_ports(1)
    told = {
        "ALLOT_SERVER": company.server,
        "ALLOT_TOKEN": company.token(subject),
        "KUBECONFIG": str(plane.kubeconfig),
        "PATH": f"{Path(plane.kubectl).parent}:{os.environ['PATH']}",
    }
    connected = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scheduler.entrypoints.cli", "sandbox", "connect", sandbox, f"--port={port}"),
        env=os.environ | told,
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return await answer_of(f"http://127.0.0.1:{port}/")
    finally:
        # With the kubectl that it started.
        os.killpg(connected.pid, signal.SIGKILL)
        await connected.wait()


async def _assert_its_home_is_as_it_left_it(
    company: Company, subject: str, sandbox: WorkloadId, former: PodSeen
) -> None:
    """Resumed, another pod reads what the one before it wrote there, and is given back."""
    await asyncio.to_thread(
        company.service.commands.resume, company.running.caller(subject), sandbox, now=company.service.clock.now()
    )
    await company.running.until(sandbox, _S.RUNNING, limit_seconds=LIMIT_SECONDS)
    pod = await _pod_of(company, await company.running.workload(sandbox))
    assert pod.name != former.name
    starts = await answer_of(f"http://{pod.address}:{SANDBOX_PORT}/starts")
    assert starts.split() == [former.name, pod.name]
    await company.running.cancel(subject, sandbox)
    await company.running.until(sandbox, _S.CANCELLED, limit_seconds=LIMIT_SECONDS)


def _program_of(company: Company, pod: PodSeen) -> int:
    """The first process that was started with the GPUs' names: the container's own, which lives as long as it."""
    return next(pid for pid in company.node.pids(pod.uid) if "NVIDIA_VISIBLE_DEVICES" in environment_of(pid))


def _gpus_of(company: Company, pod: PodSeen) -> list[GpuUuid]:
    """As its containers were told when they were started."""
    told = {environment_of(pid).get("NVIDIA_VISIBLE_DEVICES", "") for pid in company.node.pids(pod.uid)}
    return [GpuUuid(uuid) for uuid in sorted(",".join(told).split(",")) if uuid]


def _refunded(company: Company, attempt: Attempt) -> tuple[int, int]:
    """Standard and physical GPU-milliseconds that went back to its owner's allowances."""
    with company.service.store.reading() as books:
        entries = list(books.journal.entries(attempt_id=attempt.id))
    back = [e for e in entries if e.kind is TransactionKind.REFUND and e.account.kind is AccountKind.ALLOWANCE]
    return sum(entry.amount for entry in back), sum(entry.gpu_ms for entry in back)


async def _assert_charged_to_the_second(company: Company, workload: Workload, *, per_mille: int) -> None:
    """What the journal says is what its pods' stamps say, times weight and class factor."""
    ended = await company.running.workload(workload.id)
    gpu_seconds = sum(_charged_gpu_seconds(pod) for pod in company.witness.of_job(ended.job_uid))
    assert gpu_seconds > 0
    assert company.running.charged(workload.id) == (gpu_seconds * per_mille, gpu_seconds * 1000)
    company.running.assert_settled(workload.id)


def _charged_gpu_seconds(pod: PodSeen) -> int:
    """From its container's start to its end, but what it takes beyond the grace that it asked for is the platform's."""
    assert pod.started_at is not None
    assert pod.finished_at is not None
    end = pod.finished_at
    if pod.told_at is not None and pod.grace_seconds is not None:
        end = min(end, pod.told_at + pod.grace_seconds)
    return (end - pod.started_at) * pod.gpus
