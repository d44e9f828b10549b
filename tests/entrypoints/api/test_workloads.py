"""Workloads over HTTP: submitted, listed, shown, explained, cancelled, extended; and what is refused."""

import asyncio
import gzip
import json
from typing import Any

import pytest

from scheduler.domain.errors import RefusalCode
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import JOB


async def test_a_submitted_job_waits_in_the_queue_with_its_price(as_: Client) -> None:
    answer = await as_("ada").post("/v1/workloads", json=JOB)
    assert answer.status_code == 201
    workload = answer.json()
    assert (workload["state"], workload["gpus"], workload["priority_class"]) == ("queued", 16, "standard")
    assert (workload["asked_ms"], workload["asked_hours"]) == (16 * 3_600_000, "16.0")
    assert workload["submitted_at"] == "2026-11-20T12:00:00Z"
    assert (await as_("ada").get(f"/v1/workloads/{workload['id']}")).json() == workload


async def test_the_list_pages_by_cursor_and_shows_each_once(as_: Client) -> None:
    ada = as_("ada")
    made = [(await ada.post("/v1/workloads", json={**JOB, "name": f"job {n}"})).json()["id"] for n in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(10):
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await ada.get("/v1/workloads", params=params)).json()
        seen += [workload["id"] for workload in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(made)


async def test_a_cursor_that_is_none_of_ours_is_refused(as_: Client) -> None:
    for cursor in ("zzz", "MTp4"):
        answer = await as_("ada").get("/v1/workloads", params={"cursor": cursor})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-cursor")


async def test_the_list_can_be_narrowed_to_states(as_: Client) -> None:
    ada = as_("ada")
    first = (await ada.post("/v1/workloads", json=JOB)).json()["id"]
    second = (await ada.post("/v1/workloads", json=JOB)).json()["id"]
    await ada.post(f"/v1/workloads/{first}/cancel")
    queued = (await ada.get("/v1/workloads", params={"state": "queued"})).json()["items"]
    assert [workload["id"] for workload in queued] == [second]
    both = await ada.get("/v1/workloads", params=[("state", "queued"), ("state", "cancelled")])
    assert len(both.json()["items"]) == 2
    assert (await ada.get("/v1/workloads", params={"state": "asleep"})).status_code == 422


async def test_a_cancelled_job_says_who_cancelled_it(as_: Client) -> None:
    ada = as_("ada")
    workload_id = (await ada.post("/v1/workloads", json=JOB)).json()["id"]
    cancelled = (await ada.post(f"/v1/workloads/{workload_id}/cancel")).json()
    assert (cancelled["state"], cancelled["verdict"]["sentence"]) == ("cancelled", "Cancelled by ada.")
    again = await ada.post(f"/v1/workloads/{workload_id}/cancel")
    assert (again.status_code, again.json()["state"]) == (200, "cancelled")


async def test_what_is_queued_can_be_extended_up_to_the_maximum(as_: Client) -> None:
    ada = as_("ada")
    workload_id = (await ada.post("/v1/workloads", json=JOB)).json()["id"]
    longer = await ada.post(f"/v1/workloads/{workload_id}/extend", json={"extra_ms": 3_600_000})
    assert longer.json()["time_limit_ms"] == 7_200_000
    refused = await ada.post(f"/v1/workloads/{workload_id}/extend", json={"extra_ms": 10**9})
    assert (refused.status_code, refused.json()["code"]) == (422, "time-limit-too-long")


async def test_extended_again_under_the_same_key_it_is_longer_once(as_: Client) -> None:
    ada, key = as_("ada"), {"Idempotency-Key": "longer-1"}
    workload_id = (await ada.post("/v1/workloads", json=JOB)).json()["id"]
    for _ in range(2):
        longer = await ada.post(f"/v1/workloads/{workload_id}/extend", json={"extra_ms": 3_600_000}, headers=key)
        assert (longer.status_code, longer.json()["time_limit_ms"]) == (200, 7_200_000)
    other = await ada.post(f"/v1/workloads/{workload_id}/extend", json={"extra_ms": 60_000}, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-conflict")
    assert other.json()["detail"] == "the idempotency key 'longer-1' was used for another request"


async def test_explain_names_the_allowances_that_may_pay(as_: Client) -> None:
    ada = as_("ada")
    workload_id = (await ada.post("/v1/workloads", json=JOB)).json()["id"]
    found = (await ada.get(f"/v1/workloads/{workload_id}/explain")).json()
    assert found["workload"]["id"] == workload_id
    assert len(found["payers"]) == 2, "the project's allowance and the tier's"


REFUSED: dict[str, tuple[str, dict[str, Any], int, RefusalCode]] = {
    "an unknown GPU class": ("ada", {"gpu_classes": ["B200"]}, 422, RefusalCode.UNKNOWN_GPU_CLASS),
    "an unknown priority class": ("ada", {"priority_class": "vip"}, 422, RefusalCode.UNKNOWN_PRIORITY_CLASS),
    "an unknown project": ("ada", {"project": "apollo"}, 422, RefusalCode.UNKNOWN_PROJECT),
    "an image that is not listed": ("ada", {"image": "evil/miner"}, 422, RefusalCode.UNKNOWN_IMAGE),
    "too long": ("ada", {"time_limit_ms": 49 * 3_600_000}, 422, RefusalCode.TIME_LIMIT_TOO_LONG),
    "what no node could hold": ("ada", {"gpus_per_pod": 9}, 422, RefusalCode.UNPLACEABLE),
    "more memory than any node has": ("ada", {"memory_mib": 10_000_000}, 422, RefusalCode.UNPLACEABLE),
    "a class the tier may not use": (
        "ines",
        {"priority_class": "urgent"},
        403,
        RefusalCode.PRIORITY_CLASS_NOT_ALLOWED,
    ),
    "GPUs the tier may not use": ("ines", {"time_limit_ms": 1000}, 403, RefusalCode.GPU_CLASS_NOT_ALLOWED),
    "more pods than the policy allows": ("ada", {"pods": 1000}, 422, RefusalCode.INVALID_GPUS),
    "personal work without compensation": ("ada", {"project": "personal"}, 409, RefusalCode.ALLOWANCE_SHORT),
    "at least no pod": ("ada", {"pods": 2, "min_pods": 0}, 422, RefusalCode.INVALID_MIN_PODS),
    "at least more pods than it asks for": ("ada", {"pods": 2, "min_pods": 3}, 422, RefusalCode.INVALID_MIN_PODS),
    "negative GPUs": ("ada", {"gpus_per_pod": -1}, 422, RefusalCode.INVALID_GPUS),
    "half a GPU": ("ada", {"gpus_per_pod": 0.5}, 422, RefusalCode.INVALID_GPUS),
    "2⁶³−1 GPUs": ("ada", {"gpus_per_pod": 2**63 - 1}, 422, RefusalCode.INVALID_GPUS),
    "a time limit of nothing": ("ada", {"time_limit_ms": 0}, 422, RefusalCode.INVALID_TIME_LIMIT),
    "for somebody else": ("ada", {"owner": "bob"}, 403, RefusalCode.NOT_YOURS),
    "for nobody": ("olga", {"owner": "nobody"}, 404, RefusalCode.UNKNOWN_ENGINEER),
    "by somebody who is no engineer": ("fin", {"owner": "ada"}, 403, RefusalCode.ROLE_REQUIRED),
}


@pytest.mark.parametrize(("subject", "change", "status", "code"), REFUSED.values(), ids=REFUSED.keys())
async def test_a_submission_is_refused(
    as_: Client, service: Service, subject: str, change: dict[str, Any], status: int, code: RefusalCode
) -> None:
    answer = await as_(subject).post("/v1/workloads", json={**JOB, **change})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code.value)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["detail"]
    assert problem["remedy"]
    with service.store.reading() as books:
        assert books.workloads.count() == 0, "nothing is half-written"


NOT_JSON: dict[str, tuple[bytes, str]] = {
    "not JSON at all": (b"{", "invalid-value"),
    "NaN": (json.dumps({**JOB, "pods": float("nan")}).encode(), "invalid-gpus"),
    "1e400": (json.dumps(JOB).replace("3600000", "1e400").encode(), "invalid-time-limit"),
    "a number of five thousand digits": (json.dumps(JOB).replace("3600000", "9" * 5000).encode(), "invalid-value"),
    "a hundred thousand brackets": (b"[" * 100_000, "invalid-value"),
    "a list": (b"[]", "invalid-value"),
    "nothing": (b"", "invalid-value"),
    "half a character": (b'{"name": "\xff"}', "invalid-value"),
}


@pytest.mark.parametrize(("body", "code"), NOT_JSON.values(), ids=NOT_JSON.keys())
async def test_a_body_that_cannot_be_read_is_a_problem_like_any_other(as_: Client, body: bytes, code: str) -> None:
    answer = await as_("ada").post("/v1/workloads", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.json()["code"] == code


@pytest.mark.parametrize(
    ("written", "key"),
    [
        (json.dumps(JOB).replace("{", '{"project": "another", ', 1), "project"),
        (json.dumps(JOB)[:-1] + ', "project": "another"}', "project"),
        (json.dumps(JOB).replace("{", '{"\\u0070roject": "another", ', 1), "project"),
        (json.dumps({**JOB, "labels": 0})[:-2] + '{"a": 1, "a": 1}}', "a"),
    ],
    ids=["before", "after", "escaped", "in an object within"],
)
async def test_a_body_in_which_a_key_stands_twice_is_refused_whichever_is_meant(
    as_: Client, service: Service, written: str, key: str
) -> None:
    answer = await as_("ada").post("/v1/workloads", content=written, headers={"Content-Type": "application/json"})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["where"]) == (422, "invalid-value", "body")
    assert f"the key '{key}' stands there twice" in problem["detail"]
    with service.store.reading() as books:
        assert books.workloads.count() == 0


async def test_what_is_not_json_is_told_with_its_place(as_: Client) -> None:
    answer = await as_("ada").post(
        "/v1/workloads", content=b'{"pods": 1 2}', headers={"Content-Type": "application/json"}
    )
    problem = answer.json()
    assert problem["where"] == "body"
    assert problem["detail"].endswith("(character 12)")


@pytest.mark.parametrize("encoding", ["gzip", "deflate, gzip", "br"])
async def test_a_body_that_is_encoded_is_refused_with_what_is_expected(as_: Client, encoding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    answer = await as_("ada").post("/v1/workloads", content=gzip.compress(json.dumps(JOB).encode()), headers=headers)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["where"]) == (422, "invalid-value", "Content-Encoding")
    assert (await as_("ada").get("/v1/workloads")).json()["items"] == []


async def test_a_body_that_no_decoder_reads_is_told_what_is_expected(as_: Client) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await as_("ada").post("/v1/workloads", content=gzip.compress(b"{}"), headers=headers)
    assert answer.json()["expected"] == "JSON in UTF-8, not deeply nested"


async def test_a_hundred_who_submit_at_once_under_one_key_get_one_workload(as_: Client) -> None:
    answers = await asyncio.gather(
        *(as_("ada").post("/v1/workloads", json=JOB, headers={"Idempotency-Key": "one"}) for _ in range(100))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_fifty_megabytes_are_not_read(as_: Client) -> None:
    answer = await as_("ada").post("/v1/workloads", content=b" " * 50_000_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")


async def test_an_operator_submits_for_somebody_else(as_: Client) -> None:
    workload = (await as_("olga").post("/v1/workloads", json={**JOB, "owner": "ada"})).json()
    assert (await as_("ada").get(f"/v1/workloads/{workload['id']}")).status_code == 200


ONCE = {"Idempotency-Key": "once"}


class TestIdempotency:
    async def test_the_same_key_and_body_get_the_first_answer(self, as_: Client) -> None:
        first = await as_("ada").post("/v1/workloads", json=JOB, headers=ONCE)
        second = await as_("ada").post("/v1/workloads", json=JOB, headers=ONCE)
        assert (first.status_code, first.json()["id"]) == (second.status_code, second.json()["id"])
        assert len((await as_("ada").get("/v1/workloads")).json()["items"]) == 1

    async def test_the_same_key_with_another_body_is_a_conflict(self, as_: Client) -> None:
        await as_("ada").post("/v1/workloads", json=JOB, headers=ONCE)
        answer = await as_("ada").post("/v1/workloads", json={**JOB, "pods": 1}, headers=ONCE)
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency-conflict")
        assert len((await as_("ada").get("/v1/workloads")).json()["items"]) == 1

    async def test_the_order_of_fields_is_no_other_body(self, as_: Client) -> None:
        first = await as_("ada").post("/v1/workloads", json=JOB, headers=ONCE)
        turned = dict(reversed(list(JOB.items())))
        second = await as_("ada").post("/v1/workloads", json=turned, headers=ONCE)
        assert first.json()["id"] == second.json()["id"]

    async def test_keys_of_different_callers_never_meet(self, as_: Client) -> None:
        first = await as_("ada").post("/v1/workloads", json=JOB, headers=ONCE)
        second = await as_("bob").post("/v1/workloads", json=JOB, headers=ONCE)
        assert first.json()["id"] != second.json()["id"]

    @pytest.mark.parametrize("key", ["", "a b", "a" * 201, "ä"])
    async def test_a_key_that_is_none_is_refused(self, as_: Client, key: str) -> None:
        headers = {b"Idempotency-Key": key.encode()}
        answer = await as_("ada").post("/v1/workloads", json=JOB, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-value")
