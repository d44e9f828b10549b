"""Negative, zero, huge and broken numbers, wherever a person may write one: refused with a code, and nothing is lost."""

from typing import Any

import pytest

from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import JOB

NO_NUMBERS: dict[str, object] = {
    "negative": -1,
    "zero": 0,
    "2⁶³−1": 2**63 - 1,
    "beyond 64 bits": 2**64,
    "a fraction": 1.5,
    "a whole float": 8.0,
    "text": "8",
    "true": True,
    "a list": [8],
}
"""What is no number of GPUs, of pods, of hours or of milliseconds, by what is wrong with it."""

SANDBOX = {"name": "notebook", "project": "atlas", "gpu_classes": ["H100"], "time_limit_ms": 3_600_000}
BOOKING = {
    "project": "atlas",
    "gpu_class": "H100",
    "gpus": 8,
    "starts_at": "2026-11-21T09:00:00+01:00",
    "length_ms": 3_600_000,
}
GRANT = {"holder_kind": "engineer", "holder": "ada", "amount_ms": 3_600_000, "reason": "x"}
REQUEST = {"kind": "hours", "quantity": 3_600_000, "reason": "x"}

PLACES: dict[str, tuple[str, str, dict[str, Any], str, str]] = {
    "GPUs of a pod": ("ada", "/v1/workloads", JOB, "gpus_per_pod", "invalid-gpus"),
    "pods of a job": ("ada", "/v1/workloads", JOB, "pods", "invalid-gpus"),
    "the time limit of a job": ("ada", "/v1/workloads", JOB, "time_limit_ms", "invalid-time-limit"),
    "GPUs that a price is asked for": ("ada", "/v1/quotes", JOB, "gpus_per_pod", "invalid-gpus"),
    "GPUs of a sandbox": ("ada", "/v1/sandboxes", SANDBOX, "gpus", "invalid-gpus"),
    "the time limit of a sandbox": ("ada", "/v1/sandboxes", SANDBOX, "time_limit_ms", "invalid-time-limit"),
    "GPUs of a booking": ("ada", "/v1/bookings", BOOKING, "gpus", "invalid-gpus"),
    "the hours of a grant": ("fin", "/v1/grants", GRANT, "amount_ms", "invalid-amount"),
    "the hours of a request": ("ada", "/v1/requests", REQUEST, "quantity", "invalid-amount"),
}


@pytest.mark.parametrize(("classes", "said"), [([], "0 entries"), (["H100"] * 17, "17 entries")])
async def test_a_list_of_the_wrong_length_is_told_its_length(as_: Client, classes: list[str], said: str) -> None:
    answer = await as_("ada").post("/v1/workloads", json={**JOB, "gpu_classes": classes})
    assert (answer.status_code, answer.json()["detail"]) == (422, f"gpu_classes has {said}")
    assert answer.json()["expected"] == ("at least 1" if not classes else "at most 16")


@pytest.mark.parametrize(("subject", "path", "body", "field", "code"), PLACES.values(), ids=PLACES.keys())
async def test_a_number_that_is_none_is_refused_wherever_it_stands_and_nothing_is_lost(
    as_: Client, service: Service, subject: str, path: str, body: dict[str, Any], field: str, code: str
) -> None:
    before = _written(service)
    for wrong, value in NO_NUMBERS.items():
        answer = await as_(subject).post(path, json={**body, field: value})
        assert (answer.status_code, answer.json()["code"]) == (422, code), wrong
        assert answer.json()["detail"].startswith(field), wrong
        assert answer.json()["remedy"], wrong
    assert _written(service) == before
    accepted = await as_(subject).post(path, json=body)
    assert accepted.status_code in {200, 201}, "what these spoil is accepted as it is"


@pytest.mark.parametrize("wrong", NO_NUMBERS)
async def test_an_extension_that_is_no_time_leaves_the_time_limit_as_it_is(as_: Client, wrong: str) -> None:
    workload = (await as_("ada").post("/v1/workloads", json=JOB)).json()
    answer = await as_("ada").post(f"/v1/workloads/{workload['id']}/extend", json={"extra_ms": NO_NUMBERS[wrong]})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-time-limit")
    after = (await as_("ada").get(f"/v1/workloads/{workload['id']}")).json()
    assert after["time_limit_ms"] == JOB["time_limit_ms"]


def _written(service: Service) -> tuple[int, int, int]:
    """How much stands in the books: workloads, entries of the journal, what was done."""
    with service.store.reading() as books:
        return books.workloads.count(), len(list(books.journal.entries())), len(books.control.events(limit=1000))
