"""One request to the server and its answer, over the standard library's HTTP.

httpx costs a command more than all else it does: its import, and a certificate store that it reads for `http://`, too.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, IncompleteRead
from urllib.error import URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

TIMEOUT_SECONDS = 30.0
"""For each step of an exchange: to connect, and between two pieces of the answer."""

UNANSWERED = (OSError, HTTPException)
"""What `Http` raises where no whole answer came."""

_PIECE_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Wish:
    """A request. A parameter that is None is left out."""

    method: str
    path: str
    params: Mapping[str, object]
    content: bytes | None = None
    headers: Mapping[str, str] | None = None


class Http:
    """One server. No redirect is followed. HTTP_PROXY, HTTPS_PROXY and NO_PROXY hold; certificates are checked against
    the system's authorities, or those that SSL_CERT_FILE or SSL_CERT_DIR names."""

    def __init__(self, server: str, token: str) -> None:
        self._server = server
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._opener = OpenerDirector()
        self._opener.addheaders = [("User-Agent", "allot")]
        for handler in (ProxyHandler(), HTTPHandler(), HTTPSHandler()):
            self._opener.add_handler(handler)

    @contextmanager
    def open(self, wish: Wish) -> Iterator[HTTPResponse]:
        """The answer, whatever its status, with its body yet to be read. Raises one of `UNANSWERED`."""
        given = {name: value for name, value in wish.params.items() if value is not None}
        address = self._server + quote(wish.path, safe="/%") + (f"?{urlencode(given, doseq=True)}" if given else "")
        headers = {**self._headers, **(wish.headers or {})}
        request = Request(address, data=wish.content, headers=headers, method=wish.method)  # noqa: S310  # see is_address
        with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            yield response


def is_address(server: str) -> bool:
    """Whether it is that of a server which can be asked: http or https, with a host."""
    try:
        parts = urlsplit(server)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def pieces(response: HTTPResponse) -> Iterator[bytes]:
    """The body as it comes. Raises IncompleteRead where it ends too early."""
    while piece := response.read1(_PIECE_BYTES):
        yield piece
    if response.length:
        raise IncompleteRead(b"", response.length)


def why(error: Exception) -> str:
    """What kept the answer away, in the system's words."""
    reason = error.reason if isinstance(error, URLError) else error
    return str(reason) or type(reason).__name__
