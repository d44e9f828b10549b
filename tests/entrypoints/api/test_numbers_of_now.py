"""What waits tells the numbers of now: a verdict is kept when its code changes, and these go on changing."""

from typing import Any

import pytest

from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.api.test_pay_data import LONG, short

__all__ = ["short"]

HOUR: dict[str, Any] = {**LONG, "time_limit_ms": 3_600_000, "name": "hour"}
NOW = "Waiting: needs 384.0 h, 216.0 h available for it."


async def _verdicts(as_: Client, workload_id: str) -> list[Any]:
    """As it is told alone, behind everything, in its owner's list and in the queue."""
    ada = as_("ada")
    listed = [*(await ada.get("/v1/workloads")).json()["items"], *(await ada.get("/v1/queue")).json()["items"]]
    alone = (await ada.get(f"/v1/workloads/{workload_id}")).json()
    explained = (await ada.get(f"/v1/workloads/{workload_id}/explain")).json()["workload"]
    return [item["verdict"] for item in (alone, explained, *listed) if item["id"] == workload_id]


@pytest.fixture
async def less(service: Service, as_: Client, short: str) -> str:
    """The id of what waits for hours, of which an hour's work of sixteen GPUs has taken some since it was told so."""
    (told,) = {verdict["at"] for verdict in await _verdicts(as_, short)}
    await as_("ada").post("/v1/workloads", json=HOUR)
    await service.cycle.run_once()  # launches it
    await service.cycle.run_once()  # and sees what was left
    assert {verdict["at"] for verdict in await _verdicts(as_, short)} == {told}
    return short


async def test_wherever_it_is_read(as_: Client, less: str) -> None:
    assert [verdict["sentence"] for verdict in await _verdicts(as_, less)] == [NOW] * 4


async def test_and_the_verdicts_as_they_fell_keep_theirs(as_: Client, less: str) -> None:
    fell = (await as_("ada").get(f"/v1/workloads/{less}/explain")).json()["verdicts"]
    assert [verdict["evidence"].get("available_hours") for verdict in fell][-1] == "232.0"
