"""An apiserver that dies and comes back on the same port, for tests that have a control plane to themselves."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from scheduler.entrypoints.devcluster import processes
from scheduler.entrypoints.devcluster.cluster import ControlPlane
from scheduler.entrypoints.devcluster.processes import Process
from tests.plugins.polling import eventually


async def kill_apiserver(plane: ControlPlane) -> list[str]:
    """Ends it at once, and returns when its port is free: the command line that begins it again, in the cluster's
    folder."""
    apiserver = _process(plane, "kube-apiserver")
    command = [part.decode() for part in Path(f"/proc/{apiserver.pid}/cmdline").read_bytes().split(b"\0")[:-1]]
    processes.kill([apiserver])
    # On a loaded machine its last threads hold the port a moment longer than the process is to be seen.
    await eventually(partial(_is_free, urlsplit(plane.server).port), bool)
    return command


async def _is_free(port: int | None) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port or 0))
        except OSError:
            return False
        return True


@contextmanager
def apiserver_again(plane: ControlPlane, command: list[str]) -> Iterator[None]:
    with (plane.logs / "kube-apiserver-again.log").open("wb") as log:
        again = subprocess.Popen(command, stdout=log, stderr=log, cwd=plane.logs.parent)
    try:
        yield
    finally:
        again.terminate()
        again.wait()


async def compact_etcd(plane: ControlPlane, revision: str) -> None:
    """Forget everything before that revision, as the apiserver has etcd do every five minutes."""
    # By way of its process, for the path of a socket may have no more than 107 bytes.
    socket = f"/proc/{_process(plane, 'etcd').pid}/cwd/etcd.sock"
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket)) as session:
        url = "http://etcd/v3/kv/compaction"
        async with session.post(url, json={"revision": revision, "physical": True}) as answer:
            assert answer.status == 200, await answer.text()


def _process(plane: ControlPlane, name: str) -> Process:
    return next(process for process in plane.processes if process.name == name)
