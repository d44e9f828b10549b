"""Health, readiness, metrics and the meaning of problems: what anybody may ask, without a token."""

from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from scheduler.domain.errors import NotFound, Refusal, RefusalCode
from scheduler.domain.units import Instant
from scheduler.entrypoints.about import installed_version
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Served
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.codes import CODES
from scheduler.entrypoints.running import Service

router = api_router(tags=["health"])


@dataclass(frozen=True, slots=True)
class LoopState:
    """One loop: when it last succeeded, and whether that is within its deadline."""

    name: str
    is_ok: bool
    last_success_at: Instant | None
    last_error: str
    deadline_seconds: float
    runs: int
    failures: int
    last_seconds: float


@dataclass(frozen=True, slots=True)
class Health:
    is_ok: bool
    version: str
    now: Instant
    is_simulated: bool
    loops: tuple[LoopState, ...]


@dataclass(frozen=True, slots=True)
class Liveness:
    """`stuck` are the loops that have neither succeeded nor failed for longer than their deadline."""

    is_alive: bool
    stuck: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Readiness:
    """What must answer before the service can do its work; empty where something does, else what is wrong."""

    is_ready: bool
    database: str
    policy: str
    cluster: str


@dataclass(frozen=True, slots=True)
class ProblemType:
    code: str
    status: int
    title: str
    meaning: str
    remedy: str


@router.get(
    "/healthz",
    summary="Whether every loop runs in time",
    responses=answers.responds_probe(Health),
    openapi_extra=answers.OPEN_TO_ALL,
)
async def healthz(service: Served) -> Response:
    health = health_of(service)
    return answers.one(health, status=200 if health.is_ok else 503)


@router.get(
    "/livez",
    summary="Whether a restart would help",
    responses=answers.responds_probe(Liveness),
    openapi_extra=answers.OPEN_TO_ALL,
)
async def livez(service: Served) -> Response:
    """A loop that fails says so and is tried again: only one that neither succeeds nor fails needs another process."""
    stuck = tuple(
        name for name, loop in sorted(service.loops.health().items()) if loop.is_late and not loop.failures_in_a_row
    )
    return answers.one(Liveness(not stuck, stuck), status=503 if stuck else 200)


@router.get(
    "/readyz",
    summary="Whether requests can be served",
    responses=answers.responds_probe(Readiness),
    openapi_extra=answers.OPEN_TO_ALL,
)
def readyz(service: Served) -> Response:
    readiness = Readiness(
        is_ready=False,
        database=_database_problem(service),
        policy="" if service.world.policy is not None else "no policy has been applied yet",
        cluster=_cluster_problem(service),
    )
    is_ready = not readiness.database
    answer = Readiness(is_ready, readiness.database, readiness.policy, readiness.cluster)
    return answers.one(answer, status=200 if is_ready else 503)


@router.get("/metrics", summary="Metrics for Prometheus", include_in_schema=False)
async def metrics(request: Request) -> Response:
    return Response(generate_latest(request.app.state.metrics), media_type=CONTENT_TYPE_LATEST)


@router.get(
    "/v1/problems/{code}",
    summary="What a problem's code means",
    responses=answers.responds(ProblemType),
    openapi_extra=answers.OPEN_TO_ALL,
)
def problem_type(code: str) -> Response:
    text = CODES.get(RefusalCode(code)) if code in set(RefusalCode) else None
    if text is None:
        raise NotFound(f"there is no code {code!r}", code=RefusalCode.UNKNOWN_ADDRESS, where="code")
    return answers.one(ProblemType(code, text.status, text.title, text.meaning, text.remedy))


def health_of(service: Service) -> Health:
    """Every loop against its deadline."""
    now = service.clock.now()
    loops = tuple(
        LoopState(
            name=name,
            is_ok=not loop.is_late,
            last_success_at=loop.last_success_at,
            last_error=loop.last_error,
            deadline_seconds=loop.deadline_seconds,
            runs=loop.runs,
            failures=loop.failures,
            last_seconds=loop.last_seconds,
        )
        for name, loop in sorted(service.loops.health().items())
    )
    return Health(all(loop.is_ok for loop in loops), installed_version(), now, service.cluster.is_simulated, loops)


def _cluster_problem(service: Service) -> str:
    if not service.cluster.is_reachable:
        return "the cluster does not answer: nothing is launched or stopped until it does"
    return "" if service.world.nodes else "no node has been seen yet"


def _database_problem(service: Service) -> str:
    try:
        with service.store.reading() as books:
            books.control.pauses()
    except Refusal as refusal:
        return str(refusal)
    return ""
