"""AWS Signature Version 4, by which object stores know who asks: pure, over hmac and sha256 alone.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, whose examples are its test.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote, urlsplit

from scheduler.domain.units import Instant

_ALGORITHM = "AWS4-HMAC-SHA256"
_SERVICE = "s3"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of an account of the store. `session_token` where they are temporary."""

    access_key: str
    secret_key: str
    session_token: str = ""


def query_text(query: Mapping[str, str]) -> str:
    """A query as it is signed and sent: sorted, everything but letters, digits and -_.~ escaped."""
    return "&".join(f"{quote(name, safe='-_.~')}={quote(query[name], safe='-_.~')}" for name in sorted(query))


def signed_headers(
    credentials: Credentials,
    region: str,
    request: tuple[str, str, bytes],
    headers: Mapping[str, str],
    at: Instant,
) -> dict[str, str]:
    """The headers to send, with the signature over all of them. `request` is method, URL and body.

    The URL's path and query are signed as they stand in it: they have to be escaped already.
    """
    method, url, body = request
    address = urlsplit(url)
    moment = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    sent = {
        **{name.lower(): " ".join(value.split()) for name, value in headers.items()},
        "host": address.netloc,
        "x-amz-content-sha256": sha256(body).hexdigest(),
        "x-amz-date": moment,
    }
    if credentials.session_token:
        sent["x-amz-security-token"] = credentials.session_token
    names = ";".join(sorted(sent))
    lines = [f"{name}:{sent[name]}" for name in sorted(sent)]
    canonical = "\n".join(
        [method, address.path or "/", address.query, *lines, "", names, sent["x-amz-content-sha256"]]
    )
    scope = f"{moment[:8]}/{region}/{_SERVICE}/aws4_request"
    to_sign = "\n".join([_ALGORITHM, moment, scope, sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    sent["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return sent
