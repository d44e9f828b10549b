"""Who asks: a bearer token, or a session cookie that holds one, becomes a Caller.

Tokens are 256 random bits, and only their SHA-256 is stored: what is compared is a hash that nobody can steer, found
by an index, so no comparison here leaks a token byte by byte, and no slow password hash is needed. That one is
missing, unknown, expired or revoked is answered in the same words.
"""

import hashlib
import re
import secrets
from urllib.parse import urlsplit

from starlette.requests import Request

from scheduler.domain.errors import NotPermitted, RefusalCode
from scheduler.domain.people import Caller
from scheduler.domain.units import Instant
from scheduler.ports import Store

SESSION_COOKIE = "allot_session"
"""Set by the sign-in page: HttpOnly, SameSite=Strict."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def new_token() -> str:
    """A fresh token. The prefix lets secret scanners recognise one that was committed by mistake."""
    return f"allot_{secrets.token_urlsafe(32)}"


def hash_of(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def require_caller(request: Request, store: Store, now: Instant) -> Caller:
    """The caller behind the request; `unauthenticated` where there is none, `cross-site` where a page abuses one."""
    caller = find_caller(request, store, now)
    if caller is None:
        raise NotPermitted(
            "the request carries no token that is valid now",
            code=RefusalCode.UNAUTHENTICATED,
            where="Authorization",
            expected="Authorization: Bearer TOKEN",
        )
    return caller


def find_caller(request: Request, store: Store, now: Instant) -> Caller | None:
    """The caller, or None. A header that is there decides alone: a bad token never falls back on the cookie."""
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        return _caller_of(token.strip(), store, now) if scheme.lower() == "bearer" else None
    token = request.cookies.get(SESSION_COOKIE, "")
    if not token:
        return None
    refuse_other_sites(request)
    return _caller_of(token, store, now)


def _caller_of(token: str, store: Store, now: Instant) -> Caller | None:
    if not _TOKEN.fullmatch(token):
        return None
    with store.reading() as books:
        return books.people.caller_of(hash_of(token), now)


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
