"""An apiserver that dies and comes back on the same port, for tests that have a control plane to themselves."""

import os
import signal
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from scheduler.entrypoints.devcluster.cluster import ControlPlane


def kill_apiserver(plane: ControlPlane) -> list[str]:
    """Ends it at once. Returns the command line that begins it again."""
    apiserver = next(process for process in plane.processes if process.name == "kube-apiserver")
    command = [part.decode() for part in Path(f"/proc/{apiserver.pid}/cmdline").read_bytes().split(b"\0")[:-1]]
    os.kill(apiserver.pid, signal.SIGKILL)
    return command


@contextmanager
def apiserver_again(plane: ControlPlane, command: list[str]) -> Iterator[None]:
    with (plane.logs / "kube-apiserver-again.log").open("wb") as log:
        again = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        again.terminate()
        again.wait()


async def compact_etcd(command: list[str], revision: str) -> None:
    """Forget everything before that revision, as the apiserver has etcd do every five minutes. `command` is the
    apiserver's, which says where etcd is and how to sign in."""
    options = dict(part.removeprefix("--").split("=", 1) for part in command[1:] if "=" in part)
    tls = ssl.create_default_context(cafile=options["etcd-cafile"])
    tls.load_cert_chain(options["etcd-certfile"], options["etcd-keyfile"])
    async with aiohttp.ClientSession() as session:
        url = f"{options['etcd-servers']}/v3/kv/compaction"
        async with session.post(url, json={"revision": revision, "physical": True}, ssl=tls) as answer:
            assert answer.status == 200, await answer.text()
