"""Quote: what would become of a job, before it is submitted."""

from typing import Annotated

import typer

from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.durations import parse_duration
from scheduler.entrypoints.cli.output import AsJson, print_json
from scheduler.entrypoints.cli.shown_quotes import show_quote
from scheduler.entrypoints.cli.workloads import (
    After,
    Array,
    Begin,
    CpuCores,
    FinishBy,
    GpuClasses,
    Grace,
    Image,
    MaxRuntime,
    MemoryGib,
    MinPods,
    Owner,
    PriorityClass,
    Project,
    TimeLimit,
    Topology,
    UseCompensation,
    asked_of_all,
    asked_of_the_server,
    classes_of,
    pods_asked,
)

app = typer.Typer(add_completion=False)


@app.command()
def quote(
    *,
    project: Project,
    gpu_class: GpuClasses,
    time: TimeLimit,
    gpus: Annotated[int, typer.Option("--gpus", "-g", help="GPUs per pod.")] = 1,
    pods: Annotated[int, typer.Option(help="Pods, all started together.")] = 1,
    min_pods: MinPods = None,
    topology: Topology = None,
    priority_class: PriorityClass = None,
    cpu: CpuCores = 1,
    memory: MemoryGib = 1,
    grace: Grace = "30s",
    array: Array = None,
    after: After = None,
    begin: Begin = None,
    finish_by: FinishBy = None,
    max_runtime: MaxRuntime = None,
    use_compensation: UseCompensation = False,
    image: Image = None,
    owner: Owner = None,
    as_json: AsJson = False,
) -> None:
    """Ask what would become of a job: would it run now, what does it cost, when else, and what would be sooner."""
    body = {
        "name": "quote",
        "project": project,
        "gpu_classes": classes_of(gpu_class),
        **pods_asked(gpus, pods, min_pods),
        "time_limit_ms": parse_duration(time),
        "priority_class": priority_class,
        "cpu_milli": cpu * 1000,
        "memory_mib": memory * 1024,
        "uses_compensation": use_compensation,
        "image": image,
        "owner": owner,
        **asked_of_all(grace, max_runtime, topology, array),
    }
    with connect() as api:
        found = api.post("/v1/quotes", body | asked_of_the_server(api, begin, finish_by, after))
        if as_json:
            print_json(found)
            return
        show_quote(found)
