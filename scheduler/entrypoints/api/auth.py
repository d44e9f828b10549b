"""Who asks: a bearer token, or a session cookie that holds one, becomes a Caller.

Tokens are 256 random bits, and only their SHA-256 is stored: what is compared is a hash that nobody can steer, found
by an index, so no comparison here leaks a token byte by byte, and no slow password hash is needed. That one is
missing, unknown, expired or revoked is answered in the same words.
"""

import hashlib
import re
import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.requests import Request

from scheduler.domain.errors import NotPermitted, RefusalCode
from scheduler.domain.people import Caller
from scheduler.domain.units import Instant
from scheduler.ports import Store

SESSION_COOKIE = "allot_session"
"""Set by the sign-in page: HttpOnly, SameSite=Strict."""

REMEMBERED_SECONDS = 2.0
REMEMBERED_MAX = 10_000

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def new_token() -> str:
    """A fresh token. The prefix lets secret scanners recognise one that was committed by mistake."""
    return f"allot_{secrets.token_urlsafe(32)}"


def hash_of(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


class Callers:
    """Who stands behind a token, remembered for a moment: the store is not asked for each request of a busy client.

    A token that was revoked, or whose person changed, works on for that moment and no longer. The moment is one of real
    time, which `elapsed` counts in seconds: simulated time runs sixty times as fast.
    """

    def __init__(self, store: Store, elapsed: Callable[[], float]) -> None:
        self._store = store
        self._elapsed = elapsed
        self._known: dict[str, tuple[float, Caller]] = {}

    def remembered(self, token_hash: str) -> Caller | None:
        """The caller, where the store said so a moment ago."""
        known = self._known.get(token_hash)
        return known[1] if known is not None and self._elapsed() - known[0] < REMEMBERED_SECONDS else None

    def find(self, token_hash: str, now: Instant) -> Caller | None:
        """The caller, as the store has it now."""
        with self._store.reading() as books:
            caller = books.people.caller_of(token_hash, now)
        if caller is not None:
            if len(self._known) >= REMEMBERED_MAX:
                self._known.clear()
            self._known[token_hash] = (self._elapsed(), caller)
        return caller


def find_caller(request: Request, store: Store, now: Instant) -> Caller | None:
    """The caller, or None, asked of the store."""
    token_hash = token_hash_of(request)
    if token_hash is None:
        return None
    with store.reading() as books:
        return books.people.caller_of(token_hash, now)


def token_hash_of(request: Request) -> str | None:
    """The hash of the request's token, or None where it has none that could be one of ours.

    A header that is there decides alone: a bad token never falls back on the cookie. Raises NotPermitted
    (`cross-site`) where a page of another site uses the session.
    """
    match request.headers.getlist("authorization"):
        case []:
            token = request.cookies.get(SESSION_COOKIE, "")
            if token:
                refuse_other_sites(request)
        case [header]:
            scheme, _, token = header.partition(" ")
            token = token.strip() if scheme.lower() == "bearer" else ""
        case _:  # what stands between might have judged the request by another of them than we
            token = ""
    return hash_of(token) if _TOKEN.fullmatch(token) else None


def unauthenticated() -> NotPermitted:
    """One refusal for every reason why a request has no caller."""
    return NotPermitted(
        "the request carries no token that is valid now",
        code=RefusalCode.UNAUTHENTICATED,
        where="Authorization",
        expected="Authorization: Bearer TOKEN",
    )


def refuse_other_sites(request: Request) -> None:
    """A cookie is sent by the browser, whoever made it do so: what changes something must come from our own pages."""
    if request.method in _SAFE_METHODS:
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin", "")
    is_ours = (
        site in {"same-origin", "none"}
        if site is not None
        else origin != "" and urlsplit(origin).netloc == request.headers.get("host")
    )
    if not is_ours:
        raise NotPermitted("another site tried to use the session", code=RefusalCode.CROSS_SITE, where="Origin")
