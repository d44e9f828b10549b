"""`allot dev cluster`: a real Kubernetes control plane on loopback, with simulated GPU nodes, to try allot on."""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scheduler.domain.errors import InvalidInput, NotFound, RefusalCode
from scheduler.entrypoints.cli.exits import ExitCode
from scheduler.entrypoints.cli.output import AsJson, print_json
from scheduler.entrypoints.devcluster import binaries, processes
from scheduler.entrypoints.devcluster.cluster import ControlPlane, Options, load
from scheduler.entrypoints.devcluster.cluster import start as start_control_plane
from scheduler.entrypoints.devcluster.nodes import default_nodes

app = typer.Typer(help="For developing and trying allot.", no_args_is_help=True, add_completion=False)
cluster = typer.Typer(
    help="A real Kubernetes control plane with simulated nodes, on this machine alone.", no_args_is_help=True
)
app.add_typer(cluster, name="cluster")

Name = Annotated[str, typer.Option(help="Which cluster, where several run.")]

# What a person reads goes to standard error: eval "$(allot dev cluster start)" takes the rest.
_people = Console(stderr=True, highlight=False)


@cluster.command()
def build(as_json: AsJson = False) -> None:
    """Build the control plane's programs, unless they are in the cache: about five minutes on two cores, once."""
    programs = _programs()
    if as_json:
        print_json({"programs": str(programs.directory)})
        return
    _people.print(f"The control plane's programs are in {programs.directory}.", soft_wrap=True)


@cluster.command()
def start(name: Name = "default", as_json: AsJson = False) -> None:
    """Start the cluster, and print the KUBECONFIG to use it by: eval "$(allot dev cluster start)"."""
    directory = _directory(name)
    plane = load(directory)
    if plane is not None and plane.is_running:
        _people.print(f"The cluster {name!r} runs already.")
    else:
        _remove(plane, directory)
        programs = _programs()
        began = time.monotonic()
        plane = asyncio.run(start_control_plane(programs, directory, Options(default_nodes())))
        gpus = sum(node.gpus for node in default_nodes())
        _people.print(
            f"A real control plane, ready in {time.monotonic() - began:.1f} s; its {len(default_nodes())} nodes and "
            f"{gpus} GPUs are [bold]simulated[/bold], and nothing runs on them. Logs: {plane.logs}",
            soft_wrap=True,
        )
    _print_kubeconfig(name, plane, as_json)


@cluster.command()
def kubeconfig(name: Name = "default", as_json: AsJson = False) -> None:
    """Print the line that makes kubectl and allot use the cluster."""
    _print_kubeconfig(name, _running(name), as_json)


@cluster.command()
def status(name: Name = "default", as_json: AsJson = False) -> None:
    """Say which of its processes run; the exit status is 0 where all do and 1 otherwise."""
    plane = load(_directory(name))
    running = {process.name: processes.is_alive(process) for process in plane.processes} if plane else {}
    is_running = plane is not None and all(running.values())
    if as_json:
        print_json(
            {
                "name": name,
                "running": is_running,
                "simulated": True,
                "processes": running,
                "server": plane.server if plane else None,
                "kubeconfig": str(plane.kubeconfig) if plane else None,
                "logs": str(plane.logs) if plane else None,
            }
        )
    elif plane is None:
        typer.echo(f"No cluster {name!r} was started; `allot dev cluster start` starts one.")
    else:
        for program, is_alive in running.items():
            typer.echo(f"{program:<26}{'running' if is_alive else 'ended'}")
        typer.echo(f"{plane.server}, simulated nodes, logs in {plane.logs}")
    if not is_running:
        raise typer.Exit(ExitCode.REFUSED)


@cluster.command()
def stop(name: Name = "default", as_json: AsJson = False) -> None:
    """End the cluster's processes and remove everything about it."""
    directory = _directory(name)
    plane = load(directory)
    _remove(plane, directory)
    if as_json:
        print_json({"name": name, "stopped": plane is not None})
        return
    _people.print(f"The cluster {name!r} is gone." if plane else f"No cluster {name!r} was there.")


def _directory(name: str) -> Path:
    if not name.isidentifier():
        raise InvalidInput(
            f"the cluster's name is {name!r}",
            code=RefusalCode.INVALID_VALUE,
            expected="letters, digits and underscores",
        )
    return binaries.cache_directory() / "clusters" / name


def _running(name: str) -> ControlPlane:
    plane = load(_directory(name))
    if plane is None or not plane.is_running:
        raise NotFound(
            f"no cluster {name!r} runs",
            code=RefusalCode.DEV_CLUSTER_UNAVAILABLE,
            remedy="`allot dev cluster start` starts one",
        )
    return plane


def _programs() -> binaries.Binaries:
    module = binaries.find_module()
    ready = binaries.cached(module)
    if ready:
        return ready
    with _people.status("Building the control plane's programs with Go: about five minutes, this once …"):
        return binaries.provide(module)


def _remove(plane: ControlPlane | None, directory: Path) -> None:
    if plane is not None:
        plane.stop()
    if directory.exists():
        shutil.rmtree(directory)


def _print_kubeconfig(name: str, plane: ControlPlane, as_json: bool) -> None:
    if as_json:
        print_json({"name": name, "simulated": True, "kubeconfig": str(plane.kubeconfig)})
    else:
        typer.echo(f"export KUBECONFIG={plane.kubeconfig}")
