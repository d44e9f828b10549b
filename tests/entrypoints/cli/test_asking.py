"""What the command line's requests are like, and what it makes of answers that are none."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from scheduler.domain.errors import RefusalCode, Unavailable
from scheduler.entrypoints.cli.asking import is_address
from scheduler.entrypoints.cli.client import Connection, connect
from scheduler.entrypoints.cli.exits import Answered
from scheduler.entrypoints.devcluster.certificates import Authority

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BROKEN_OFF = {
    "fewer bytes than were announced": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
    "a chunk that does not come": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "no HTTP": b"hello\r\n\r\n",
    "nothing": b"",
}


class Raw(HTTPServer):
    """Gives every request the same bytes, and keeps what was asked."""

    raw = WHOLE
    asked: list[tuple[str, str, str | None]]


class Handler(BaseHTTPRequestHandler):
    server: Raw

    def parse_request(self) -> bool:
        """Answers before a method would be looked for."""
        if super().parse_request():
            self.rfile.read(
                int(self.headers["Content-Length"] or 0)
            )  # closing before that would reset the connection
            self.server.asked.append((self.command, self.path, self.headers["Authorization"]))
            self.wfile.write(self.server.raw)
        return False

    def log_message(self, *_: object) -> None:
        """Standard error is for what is wrong."""


@contextmanager
def answering(raw: bytes, context: ssl.SSLContext | None = None) -> Iterator[Raw]:
    with Raw(("127.0.0.1", 0), Handler) as server:
        server.raw, server.asked = raw, []
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def to(server: Raw, scheme: str = "http") -> Connection:
    return Connection(f"{scheme}://127.0.0.1:{server.server_port}", "secret")


@pytest.mark.parametrize("raw", BROKEN_OFF.values(), ids=BROKEN_OFF.keys())
def test_an_answer_that_is_not_whole_is_no_answer(raw: bytes) -> None:
    with answering(raw) as server, connect(to(server)) as api:
        with pytest.raises(Unavailable, match="no answer from") as refused:
            api.get("/v1/balance")
        assert refused.value.code is RefusalCode.SERVER_UNREACHABLE
        with pytest.raises(Unavailable, match="no answer from"):
            list(api.stream("/v1/statement/csv"))


def test_a_redirect_is_not_followed_so_that_the_token_goes_nowhere_else() -> None:
    with answering(WHOLE) as other:
        elsewhere = f"HTTP/1.1 307 Away\r\nLocation: {to(other).server}/\r\nContent-Length: 0\r\n\r\n".encode()
        refused = pytest.raises(Answered, match="answered 307 Away")
        with answering(elsewhere) as server, connect(to(server)) as api, refused:
            api.get("/v1/balance")
        assert other.asked == []


def test_an_error_that_is_not_ours_says_which_address_gave_it() -> None:
    gateway = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\n<html"
    with answering(gateway) as server, connect(to(server)) as api:
        with pytest.raises(Answered, match=r"/v1/balance answered 502 Bad Gateway") as refused:
            api.get("/v1/balance")
        assert refused.value.status == 502


def test_what_is_asked_is_spelled_for_an_address_and_what_is_none_left_out() -> None:
    with answering(WHOLE) as server, connect(to(server)) as api:
        api.get("/v1/bookings/a b?", owner="Zoë & co", period=None, limit=5)
        api.get("/v1/workloads", state=["running", "queued"])
        api.post("/v1/workloads", {"name": "ü", "gpus": 10**20})
    assert server.asked == [
        ("GET", "/v1/bookings/a%20b%3F?owner=Zo%C3%AB+%26+co&limit=5", "Bearer secret"),
        ("GET", "/v1/workloads?state=running&state=queued", "Bearer secret"),
        ("POST", "/v1/workloads", "Bearer secret"),
    ]


def test_a_certificate_counts_that_an_authority_of_ssl_cert_file_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority.create(tmp_path / "authority")
    pair = authority.issue("server", hosts=("127.0.0.1",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with answering(WHOLE, context) as server:
        with connect(to(server, "https")) as api, pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            api.get("/v1/balance")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        with connect(to(server, "https")) as api:
            assert api.get("/v1/balance") == {}


def test_a_proxy_of_the_environment_is_asked_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(WHOLE) as proxy:
        monkeypatch.setenv("http_proxy", to(proxy).server)
        monkeypatch.setenv("no_proxy", "")
        with connect(Connection("http://allot.invalid", "secret")) as api:
            assert api.get("/v1/balance") == {}
    assert proxy.asked == [("GET", "http://allot.invalid/v1/balance", "Bearer secret")]


@pytest.mark.parametrize(
    ("server", "is_one"),
    [
        ("http://127.0.0.1:8410", True),
        ("https://allot.example.com/gpu", True),
        ("http://[::1]:8410", True),
        ("ftp://allot.example.com", False),
        ("allot.example.com", False),
        ("http://", False),
        ("http://[::1", False),
        ("http://host:99999", False),
        ("http://host:port", False),
    ],
)
def test_an_address_is_http_or_https_with_a_host_and_a_port_that_there_is(server: str, is_one: bool) -> None:
    assert is_address(server) is is_one
