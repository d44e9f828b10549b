"""Heads in an object store: signed as the specification's examples are, locked, never written over, verified from there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.adapters.aws_signature import Credentials, query_text, signed_headers
from scheduler.adapters.head_bucket import BucketPlace, HeadBucket, parse_place
from scheduler.adapters.head_folder import HeadFolder
from scheduler.adapters.head_places import HeadPlaces
from scheduler.adapters.signing import is_signed
from scheduler.adapters.sql.evidence import open_evidence
from scheduler.adapters.sql.store import SqlStore, open_store
from scheduler.domain.errors import Conflict, InvalidInput, RefusalCode, Unavailable
from scheduler.domain.units import Instant
from scheduler.entrypoints.heads import archive_at, key_file
from scheduler.entrypoints.settings import Settings
from scheduler.finance.proving.findings import FindingCode
from scheduler.finance.proving.verification import verify
from tests.adapters.bucket_server import BucketServer, serving
from tests.adapters.sql.booked import Booked
from tests.adapters.sql.tampering import codes

CREDENTIALS = Credentials("AKIATEST", "topsecret")
NOW = Instant(1_795_000_000_000)
"""2026-11-18T11:06:40Z."""


@pytest.fixture
def server() -> Iterator[BucketServer]:
    with serving(BucketServer()) as running:
        yield running


@pytest.fixture
def bucket(server: BucketServer) -> HeadBucket:
    return bucket_of(server)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    made = open_store(f"sqlite:///{tmp_path}/books.db")
    yield made
    made.close()


def bucket_of(server: BucketServer, credentials: Credentials = CREDENTIALS) -> HeadBucket:
    place = parse_place(f"s3://books/audit/allot?endpoint={server.address}&region=eu-central-1&retain_days=10")
    return HeadBucket(place, credentials, lambda: NOW)


@pytest.mark.parametrize(
    ("url", "headers", "signature"),
    [
        (
            "/test.txt",
            {"Range": "bytes=0-9"},
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        ("/?lifecycle=", {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        (
            f"/?{query_text({'prefix': 'J', 'max-keys': '2'})}",
            {},
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_a_request_is_signed_as_the_specification_s_examples_are(
    url: str, headers: dict[str, str], signature: str
) -> None:
    """The examples of "Authenticating Requests: Using the Authorization Header" of the S3 API reference."""
    example = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    request = ("GET", f"https://examplebucket.s3.amazonaws.com{url}", b"")
    sent = signed_headers(example, "us-east-1", request, headers, Instant(1_369_353_600_000))
    assert sent["authorization"].rpartition("Signature=")[2] == signature


def test_an_object_is_put_once_locked_and_read_back(server: BucketServer, bucket: HeadBucket) -> None:
    assert bucket.get("head-00000001.json") is None
    bucket.put("head-00000001.json", b"first")
    bucket.put("head-00000001.json", b"first")
    assert server.objects == {"audit/allot/head-00000001.json": b"first"}
    assert server.locks == {"audit/allot/head-00000001.json": "2026-11-28T11:06:40Z"}
    assert bucket.get("head-00000001.json") == b"first"
    with pytest.raises(Conflict) as refused:
        bucket.put("head-00000001.json", b"second")
    assert refused.value.code is RefusalCode.HEAD_REWRITTEN
    assert server.objects == {"audit/allot/head-00000001.json": b"first"}


def test_names_come_in_pages_and_without_their_prefix(server: BucketServer, bucket: HeadBucket) -> None:
    for number in range(1, 6):
        bucket.put(f"head-0000000{number}.json", b"x")
    server.objects["elsewhere/head-00000009.json"] = b"x"
    assert bucket.names() == [f"head-0000000{number}.json" for number in range(1, 6)]


@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        (Credentials("AKIATEST", "another"), "SignatureDoesNotMatch"),
        (Credentials("AKIAELSE", "topsecret"), "InvalidAccessKeyId"),
    ],
)
def test_a_wrong_signature_is_refused_by_the_store_and_said(
    server: BucketServer, credentials: Credentials, code: str
) -> None:
    bucket = bucket_of(server, credentials)
    with pytest.raises(Unavailable, match=code) as refused:
        bucket.put("a", b"x")
    assert refused.value.code is RefusalCode.HEADS_UNAVAILABLE
    with pytest.raises(Unavailable, match="403"):
        bucket.get("a")
    with pytest.raises(Unavailable, match="403"):
        bucket.names()
    assert server.objects == {}


def test_temporary_credentials_send_their_token(server: BucketServer) -> None:
    bucket_of(server, Credentials("AKIATEST", "topsecret", "a-token")).put("a", b"x")
    assert server.refusals == []


def test_a_bucket_that_is_not_there_or_not_listening_is_said(server: BucketServer) -> None:
    wrong = HeadBucket(BucketPlace(f"{server.address}/other", "", "eu-central-1"), CREDENTIALS, lambda: NOW)
    with pytest.raises(Unavailable, match="NoSuchBucket"):
        wrong.get("a")
    nobody = HeadBucket(BucketPlace("http://127.0.0.1:1/b", "", "eu-central-1"), CREDENTIALS, lambda: NOW)
    with pytest.raises(Unavailable, match="did not answer"):
        nobody.names()


@pytest.mark.parametrize(
    "text",
    [
        "s3://",
        "s3://UPPER/x",
        "s3://books/a b",
        "s3://books?endpoint=ftp://x",
        "s3://books?endpoint=https://",
        "s3://books?endpoint=https://user@host",
        "s3://books?retain_days=0",
        "s3://books?retain_days=²",
        "s3://books?retain_days=99999999",
        "s3://books?region=EU!",
        "s3://books?lock=none",
        "s3://books#x",
    ],
)
def test_an_address_that_names_no_bucket_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_place(text)


def test_without_an_endpoint_it_is_amazon_s_of_the_region() -> None:
    place = parse_place("s3://books?region=eu-west-1")
    assert place == BucketPlace("https://s3.eu-west-1.amazonaws.com/books", "", "eu-west-1", 3_653)


def test_heads_go_to_a_folder_and_a_bucket_and_either_verifies(
    store: SqlStore, server: BucketServer, bucket: HeadBucket, tmp_path: Path
) -> None:
    made = Booked(store, tmp_path)
    folder = HeadFolder(made.heads)
    both = HeadPlaces([folder, bucket])
    object.__setattr__(made.publisher, "archive", both)
    for _ in range(2):
        made.work(1)
        made.publish()
    for archive in (folder, bucket, both):
        with open_evidence(f"sqlite:///{tmp_path}/books.db") as evidence:
            found = verify(evidence, archive, is_signed)
        assert (list(found.findings), found.heads) == ([], 2)
    server.objects["audit/allot/head-00000002.json"] = b"{}"
    with open_evidence(f"sqlite:///{tmp_path}/books.db") as evidence:
        assert FindingCode.UNREADABLE in codes(verify(evidence, both, is_signed))


def test_what_the_bucket_missed_while_it_was_away_is_put_there_later(
    store: SqlStore, server: BucketServer, bucket: HeadBucket, tmp_path: Path
) -> None:
    made = Booked(store, tmp_path)
    made.work(1)
    object.__setattr__(made.publisher, "archive", HeadPlaces([HeadFolder(made.heads), bucket]))
    server.secrets.clear()
    with pytest.raises(Unavailable):
        made.publisher.publish()
    server.secrets["AKIATEST"] = "topsecret"
    assert made.publisher.publish() is None, "nothing new was written"
    assert bucket.names() == ["head-00000001.json", "head-00000001.leaves"] == HeadFolder(made.heads).names()


def test_places_are_named_with_a_comma_between(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = f"{tmp_path}/heads, s3://books/audit"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(InvalidInput, match="who reads and writes"):
        archive_at(text)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "topsecret")
    assert isinstance(archive_at(text), HeadPlaces)
    assert isinstance(archive_at(f"{tmp_path}/heads"), HeadFolder)
    remote = Settings(database="postgresql://db/allot", heads=f"s3://books, {tmp_path}/heads")
    assert key_file(remote) == Path(f"{tmp_path}/heads.key")
    assert key_file(Settings(database="postgresql://db/allot", heads="s3://books")) is None
