"""The store: one database behind the books, with write transactions in turn and consistent reads beside them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from sqlalchemy import URL, Connection
from sqlalchemy.exc import SQLAlchemyError

from scheduler.adapters.sql.books.allowances import SqlAllowances, SqlHolds
from scheduler.adapters.sql.books.attempts import SqlAttempts
from scheduler.adapters.sql.books.control import SqlControl
from scheduler.adapters.sql.books.journal import SqlJournal
from scheduler.adapters.sql.books.people import SqlPeople
from scheduler.adapters.sql.books.verdicts import SqlVerdicts
from scheduler.adapters.sql.books.workloads import SqlWorkloads
from scheduler.adapters.sql.engine import BUSY_TIMEOUT_SECONDS, open_engine, parse
from scheduler.adapters.sql.faults import refusal_for
from scheduler.adapters.sql.locking import FairLock
from scheduler.adapters.sql.migrating import require_current, upgrade
from scheduler.ports import (
    AllowanceBook,
    AttemptBook,
    Books,
    ControlBook,
    HoldBook,
    JournalBook,
    PeopleBook,
    VerdictBook,
    WorkloadBook,
)


def open_store(url: str, *, migrate: bool = True) -> "SqlStore":
    """The store at this address, `sqlite:///FILE` or `postgresql://USER@HOST/NAME`.

    `sqlite://` is a database of its own in a temporary folder that goes when the store is closed.
    Raises Unavailable (`database-…`) where it cannot be used, InvalidInput where the address is none.
    """
    resources = ExitStack()
    address = parse(url)
    if address.get_backend_name() == "sqlite" and not address.database:
        folder = resources.enter_context(TemporaryDirectory(prefix="allot-"))
        address = address.set(database=f"{folder}/allot.db")
    store = SqlStore(address, resources)
    try:
        store.prepare(migrate=migrate)
    except BaseException:
        store.close()
        raise
    return store


class SqlStore:
    """A Store. Safe to use from several threads; a connection belongs to one transaction at a time."""

    def __init__(self, address: URL, resources: ExitStack) -> None:
        self._turn = FairLock()
        self._resources = resources
        self._writer = open_engine(address, to_write=True)
        self._readers = open_engine(address, to_write=False)
        self._resources.callback(self._writer.dispose)
        self._resources.callback(self._readers.dispose)

    @contextmanager
    def writing(self) -> Iterator[Books]:
        """Writers wait for one another in the order in which they came."""
        with _refusals(), self._turn.held(BUSY_TIMEOUT_SECONDS), self._writer.begin() as connection:
            yield books_on(connection)

    @contextmanager
    def reading(self) -> Iterator[Books]:
        with _refusals(), self._readers.begin() as connection:
            yield books_on(connection)

    def prepare(self, *, migrate: bool) -> None:
        """Bring the schema up to date, or require that it is."""
        if migrate:
            with _refusals(), self._turn.held(BUSY_TIMEOUT_SECONDS), self._writer.begin() as connection:
                upgrade(connection)
        with _refusals(), self._readers.begin() as connection:
            require_current(connection)

    def close(self) -> None:
        self._resources.close()


@dataclass(frozen=True, slots=True)
class SqlBooks:
    """All books of one transaction."""

    journal: JournalBook
    allowances: AllowanceBook
    holds: HoldBook
    workloads: WorkloadBook
    attempts: AttemptBook
    verdicts: VerdictBook
    people: PeopleBook
    control: ControlBook


def books_on(connection: Connection) -> SqlBooks:
    return SqlBooks(
        journal=SqlJournal(connection),
        allowances=SqlAllowances(connection),
        holds=SqlHolds(connection),
        workloads=SqlWorkloads(connection),
        attempts=SqlAttempts(connection),
        verdicts=SqlVerdicts(connection),
        people=SqlPeople(connection),
        control=SqlControl(connection),
    )


@contextmanager
def _refusals() -> Iterator[None]:
    """The database's faults as refusals with a code; a fault of ours goes up as it is."""
    try:
        yield
    except SQLAlchemyError as error:
        refusal = refusal_for(error)
        if refusal is None:
            raise
        raise refusal from error
