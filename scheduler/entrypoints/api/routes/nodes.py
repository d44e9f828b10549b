"""Nodes: what their agents send, how these do, and what was refused of it."""

import json
import re
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import Path, Query, Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.people import Role
from scheduler.domain.units import GpuUuid, Instant, NodeName
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Asked, Identified, Signed
from scheduler.entrypoints.api.bodies import api_router, read_once_keyed
from scheduler.entrypoints.api.edge import BodyEncoded, BodyTooLarge
from scheduler.entrypoints.api.gpu_metrics import GpuCollector
from scheduler.entrypoints.api.routes.allowances import PeriodName
from scheduler.entrypoints.api.validation import WRITTEN_AS, shown
from scheduler.lifecycle.sensing.meter import Accepted
from scheduler.lifecycle.views.agents import AgentView
from scheduler.lifecycle.views.conservation import ConservationView
from scheduler.lifecycle.views.gpu_conservation import GpuConservationView
from scheduler.lifecycle.views.gpu_faults import GpuFaultView
from scheduler.lifecycle.views.misuses import Misuses
from scheduler.metering.devices import Device, Inventory, ProcessView, SensorState
from scheduler.metering.refusals import RefusedSample
from scheduler.metering.windows import Window
from scheduler.metering.wire import inventory_json, window_json

router = api_router("/v1", tags=["nodes"])

NODE_LENGTH_MAX = 253
NODE_PATTERN = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"

Node = Annotated[str, Path(min_length=1, max_length=NODE_LENGTH_MAX, pattern=NODE_PATTERN)]
NodeOfAgent = Annotated[
    str, Path(json_schema_extra={"minLength": 1, "maxLength": NODE_LENGTH_MAX, "pattern": NODE_PATTERN})
]
"""The same, read by hand: what an agent is refused for is counted."""


def _body(example: dict[str, Any]) -> dict[str, Any]:
    """The bodies are read by `metering/wire.py`, the one definition for both sides, and documented in docs/nvml.md."""
    media = {"schema": {"type": "object"}, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": media}}}


_GPU = GpuUuid("GPU-6f1c2b1e-0000-0000-0000-000000000000")
_NODE, _BOOT = NodeName("gpu-7"), "f0643215-0000-0000-0000-000000000000"
_SENT_AT = Instant(1_795_214_210_000)
_INVENTORY = Inventory(
    _NODE,
    _BOOT,
    _SENT_AT,
    SensorState.OK,
    ProcessView.HOST,
    devices=(Device(_GPU, 0, "NVIDIA H100", 85_899_345_920),),
)
_WINDOW = Window(_NODE, _BOOT, _GPU, 1, Instant(_SENT_AT - 15_000), _SENT_AT, covered_ms=15_000, sample_count=3)


@router.put(
    "/nodes/{node}/inventory",
    status_code=204,
    summary="What a node's agent says is there",
    responses=answers.responds(
        None, RefusalCode.INVALID_SAMPLE, RefusalCode.NOT_YOURS, RefusalCode.BODY_TOO_LARGE, status=204
    ),
    openapi_extra=_body(inventory_json(_INVENTORY)),
)
async def put_inventory(asked: Identified, node: NodeOfAgent, request: Request) -> Response:
    name = await _named(asked, node)
    body = await _received(asked, name, request)
    await run_in_threadpool(_put_inventory, asked, name, body)
    return Response(status_code=204)


@router.post(
    "/nodes/{node}/windows",
    summary="What a node's GPUs did; what is refused of it is named and counted",
    responses=answers.responds(
        Accepted,
        RefusalCode.INVALID_SAMPLE,
        RefusalCode.UNKNOWN_NODE,
        RefusalCode.NOT_YOURS,
        RefusalCode.BODY_TOO_LARGE,
    ),
    openapi_extra=_body({"node": _NODE, "boot_id": _BOOT, "windows": [window_json(_WINDOW)]}),
)
async def post_windows(asked: Identified, node: NodeOfAgent, request: Request) -> Response:
    name = await _named(asked, node)
    body = await _received(asked, name, request)
    return answers.one(await run_in_threadpool(_post_windows, asked, name, body))


@router.get("/nodes", summary="How each node's agent does", responses=answers.responds(AgentView, is_page=True))
def agents(asked: Signed) -> Response:
    return answers.page(asked.service.views.agents(asked.caller, asked.now))


@router.get(
    "/refused-samples",
    summary="What was refused of what agents sent, counted; the latest first",
    responses=answers.responds(RefusedSample, is_page=True),
)
def refused_samples(asked: Signed, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
    return answers.page(asked.service.views.refused_samples(asked.caller, limit))


@router.get(
    "/misuses",
    summary="Processes on GPUs that were not given to them, of the last month, and where nobody can see any",
    responses=answers.responds(Misuses),
)
def misuses(asked: Signed, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
    return answers.one(asked.service.views.misuses(asked.caller, asked.now, limit))


@router.get(
    "/gpu-faults",
    summary="Xids of the hardware, of the last month, with whose work had the GPU and what became of it; the latest first",
    responses=answers.responds(GpuFaultView, is_page=True),
)
def gpu_faults(asked: Signed, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
    return answers.page(asked.service.gpu_faults.latest(asked.caller, asked.now, limit))


@router.get(
    "/gpu-metrics",
    summary="Each GPU's latest readings for Prometheus, with whose it is; for operators and auditors",
    responses={200: {"description": "Done", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def gpu_metrics(asked: Signed) -> Response:
    asked.caller.require(Role.OPERATOR, Role.AUDITOR)
    registry = CollectorRegistry()
    registry.register(GpuCollector(asked.service, asked.now))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


@router.get(
    "/conservation",
    summary="Where every GPU-hour of capacity went, by node and hour; today where no period is named",
    responses=answers.responds(ConservationView, RefusalCode.INVALID_VALUE),
)
def conservation(asked: Signed, period: Annotated[PeriodName | None, Query()] = None) -> Response:
    return answers.one(asked.service.views.conservation(asked.caller, period, asked.now))


@router.get(
    "/conservation/{node}",
    summary="The same of a node's single GPUs, hour by hour",
    responses=answers.responds(GpuConservationView, RefusalCode.UNKNOWN_NODE),
)
def gpu_conservation(asked: Signed, node: Node, period: Annotated[PeriodName | None, Query()] = None) -> Response:
    views = asked.service.views
    return answers.one(views.gpu_conservation(asked.caller, NodeName(node), period, asked.now))


async def _named(asked: Asked, node: str) -> NodeName:
    """A name that no node can have is counted against whoever speaks in it."""
    if len(node) > NODE_LENGTH_MAX or re.fullmatch(NODE_PATTERN, node) is None:
        refusal = InvalidInput(
            f"node is {shown(node)}",
            code=RefusalCode.INVALID_SAMPLE,
            where="node",
            expected=WRITTEN_AS[NODE_PATTERN],
        )
        await run_in_threadpool(partial(asked.service.meter.refuse_name, asked.caller, refusal, now=asked.now))
        raise refusal
    return NodeName(node)


async def _received(asked: Asked, node: NodeName, request: Request) -> bytes:
    """A body that is too large or encoded is counted like any other that could not be read."""
    try:
        return await request.body()
    except BodyTooLarge as large:
        refusal = InvalidInput(
            str(large.detail), code=RefusalCode.BODY_TOO_LARGE, where="body", expected="fewer windows at once"
        )
        await run_in_threadpool(partial(asked.service.meter.refuse_body, asked.caller, node, refusal, now=asked.now))
        raise
    except BodyEncoded as encoded:
        refusal = InvalidInput(
            str(encoded.detail), code=RefusalCode.INVALID_SAMPLE, where="body", expected="plain JSON"
        )
        await run_in_threadpool(partial(asked.service.meter.refuse_body, asked.caller, node, refusal, now=asked.now))
        raise


def _put_inventory(asked: Asked, node: NodeName, body: bytes) -> None:
    told = _parsed(asked, node, body)
    asked.service.meter.accept_inventory(asked.caller, node, told, now=asked.now)


def _post_windows(asked: Asked, node: NodeName, body: bytes) -> Accepted:
    told = _parsed(asked, node, body)
    return asked.service.meter.accept_windows(asked.caller, node, told, now=asked.now)


def _parsed(asked: Asked, node: NodeName, body: bytes) -> Any:
    """Strict JSON: NaN and infinities are none, and a key stands in an object once."""
    try:
        told = orjson.loads(body)
        read_once_keyed(body)  # orjson takes the last of two
    except json.JSONDecodeError as error:
        found = str(error) if isinstance(error, orjson.JSONDecodeError) else error.msg
        refusal = InvalidInput(
            f"the body is not JSON: {found}",
            code=RefusalCode.INVALID_SAMPLE,
            where="body",
            expected="strict JSON, in which no key stands twice",
        )
        asked.service.meter.refuse_body(asked.caller, node, refusal, now=asked.now)
        raise refusal from error
    return told
