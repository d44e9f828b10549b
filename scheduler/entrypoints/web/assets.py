"""Style, script and type, from the package: read once, named by their content, cached for good."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from starlette.responses import Response

from scheduler.domain.errors import NotFound

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class Asset:
    body: bytes
    media_type: str
    version: str


class Assets:
    def __init__(self) -> None:
        folder = resources.files("scheduler.entrypoints.web") / "static"
        self._by_name = {entry.name: _read(entry.name, entry.read_bytes()) for entry in folder.iterdir()}

    def href(self, name: str) -> str:
        """Where a page finds it; another content has another address."""
        return f"/static/{name}?v={self._by_name[name].version}"

    def answer(self, name: str) -> Response:
        asset = self._by_name.get(name)
        if asset is None:
            raise NotFound(f"there is no file {name!r} here")
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
        return Response(asset.body, media_type=asset.media_type, headers=headers)


@cache
def packaged_assets() -> Assets:
    """The package's own files do not change while it runs."""
    return Assets()


def _read(name: str, body: bytes) -> Asset:
    suffix = name[name.rindex(".") :]
    return Asset(body, _TYPES[suffix], hashlib.sha256(body).hexdigest()[:10])
