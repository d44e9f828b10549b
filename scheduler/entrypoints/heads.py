"""Where heads are kept and what signs them, by the settings: one folder and one key beside a SQLite file, unless told."""

import os
from pathlib import Path

from scheduler.adapters.aws_signature import Credentials
from scheduler.adapters.clock import SystemClock
from scheduler.adapters.head_bucket import HeadBucket, parse_place
from scheduler.adapters.head_folder import HeadFolder
from scheduler.adapters.head_places import HeadPlaces
from scheduler.adapters.signing import open_key
from scheduler.domain.errors import InvalidInput
from scheduler.entrypoints.settings import ClusterKind, Settings
from scheduler.finance.proving.ports import HeadArchive
from scheduler.lifecycle.accounting.publish import Publisher
from scheduler.ports import Clock, Store

_SQLITE = "sqlite:///"


def publisher_for(settings: Settings, store: Store, clock: Clock) -> Publisher | None:
    """What publishes heads; None where there is no place for them: then the journal is proven to nobody outside."""
    place, key = place_of_heads(settings), key_file(settings)
    if place is None or key is None:
        return None
    return Publisher(store, archive_at(place), open_key(key), clock.now)


def place_of_heads(settings: Settings) -> str | None:
    """What was named, or the folder `FILE.heads` beside the database's own file."""
    if settings.heads is not None:
        return settings.heads
    file = _file_of(settings.database)
    return None if file is None else f"{file}.heads"


def key_file(settings: Settings) -> Path | None:
    """The key that was named, or one beside the database's own file, or else beside the heads: for a first look, not
    for an audit."""
    if settings.signing_key is not None:
        return settings.signing_key
    beside = _file_of(settings.database) or _folder_of(settings.heads)
    return None if beside is None else Path(f"{beside.rstrip('/')}.key")


def archive_at(place: str) -> HeadArchive:
    """A folder, a bucket (`s3://…`), or several of them with a comma between. Raises InvalidInput."""
    places = [_archive_at(each.strip()) for each in place.split(",")]
    return places[0] if len(places) == 1 else HeadPlaces(places)


def _archive_at(place: str) -> HeadArchive:
    if not place.startswith("s3://"):
        return HeadFolder(Path(place))
    access_key, secret_key = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret_key:
        raise InvalidInput(
            f"who reads and writes {place}?",
            where="--heads",
            expected="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
        )
    credentials = Credentials(access_key, secret_key, os.environ.get("AWS_SESSION_TOKEN", ""))
    return HeadBucket(parse_place(place), credentials, SystemClock().now)


def seconds_between_heads(settings: Settings) -> float:
    """Real seconds: an hour of the service's clock, by default."""
    factor = settings.factor if settings.cluster is ClusterKind.SIMULATED else 1
    return max(1.0, settings.head_seconds / factor)


def _folder_of(heads: str | None) -> str | None:
    """The first folder among the places: no key is ever put into a bucket."""
    places = [each.strip() for each in heads.split(",")] if heads is not None else []
    return next((each for each in places if "://" not in each), None)


def _file_of(database: str) -> str | None:
    file = database.removeprefix(_SQLITE)
    return file if database.startswith(_SQLITE) and file and not file.startswith("file:") else None
