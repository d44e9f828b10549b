"""The server as the command line sees it: where it is, who we are, and its answers as Python values."""

import json
import os
import re
import tomllib
from codecs import getincrementaldecoder
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPResponse
from pathlib import Path
from string import ascii_letters, digits
from typing import Any
from urllib.parse import quote

import orjson
from typer._click.globals import get_current_context

from scheduler.domain.errors import InvalidInput, NotFound, Refusal, RefusalCode, Unavailable
from scheduler.entrypoints.cli.asking import UNANSWERED, Http, Wish, is_address, pieces, why
from scheduler.entrypoints.cli.exits import Answered
from scheduler.entrypoints.cli.options import typed_as
from scheduler.entrypoints.cli.output import label_as_simulated

DEFAULT_SERVER = "http://127.0.0.1:8410"
NAMES_LOOKED_AT = 200

_WORKLOAD_ID = re.compile(r"w-[a-z0-9]+(-i[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the server is and the token to show it; the token may be empty."""

    server: str
    token: str


def config_file() -> Path:
    """`$XDG_CONFIG_HOME/allot/config`, or `~/.config/allot/config`."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "allot" / "config"


def read_connection() -> Connection:
    """ALLOT_SERVER and ALLOT_TOKEN, else the configuration file, else this machine without a token.

    The file's token goes only to the file's server: naming another by ALLOT_SERVER never sends it there.
    """
    stored = _stored(config_file())
    server = os.environ.get("ALLOT_SERVER") or stored.get("server") or DEFAULT_SERVER
    token = os.environ.get("ALLOT_TOKEN", "")
    if not token and server.rstrip("/") == stored.get("server", DEFAULT_SERVER).rstrip("/"):
        token = stored.get("token", "")
    return Connection(server.rstrip("/"), token)


def write_connection(connection: Connection) -> Path:
    """Keep it for the next command, readable by its owner alone."""
    file = config_file()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = f'server = "{connection.server}"\ntoken = "{connection.token}"\n'
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        os.fchmod(handle.fileno(), 0o600)
        handle.write(text)
    return file


class Api:
    """Requests to one server. `now` and `is_simulated` are what its last answer said of its clock."""

    def __init__(self, http: Http, server: str) -> None:
        self._http = http
        self.server = server
        self.now = ""
        self.is_simulated = False

    def get(self, path: str, **params: Any) -> Any:
        return self.ask("GET", path, params=params)

    def clock(self) -> datetime:
        """The server's now, which may be simulated: as its last answer said, or asked for."""
        if not self.now:
            self.get("/v1/me")
        return datetime.fromisoformat(self.now)

    def post(self, path: str, body: Mapping[str, Any] | None = None, key: str | None = None) -> Any:
        return self.ask("POST", path, body=body, headers={"Idempotency-Key": key} if key is not None else {})

    def stream(self, path: str, **params: Any) -> Iterator[str]:
        """The answer's text, piece by piece; one that breaks off is refused."""
        decoder = getincrementaldecoder("utf-8")("replace")
        with self._answer(Wish("GET", path, params)) as answer:
            for piece in pieces(answer):
                yield decoder.decode(piece)

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer's JSON, or None where it has none. Raises `Answered` for a problem."""
        if body is not None:
            content, headers = _json(body), {"Content-Type": "application/json", **(headers or {})}
        with self._answer(Wish(method, path, params or {}, content, headers)) as answer:
            text = answer.read()
        return orjson.loads(text) if text else None

    @contextmanager
    def _answer(self, wish: Wish) -> Iterator[HTTPResponse]:
        try:
            with self._http.open(wish) as answer:
                self.now = answer.headers.get("X-Allot-Now", self.now)
                self.is_simulated = answer.headers.get("X-Allot-Simulated", "") == "true"
                if answer.status >= 300:
                    raise _refusal(answer)
                yield answer
        except UNANSWERED as error:
            raise Unavailable(
                f"no answer from {self.server}: {why(error)}",
                code=RefusalCode.SERVER_UNREACHABLE,
                remedy="check ALLOT_SERVER, and that `allot serve` is running",
            ) from error


@contextmanager
def connect(connection: Connection | None = None) -> Iterator[Api]:
    """The API of the server that the environment or the configuration names.

    What came from a simulated cluster is labelled so when it has been printed: on standard error, and not for programs,
    which read `is_simulated`.
    """
    found = connection or read_connection()
    if not is_address(found.server):
        raise InvalidInput(
            f"{found.server!r} is no address", where="ALLOT_SERVER", expected="http://HOST:PORT or https://HOST"
        )
    api = Api(Http(found.server, found.token), found.server)
    yield api
    if api.is_simulated and not _is_for_programs():
        label_as_simulated()


def _is_for_programs() -> bool:
    """Whether the command at work was asked for JSON or CSV."""
    context = get_current_context(silent=True)
    return context is not None and any(context.params.get(name) for name in ("as_json", "as_csv"))


def find_workload(api: Api, name: str) -> str:
    """The id of the workload that is meant: an id as it is, else the newest of that name among those one may list."""
    if _WORKLOAD_ID.fullmatch(name):
        return name
    for workload in api.get("/v1/workloads", limit=NAMES_LOOKED_AT)["items"]:
        if workload["name"] == name:
            return str(workload["id"])
    raise NotFound(
        f"no workload is called {name!r}",
        code=RefusalCode.UNKNOWN_WORKLOAD,
        expected=f"an id, or the name of one of the last {NAMES_LOOKED_AT}",
        remedy="`allot list` shows them",
    )


def find_leader(api: Api, name: str) -> str:
    """What is to be followed, or cancelled: a workload as `find_workload` has it, or, by its name or id, a whole array."""
    try:
        return find_workload(api, name)
    except NotFound:
        for workload in api.get("/v1/workloads", limit=NAMES_LOOKED_AT)["items"]:
            array, _, index = str(workload["id"]).rpartition("-i")
            if array and workload["name"] == f"{name}[{index}]":
                return array
        raise


def workload_path(workload_id: str, verb: str = "") -> str:
    return f"/v1/workloads/{quote(workload_id, safe='')}{'/' + verb if verb else ''}"


def period_path(period: str, what: str = "") -> str:
    """Of a period's close. Raises InvalidInput for what is no name of one: a stretch from a day to a day has none."""
    if not period or not set(period) <= _OF_PERIOD_NAMES:
        raise InvalidInput(
            f"{period[:60]!r} is no period that is closed",
            where="period",
            expected="such as 2026-11, 2026-W47 or 2026-Q4",
        )
    return f"/v1/periods/{period}{'/' + what if what else ''}"


_OF_PERIOD_NAMES = frozenset(ascii_letters + digits + "-")


def _json(body: Mapping[str, Any]) -> bytes:
    """Whole numbers of any size, so that the server refuses those that are too large."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _stored(file: Path) -> dict[str, str]:
    try:
        with file.open("rb") as handle:
            found = tomllib.load(handle)
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"the configuration cannot be read: {error}",
            where=str(file),
            expected='lines such as server = "https://allot.example.com"',
            remedy="mend it, or write it anew with `allot login`",
        ) from error
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _refusal(answer: HTTPResponse) -> Answered:
    """The problem that the server answered with, or the best that can be said of an answer that is none."""
    try:
        body = orjson.loads(answer.read())
    except orjson.JSONDecodeError:
        body = {}
    if not isinstance(body, dict) or "code" not in body:
        said = f"{answer.status} {answer.reason}"
        unexpected = Refusal(f"{answer.url} answered {said}", code=RefusalCode.INTERNAL_ERROR)
        return Answered(unexpected, answer.status, answer.headers.get("X-Request-Id", ""))
    known = set(RefusalCode)
    code = RefusalCode(body["code"]) if body["code"] in known else RefusalCode.INTERNAL_ERROR
    where, detail = _in_words_typed(body)
    refusal = Refusal(
        detail, code=code, expected=str(body.get("expected", "")), remedy=str(body.get("remedy", "")), where=where
    )
    others = tuple(
        f"{_in_words_typed(other)[1]} (expected {other['expected']})" for other in body.get("errors", [])[1:]
    )
    return Answered(refusal, answer.status, str(body.get("request_id", "")), others)


def _in_words_typed(problem: Mapping[str, Any]) -> tuple[str, str]:
    """Where a problem is and what it is: of a field by the name of the option that it came from."""
    field, detail = str(problem.get("where", "")), str(problem.get("detail", ""))
    option = typed_as(field)
    return option, f"{option}{detail.removeprefix(field)}" if field and detail.startswith(f"{field} ") else detail
