"""Processes of `allot serve` that are killed with signal 9, one after the other, on the same books and the same cluster.

Each is forked from a process that has imported everything once, so that a life begins within tenths of a second: a
thousand of them fit into a night.
"""

import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx

from scheduler.adapters.clock import SystemClock
from scheduler.adapters.ids import RandomIds
from scheduler.adapters.sql.store import open_store
from scheduler.domain.actions import Action, ActionOutcome
from scheduler.domain.observations import ClusterChanges
from scheduler.entrypoints.bootstrap import build, id_of_books
from scheduler.entrypoints.cli import main
from scheduler.entrypoints.cli.server import read_settings, run
from scheduler.entrypoints.real_cluster import open_cluster
from scheduler.ports import Cluster
from tests.e2e.crashing import MortalStore
from tests.e2e.dying import Through
from tests.e2e.running import Site
from tests.plugins.polling import eventually

OPERATORS_TOKEN = "the-operators-token-of-this-test"
POINTS = ("before a commit", "after a commit", "with a report in hand", "before a call", "after the calls")
FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload([__name__, "scheduler.entrypoints.api.app", "scheduler.entrypoints.simulated"])
"""One for all tests of a worker: it imports these when the first of them begins a process."""


@dataclass(frozen=True, slots=True)
class Death:
    """At a named point of the code, when it is passed for the `passed`-th time; or, without a name, from outside, so
    many seconds after it was born (`is_early`) or after it had answered first."""

    point: str = ""
    passed: int = 1
    seconds: float = 0.0
    is_early: bool = False


class _Points:
    """The process kills itself at the named point: no handler, no finally and no buffer gets to do anything."""

    def __init__(self, death: Death) -> None:
        self._name = death.point
        self._left = death.passed

    def reach(self, name: str) -> None:
        if name == self._name:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


class _MortalCluster(Through):
    """The real cluster, with the points around each call and each report."""

    def __init__(self, cluster: Cluster, points: _Points) -> None:
        super().__init__(cluster)
        self._points = points

    async def changes(self, timeout_seconds: float) -> ClusterChanges:
        seen = await super().changes(timeout_seconds)
        if not seen.is_empty:
            self._points.reach("with a report in hand")
        return seen

    async def apply(self, actions: Sequence[Action]) -> list[ActionOutcome]:
        self._points.reach("before a call")
        outcomes = await super().apply(actions)
        self._points.reach("after the calls")
        return outcomes


def live(options: dict[str, str], log: Path, death: Death) -> None:
    """`allot serve` with these options, in this process. Where it is to die at a point, its store and its cluster are
    the real ones with the points around them; otherwise nothing of it is the test's."""
    _write_into(log)
    os.environ["ALLOT_NAMESPACES"] = json.dumps([options["namespace"]])
    os.environ["ALLOT_BOOTSTRAP_TOKEN"] = OPERATORS_TOKEN
    if not death.point:
        sys.argv = ["allot", "serve", *(part for name, value in options.items() for part in (f"--{name}", value))]
        main()
        return
    settings, points = read_settings(dict(options)), _Points(death)
    store = open_store(settings.database)
    cluster = _MortalCluster(open_cluster(settings, SystemClock(), id_of_books(store, RandomIds())), points)
    asyncio.run(run(build(settings, store=MortalStore(store, points), cluster=cluster)))


def _write_into(log: Path) -> None:
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())


class Killed:
    """One life after another on a site, at one address."""

    def __init__(self, site: Site, port: int) -> None:
        self._site = site
        self._options = {
            "cluster": "kubernetes",
            "kubeconfig": str(site.kubeconfig),
            "database": f"sqlite:///{site.folder}/allot.db",
            "namespace": site.namespace,
            "policy": str(site.folder / "policy.yaml"),
            "people": str(site.folder / "people.yaml"),
            "port": str(port),
            "log-level": "WARNING",
        }
        self.log = site.folder / "serve.log"
        self.address = f"http://127.0.0.1:{port}"
        self.deaths: dict[str, int] = {}
        self._process: BaseProcess | None = None

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def begin(self, death: Death) -> None:
        assert not self.is_alive, "one at a time"
        named = {name.replace("-", "_"): value for name, value in self._options.items()}
        options = named if death.point else self._options
        self._process = FORKING.Process(target=live, args=(options, self.log, death), daemon=True)
        self._process.start()

    async def until_it_answers(self, limit_seconds: float = 600.0) -> bool:
        """Whether it came to answer before it died."""

        async def state() -> str:
            if not self.is_alive:
                return "dead"
            async with httpx.AsyncClient() as client:
                with contextlib.suppress(httpx.TransportError):
                    await client.get(f"{self.address}/healthz")
                    return "answers"
            return "silent"

        return await eventually(state, lambda seen: seen != "silent", limit_seconds) == "answers"

    async def end(self, death: Death, *, patience_seconds: float) -> None:
        """Let it die as it was to. One that does not come to its point is killed where it is."""
        process = self._process
        assert process is not None
        await asyncio.to_thread(process.join, patience_seconds if death.point else death.seconds)
        how = death.point if not process.is_alive() else "from outside"
        process.kill()
        await asyncio.to_thread(process.join)
        assert process.exitcode == -signal.SIGKILL, f"it ended by itself with {process.exitcode}; see {self.log}"
        self.deaths[how] = self.deaths.get(how, 0) + 1

    async def stop(self) -> None:
        """The last one is asked to go."""
        process, self._process = self._process, None
        if process is not None and process.is_alive():
            process.terminate()
            await asyncio.to_thread(process.join, 30.0)
            assert not process.is_alive(), "it does not end when it is asked to"
