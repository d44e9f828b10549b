"""Where the service listens is settled before anything of it is started."""

import socket

import pytest

from scheduler.domain.errors import InvalidInput
from scheduler.entrypoints.cli.server import listen


def test_a_port_that_somebody_listens_on_is_refused_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInput, match=f"cannot listen on 127.0.0.1:{port}") as refused:
            listen("127.0.0.1", port)
    assert "--port" in refused.value.remedy


def test_port_0_is_any_that_is_free() -> None:
    with listen("127.0.0.1", 0) as listening:
        assert listening.getsockname()[1] > 0
