"""Published heads in an object store's bucket that is written once: S3 or what speaks its language, over signed HTTP.

Every object is put under a lock until a stated day (object lock, mode COMPLIANCE: not even the account's owner shortens
it), and only where none of that name is there. Why no library: ADR 23.
"""

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree as ET

import httpx

from scheduler.adapters.aws_signature import Credentials, query_text, signed_headers
from scheduler.adapters.head_folder import require_same
from scheduler.domain.digits import whole_number_in
from scheduler.domain.errors import InvalidInput, RefusalCode, Unavailable
from scheduler.domain.units import MS_PER_DAY, Instant

TIMEOUT_SECONDS = 30.0
RETAIN_DAYS = 3_653
"""Ten years: as long as the books of most countries have to be kept."""
_RETAIN_DAYS_MAX = 36_500
_PAGES_MAX = 10_000
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9._/-]*")
_REGION = re.compile(r"[a-z0-9-]{1,40}")


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """Where: `url` of the bucket with the prefix of its names, and for how many days each is locked."""

    url: str
    prefix: str
    region: str
    retain_days: int = RETAIN_DAYS


def parse_place(text: str) -> BucketPlace:
    """`s3://BUCKET/PREFIX?endpoint=https://HOST&region=NAME&retain_days=N`. Raises InvalidInput.

    Without an endpoint it is Amazon's of that region.
    """
    address = urlsplit(text)
    options = dict(parse_qsl(address.query, keep_blank_values=True))
    bucket, prefix = address.netloc, address.path.strip("/")
    region = options.pop("region", "us-east-1")
    endpoint = options.pop("endpoint", f"https://s3.{region}.amazonaws.com").rstrip("/")
    days = whole_number_in(options.pop("retain_days", str(RETAIN_DAYS))) or 0
    host = urlsplit(endpoint)
    is_plain = not (options or address.fragment or host.path or host.query or host.username)
    is_named = _BUCKET.fullmatch(bucket) and _PREFIX.fullmatch(prefix) and _REGION.fullmatch(region)
    is_long_enough = 1 <= days <= _RETAIN_DAYS_MAX
    if not (is_plain and is_named and is_long_enough and host.scheme in {"https", "http"} and host.hostname):
        raise InvalidInput(
            f"{text!r} names no bucket",
            where="--heads",
            expected=f"s3://BUCKET/PREFIX?endpoint=https://HOST&region=NAME&retain_days=1..{_RETAIN_DAYS_MAX}",
        )
    return BucketPlace(f"{endpoint}/{bucket}", f"{prefix}/" if prefix else "", region, days)


class HeadBucket:
    """A HeadArchive."""

    def __init__(self, place: BucketPlace, credentials: Credentials, now: Callable[[], Instant]) -> None:
        """`now` is the machine's time, whatever the service's clock shows: signatures and locks are by that."""
        self._place = place
        self._credentials = credentials
        self._now = now
        self._client = httpx.Client(timeout=TIMEOUT_SECONDS)

    def put(self, name: str, content: bytes) -> None:
        until = datetime.fromtimestamp((self._now() + self._place.retain_days * MS_PER_DAY) / 1000, UTC)
        headers = {
            "if-none-match": "*",
            "x-amz-checksum-sha256": b64encode(sha256(content).digest()).decode(),
            "x-amz-object-lock-mode": "COMPLIANCE",
            "x-amz-object-lock-retain-until-date": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        answer = self._ask("PUT", f"{self._place.url}/{self._place.prefix}{name}", content, headers)
        if answer.status_code in {httpx.codes.PRECONDITION_FAILED, httpx.codes.CONFLICT}:
            require_same(name, self.get(name) or b"", content)
        elif not answer.is_success:
            raise self._failed(answer)

    def get(self, name: str) -> bytes | None:
        answer = self._ask("GET", f"{self._place.url}/{self._place.prefix}{name}")
        if answer.status_code == httpx.codes.NOT_FOUND and _code(answer) != "NoSuchBucket":
            return None
        if not answer.is_success:
            raise self._failed(answer)
        return answer.content

    def names(self) -> list[str]:
        found: list[str] = []
        query = {"list-type": "2", "prefix": self._place.prefix}
        for _ in range(_PAGES_MAX):
            answer = self._ask("GET", f"{self._place.url}?{query_text(query)}")
            if not answer.is_success:
                raise self._failed(answer)
            page = self._parsed(answer)
            found += [
                (key.text or "").removeprefix(self._place.prefix) for key in page.iterfind("{*}Contents/{*}Key")
            ]
            following = page.findtext("{*}NextContinuationToken")
            if not following:
                return sorted(found)
            query["continuation-token"] = following
        raise Unavailable("the bucket's list of names does not end", code=RefusalCode.HEADS_UNAVAILABLE)

    def _ask(self, method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> httpx.Response:
        sent = signed_headers(self._credentials, self._place.region, (method, url, body), headers or {}, self._now())
        try:
            return self._client.request(method, url, content=body, headers=sent)
        except httpx.HTTPError as error:
            raise Unavailable(
                f"{self._place.url} did not answer: {error}",
                code=RefusalCode.HEADS_UNAVAILABLE,
                remedy="check the endpoint; what is missing is published by the next round",
            ) from error

    def _failed(self, answer: httpx.Response) -> Unavailable:
        return Unavailable(
            f"{self._place.url} refused with {answer.status_code} {_code(answer)}".rstrip(),
            code=RefusalCode.HEADS_UNAVAILABLE,
            remedy="check the bucket (versioning and object lock on), its region, and what the credentials may do",
        )

    def _parsed(self, answer: httpx.Response) -> ET.Element:
        try:
            return _xml(answer)
        except ET.ParseError as error:
            raise Unavailable(
                f"{self._place.url} does not answer as an object store", code=RefusalCode.HEADS_UNAVAILABLE
            ) from error


def _code(answer: httpx.Response) -> str:
    """The store's own code of a refusal, such as AccessDenied."""
    try:
        return _xml(answer).findtext("Code") or ""
    except ET.ParseError:
        return ""


def _xml(answer: httpx.Response) -> ET.Element:
    if b"<!DOCTYPE" in answer.content:  # entities would expand without end
        raise ET.ParseError("no document type is expected")
    return ET.fromstring(answer.content)  # noqa: S314  # without a document type there are no entities
