"""What agents send over HTTP, and what operators see of it."""

import gzip
from dataclasses import replace

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from scheduler.domain.people import Role
from scheduler.domain.units import Instant
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.running import Service
from scheduler.metering.wire import inventory_json, window_json
from tests.entrypoints.api.conftest import Client
from tests.entrypoints.company import NOON, SYSTEM, token_of
from tests.lifecycle.agents import WINDOW_MS, body_of, gpu, inventory, window

NODE, OTHER = "node-0", "node-1"
WINDOWS = f"/v1/nodes/{NODE}/windows"
INVENTORY = f"/v1/nodes/{NODE}/inventory"
JUST_NOW = Instant(NOON - WINDOW_MS)


@pytest.fixture
def as_agent(service: Service, as_: Client) -> Client:
    """A client with the token of a node's agent."""
    for node in (NODE, OTHER):
        subject = f"node:{node}"
        service.administration.issue_token(
            SYSTEM, subject, frozenset({Role.AGENT}), hash_of(token_of(node)), now=service.clock.now()
        )
    return as_


def good(index: int = 0, number: int = 1) -> dict[str, object]:
    return body_of(window(NODE, index, number, JUST_NOW), node=NODE)


def twice(key: str, *, spelled: str | None = None, colon: str = ":") -> bytes:
    """A good body in which an object has the key once more, before its own."""
    own = f'"{key}":'.encode()
    body = orjson.dumps(good())
    assert body.count(own) == 1
    return body.replace(own, f'"{spelled or key}"{colon}1,'.encode() + own)


async def register(as_agent: Client, node: str = NODE) -> None:
    answer = await as_agent(node).put(f"/v1/nodes/{node}/inventory", json=inventory_json(inventory(node, NOON, 8)))
    assert answer.status_code == 204


async def test_windows_become_the_readings_of_the_cluster(as_: Client, as_agent: Client) -> None:
    await register(as_agent)
    answer = await as_agent(NODE).post(WINDOWS, json=good(3))
    assert (answer.status_code, answer.json()) == (200, {"taken": 1, "duplicates": 0, "refused": []})
    again = await as_agent(NODE).post(WINDOWS, json=good(3))
    assert again.json() == {"taken": 0, "duplicates": 1, "refused": []}
    nodes = (await as_("olga").get("/v1/cluster")).json()["nodes"]
    shown = next(node for node in nodes if node["name"] == NODE)["gpus"][3]
    assert (shown["uuid"], shown["utilization_percent"], shown["power_watts"]) == (gpu(NODE, 3), 80, 400)
    silent = next(node for node in nodes if node["name"] == OTHER)["gpus"][3]
    assert (silent["utilization_percent"], silent["power_watts"], silent["memory_used_bytes"]) == (None, None, None)


async def test_a_refused_window_is_named_in_the_answer_and_counted(as_: Client, as_agent: Client) -> None:
    await register(as_agent)
    bad = {**window_json(window(NODE, 0, 2, JUST_NOW)), "covered_ms": -1}
    answer = await as_agent(NODE).post(WINDOWS, json=body_of(window(NODE, 1, 1, JUST_NOW), bad, node=NODE))
    assert answer.status_code == 200
    assert answer.json()["taken"] == 1
    (refused,) = answer.json()["refused"]
    assert (refused["gpu_uuid"], refused["sequence"], refused["code"]) == (gpu(NODE, 0), 2, "invalid-sample")
    assert "window.covered_ms: found -1" in refused["detail"]
    counted = (await as_("olga").get("/v1/refused-samples")).json()["items"]
    assert [(each["node"], each["code"], each["count"]) for each in counted] == [(NODE, "invalid-sample", 1)]


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        pytest.param(b'{"node": "node-0", "boot_id": "b", "windows": [NaN]}', 422, "invalid-sample", id="NaN"),
        pytest.param(b"not json", 422, "invalid-sample", id="no JSON"),
        pytest.param(b"", 422, "invalid-sample", id="nothing"),
        pytest.param(b"[" * 100_000, 422, "invalid-sample", id="nested without end"),
        pytest.param(b"\xff\xfe", 422, "invalid-sample", id="no UTF-8"),
        pytest.param(twice("node"), 422, "invalid-sample", id="a key twice"),
        pytest.param(twice("percent_ms"), 422, "invalid-sample", id="a key twice far inside"),
        pytest.param(twice("node", spelled="n\\u006fde"), 422, "invalid-sample", id="a key twice, spelled otherwise"),
        pytest.param(twice("node", colon=" \n :"), 422, "invalid-sample", id="a key twice, far from its colon"),
        pytest.param(orjson.dumps(good()) + b" " * 50_000_000, 413, "body-too-large", id="50 MB"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(
    as_: Client, as_agent: Client, content: bytes, status: int, code: str
) -> None:
    await register(as_agent)
    answer = await as_agent(NODE).post(WINDOWS, content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await as_agent(NODE).post(WINDOWS, json=good())).json()["taken"] == 1
    counted = (await as_("aud").get("/v1/refused-samples")).json()["items"]
    assert [(each["node"], each["code"], each["count"]) for each in counted] == [(NODE, code, 1)]


@pytest.mark.parametrize("name", ['":', 'a": "b', '\\":', '"node":1,"node" :2'])
async def test_what_looks_like_a_key_within_a_text_is_none(as_: Client, as_agent: Client, name: str) -> None:
    await register(as_agent)
    seen = replace(window(NODE, 0, 1, JUST_NOW, pods=("pod-1",)), process_count_max=1)
    told = replace(seen, processes=tuple(replace(each, name=name) for each in seen.processes or ()))
    content = orjson.dumps(body_of(told, node=NODE))
    answer = await as_agent(NODE).post(WINDOWS, content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["taken"]) == (200, 1)


@pytest.mark.parametrize("name", ["Node_0", "node-0%0A", "-", "node 0", "%00", "n" * 254], ids=ascii)
async def test_a_name_that_no_node_has_is_counted_against_whoever_spoke_in_it(
    as_: Client, as_agent: Client, name: str
) -> None:
    await register(as_agent)
    told = inventory_json(inventory(NODE, NOON))
    for answer in (
        await as_agent(NODE).post(f"/v1/nodes/{name}/windows", json=good()),
        await as_agent(NODE).put(f"/v1/nodes/{name}/inventory", json=told),
    ):
        assert (answer.status_code, answer.json()["code"], answer.json()["where"]) == (422, "invalid-sample", "node")
    assert (await as_("ada").post(f"/v1/nodes/{name}/windows", json=good())).status_code == 403
    counted = (await as_("olga").get("/v1/refused-samples")).json()["items"]
    assert [(each["node"], each["code"], each["count"]) for each in counted] == [(NODE, "invalid-sample", 2)]


async def test_a_body_that_is_packed_is_refused_and_counted(as_: Client, as_agent: Client) -> None:
    await register(as_agent)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await as_agent(NODE).post(WINDOWS, content=gzip.compress(orjson.dumps(good())), headers=headers)
    assert (answer.status_code, answer.json()["where"]) == (422, "Content-Encoding")
    counted = (await as_("aud").get("/v1/refused-samples")).json()["items"]
    assert [(each["node"], each["code"], each["count"]) for each in counted] == [(NODE, "invalid-sample", 1)]


async def test_a_node_that_never_registered_is_not_found_until_it_tells_its_inventory(as_agent: Client) -> None:
    answer = await as_agent(NODE).post(WINDOWS, json=good())
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-node")
    await register(as_agent)
    assert (await as_agent(NODE).post(WINDOWS, json=good())).status_code == 200


async def test_the_token_of_another_node_is_refused(as_: Client, as_agent: Client) -> None:
    await register(as_agent)
    for method, path, body in (("POST", WINDOWS, good()), ("PUT", INVENTORY, inventory_json(inventory(NODE, NOON)))):
        answer = await as_agent(OTHER).request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "not-yours")
    counted = (await as_("olga").get("/v1/refused-samples")).json()["items"]
    assert [(each["node"], each["code"], each["count"]) for each in counted] == [(OTHER, "token-of-another-node", 2)]


@pytest.mark.parametrize("subject", ["ada", "olga", "aud", None])
async def test_people_cannot_post_windows(as_: Client, as_agent: Client, subject: str | None) -> None:
    await register(as_agent)
    answer = await as_(subject).post(WINDOWS, json=good())
    assert answer.status_code == (401 if subject is None else 403)


@pytest.mark.parametrize("path", ["/v1/nodes", "/v1/refused-samples"])
async def test_how_agents_do_is_for_operators_and_auditors(as_: Client, path: str) -> None:
    assert (await as_("ada").get(path)).status_code == 403
    assert (await as_("olga").get(path)).status_code == 200


async def test_operators_see_how_each_agent_does(as_: Client, as_agent: Client) -> None:
    told = {
        **inventory_json(inventory(NODE, NOON, 2)),
        "sampler_restarts": 1,
        "samples_from_the_past": 0,
        "spool": {"waiting": 3, "lost": 4, "refused": 5},
    }
    await as_agent(NODE).put(INVENTORY, json=told)
    await as_agent(NODE).post(WINDOWS, json=good())
    (shown,) = (await as_("olga").get("/v1/nodes")).json()["items"]
    assert (shown["node"], shown["sensor_state"], shown["devices"], shown["unhealthy"]) == (NODE, "ok", 2, 0)
    assert (shown["sampler_restarts"], shown["waiting"], shown["lost"], shown["refused"]) == (1, 3, 4, 5)
    assert shown["windows_until"] == "2026-11-20T12:00:00Z"


async def test_gpus_that_idle_above_what_is_learned_are_counted_with_their_node(
    as_: Client, as_agent: Client, service: Service
) -> None:
    await register(as_agent)
    count = 24
    told = [window(NODE, 2, n, Instant(NOON - (count - n) * WINDOW_MS), percent=0, watts=171) for n in range(count)]
    assert (await as_agent(NODE).post(WINDOWS, json=body_of(*told, node=NODE))).json()["taken"] == count
    (shown,) = (await as_("olga").get("/v1/nodes")).json()["items"]
    assert (shown["never_idle"], shown["never_idle_watts"]) == (1, 171)


@pytest.mark.parametrize("node", ["UPPER", "-x", "a b", "x" * 254])
async def test_a_node_has_a_name_that_kubernetes_would_give(as_agent: Client, node: str) -> None:
    answer = await as_agent(NODE).post(f"/v1/nodes/{node}/windows", json=good())
    assert answer.status_code == 422


async def test_what_was_refused_is_counted_by_code_for_prometheus(as_: Client, as_agent: Client) -> None:
    before = await refused_of(as_)
    assert set(before.values()) == {0}
    assert (await as_agent(NODE).post(WINDOWS, json=good())).status_code == 404
    await register(as_agent)
    await as_agent(OTHER).post(WINDOWS, json=good())
    await as_agent(NODE).post(WINDOWS, content=b"{")
    bad = {**window_json(window(NODE, 0, 2, JUST_NOW)), "covered_ms": -1}
    await as_agent(NODE).post(WINDOWS, json=body_of(bad, bad, node=NODE))
    theirs = inventory_json(inventory(OTHER, NOON, 1))
    theirs["devices"] += inventory_json(inventory(NODE, NOON, 2))["devices"]
    await as_agent(OTHER).put(f"/v1/nodes/{OTHER}/inventory", json=theirs)
    found = await refused_of(as_)
    assert found.keys() == before.keys()
    assert {code: count for code, count in found.items() if count} == {
        "unknown-node": 1,
        "token-of-another-node": 1,
        "invalid-sample": 3,
        "foreign-gpu": 2,
    }


async def refused_of(as_: Client) -> dict[str, float]:
    text = (await as_(None).get("/metrics")).text
    (family,) = (each for each in text_string_to_metric_families(text) if each.name == "allot_refused_samples")
    return {sample.labels["code"]: sample.value for sample in family.samples}
