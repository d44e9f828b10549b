"""`allot sandbox`: start, connect, extend, stop and resume, each in one command."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from scheduler.domain.people import Caller
from scheduler.domain.units import JobUid, WorkloadId
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.running.observe import observe
from scheduler.lifecycle.writing.batch import changing
from tests.entrypoints.cli.conftest import Allot, Ran
from tests.entrypoints.company import engineer_id
from tests.lifecycle.build import changes, job_seen, pod_seen

START = ("sandbox", "start", "--project", "atlas", "--gpu-class", "H100", "--time", "2h", "--no-wait")


def start(allot: Allot) -> Ran:
    began = allot(*START, "--name", "notebook", "--json")
    assert began.code == 0, began.err
    return began


def run(service: Service, workload_id: str) -> None:
    """The cluster lets it run: one cycle launches it, and its pod is reported as started."""
    asyncio.run(service.cycle.run_once())
    now, world = service.clock.now(), service.world
    workload = world.workloads[WorkloadId(workload_id)]
    attempt = world.live_attempt(workload.id)
    assert attempt is not None
    with changing(service.store, world, now) as batch:
        workload = batch.change_workload(workload, job_uid=JobUid(f"uid-{workload_id}"))
    world.in_flight.discard(workload.id)  # the call that created its Job is over
    job = job_seen(workload, is_suspended=False, active=1, attempt_id=attempt.id)
    pod = pod_seen(workload, started_at=now, node=attempt.placement.pods_by_node[0][0], attempt_id=attempt.id)
    with changing(service.store, world, now) as batch:
        observe(batch, changes(job, pod))


def test_a_sandbox_is_started_by_one_command_and_the_policy_fills_in_the_rest(allot: Allot, service: Service) -> None:
    began = start(allot).json
    terms = service.world.require_policy().sandbox
    assert (began["kind"], began["state"], began["gpus"]) == ("sandbox", "queued", 1)
    assert service.world.workloads[WorkloadId(began["id"])].spec.image == terms.default_image


def test_a_running_sandbox_is_connected_to_by_its_name_and_its_key_is_its_owners(
    allot: Allot, service: Service
) -> None:
    began = start(allot).json
    run(service, began["id"])
    shown = allot("sandbox", "connect", "notebook", "--print")
    assert shown.code == 0, shown.err
    found = allot("sandbox", "connect", "notebook", "--json").json
    assert found["address"] == f"http://{began['id']}.allot.svc:{service.world.require_policy().sandbox.port}"
    assert found["key"] == service.world.keys[WorkloadId(began["id"])]
    assert found["key"] in shown.out
    for other in ("bob", "olga"):
        refused = allot("sandbox", "connect", began["id"], "--json", who=other)
        assert refused.code != 0
        assert found["key"] not in refused.out + refused.err


def test_connecting_forwards_the_port_with_the_owners_own_kubectl(
    allot: Allot, service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    began = start(allot).json
    run(service, began["id"])
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\necho "$@" > "$0.called"\nexit 7\n')
    kubectl.chmod(0o755)
    monkeypatch.setattr("scheduler.entrypoints.cli.sandbox.shutil.which", lambda _: str(kubectl))
    forwarded = allot("sandbox", "connect", "notebook", "--port", "9000")
    assert forwarded.code == 7
    port = service.world.require_policy().sandbox.port
    called = Path(f"{kubectl}.called").read_text().split()
    assert called == ["port-forward", "-n", "allot", f"service/{began['id']}", f"9000:{port}"]


def test_a_sandbox_that_does_not_run_has_no_address_and_says_why(allot: Allot) -> None:
    start(allot)
    refused = allot("sandbox", "connect", "notebook")
    assert refused.code == 1
    assert "has no address now" in refused.err


def test_a_sandbox_is_extended_stopped_and_resumed_by_a_command_each(allot: Allot, service: Service) -> None:
    began = start(allot).json
    run(service, began["id"])
    assert allot("sandbox", "extend", "notebook", "1h", "--json").json["time_limit_ms"] == 3 * 3_600_000
    stopping = allot("sandbox", "stop", "notebook", "--json").json
    assert stopping["state"] == "stopping"
    end(service, began["id"])
    assert allot("show", "notebook", "--json").json["state"] == "stopped"
    resumed = allot("sandbox", "resume", "notebook", "--no-wait", "--json").json
    assert (resumed["id"], resumed["state"]) == (began["id"], "queued")


def test_a_job_is_no_sandbox(allot: Allot) -> None:
    submitted = allot(*JOB).json
    refusals: Sequence[Ran] = [allot("sandbox", verb, submitted["id"]) for verb in ("stop", "resume", "connect")]
    assert all(refused.code not in {0, 2} for refused in refusals), refusals


def test_nobody_stops_somebody_elses_sandbox(allot: Allot, service: Service) -> None:
    began = start(allot).json
    refused = allot("sandbox", "stop", began["id"], who="bob")
    assert refused.code != 0
    owner = Caller("ada", frozenset(), engineer_id(service, "ada"))
    assert service.world.workloads[WorkloadId(began["id"])].owner == owner.engineer
    assert allot("show", began["id"], "--json").json["state"] == "queued"


JOB = (
    *("submit", "--project", "atlas", "--gpu-class", "H100", "--time", "1h", "--json"),
    *("--image", "registry.example.com/train:1", "--", "python", "train.py"),
)


def end(service: Service, workload_id: str) -> None:
    """Its pods have ended, and its Job is at rest."""
    now, world = service.clock.now(), service.world
    workload = world.workloads[WorkloadId(workload_id)]
    attempt = world.live_attempt(workload.id)
    assert attempt is not None
    job = job_seen(workload, is_confirmed_suspended=True, attempt_id=attempt.id)
    pod = replace(pod_seen(workload, started_at=now, attempt_id=attempt.id), finished_at=now, is_gone=True)
    with changing(service.store, world, now) as batch:
        observe(batch, changes(job, pod))
