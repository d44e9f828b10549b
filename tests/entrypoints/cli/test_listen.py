"""Where the service listens is settled before anything of it is started."""

import signal
import socket

import pytest
import uvicorn
from starlette.datastructures import State

from scheduler.domain.errors import InvalidInput
from scheduler.entrypoints.cli.server import Server, listen


def test_a_port_that_somebody_listens_on_is_refused_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInput, match=f"cannot listen on 127.0.0.1:{port}") as refused:
            listen("127.0.0.1", port)
    assert "--port" in refused.value.remedy


def test_an_address_that_is_none_is_refused_in_the_resolvers_words() -> None:
    with pytest.raises(InvalidInput, match=r"cannot listen on 300\.1\.1\.1:0: ") as refused:
        listen("300.1.1.1", 0)
    assert "Unknown error" not in str(refused.value)


def test_port_0_is_any_that_is_free() -> None:
    with listen("127.0.0.1", 0) as listening:
        assert listening.getsockname()[1] > 0


def test_an_answer_is_not_kept_back_until_its_head_was_acknowledged() -> None:
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_signal_that_stops_the_server_is_not_raised_again_before_the_service_is_closed() -> None:
    raised: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: raised.append(number))
    try:
        server = Server(uvicorn.Config(_nothing), State())
        with server.capture_signals():
            server.handle_exit(signal.SIGTERM, None)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert server.should_exit
    assert raised == []


async def _nothing(*_: object) -> None:
    """An application that is never asked."""
