"""`allot agent`: reads the GPUs of this node and posts what they do to the API."""

import logging
import socket
from pathlib import Path
from typing import Annotated

import typer

from scheduler.domain.errors import Refusal
from scheduler.domain.units import NodeName
from scheduler.entrypoints.agent.run import run_agent
from scheduler.entrypoints.agent.settings import AgentSettings

EXIT_USAGE = 2

_Spool = Annotated[
    Path, typer.Option(envvar="ALLOT_AGENT_SPOOL", help="File that keeps windows until the API has them.")
]
_TokenFile = Annotated[Path | None, typer.Option(envvar="ALLOT_TOKEN_FILE", help="File with the token for the API.")]
_CaFile = Annotated[Path | None, typer.Option(envvar="ALLOT_CA_FILE", help="Certificates to trust for the API.")]
_Metrics = Annotated[
    str, typer.Option(envvar="ALLOT_AGENT_METRICS", help="ADDRESS:PORT that answers Prometheus; none by default.")
]


def agent(
    *,
    server: Annotated[str, typer.Option(envvar="ALLOT_SERVER", help="Address of the API.")],
    node: Annotated[
        str, typer.Option(envvar="NODE_NAME", help="The node's name in Kubernetes; the host's where not given.")
    ] = "",
    spool: _Spool = Path("/var/lib/allot/agent/spool.db"),
    token_file: _TokenFile = None,
    ca_file: _CaFile = None,
    proc: Annotated[Path, typer.Option(help="Where the host's /proc is mounted.")] = Path("/proc"),
    pod_resources: Annotated[
        Path, typer.Option(help="The kubelet's socket that tells which pod has which GPU.")
    ] = Path("/var/lib/kubelet/pod-resources/kubelet.sock"),
    cgroups: Annotated[Path, typer.Option(help="Where the host's control groups are mounted.")] = Path(
        "/sys/fs/cgroup"
    ),
    cdi: Annotated[Path, typer.Option(help="Where drivers of DRA describe the devices of claims.")] = Path(
        "/var/run/cdi"
    ),
    sample_ms: Annotated[int, typer.Option(help="Milliseconds between two readings.")] = 5_000,
    window_ms: Annotated[int, typer.Option(help="Milliseconds of one window.")] = 15_000,
    allocations_ms: Annotated[int, typer.Option(help="Milliseconds between two questions to the kubelet.")] = 10_000,
    inventory_ms: Annotated[int, typer.Option(help="At most so long between two inventories.")] = 60_000,
    watchdog_ms: Annotated[int, typer.Option(help="A sampler silent for so long is replaced.")] = 20_000,
    spool_windows_max: Annotated[
        int, typer.Option(help="Windows kept while the API is away; then the oldest go, and are counted.")
    ] = 200_000,
    retry_ms_max: Annotated[int, typer.Option(help="At most so long between two tries to reach the API.")] = 60_000,
    metrics: _Metrics = "",
) -> None:
    """Read this node's GPUs through NVML, and post windows and the inventory to the API until stopped."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = AgentSettings(
            node=NodeName(node or socket.gethostname()),
            server=server,
            spool=spool,
            token_file=token_file,
            ca_file=ca_file,
            proc=proc,
            pod_resources=pod_resources,
            cgroups=cgroups,
            cdi=cdi,
            allocations_ms=allocations_ms,
            sample_ms=sample_ms,
            window_ms=window_ms,
            inventory_ms=inventory_ms,
            watchdog_ms=watchdog_ms,
            spool_windows_max=spool_windows_max,
            retry_ms_max=retry_ms_max,
            metrics=metrics,
        )
        run_agent(settings)
    except Refusal as refusal:
        typer.echo(f"allot agent: {refusal} [{refusal.code}]", err=True)
        raise typer.Exit(EXIT_USAGE) from refusal


app = typer.Typer(add_completion=False)
app.command()(agent)
