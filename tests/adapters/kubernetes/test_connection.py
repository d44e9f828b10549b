"""A connection to an apiserver that has stopped answering, and says no goodbye either."""

import asyncio
import base64
import datetime as dt
import gc
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.adapters.kubernetes.connection import Connection
from scheduler.adapters.kubernetes.credentials import load_credentials
from tests.adapters.kubernetes.kubeconfigs import certificate, kubeconfig


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[tuple[str, threading.Event]]:
    """The address of a server that takes a request and never reads on, and whether it has one."""
    pair = certificate(dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
    file = tmp_path / "server.pem"
    file.write_bytes(b"".join(base64.b64decode(part) for part in pair.values()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    asked = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))
    kept: list[ssl.SSLSocket] = []

    def serve() -> None:
        plain, _ = listening.accept()
        kept.append(context.wrap_socket(plain, server_side=True))
        kept[0].recv(65536)
        asked.set()

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"https://127.0.0.1:{listening.getsockname()[1]}", asked
    thread.join()
    kept[0].close()
    listening.close()


def test_a_request_that_is_given_up_leaves_no_socket_behind(
    silent: tuple[str, threading.Event], tmp_path: Path
) -> None:
    server, asked = silent
    credentials = load_credentials(str(kubeconfig(tmp_path, server=server)))

    async def give_up() -> None:
        async with Connection(credentials, lambda: 0.0) as connection:
            request = asyncio.create_task(connection.request("GET", "/api/v1/nodes"))
            await asyncio.to_thread(asked.wait)
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request

    asyncio.run(give_up())
    gc.collect()  # what was left open is told of now, and pytest makes an error of it
