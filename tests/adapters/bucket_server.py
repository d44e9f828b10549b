"""An object store in this process, over real HTTP: it checks every signature by the specification's words, not by our
code, demands object lock and a checksum, refuses to write over an object, and lists in pages of two."""

import base64
import hashlib
import hmac
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 2
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<id>\w+)/(?P<day>\d{8})/(?P<region>[\w-]+)/s3/aws4_request, "
    r"SignedHeaders=(?P<names>[\w;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass
class BucketServer:
    """`objects` by their names in the bucket; `locks` until when each is kept."""

    bucket: str = "books"
    secrets: dict[str, str] = field(default_factory=lambda: {"AKIATEST": "topsecret"})
    objects: dict[str, bytes] = field(default_factory=dict)
    locks: dict[str, str] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    address: str = ""

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        refusal = self._unauthorised(method, path, headers, body)
        if refusal:
            return self._refuse(403, refusal)
        address = urlsplit(path)
        _, bucket, name = (*address.path.split("/", 2), "")[:3]
        if bucket != self.bucket:
            return self._refuse(404, "NoSuchBucket")
        if not name:
            return 200, self._listed(parse_qs(address.query))
        if method == "GET":
            return (200, self.objects[name]) if name in self.objects else self._refuse(404, "NoSuchKey")
        return self._put(name, headers, body)

    def _put(self, name: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if headers.get("x-amz-object-lock-mode") != "COMPLIANCE" or headers.get("x-amz-checksum-sha256") != checksum:
            return self._refuse(400, "InvalidRequest")
        if headers.get("if-none-match") != "*" or name in self.objects:
            return self._refuse(412, "PreconditionFailed")
        self.objects[name] = body
        self.locks[name] = headers["x-amz-object-lock-retain-until-date"]
        return 200, b""

    def _unauthorised(self, method: str, path: str, headers: dict[str, str], body: bytes) -> str:
        found = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if found is None:
            return "AccessDenied"
        if found["id"] not in self.secrets:
            return "InvalidAccessKeyId"
        digest = hashlib.sha256(body).hexdigest()
        if headers["x-amz-content-sha256"] != digest:
            return "XAmzContentSHA256Mismatch"
        where, _, query = path.partition("?")
        names = found["names"].split(";")
        canonical = f"{method}\n{where}\n{query}\n"
        canonical += "".join(f"{name}:{headers[name]}\n" for name in names) + f"\n{found['names']}\n{digest}"
        scope = f"{found['day']}/{found['region']}/s3/aws4_request"
        text = (
            f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n" + hashlib.sha256(canonical.encode()).hexdigest()
        )
        key = ("AWS4" + self.secrets[found["id"]]).encode()
        for part in (found["day"], found["region"], "s3", "aws4_request", text):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return "" if hmac.compare_digest(key.hex(), found["signature"]) else "SignatureDoesNotMatch"

    def _listed(self, query: dict[str, list[str]]) -> bytes:
        after, prefix = query.get("continuation-token", [""])[0], query["prefix"][0]
        names = sorted(name for name in self.objects if name.startswith(prefix) and name > after)
        rows = "".join(f"<Contents><Key>{name}</Key></Contents>" for name in names[:PAGE])
        more = f"<NextContinuationToken>{names[PAGE - 1]}</NextContinuationToken>" if len(names) > PAGE else ""
        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        return f'<?xml version="1.0"?><ListBucketResult xmlns="{space}">{rows}{more}</ListBucketResult>'.encode()

    def _refuse(self, status: int, code: str) -> tuple[int, bytes]:
        self.refusals.append(code)
        return status, f"<Error><Code>{code}</Code></Error>".encode()


@contextmanager
def serving(bucket: BucketServer) -> Iterator[BucketServer]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, content = bucket.answer(self.command, self.path, headers, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            self._answer()

        def log_message(self, *arguments: Any) -> None:
            """Not to the test's output."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        bucket.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield bucket
        finally:
            server.shutdown()
            thread.join()
