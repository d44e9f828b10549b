"""Fixtures of the real control plane: started once for the whole run, whichever worker needs it first.

`control_plane` is shared by all tests of a run, so each works in a `namespace` of its own. Where KUBECONFIG names
a running `allot dev cluster`, that one is used; where there is none and its programs cannot be built, the tests are left
out and the summary says how to get them. With ALLOT_REQUIRE_CONTROL_PLANE they fail instead: for a machine that is known
to be able.
"""

import asyncio
import os
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from scheduler.domain.units import NodeName
from scheduler.entrypoints.devcluster import binaries, gobuild
from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.entrypoints.devcluster.cluster import (
    ControlPlane,
    Options,
    load,
    start,
    this_process,
)
from scheduler.entrypoints.devcluster.nodes import T4, GpuModel, GpuNode, default_nodes
from scheduler.entrypoints.devcluster.processes import Process
from tests.controlplane.planes import OWN, add_nodes, end_orphans, remove_nodes
from tests.plugins.polling import eventually

_CLUSTERS = binaries.cache_directory() / "clusters"
_RUN = pytest.StashKey["_Run"]()
_LOGS = pytest.StashKey[Path]()
_REQUIRED = "ALLOT_REQUIRE_CONTROL_PLANE"
_LEFT_OUT = "the tests against the real control plane were left out"
_ELSE = "or set KUBECONFIG to what `allot dev cluster start` printed"


@dataclass(frozen=True)
class _Run:
    """One run of pytest, with however many workers: where its cluster is, or will be, and who ends it."""

    directory: Path
    beginner: Process


def pytest_configure(config: pytest.Config) -> None:
    workerinput = getattr(config, "workerinput", None)
    if workerinput is None:
        directory = _CLUSTERS / f"tests-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        config.stash[_RUN] = _Run(directory, this_process())
    else:
        given = workerinput["control_plane"]
        config.stash[_RUN] = _Run(Path(given["directory"]), Process("pytest", given["pid"], given["started"]))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist's controller tells each worker about the run."""
    run = node.config.stash[_RUN]
    node.workerinput["control_plane"] = {
        "directory": str(run.directory),
        "pid": run.beginner.pid,
        "started": run.beginner.started,
    }


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and "control_plane" in getattr(item, "fixturenames", ()):
        report.sections.append(("control plane", f"logs: {item.config.stash.get(_LOGS, None)}"))
    if report.skipped and isinstance(report.longrepr, tuple) and _LEFT_OUT in report.longrepr[2]:
        # One place for all of them, so that the summary folds them into one line.
        report.longrepr = (__file__, 1, report.longrepr[2])
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """The process that began the run ends its cluster; the folder, with the logs, stays where a test failed."""
    if hasattr(session.config, "workerinput"):
        return
    directory = session.config.stash[_RUN].directory
    plane = load(directory)
    if plane is not None:
        plane.stop()
        if exitstatus == pytest.ExitCode.OK:
            shutil.rmtree(directory)


@pytest.fixture(scope="session")
def control_plane(pytestconfig: pytest.Config) -> ControlPlane:
    """The run's control plane, with `default_nodes()`: ten simulated GPU nodes."""
    plane = _from_kubeconfig() or _of_this_run(pytestconfig.stash[_RUN])
    pytestconfig.stash[_LOGS] = plane.logs
    return plane


@pytest.fixture
def programs() -> binaries.Binaries:
    """The control plane's programs, for the test of a command that starts one by itself."""
    return _programs()


@pytest.fixture
def new_control_plane(tmp_path: Path) -> Iterator[Callable[[Options], ControlPlane]]:
    """Starts control planes of the test's own, for one that needs a cluster to itself; about three seconds each."""
    with _beginning(tmp_path) as begin:
        yield begin


@pytest.fixture(scope="module")
def start_control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Options], ControlPlane]]:
    """The same for the tests of a module together; they end with its last test."""
    with _beginning(tmp_path_factory.mktemp("clusters")) as begin:
        yield begin


@pytest.fixture
async def api(control_plane: ControlPlane) -> AsyncIterator[ApiClient]:
    """A bare client with an administrator's rights."""
    async with control_plane.client() as client:
        yield client


@pytest.fixture
async def namespace(api: ApiClient) -> AsyncIterator[str]:
    """A namespace of the test's own, ready for Jobs; it goes afterwards, and takes with it what is in it."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    await api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
    await eventually(lambda: api.items(accounts), lambda found: len(found) > 0)
    yield name
    await api.delete(f"/api/v1/namespaces/{name}")


def own_model(model: GpuModel, namespace: str) -> GpuModel:
    """The same GPUs by a name that no policy of another test selects: nobody else's pods come to their nodes."""
    return replace(model, product=f"{model.product}-of-{namespace}")


def own_node(name: NodeName, model: GpuModel, namespace: str, rack: str = "rack-0") -> GpuNode:
    """Eight GPUs of the test's own model."""
    return GpuNode(name, own_model(model, namespace), gpus=8, rack=rack, labels={OWN: namespace})


@asynccontextmanager
async def lending(plane: ControlPlane, nodes: Sequence[GpuNode]) -> AsyncIterator[None]:
    """They are there meanwhile; what the test took away itself is not missed."""
    await add_nodes(plane, nodes)
    yield
    async with plane.client() as api:
        left = {node["metadata"]["name"] for node in await api.items("/api/v1/nodes")}
    await remove_nodes(plane, left.intersection(node.name for node in nodes))


@pytest.fixture
async def own_nodes(control_plane: ControlPlane, namespace: str) -> AsyncIterator[tuple[NodeName, NodeName]]:
    """Two nodes of eight T4s for this test alone: to count on, or to lose."""
    names = (NodeName(f"{namespace}-0"), NodeName(f"{namespace}-1"))
    async with lending(control_plane, [own_node(name, T4, namespace) for name in names]):
        yield names


@pytest.fixture
def kubectl(control_plane: ControlPlane) -> Callable[..., str]:
    """Runs the real kubectl as administrator, or with `kubeconfig=` as another; returns what it prints."""

    def run(*arguments: str, stdin: str = "", kubeconfig: Path | None = None) -> str:
        path = kubeconfig or control_plane.kubeconfig
        outcome = subprocess.run(
            [str(control_plane.kubectl), f"--kubeconfig={path}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert outcome.returncode == 0, f"kubectl {' '.join(arguments)}: {outcome.stderr}"
        return outcome.stdout

    return run


@contextmanager
def _beginning(folder: Path) -> Iterator[Callable[[Options], ControlPlane]]:
    programs = _programs()
    started: list[ControlPlane] = []

    def begin(options: Options) -> ControlPlane:
        directory = folder / f"cluster-{len(started)}"
        started.append(asyncio.run(start(programs, directory, options, this_process())))
        return started[-1]

    try:
        yield begin
    finally:
        for plane in started:
            plane.stop()


def _from_kubeconfig() -> ControlPlane | None:
    """The `allot dev cluster` that KUBECONFIG names; any other cluster is none of our tests' business."""
    kubeconfig = os.environ.get("KUBECONFIG")
    plane = load(Path(kubeconfig).parent) if kubeconfig else None
    return plane if plane is not None and plane.is_running else None


def _of_this_run(run: _Run) -> ControlPlane:
    programs = _programs()
    _CLUSTERS.mkdir(parents=True, exist_ok=True)
    with gobuild.exclusive(_CLUSTERS / "tests.lock"):
        end_orphans(_CLUSTERS)
        return load(run.directory) or asyncio.run(
            start(programs, run.directory, Options(default_nodes()), run.beginner)
        )


def _programs() -> binaries.Binaries:
    found = _built()
    if isinstance(found, str):
        if os.environ.get(_REQUIRED):
            pytest.fail(found, pytrace=False)
        pytest.skip(found)
    return found


@cache
def _built() -> binaries.Binaries | str:
    """The programs, or why there are none: asked once, since a build that fails may take its time over it."""
    module = binaries.find_module()
    if binaries.cached(module) is None and shutil.which("go") is None:
        return f"{_LEFT_OUT}; to get them, install Go 1.26 (https://go.dev/dl) {_ELSE}"
    try:
        return binaries.provide(module)
    except gobuild.ProgramsMissing as missing:
        return f"{_LEFT_OUT}: {missing.message}; {missing.remedy}, {_ELSE}"
