"""Bootstrap: the only place where adapters meet ports. Every part has a default, so that a test swaps any in one call."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from hashlib import sha256
from importlib import import_module
from pathlib import Path

from scheduler.adapters.clock import SystemClock
from scheduler.adapters.ids import RandomIds
from scheduler.adapters.policy_files.people import read_people
from scheduler.adapters.policy_files.policy_reader import read_policy
from scheduler.adapters.policy_files.prices import read_prices
from scheduler.adapters.sql.serving_alone import Claim, serving_alone
from scheduler.adapters.sql.store import open_store
from scheduler.domain.errors import RefusalCode, Unavailable
from scheduler.domain.people import Caller, Role
from scheduler.domain.policy import Policy
from scheduler.domain.units import EngineerId, Instant
from scheduler.entrypoints.api.auth import hash_of
from scheduler.entrypoints.collecting import require_sensors
from scheduler.entrypoints.heads import publisher_for
from scheduler.entrypoints.pricing import stored_price_book
from scheduler.entrypoints.running import Service
from scheduler.entrypoints.settings import EXAMPLES, ClusterKind, Settings
from scheduler.entrypoints.simulated import Simulation, open_simulation
from scheduler.lifecycle.governance.entering import access_takes_two
from scheduler.lifecycle.governance.governing import put_policy
from scheduler.ports import Clock, Cluster, Ids, Store

log = logging.getLogger(__name__)

_BOOKS_ID = "books_id"

SYSTEM = Caller("system:bootstrap", frozenset({Role.OPERATOR, Role.PEOPLE, Role.FINANCE}))


def build(
    settings: Settings,
    *,
    store: Store | None = None,
    clock: Clock | None = None,
    cluster: Cluster | None = None,
    ids: Ids | None = None,
    claim: Claim | None = None,
    policy_reader: Callable[[str, str], Policy] = read_policy,
) -> Service:
    """The service, not yet started; it writes as long as the `claim` holds. Raises Unavailable where the database or the
    kubeconfig cannot be used.

    A cluster that was asked for and cannot be had is never replaced by a simulated one.
    """
    require_sensors(settings)
    ids = ids or RandomIds()
    store = store if store is not None else open_store(_with_folder(settings.database), claim=claim)
    simulation: Simulation | None = None
    if cluster is None and settings.cluster is ClusterKind.SIMULATED:
        simulation = open_simulation(store, settings)
        clock, cluster = simulation.clock, simulation.cluster
    clock = clock if clock is not None else SystemClock()
    if cluster is None:
        cluster = _kubernetes(settings, clock, id_of_books(store, ids))
    service = Service(
        settings=settings,
        store=store,
        clock=clock,
        cluster=cluster,
        ids=ids,
        simulation=simulation,
        publisher=publisher_for(settings, store, clock),
    )
    _prepare(service, policy_reader)
    return service


def alone(settings: Settings) -> AbstractContextManager[Claim]:
    """Entered before anything is built, and left when everything is closed: see `serving_alone`."""
    return serving_alone(_with_folder(settings.database))


def _with_folder(database: str) -> str:
    """Make the folder of a SQLite file: the first start on a fresh machine has none. Raises Unavailable where it cannot."""
    prefix = "sqlite:///"
    if database.startswith(prefix) and database != prefix:
        folder = Path(database.removeprefix(prefix)).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(
                f"the database's folder {folder} cannot be made: {error.strerror}",
                code=RefusalCode.DATABASE_UNAVAILABLE,
                remedy="give --database a file in a folder that the service may write to",
            ) from error
    return database


def _kubernetes(settings: Settings, clock: Clock, books: str) -> Cluster:
    # The embedded default need not wait for the client of a cluster that it does not use.
    opened: Cluster = import_module("scheduler.entrypoints.real_cluster").open_cluster(settings, clock, books)
    return opened


def id_of_books(store: Store, ids: Ids) -> str:
    """By which a service knows its own claims again after a restart: made once, and kept by a backup."""
    with store.reading() as books:
        known = books.control.setting(_BOOKS_ID)
    if known is None:
        known = ids.new("books")
        with store.writing() as books:
            books.control.put_setting(_BOOKS_ID, known)
    return known


def _prepare(service: Service, policy_reader: Callable[[str, str], Policy]) -> None:
    """Load the world, the policy in force, and what the first start was given."""
    now = service.clock.now()
    settings = service.settings
    with service.store.reading() as books:
        service.world.load(books, now)
        current = books.control.current_policy()
        prices = stored_price_book(books)
    if current is not None:
        put_policy(service.store, service.world, policy_reader(current.text, current.name), now)
        _tell_of_another(settings, current.hash)
    elif (first := _first_policy(settings)) is not None:
        text = first.read_text(encoding="utf-8")
        service.administration.apply_policy(SYSTEM, text, policy_reader(text, first.name), now=now)
    if prices is not None:
        service.world.price_book = prices
    elif (book := _first_prices(settings)) is not None:
        text = book.read_text(encoding="utf-8")
        service.pricing.apply(SYSTEM, text, read_prices(text, book.name), now=now)
    if (directory := _first_people(settings)) is not None and not service.world.people:
        text = directory.read_text(encoding="utf-8")
        people = read_people(text, directory.name, lambda _: EngineerId(service.ids.new("e")))
        service.administration.apply_people(SYSTEM, people, now=now)
    if settings.bootstrap_token is not None:
        _issue_first_token(service, hash_of(settings.bootstrap_token), now)


def _issue_first_token(service: Service, token_hash: str, now: Instant) -> None:
    """Once: every later start is given the same token."""
    with service.store.reading() as books:
        is_issued = books.people.caller_of(token_hash, now) is not None
        is_set_up = access_takes_two(books, service.world)
    if is_set_up:
        log.warning(
            "ALLOT_BOOTSTRAP_TOKEN issues tokens without a second person: start without it once all have theirs"
        )
    if not is_issued:
        roles, subject = frozenset({Role.OPERATOR, Role.AUDITOR}), service.settings.bootstrap_subject
        service.administration.issue_token(SYSTEM, subject, roles, token_hash, now=now, by_host=True)


def _first_policy(settings: Settings) -> Path | None:
    """What was given, or, for the embedded default alone, the example."""
    is_embedded = settings.cluster is ClusterKind.SIMULATED
    return settings.policy or (EXAMPLES / "example.yaml" if is_embedded else None)


def _tell_of_another(settings: Settings, in_force: str) -> None:
    """A start puts no policy in place of another: whoever may edit the file would go round the second person."""
    given = settings.policy
    if given is not None and given.is_file() and sha256(given.read_bytes()).hexdigest() != in_force:
        log.warning(
            "%s is not the policy in force (sha256 %s), and a start does not apply it: `allot policy apply` does",
            given,
            in_force[:12],
        )


def _first_prices(settings: Settings) -> Path | None:
    """What was given, or the example where the example policy is in force: prices are of a policy's GPU classes."""
    is_example = settings.cluster is ClusterKind.SIMULATED and settings.policy is None
    return settings.prices or (EXAMPLES / "prices.yaml" if is_example else None)


def _first_people(settings: Settings) -> Path | None:
    is_embedded = settings.cluster is ClusterKind.SIMULATED
    return settings.people or (EXAMPLES / "people.yaml" if is_embedded else None)
