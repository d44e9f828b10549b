"""What tests do with a control plane beyond `allot dev cluster`: other users, other nodes, and what killed runs left."""

import asyncio
import datetime as dt
import shutil
from collections.abc import Iterable
from pathlib import Path

from scheduler.entrypoints.devcluster import processes
from scheduler.entrypoints.devcluster.certificates import Authority
from scheduler.entrypoints.devcluster.cluster import STATE, ControlPlane, load
from scheduler.entrypoints.devcluster.nodes import GpuNode, create_nodes

OWN = "allot.dev/test"
"""Label of nodes that belong to one test: its namespace."""


def kubeconfig_of(plane: ControlPlane, user: str, *groups: str) -> Path:
    """Of a person or program that RBAC knows by that user name and those groups."""
    authority = Authority(plane.directory / "pki")
    pair = authority.issue(user, groups=groups)
    return authority.write_kubeconfig(
        plane.directory / f"{pair.certificate.stem}.kubeconfig", plane.server, pair, user
    )


async def add_nodes(plane: ControlPlane, nodes: Iterable[GpuNode]) -> None:
    """Registers simulated nodes, ready for pods."""
    async with plane.client() as api:
        await create_nodes(api, nodes, plane.kubelet_port, dt.datetime.now(dt.UTC))


async def remove_nodes(plane: ControlPlane, names: Iterable[str]) -> None:
    async with plane.client() as api:
        await asyncio.gather(*(api.delete(f"/api/v1/nodes/{name}") for name in names))


def end_orphans(clusters: Path) -> None:
    """Ends and removes the clusters in this folder whose owner was killed before it could do so itself."""
    for state in clusters.glob(f"*/{STATE}"):
        plane = load(state.parent)
        if plane and plane.owner and not processes.is_alive(plane.owner):
            plane.stop()
            shutil.rmtree(plane.directory, ignore_errors=True)
