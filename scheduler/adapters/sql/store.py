"""The store: one database behind the books, with write transactions in turn and consistent reads beside them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import URL, Connection, inspect

from scheduler.adapters.sql.books.allowances import SqlAllowances, SqlHolds
from scheduler.adapters.sql.books.approvals import SqlApprovals
from scheduler.adapters.sql.books.attempts import SqlAttempts
from scheduler.adapters.sql.books.capacity import SqlCapacity
from scheduler.adapters.sql.books.control import SqlControl
from scheduler.adapters.sql.books.gpu_faults import SqlGpuFaults
from scheduler.adapters.sql.books.heads import SqlHeads
from scheduler.adapters.sql.books.idleness import SqlIdleness
from scheduler.adapters.sql.books.journal import SqlJournal
from scheduler.adapters.sql.books.people import SqlPeople
from scheduler.adapters.sql.books.periods import SqlPeriods
from scheduler.adapters.sql.books.prices import SqlPrices
from scheduler.adapters.sql.books.samples import SqlSamples
from scheduler.adapters.sql.books.token_holds import SqlTokenHolds
from scheduler.adapters.sql.books.verdicts import SqlVerdicts
from scheduler.adapters.sql.books.workloads import SqlWorkloads
from scheduler.adapters.sql.checkpointing import Checkpoints
from scheduler.adapters.sql.engine import PATIENCE_SECONDS, open_engine, parse
from scheduler.adapters.sql.faults import as_refusals
from scheduler.adapters.sql.locking import FairLock
from scheduler.adapters.sql.migrations import HEAD
from scheduler.adapters.sql.sealing import Sealing
from scheduler.adapters.sql.serving_alone import Claim
from scheduler.domain.errors import Unavailable
from scheduler.finance.approval_book import ApprovalBook
from scheduler.finance.prices.price_shelf import PriceShelf
from scheduler.finance.proving.ports import HeadBook, PeriodBook
from scheduler.finance.reconciling.capacity_book import CapacityBook
from scheduler.ledger.books import JournalBook
from scheduler.ledger.token_holds import TokenHoldBook
from scheduler.metering.books import GpuFaultBook, IdleBook, SampleBook
from scheduler.ports import (
    AllowanceBook,
    AttemptBook,
    Books,
    ControlBook,
    HoldBook,
    PeopleBook,
    VerdictBook,
    WorkloadBook,
)


def open_store(
    url: str, *, migrate: bool = True, patience_seconds: float = PATIENCE_SECONDS, claim: Claim | None = None
) -> "SqlStore":
    """The store at this address, `sqlite:///FILE` or `postgresql://USER@HOST/NAME`.

    `sqlite://` is a database of its own in a temporary folder that goes when the store is closed.
    A service gives its `claim` on it.
    `migrate` brings its schema up to date; without it a database that is missing or outdated is refused.
    Raises Unavailable (`database-…`) where it cannot be used, InvalidInput where the address is none.
    """
    resources = ExitStack()
    address = parse(url)
    if address.get_backend_name() == "sqlite" and not address.database:
        folder = resources.enter_context(TemporaryDirectory(prefix="allot-"))
        address = address.set(database=f"{folder}/allot.db")
    if not migrate:
        _require_file(address)
    store = SqlStore(address, resources, patience_seconds, claim)
    try:
        store.prepare(migrate=migrate)
    except BaseException:
        store.close()
        raise
    return store


class SqlStore:
    """A Store. Safe to use from several threads; a connection belongs to one transaction at a time."""

    def __init__(
        self, address: URL, resources: ExitStack, patience_seconds: float, claim: Claim | None = None
    ) -> None:
        self._turn = FairLock()
        self._resources = resources
        self._patience_seconds = patience_seconds
        self._writer = open_engine(
            address,
            to_write=True,
            patience_seconds=patience_seconds,
            require_claim=None if claim is None else claim.require,
        )
        self._readers = open_engine(address, to_write=False, patience_seconds=patience_seconds)
        self._resources.callback(self._writer.dispose)
        self._resources.callback(self._readers.dispose)
        self._checkpoints = Checkpoints(address) if address.get_backend_name() == "sqlite" else None
        if self._checkpoints is not None:
            self._resources.callback(self._checkpoints.close)
            self._resources.callback(self._let_go)
        self._kept: Connection | None = None

    @contextmanager
    def writing(self) -> Iterator[Books]:
        """Writers wait for one another in the order in which they came."""
        with self._write() as connection:
            sealing = Sealing(connection)
            yield books_on(connection, sealing)
            sealing.seal()

    @contextmanager
    def reading(self) -> Iterator[Books]:
        with as_refusals(), self._readers.begin() as connection:
            yield books_on(connection, Sealing(connection))

    def prepare(self, *, migrate: bool) -> None:
        """Bring the schema up to date, or require that it is."""
        with as_refusals(), self._readers.begin() as connection:
            if _version_of(connection) == HEAD:
                return
        # Alembic takes as long to import as everything else here together: only what needs it waits for it.
        migrating = import_module("scheduler.adapters.sql.migrating")
        if migrate:
            with self._write() as connection:
                migrating.upgrade(connection)
        with as_refusals(), self._readers.begin() as connection:
            migrating.require_current(connection)

    def close(self) -> None:
        self._resources.close()

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with as_refusals(), self._turn.held(self._patience_seconds):
            with self._begun() as connection:
                yield connection
            if self._checkpoints is not None:
                self._checkpoints.note_commit()

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        """A transaction of the one who has the turn.

        SQLite's one connection is kept: to lend it from the pool and give it back took longer than to begin and commit.
        One to a server may have been cut meanwhile, which the pool looks for.
        """
        if self._writer.dialect.name != "sqlite":
            with self._writer.begin() as connection:
                yield connection
            return
        if self._kept is None:
            self._kept = self._writer.connect()
        with self._kept.begin():
            yield self._kept

    def _let_go(self) -> None:
        """Once whoever writes has ended; one that does not is left alone, and its connection with it."""
        with suppress(Unavailable), self._turn.held(self._patience_seconds):
            if self._kept is not None:
                self._kept.close()
                self._kept = None


@dataclass(frozen=True, slots=True)
class SqlBooks:
    """All books of one transaction."""

    journal: JournalBook
    allowances: AllowanceBook
    holds: HoldBook
    workloads: WorkloadBook
    attempts: AttemptBook
    capacity: CapacityBook
    verdicts: VerdictBook
    people: PeopleBook
    control: ControlBook
    samples: SampleBook
    gpu_faults: GpuFaultBook
    idleness: IdleBook
    prices: PriceShelf
    heads: HeadBook
    periods: PeriodBook
    approvals: ApprovalBook
    token_holds: TokenHoldBook


def books_on(connection: Connection, sealing: Sealing) -> SqlBooks:
    return SqlBooks(
        journal=SqlJournal(connection),
        allowances=SqlAllowances(connection, sealing),
        holds=SqlHolds(connection, sealing),
        workloads=SqlWorkloads(connection, sealing),
        attempts=SqlAttempts(connection, sealing),
        capacity=SqlCapacity(connection),
        verdicts=SqlVerdicts(connection),
        people=SqlPeople(connection),
        control=SqlControl(connection),
        samples=SqlSamples(connection),
        gpu_faults=SqlGpuFaults(connection),
        idleness=SqlIdleness(connection),
        prices=SqlPrices(connection),
        heads=SqlHeads(connection),
        periods=SqlPeriods(connection),
        approvals=SqlApprovals(connection),
        token_holds=SqlTokenHolds(connection, sealing),
    )


def _require_file(address: URL) -> None:
    """SQLite would create it, empty, under any name that was mistyped."""
    is_plain_file = address.get_backend_name() == "sqlite" and not (address.database or "").startswith("file:")
    if is_plain_file and not Path(address.database or "").exists():
        raise Unavailable(
            f"there is no database {address.database}",
            remedy="check the path; `allot serve` creates and migrates it",
        )


def _version_of(connection: Connection) -> str | None:
    """The version of the schema that the database says it has; None where it says none, or several."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    versions = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    return versions[0] if len(versions) == 1 else None
