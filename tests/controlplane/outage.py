"""An apiserver that dies and comes back on the same port, for tests that have a control plane to themselves."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from scheduler.entrypoints.devcluster.cluster import ControlPlane
from scheduler.entrypoints.devcluster.processes import Process


def kill_apiserver(plane: ControlPlane) -> list[str]:
    """Ends it at once. Returns the command line that begins it again, in the cluster's folder."""
    apiserver = _process(plane, "kube-apiserver")
    command = [part.decode() for part in Path(f"/proc/{apiserver.pid}/cmdline").read_bytes().split(b"\0")[:-1]]
    os.kill(apiserver.pid, signal.SIGKILL)
    return command


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
