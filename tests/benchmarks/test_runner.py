"""The runner of Kueue's test against an apiserver that answers, and a service that launches nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from benchmarks.admission import runner as runner_module
from benchmarks.admission.company import policy_text
from benchmarks.admission.generator import read_generator
from benchmarks.admission.runner import Runner
from benchmarks.admission.writes import Writes
from scheduler.adapters.kubernetes.templates import read_template
from scheduler.adapters.policy_files import read_policy
from scheduler.domain.workloads import WorkloadSpec
from scheduler.entrypoints.devcluster.client import ApiClient, Json

TOKEN = "the engineer's own"


class Silence:
    """Keeps the Jobs that are created, says of each why it waits, and never reports a change."""

    def __init__(self) -> None:
        self.jobs: list[Json] = []

    async def send(self, method: str, path: str, body: Json, token: str) -> None:
        assert (method, path, token) == ("POST", runner_module.JOBS, TOKEN)
        self.jobs.append(body)

    async def get(self, path: str) -> Json:
        if path == runner_module.JOBS:
            return {"items": [], "metadata": {"resourceVersion": "1"}}
        return {"metadata": {"annotations": {"allot.dev/status": "waits for quota"}}}

    async def watch(self, path: str, version: str) -> AsyncIterator[Json]:
        assert (path, version) == (runner_module.JOBS, "1")
        await asyncio.Event().wait()
        yield {}


def runner_of(folder: Path, cluster: Silence, **template: Any) -> Runner:
    workloads = [{"className": "small", "runtimeMs": 1, "request": 1} | template]
    sets = [{"count": 5, "creationIntervalMs": 0, "workloads": workloads}]
    queues = [{"className": "cq", "nominalQuota": 4, "workloadsSets": sets}]
    path = folder / "generator.yaml"
    path.write_text(yaml.safe_dump([{"className": "cohort", "queuesSets": queues}]))
    tokens = {"cq-0-0-cohort-0": TOKEN}
    return Runner(cast(ApiClient, cluster), cast(Writes, cluster), tokens, read_generator(path).series())


async def test_what_never_runs_is_told_with_the_words_of_the_service_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "STALLED_SECONDS", 0.2)
    runner = runner_of(tmp_path, Silence())
    with pytest.raises(SystemExit) as stopped:
        await runner.run(limit_seconds=600)
    first, *waiting = str(stopped.value).splitlines()
    assert first == "nothing happened for 0 s: 5 Jobs, 0 launched, 0 completed"
    assert waiting[0] == "  cq-0-0-cohort-0-small-0-0-0: waits for quota"
    assert len(waiting) == runner_module.ASKED_AFTER


async def test_no_workload_is_ended_for_a_time_limit_that_it_outruns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "STALLED_SECONDS", -3_599.8)
    cluster = Silence()
    with pytest.raises(SystemExit, match="nothing happened"):
        await runner_of(tmp_path, cluster, runtimeMs=3_600_000).run(limit_seconds=600)
    assert {job["metadata"]["labels"]["allot.dev/time-limit"] for job in cluster.jobs} == {"120m"}


def test_the_jobs_of_the_runner_are_such_as_the_service_takes_in() -> None:
    """They name the runner as their manager, since there is no controller: one is believed as Kubernetes' own is."""
    path = Path(__file__).parents[2] / "benchmarks" / "admission" / "small.yaml"
    generator = read_generator(path)
    classes = read_policy(policy_text(generator, 0), "policy.yaml").gpu_classes
    created = next(creation for series in generator.series() for creation in series)

    spec = read_template(runner_module._job(created), tuple(classes.values()))

    assert isinstance(spec, WorkloadSpec)
    assert spec.pod.gpus == created.template.request
