"""The runner: creates the Jobs at their instants, and ends each when it has run for its time.

A process of its own, with the kubelet's and the Job controller's part: a Job that was let go is completed by updating
its status once its runtime is over; one that is suspended again before that is confirmed as suspended. Each queue's
engineer creates their own Jobs, with a token of their own.

python -m benchmarks.admission.runner --kubeconfig FILE --engineers FILE --generator FILE prints one JSON object with
what it saw.
"""

import argparse
import asyncio
import datetime as dt
import heapq
import math
import time
from collections import defaultdict
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from benchmarks.admission.engineers import read_tokens
from benchmarks.admission.generator import Creation, read_generator
from benchmarks.admission.writes import Writes
from scheduler.entrypoints.devcluster.client import ApiClient, Json

NAMESPACE = "benchmark"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
MANAGED_BY = "benchmark.allot.dev/runner"
"""The Jobs are this process's: their status is all that is to be known of them."""
ENDINGS_AT_ONCE = 32
CREATIONS_AT_ONCE = 128
STALLED_SECONDS = 90.0
"""Beyond the longest runtime and interval of the file: after so long without a creation, launch or end none will come."""
TIME_LIMIT_MINUTES = 10
"""Of each workload, or twice its runtime where that is longer: none is ended for it."""
NOT_SAID_AGAIN = {"managedFields", "resourceVersion"}
"""Without the latter an end does not fail for a word that the service wrote on the Job meanwhile."""
ASKED_AFTER = 3
"""Jobs that still wait, of which it is said why."""


@dataclass
class Seen:
    """What became of one Job, in monotonic seconds."""

    creation: Creation
    created: float = 0.0
    first_launched: float | None = None
    launched: float | None = None
    completed: float | None = None
    launches: int = 0
    started_at: str = ""
    confirmed_generation: int = 1
    """Up to which the Job is known to be suspended: it is created so."""
    metadata: Json = field(default_factory=dict)
    """As last seen, which an update says again."""


class Runner:
    """`done` is set when every Job has completed."""

    def __init__(
        self, api: ApiClient, writes: Writes, tokens: Mapping[str, str], series: list[list[Creation]]
    ) -> None:
        self._api = api
        self._writes = writes
        self._tokens = tokens
        self._series = series
        creations = [creation for each in series for creation in each]
        self.seen = {creation.name: Seen(creation) for creation in creations}
        self._due: list[tuple[float, str, int]] = []
        self._left = len(creations)
        longest_ms = max(max(each.template.runtime_ms, each.wait_ms) for each in creations)
        self._patience_seconds = STALLED_SECONDS + longest_ms / 1000
        self._moved_at = 0.0
        self._began = 0.0
        self._failure: BaseException | None = None
        self._done = asyncio.Event()
        self._is_due = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        # Of their own, so that no end waits behind thousands of creations that are due at once.
        self._creating = asyncio.Semaphore(CREATIONS_AT_ONCE)
        self._ending = asyncio.Semaphore(ENDINGS_AT_ONCE)

    async def run(self, limit_seconds: float) -> float:
        """The makespan: from the first instant to the last completion."""
        watch = self._start(self._watch(await self._list()))
        complete = self._start(self._complete())
        self._began = self._moved_at = time.monotonic()
        creating = [self._start(self._create(each)) for each in self._series]
        try:
            async with asyncio.timeout(limit_seconds):
                await self._until_done()
            if self._failure is not None:
                raise SystemExit(f"the runner cannot go on: {self._failure!r}")
        except TimeoutError:
            raise SystemExit(f"not done in {limit_seconds:.0f} s: {self._progress()}") from None
        finally:
            for task in (watch, complete, *creating):
                task.cancel()
            await asyncio.gather(watch, complete, *creating, return_exceptions=True)
        return max(seen.completed or 0.0 for seen in self.seen.values()) - self._began

    async def _until_done(self) -> None:
        """What can never run is told, not waited for."""
        while not self._done.is_set():
            left = self._moved_at + self._patience_seconds - time.monotonic()
            if left <= 0:
                why = await self._why_they_wait()
                raise SystemExit(f"nothing happened for {self._patience_seconds:.0f} s: {self._progress()}{why}")
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._done.wait()

    async def _why_they_wait(self) -> str:
        """A line each of the first that have not ended, with what the service wrote on them."""
        waiting = [name for name, seen in self.seen.items() if seen.completed is None and seen.created]
        lines = []
        for name in waiting[:ASKED_AFTER]:
            job = await self._api.get(f"{JOBS}/{name}")
            said = (job["metadata"].get("annotations") or {}).get("allot.dev/status", "nothing was said of it")
            lines.append(f"\n  {name}: {said}")
        return "".join(lines)

    async def _create(self, series: list[Creation]) -> None:
        """As Kueue's generator does: each waits for its interval and is then created before the next one waits."""
        for creation in series:
            await asyncio.sleep(creation.wait_ms / 1000)
            self.seen[creation.name].created = self._moved_at = time.monotonic()
            async with self._creating:
                await self._writes.send("POST", JOBS, _job(creation), self._tokens[creation.queue.name])

    async def _list(self) -> str:
        """Look at every Job; from which version on they are to be watched."""
        listing = await self._api.get(JOBS)
        for job in listing["items"]:
            self._look_at(job)
        return str(listing["metadata"]["resourceVersion"])

    async def _watch(self, version: str) -> None:
        """A stream that the apiserver ends, as it does with whoever reads too slowly for a moment, is gone on with from
        what was seen last: to begin anew would have it send every Job there is."""
        while True:
            async for event in self._api.watch(JOBS, version):
                if event["type"] == "ERROR":
                    version = await self._list()
                    break
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] in {"ADDED", "MODIFIED"}:
                    self._look_at(event["object"])

    def _look_at(self, job: Json) -> None:
        seen = self.seen.get(job["metadata"]["name"])
        if seen is None or seen.completed is not None:
            return
        seen.metadata = {key: value for key, value in job["metadata"].items() if key not in NOT_SAID_AGAIN}
        if not job["spec"].get("suspend"):
            self._note_launch(seen)
        elif job["metadata"]["generation"] > seen.confirmed_generation:
            # Whether or not the launch before it was seen: after a break the watch begins with the state of then.
            seen.launched = None
            seen.confirmed_generation = job["metadata"]["generation"]
            self._start(self._confirm_suspended(seen))

    def _note_launch(self, seen: Seen) -> None:
        if seen.launched is not None:
            return
        now = self._moved_at = time.monotonic()
        seen.launched = now
        seen.started_at = _stamp()
        seen.first_launched = seen.first_launched or now
        seen.launches += 1
        heapq.heappush(self._due, (now + seen.creation.template.runtime_ms / 1000, seen.creation.name, seen.launches))
        self._is_due.set()

    async def _complete(self) -> None:
        while True:
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                _, name, launch = heapq.heappop(self._due)
                seen = self.seen[name]
                if seen.launched is not None and seen.launches == launch:
                    seen.completed = now
                    self._start(self._complete_one(seen))
            self._is_due.clear()
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else 1.0
            try:
                async with asyncio.timeout(min(wait, 1.0)):
                    await self._is_due.wait()
            except TimeoutError:
                continue

    async def _complete_one(self, seen: Seen) -> None:
        now = _stamp()
        status = {
            "startTime": seen.started_at,
            "completionTime": now,
            "succeeded": 1,
            "active": 0,
            "ready": 0,
            "terminating": 0,
            "conditions": [_condition("SuccessCriteriaMet", now), _condition("Complete", now)],
        }
        await self._write_status(seen, status)
        seen.completed = self._moved_at = time.monotonic()
        self._left -= 1
        if self._left == 0:
            self._done.set()

    async def _confirm_suspended(self, seen: Seen) -> None:
        status = {"active": 0, "terminating": 0, "ready": 0, "conditions": [_condition("Suspended", _stamp())]}
        await self._write_status(seen, status)

    async def _write_status(self, seen: Seen, status: Json) -> None:
        """Of an update of its status the apiserver reads this much: a patch would have it write the Job out first."""
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": seen.metadata, "status": status}
        async with self._ending:
            await self._writes.send("PUT", f"{JOBS}/{seen.creation.name}/status", job)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
            self._done.set()

    def _progress(self) -> str:
        every = self.seen.values()
        launched = sum(seen.first_launched is not None for seen in every)
        return f"{len(every)} Jobs, {launched} launched, {len(every) - self._left} completed"


def summary(runner: Runner, makespan_seconds: float) -> dict[str, Any]:
    """Makespan, and per class the mean wait from creation to the first launch."""
    waits: dict[str, list[float]] = defaultdict(list)
    for seen in runner.seen.values():
        assert seen.first_launched is not None, "every Job was launched"
        waits[seen.creation.template.class_name].append(seen.first_launched - seen.created)
    return {
        "makespan_seconds": round(makespan_seconds, 2),
        "workloads": len(runner.seen),
        "preempted": sum(seen.launches - 1 for seen in runner.seen.values()),
        "average_wait_seconds": {name: round(sum(w) / len(w), 2) for name, w in sorted(waits.items())},
    }


def _job(creation: Creation) -> Json:
    resources = {"limits": {"nvidia.com/gpu": str(creation.template.request)}, "requests": {"cpu": "1m"}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": creation.name,
            "labels": {
                "allot.dev/project": creation.queue.name,
                "allot.dev/priority-class": f"p{creation.template.priority}",
                "allot.dev/time-limit": f"{_time_limit_minutes(creation)}m",
            },
            # Their own name: the admission policy compares it, and need not write it.
            "annotations": {"allot.dev/gpu-classes": creation.queue.cohort, "allot.dev/author": creation.queue.name},
        },
        "spec": {
            "suspend": True,
            "managedBy": MANAGED_BY,
            "backoffLimit": 0,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "main", "image": "benchmark", "resources": resources}],
                }
            },
        },
    }


def _time_limit_minutes(creation: Creation) -> int:
    return max(TIME_LIMIT_MINUTES, 2 * math.ceil(creation.template.runtime_ms / 60_000))


def _condition(kind: str, at: str) -> Json:
    return {"type": kind, "status": "True", "lastTransitionTime": at, "lastProbeTime": at, "reason": "Benchmark"}


def _stamp() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _main(arguments: argparse.Namespace) -> None:
    series = read_generator(arguments.generator).series()
    async with (
        ApiClient.from_kubeconfig(arguments.kubeconfig) as api,
        Writes.from_kubeconfig(arguments.kubeconfig, CREATIONS_AT_ONCE + ENDINGS_AT_ONCE) as writes,
    ):
        runner = Runner(api, writes, read_tokens(arguments.engineers), series)
        makespan_seconds = await runner.run(arguments.limit_seconds)
    print(orjson.dumps(summary(runner, makespan_seconds)).decode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--engineers", type=Path, required=True)
    parser.add_argument("--generator", type=Path, required=True)
    parser.add_argument("--limit-seconds", type=float, default=1800)
    asyncio.run(_main(parser.parse_args()))
