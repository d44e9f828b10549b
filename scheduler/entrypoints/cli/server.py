"""`allot serve`: the service and its API in one process."""

import asyncio
import gc
import logging
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, TypeVar

import typer
import uvicorn
from pydantic import ValidationError
from starlette.datastructures import State

from scheduler.adapters.sql.serving_alone import Claim
from scheduler.domain.errors import InvalidInput, RefusalCode, Unavailable
from scheduler.entrypoints.api.app import create_app
from scheduler.entrypoints.bootstrap import alone, build
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.settings import ClusterKind, SensorsKind, Settings

app = typer.Typer(add_completion=False)

RETRY_SECONDS = 5.0
CLAIM_SECONDS = 2.0
"""A service whose session was cut takes its database again sooner than another that waits for it looks."""
_MAY_COME_YET = frozenset(
    {
        RefusalCode.CLUSTER_UNAVAILABLE,
        RefusalCode.KUBECONFIG_MISSING,
        RefusalCode.KUBECONFIG_INVALID,
        RefusalCode.DATABASE_UNAVAILABLE,
        RefusalCode.DATABASE_LOCKED,
    }
)
"""What is missing at the start and may be there in a moment. Nothing else is ever started in its place."""

_log = logging.getLogger("allot.serve")
Made = TypeVar("Made")

TURN_SECONDS = 0.0005
GC_THRESHOLDS = (1_000, 2, 16_000)
"""The second generation's collections look at three thousand objects at most, for some 2 ms: of twelve thousand, 9."""


@app.command()
def serve(
    *,
    cluster: Annotated[ClusterKind | None, typer.Option(help="The embedded simulation, or a real cluster.")] = None,
    database: Annotated[str | None, typer.Option(help="sqlite:///FILE or postgresql://USER@HOST/NAME")] = None,
    kubeconfig: Annotated[str | None, typer.Option(help="Instead of KUBECONFIG or the in-cluster account.")] = None,
    context: Annotated[str | None, typer.Option(help="The kubeconfig's context.")] = None,
    namespace: Annotated[str | None, typer.Option(help="Where Jobs of the API are created.")] = None,
    observe: Annotated[
        bool | None, typer.Option("--observe", help="Change nothing in the cluster: report what would be done.")
    ] = None,
    sensors: Annotated[
        SensorsKind | None, typer.Option(help="Who reads the GPUs: agents, or a Prometheus with dcgm-exporter.")
    ] = None,
    prometheus: Annotated[str | None, typer.Option(help="The address of that Prometheus.")] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65_535, help="The port to listen on; 0 for any.")] = None,
    policy: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Applied at the first start.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Applied at the first start.")
    ] = None,
    people: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Applied at the first start.")
    ] = None,
    heads: Annotated[
        str | None, typer.Option(help="Where signed heads go: a folder, s3://…, or several with a comma between.")
    ] = None,
    signing_key: Annotated[
        Path | None, typer.Option(dir_okay=False, help="The Ed25519 key that signs them; made if missing.")
    ] = None,
    factor: Annotated[int | None, typer.Option(help="Simulated seconds per real second.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the simulated stream of work.")] = None,
    stream: Annotated[
        bool | None, typer.Option("--stream/--no-stream", help="Whether the simulated company submits work.")
    ] = None,
    demo_sign_in: Annotated[
        bool | None, typer.Option("--demo-sign-in", help="Simulated cluster only: pick who to be, without a secret.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = None,
) -> None:
    """Run the service: the loops, the API and the pages, until Ctrl-C. Every option has an ALLOT_… variable, too."""
    given = {name: value for name, value in locals().items() if value is not None}
    settings = read_settings(given)
    _log_from(settings.log_level)
    # Whoever starts the same twice is told of the port, and not to wait for what will not come.
    listen(settings.host, settings.port).close()
    with ExitStack() as held:
        claim = _when_possible(lambda: held.enter_context(alone(settings)))
        service = _when_possible(lambda: build(settings, claim=claim))
        prefer_short_pauses()
        with suppress(KeyboardInterrupt):
            asyncio.run(run(service, claim))
    _log.info("stopped")


def _log_from(level_name: str) -> None:
    """Log our own from that level, and the libraries' from WARNING at least."""
    level = logging.getLevelNamesMapping().get(level_name.upper())
    if level is None:
        raise InvalidInput(
            f"{level_name!r} is no log level", where="--log-level", expected="DEBUG, INFO, WARNING or ERROR"
        )
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("uvicorn", "alembic", "httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, level))
    # That a round was still running when the next was due shows in /healthz as a loop's age, not as a line each time.
    logging.getLogger("apscheduler").setLevel(max(logging.ERROR, level))


def read_settings(given: dict[str, Any]) -> Settings:
    """The environment's settings, overridden by what was given. Refuses what is no setting's value."""
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"])
        raise InvalidInput(
            f"{first['input']!r} cannot be used: {first['msg']}",
            where=f"--{name.replace('_', '-')} or ALLOT_{name.upper()}",
        ) from error


async def run(service: Service, claim: Claim | None = None) -> None:
    """Serve until a signal, then close in order: no new requests, no more loops, the database last. Raises Unavailable once
    the claim is lost for good."""
    settings = service.settings
    application = create_app(service)
    server = Server(
        uvicorn.Config(
            application,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=3,
            server_header=False,
        ),
        application.state,
    )
    if claim is not None and claim.may_be_cut:
        claim.when_lost = server.end
        require = partial(asyncio.to_thread, claim.require)
        service.loops.every("claim", CLAIM_SECONDS, require, deadline_seconds=60)
    try:
        listening = listen(settings.host, settings.port)
        await service.start()
        await server.serve(sockets=[listening])
    finally:
        await to_its_end(service.close())
    if claim is not None and claim.lost is not None:
        raise claim.lost


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, taken before anything is started. Raises InvalidInput where it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (while attempting")[0]  # create_server adds the address
        raise InvalidInput(
            f"cannot listen on {host}:{port}: {why}",
            where="--host, --port",
            remedy="stop what listens there, or give --port another number (0 for any that is free)",
        ) from error
    # asyncio does this for connections of sockets that it made itself. Without it an answer, which is written as head
    # and body, waits up to 40 ms in the middle for the client's delayed acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Do the work even though we are cancelled meanwhile, by a second Ctrl-C: a service that is half closed would not go
    on where it was."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()


class Server(uvicorn.Server):
    """Says where it listens once it does; with port 0 nobody else knows."""

    def __init__(self, config: uvicorn.Config, state: State) -> None:
        super().__init__(config)
        self._state = state

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, which raises the signal that stopped it once more at the end: SIGTERM, by which a container is
        stopped, would then end the process before the service is closed."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    def end(self) -> None:
        """As a signal would. Safe from any thread."""
        self._state.is_ending = True
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Tell the live streams first: the server waits for their connections to end."""
        self._state.is_ending = True
        super().handle_exit(sig, frame)

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets=sockets)
        for server in self.servers:
            for listening in server.sockets:
                host, port = listening.getsockname()[:2]
                shown = f"[{host}]" if ":" in host else host
                typer.echo(f"allot listens on http://{shown}:{port}  (Ctrl-C stops it)")


def prefer_short_pauses() -> None:
    """Have no answer wait for the interpreter itself.

    The cycle's thread and the event loop share one: at Python's default of 5 ms a turn, an answer that takes ten turns
    of the event loop would take 50 ms while a cycle thinks. And a full garbage collection stops both for as long as it
    takes to visit every workload known: what is here at the start is not visited at all, the rest seldom.
    """
    sys.setswitchinterval(TURN_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _when_possible(make: Callable[[], Made]) -> Made:
    """Make it; say in one line what is missing and try again for as long as it may still come."""
    while True:
        try:
            return make()
        except Unavailable as refusal:
            if refusal.code not in _MAY_COME_YET:
                raise
            _log.warning("%s [%s]; trying again in %d s", refusal, refusal.code.value, RETRY_SECONDS)
            time.sleep(RETRY_SECONDS)
