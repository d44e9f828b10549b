"""What somebody has left is told to them and to who looks after the money: nobody else reads it out of a verdict, the
queue, the map or the Events of a Job."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from scheduler.domain.cluster import Node
from scheduler.domain.reasons import PAY_DATA, Reason
from scheduler.domain.units import GpuClassName, Instant, JobUid, NodeName, WorkloadId
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.running.tell import due_to_tell
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import JOB, NOON

LONG: dict[str, Any] = {**JOB, "project": "meridian", "time_limit_ms": 24 * 3_600_000}
"""Of sixteen GPUs for a day, the thousand hours that Ada was granted pay for two."""


@pytest.fixture
async def short(service: Service, as_: Client) -> str:
    """The id of what waits because Ada has no more than 232 hours left; two that run have the rest."""
    for name in (NodeName("node-4"), NodeName("node-5")):
        service.world.put_node(name, Node(name, GpuClassName("H100"), 8, 128_000, 1_024_000))
    ada = as_("ada")
    first, second, third = [(await ada.post("/v1/workloads", json=LONG)).json()["id"] for _ in range(3)]
    await service.cycle.run_once()
    verdict = (await ada.get(f"/v1/workloads/{third}")).json()["verdict"]
    assert verdict["reason"] == "AllowanceShort"
    assert {service.world.workloads[WorkloadId(each)].state.value for each in (first, second)} == {"launching"}
    return str(third)


async def _in_the_queue(client: httpx.AsyncClient, workload_id: str) -> Any:
    items = (await client.get("/v1/queue")).json()["items"]
    return next(item["verdict"] for item in items if item["id"] == workload_id)


async def test_the_owner_reads_what_is_available_and_by_how_much_it_is_short(as_: Client, short: str) -> None:
    told = await _in_the_queue(as_("ada"), short)
    assert told["sentence"] == "Waiting: needs 384.0 h, 232.0 h available for it."
    assert told["evidence"] == {"needed_hours": "384.0", "available_hours": "232.0", "short_hours": "152.0"}


@pytest.mark.parametrize("reader", ["bob", "lea", "olga"])
async def test_in_the_queue_nobody_else_reads_it(as_: Client, short: str, reader: str) -> None:
    told = await _in_the_queue(as_(reader), short)
    assert told["sentence"] == "Waiting: needs 384.0 h, more than is available for it."
    assert told["evidence"] == {"needed_hours": "384.0"}


@pytest.mark.parametrize("reader", ["lea", "olga"])
async def test_nor_do_they_who_may_open_the_workload(as_: Client, short: str, reader: str) -> None:
    client = as_(reader)
    explained = (await client.get(f"/v1/workloads/{short}/explain")).json()
    one = (await client.get(f"/v1/workloads/{short}")).json()
    listed = (await client.get("/v1/workloads")).json()["items"]
    found = [explained["workload"]["verdict"], *explained["verdicts"], one["verdict"]]
    found += [item["verdict"] for item in listed] + (await client.get("/v1/verdicts")).json()["items"]
    assert any(verdict["reason"] == "AllowanceShort" for verdict in found)
    assert [key for verdict in found for key in verdict["evidence"] if key in PAY_DATA] == []
    assert [verdict["sentence"] for verdict in found if "232" in verdict["sentence"]] == []
    assert explained["payers"] == []


@pytest.mark.parametrize("reader", ["fin", "aud"])
async def test_who_looks_after_the_money_reads_it_all(as_: Client, short: str, reader: str) -> None:
    explained = (await as_(reader).get(f"/v1/workloads/{short}/explain")).json()
    assert explained["workload"]["verdict"]["evidence"]["available_hours"] == "232.0"


async def test_the_events_of_its_job_are_read_by_the_team_and_do_not_tell(service: Service, short: str) -> None:
    workload, later = service.world.workloads[WorkloadId(short)], Instant(NOON + 60_000)
    service.world.put_workloads([replace(workload, job_uid=JobUid("uid"))])
    told = [each.message for each in due_to_tell(service.world, later, 100) if each.reason is Reason.ALLOWANCE_SHORT]
    assert told == ["Waiting: needs 384.0 h, more than is available for it."]


async def test_the_map_names_work_to_who_may_see_that_work(as_: Client, short: str) -> None:
    del short
    for reader, names in (("ada", {"train"}), ("bob", {""}), ("lea", {"train"}), ("olga", {"train"})):
        cluster = (await as_(reader).get("/v1/cluster")).json()
        gpus = [gpu for node in cluster["nodes"] for gpu in node["gpus"] if gpu["state"] != "free"]
        assert (len(gpus), cluster["in_use"], {gpu["workload_name"] for gpu in gpus}) == (32, 32, names), reader
        assert {gpu["team"] for gpu in gpus} == {"research"}
