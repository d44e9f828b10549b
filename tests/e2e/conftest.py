"""A site on the run's control plane, the service on it, and a witness of what its pods do."""

import fcntl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from scheduler.entrypoints.devcluster.client import ApiClient
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from tests.e2e.company import PEOPLE, POLICY
from tests.e2e.running import Running, Site
from tests.e2e.witness import Witness


@pytest.fixture
def site(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Site:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "people.yaml").write_text(PEOPLE)
    return Site(tmp_path, control_plane.kubeconfig, namespace)


@pytest.fixture
def whole_cluster(control_plane: ControlPlane) -> Iterator[None]:
    """For a test that takes every node of a class: two that run at once, each with half of them, wait for each other."""
    with (control_plane.directory / "whole-cluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
async def running(site: Site) -> AsyncIterator[Running]:
    started = await Running.start(site)
    yield started
    await started.close()


@pytest.fixture
async def witness(api: ApiClient, namespace: str) -> AsyncIterator[Witness]:
    watching = Witness(api, namespace)
    await watching.begin()
    yield watching
    await watching.end()
