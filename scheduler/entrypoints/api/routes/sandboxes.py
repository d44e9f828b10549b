"""Sandboxes: a templated workload of one pod, with an address, a key for its owner, and a home that stays."""

from dataclasses import dataclass

from starlette.responses import Response

from scheduler.domain.errors import Conflict, NotFound, NotPermitted, RefusalCode
from scheduler.domain.units import WorkloadId
from scheduler.domain.workloads import WorkloadKind
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import IdempotencyKey, Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.routes.workloads import shown, submitted
from scheduler.entrypoints.api.submissions import SandboxSubmission
from scheduler.lifecycle.views.shapes import WorkloadView

router = api_router("/v1/sandboxes", tags=["sandboxes"])

_ONE = answers.responds(WorkloadView, RefusalCode.UNKNOWN_WORKLOAD, RefusalCode.NOT_YOURS, RefusalCode.WRONG_STATE)


@dataclass(frozen=True, slots=True)
class Connection:
    """How its owner reaches a sandbox. `service` is a Kubernetes Service: `address` resolves inside the cluster,
    from outside one forwards `port` with one's own rights. `key` is what the server in it asks for."""

    workload_id: str
    state: str
    address: str
    namespace: str
    service: str
    port: int
    key: str
    is_simulated: bool


@router.post(
    "",
    status_code=201,
    summary="Start a sandbox",
    responses=answers.responds(
        WorkloadView,
        RefusalCode.INVALID_GPUS,
        RefusalCode.UNKNOWN_IMAGE,
        RefusalCode.ALLOWANCE_SHORT,
        RefusalCode.IDEMPOTENCY_CONFLICT,
        status=201,
    ),
)
def start(asked: Signed, body: SandboxSubmission, key: IdempotencyKey = None) -> Response:
    return submitted(asked, body, key)


@router.post("/{workload_id}/stop", summary="Stop it; its home stays", responses=_ONE)
def stop(asked: Signed, workload_id: str) -> Response:
    asked.service.commands.stop(asked.caller, WorkloadId(workload_id), now=asked.now, request_id=asked.request_id)
    return shown(asked, WorkloadId(workload_id))


@router.post("/{workload_id}/resume", summary="Start it again with its home", responses=_ONE)
def resume(asked: Signed, workload_id: str) -> Response:
    asked.service.commands.resume(asked.caller, WorkloadId(workload_id), now=asked.now, request_id=asked.request_id)
    return shown(asked, WorkloadId(workload_id))


@router.get(
    "/{workload_id}/connect",
    summary="Address and key, for its owner alone",
    responses=answers.responds(Connection, RefusalCode.UNKNOWN_WORKLOAD, RefusalCode.NOT_YOURS),
)
def connect(asked: Signed, workload_id: str) -> Response:
    view = asked.service.views.workload(asked.caller, WorkloadId(workload_id), asked.now)
    with asked.service.store.reading() as books:
        sandbox = books.control.sandbox(WorkloadId(view.id))
    if view.kind != WorkloadKind.SANDBOX or sandbox is None:
        raise NotFound(f"{workload_id} is not a sandbox", where="workload_id", remedy="`allot list` shows which are")
    if asked.caller.engineer is None or sandbox.owner != asked.caller.engineer:
        raise NotPermitted("only its owner may connect to a sandbox", code=RefusalCode.NOT_YOURS)
    if not view.address:
        raise Conflict(
            f"{workload_id} is {view.state} and has no address now",
            expected="a running sandbox",
            remedy=f"{view.verdict.sentence} {view.verdict.next_step}".strip(),
        )
    connection = Connection(
        workload_id=view.id,
        state=view.state,
        address=view.address,
        namespace=view.namespace,
        service=view.id,
        port=asked.service.views.policy().sandbox.port,
        key=sandbox.key,
        is_simulated=asked.service.cluster.is_simulated,
    )
    return answers.one(connection)
