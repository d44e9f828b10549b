"""Sandboxes: start, connect, extend, stop, resume."""

import shutil
import subprocess
from typing import Annotated, Any
from urllib.parse import quote

import typer

from scheduler.domain.errors import Unavailable
from scheduler.entrypoints.cli.client import Api, connect, find_workload
from scheduler.entrypoints.cli.durations import parse_duration
from scheduler.entrypoints.cli.exits import ExitCode
from scheduler.entrypoints.cli.output import AsJson, err, print_fields, print_json, print_text
from scheduler.entrypoints.cli.shown import show_workload
from scheduler.entrypoints.cli.waiting import wait_until
from scheduler.entrypoints.cli.workloads import (
    GpuClasses,
    Image,
    Key,
    Owner,
    PriorityClass,
    Project,
    TimeLimit,
    UseCompensation,
    WorkloadId,
    classes_of,
    extend,
    new_key,
)

app = typer.Typer(
    help="Interactive work with an address, and a home that stays.", no_args_is_help=True, add_completion=False
)

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Return when it runs, or at once.")]


@app.command()
def start(
    *,
    project: Project,
    gpu_class: GpuClasses,
    time: TimeLimit,
    gpus: Annotated[int, typer.Option("--gpus", "-g")] = 1,
    name: Annotated[str, typer.Option(help="What you call it.")] = "sandbox",
    image: Image = None,
    priority_class: PriorityClass = None,
    use_compensation: UseCompensation = False,
    owner: Owner = None,
    key: Key = None,
    wait: Wait = True,
    as_json: AsJson = False,
) -> None:
    """Start a sandbox; what is left out the policy fills in."""
    body = {
        "name": name,
        "project": project,
        "gpu_classes": classes_of(gpu_class),
        "gpus": gpus,
        "time_limit_ms": parse_duration(time),
        "image": image,
        "priority_class": priority_class,
        "uses_compensation": use_compensation,
        "owner": owner,
    }
    with connect() as api:
        _ready(api, api.post("/v1/sandboxes", body, key or new_key()), wait=wait, as_json=as_json)


@app.command()
def resume(workload: WorkloadId, wait: Wait = True, as_json: AsJson = False) -> None:
    """Start a stopped sandbox again, with its home."""
    with connect() as api:
        _ready(api, api.post(_path(find_workload(api, workload), "resume")), wait=wait, as_json=as_json)


@app.command()
def stop(workload: WorkloadId, as_json: AsJson = False) -> None:
    """Stop a sandbox; its home stays, and hours that were held and not used come back."""
    with connect() as api:
        found = api.post(_path(find_workload(api, workload), "stop"))
        if as_json:
            print_json(found)
        else:
            print_text(f"{found['id']} {found['name']}: {found['state']}. `allot sandbox resume` starts it again.")


app.command("extend", help="Let a sandbox run longer.")(extend)


@app.command("connect")
def connect_to(
    workload: WorkloadId,
    port: Annotated[int | None, typer.Option(help="Local port; the sandbox's own where it is left out.")] = None,
    only_print: Annotated[bool, typer.Option("--print", help="Print address and key, and forward nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a sandbox's address and key, and forward its port to this machine with your own rights in the cluster."""
    with connect() as api:
        found = api.get(_path(find_workload(api, workload), "connect"))
        if as_json:
            print_json(found)
            return
        local = port or found["port"]
        print_fields(
            (
                ("in the cluster", found["address"]),
                ("here", "" if only_print or found["is_simulated"] else f"http://127.0.0.1:{local}"),
                ("key", found["key"]),
            )
        )
    if only_print or found["is_simulated"]:
        return
    raise typer.Exit(_forward(found, local))


def _ready(api: Api, workload: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    """Wait until it runs, and show it; exit with 1 where it ended instead."""
    if wait:
        workload = wait_until(api, workload["id"], _runs, "until it runs")
    if as_json:
        print_json(workload)
    else:
        show_workload(workload, api)
        if _runs(workload):
            print_text(f"Connect: allot sandbox connect {workload['id']}")
    if wait and not _runs(workload):
        raise typer.Exit(ExitCode.REFUSED)


def _runs(workload: dict[str, Any]) -> bool:
    return bool(workload["state"] == "running")


def _forward(found: dict[str, Any], local: int) -> int:
    """`kubectl port-forward` until Ctrl-C: whoever may not reach the Service, may not reach it through us."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise Unavailable(
            "kubectl is not installed here", remedy="install it, or forward the Service's port yourself"
        )
    target = f"service/{found['service']}"
    err().print(f"Forwarding until Ctrl-C: kubectl port-forward -n {found['namespace']} {target}")
    arguments = ["port-forward", "-n", found["namespace"], target, f"{local}:{found['port']}"]
    try:
        return subprocess.run([kubectl, *arguments], check=False).returncode
    except KeyboardInterrupt:
        return ExitCode.DONE


def _path(workload_id: str, verb: str) -> str:
    return f"/v1/sandboxes/{quote(workload_id, safe='')}/{verb}"
