"""Jobs: submit, list, show, explain, cancel, extend."""

import secrets
import shlex
from pathlib import PurePosixPath
from re import fullmatch
from typing import Annotated, Any

import typer

from scheduler.domain.workloads import Activity, AttestedUse, WorkloadState
from scheduler.entrypoints.cli.client import Api, connect, find_leader, find_workload, workload_path
from scheduler.entrypoints.cli.durations import parse_duration
from scheduler.entrypoints.cli.exits import ExitCode
from scheduler.entrypoints.cli.instants import TIMES, parse_instant
from scheduler.entrypoints.cli.output import AsJson, print_json, print_text
from scheduler.entrypoints.cli.shown import show_explanation, show_workload, show_workloads
from scheduler.entrypoints.cli.waiting import wait_until

app = typer.Typer(add_completion=False)

WorkloadId = Annotated[str, typer.Argument(metavar="WORKLOAD", help="Its id, or its name where it is yours.")]
Project = Annotated[str, typer.Option("--project", "-p", help="A project of the policy, or `personal`.")]
GpuClasses = Annotated[
    str, typer.Option("--gpu-class", "--class", "-c", help="GPU classes in order of preference, with commas between.")
]
TimeLimit = Annotated[str, typer.Option("--time", "-t", help="Time limit of an attempt: 8h, 1h30m, 1-12:00:00.")]
PriorityClass = Annotated[str | None, typer.Option(help="The policy's default where it is left out.")]
CpuCores = Annotated[int, typer.Option(min=1, max=10_000, help="CPU cores per pod.")]
MemoryGib = Annotated[int, typer.Option(min=1, max=97_656, help="Memory per pod in GiB.")]
Grace = Annotated[str, typer.Option(help="What a checkpoint needs after SIGTERM.")]
MaxRuntime = Annotated[str | None, typer.Option(help="Of all attempts together: 24h.")]
UseCompensation = Annotated[bool, typer.Option(help="Compensation may pay for this project's work.")]
Image = Annotated[str | None, typer.Option(help="Container image.")]
Owner = Annotated[str | None, typer.Option(help="Somebody else's id or subject, where your role allows it.")]
Wait = Annotated[bool, typer.Option("--wait", help="Return when it has ended; 1 where it did not complete.")]
Array = Annotated[str | None, typer.Option(help="Indexes of an array, and how many at once: 100 or 100%8.")]
After = Annotated[
    str | None, typer.Option(help="Workloads, or arrays, to follow, by id or name, with commas between.")
]
Begin = Annotated[str | None, typer.Option(help=f"Not to start before: {TIMES}.")]
FinishBy = Annotated[str | None, typer.Option(help=f"Given up once it could not end before then: {TIMES}.")]
Topology = Annotated[
    str | None, typer.Option(metavar="MODE:LEVEL", help="All pods in one domain: require:rack, or prefer:rack.")
]
MinPods = Annotated[
    int | None,
    typer.Option(min=1, help="Elastic: start with as many pods as fit, from these up, and give back those above."),
]
Key = Annotated[str | None, typer.Option("--idempotency-key", help="The same key again gets the first answer again.")]


@app.command()
def submit(
    *,
    project: Project,
    gpu_class: GpuClasses,
    time: TimeLimit,
    command: Annotated[list[str] | None, typer.Argument(help="What to run, after `--`.")] = None,
    gpus: Annotated[int, typer.Option("--gpus", "-g", help="GPUs per pod.")] = 1,
    pods: Annotated[int, typer.Option(help="Pods, all started together.")] = 1,
    min_pods: MinPods = None,
    name: Annotated[str | None, typer.Option(help="What you call it.")] = None,
    image: Image = None,
    topology: Topology = None,
    priority_class: PriorityClass = None,
    cpu: CpuCores = 1,
    memory: MemoryGib = 1,
    grace: Grace = "30s",
    array: Array = None,
    after: After = None,
    begin: Begin = None,
    finish_by: FinishBy = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask about a weekend.")] = False,
    max_runtime: MaxRuntime = None,
    use_compensation: UseCompensation = False,
    activity: Annotated[Activity | None, typer.Option(help="What the compute is for; tax asks.")] = None,
    attest: Annotated[AttestedUse | None, typer.Option(help="Your word: for business, or personal.")] = None,
    owner: Owner = None,
    key: Key = None,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Submit a job: pods × GPUs of one of the GPU classes, for a time, and a command to run."""
    body = {
        "name": name or _name_of(command),
        "project": project,
        "gpu_classes": classes_of(gpu_class),
        **pods_asked(gpus, pods, min_pods),
        "time_limit_ms": parse_duration(time),
        "priority_class": priority_class,
        "image": image,
        "command": command or None,
        "cpu_milli": cpu * 1000,
        "memory_mib": memory * 1024,
        "uses_compensation": use_compensation,
        "activity": activity,
        "attested_use": attest,
        "owner": owner,
        "confirmed": yes,
        **asked_of_all(grace, max_runtime, topology, array),
    }
    with connect() as api:
        body |= asked_of_the_server(api, begin, finish_by, after)
        workload = api.post("/v1/workloads", body, key or new_key())
        if wait:
            workload = wait_until(api, workload["id"], _has_ended, "until it has ended")
        if as_json:
            print_json(workload)
        else:
            show_workload(workload, api)
    if wait and workload["state"] != "completed":
        raise typer.Exit(ExitCode.REFUSED)


@app.command("list")
def list_workloads(
    state: Annotated[
        list[WorkloadState] | None, typer.Option("--state", "-s", help="Only those in this state.")
    ] = None,
    owner: Owner = None,
    team: Annotated[str | None, typer.Option(help="Those of a team, for its lead.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    cursor: Annotated[str | None, typer.Option(help="`next_cursor` of the page before.")] = None,
    as_json: AsJson = False,
) -> None:
    """List workloads, newest first, each with why it is where it is."""
    with connect() as api:
        page = api.get("/v1/workloads", state=state, owner=owner, team=team, limit=limit, cursor=cursor)
        if as_json:
            print_json(page)
            return
        show_workloads(page["items"], api)
        if page["next_cursor"]:
            chosen = [("state", each.value) for each in state or ()]
            chosen += [(name, value) for name, value in (("owner", owner), ("team", team)) if value is not None]
            filters = "".join(f"--{name} {shlex.quote(value)} " for name, value in chosen)
            print_text(f"More: allot list {filters}--cursor {page['next_cursor']}", style="dim")


@app.command()
def show(workload: WorkloadId, as_json: AsJson = False) -> None:
    """Show a workload with its verdict."""
    with connect() as api:
        found = api.get(workload_path(find_workload(api, workload)))
        if as_json:
            print_json(found)
        else:
            show_workload(found, api)


@app.command()
def explain(workload: WorkloadId, as_json: AsJson = False) -> None:
    """Say why: the factors of its order, who pays, its verdicts as they fell, its attempts and their charges."""
    with connect() as api:
        found = api.get(workload_path(find_workload(api, workload), "explain"))
        if as_json:
            print_json(found)
        else:
            show_explanation(found, api)


@app.command()
def cancel(workloads: Annotated[list[str], typer.Argument(metavar="WORKLOAD...")], as_json: AsJson = False) -> None:
    """End workloads, or what is left of arrays, for good. What runs gets its grace; hours that were held and not used come
    back."""
    with connect() as api:
        meant = [find_leader(api, name) for name in workloads]
        ended = [api.post(workload_path(each, "cancel")) for each in meant]
        if as_json:
            print_json({"items": ended})
            return
        for asked, workload in zip(meant, ended, strict=True):
            rest = "" if workload["id"] == asked else f" So is all that is left of its array {asked}."
            print_text(f"{workload['id']} {workload['name']}: {workload['state']}.{rest}")


@app.command()
def extend(
    workload: WorkloadId,
    by: Annotated[str, typer.Argument(help="How much longer: 2h, 30m.")],
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Let a workload run longer. It needs the hours for it, and keeps to the maxima."""
    with connect() as api:
        path = workload_path(find_workload(api, workload), "extend")
        found = api.post(path, {"extra_ms": parse_duration(by, "BY")}, key or new_key())
        if as_json:
            print_json(found)
        else:
            show_workload(found, api)


def asked_of_all(grace: str, max_runtime: str | None, topology: str | None, array: str | None) -> dict[str, Any]:
    return {
        "grace_seconds": parse_duration(grace, "--grace") // 1000,
        "runtime_max_ms": parse_duration(max_runtime, "--max-runtime") if max_runtime else None,
        "topology": topology,
        "array": array_asked(array) if array else None,
    }


def asked_of_the_server(api: Api, begin: str | None, finish_by: str | None, after: str | None) -> dict[str, Any]:
    """What the server's clock may be needed for, and the ids of what it is to follow."""
    return {
        "begin_at": parse_instant(begin, "--begin", api.clock),
        "finish_by": parse_instant(finish_by, "--finish-by", api.clock),
        "after": [find_leader(api, each) for each in classes_of(after)] if after else None,
    }


def pods_asked(gpus: int, pods: int, min_pods: int | None) -> dict[str, Any]:
    return {"gpus_per_pod": gpus, "pods": pods, "min_pods": min_pods}


def array_asked(text: str) -> dict[str, Any]:
    """`100%8`, as Slurm writes it: a hundred indexes, eight at once."""
    if not fullmatch(r"[0-9]+(%[0-9]+)?", text):
        raise typer.BadParameter("expected a number of indexes such as 100, or 100%8", param_hint="--array")
    count, _, at_once = text.partition("%")
    return {"count": int(count), "at_once": int(at_once) if at_once else None}


def classes_of(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def new_key() -> str:
    """A key of our own for each command, so that a retry by the network stack submits nothing twice."""
    return secrets.token_hex(12)


def _name_of(command: list[str] | None) -> str:
    return PurePosixPath(command[0]).name[:120] or "job" if command else "job"


def _has_ended(workload: dict[str, Any]) -> bool:
    return workload["state"] in {"completed", "failed", "cancelled"}
