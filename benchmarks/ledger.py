"""How fast the books are kept: hold + charge + release in a cycle's transaction, beside the same rows written bare.

python -m benchmarks.ledger [--url sqlite:///FILE] [--batch 200] [--rows 200000] prints one JSON object. The database
must be a new one; without --url it is a SQLite file of its own. The goal and the floor are SQLite's alone; the floor is as
many rows of the same shape by `executemany` into plain tables, with the same journal mode, synchronous=FULL and as many
commits.
"""

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import orjson

from benchmarks.measured import keep
from scheduler.adapters.sql.store import SqlStore, open_store
from scheduler.domain.allowances import Allowance, AllowanceSource, Holder, HolderKind
from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.funding import FundingShare
from scheduler.domain.units import (
    MS_PER_DAY,
    AllowanceId,
    AttemptId,
    EngineerId,
    GpuClassName,
    HoldId,
    Instant,
    NodeName,
    PerMille,
    PoolName,
    PriorityClassName,
    ProjectName,
    TeamName,
    WorkloadId,
)
from scheduler.domain.workloads import Attempt, HoldMode, Workload, WorkloadKind, WorkloadSpec
from scheduler.ledger.charging import charge
from scheduler.ledger.grants import grant
from scheduler.ledger.holding import hold, holds_for, release
from scheduler.ledger.journal import Account, AccountKind
from scheduler.ledger.statement import accounts_of, lines_of, statement
from scheduler.ports import Books

GOAL_PER_SECOND = 1_000
ENGINEERS = 200
LIMIT_MS = 3_600_000
USED_MS = 1_000_000
CHARGED_AT = Instant(USED_MS + 1)
ENDED_AT = Instant(USED_MS + 2)
LATER = Instant(60 * MS_PER_DAY)
ROWS_OF_ONE = {"transactions": (3, 10), "entries": (6, 6), "holds": (1, 10)}
"""Rows that one hold, charge and release write, and the columns of each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="", help="of an empty database")
    parser.add_argument("--batch", type=int, default=200, help="attempts in one transaction")
    parser.add_argument("--rows", type=int, default=200_000, help="journal entries to fill up to")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
        url = arguments.url or f"sqlite:///{scratch}/ledger.db"
        store = open_store(url)
        result = measure(store, arguments.batch, arguments.rows)
        store.close()
        if url.startswith("sqlite"):
            result["floor_per_second"] = round(bare(Path(scratch) / "bare.db", arguments.batch))
        else:
            result = {key: value for key, value in result.items() if key not in {"goal_per_second", "is_met"}}
    name = "ledger" if url.startswith("sqlite") else "ledger-postgresql"
    print(orjson.dumps(keep(name, result), option=orjson.OPT_INDENT_2).decode())


def measure(store: SqlStore, batch: int, rows: int) -> dict[str, object]:
    prepare(store)
    numbers = iter(range(10**9))
    cycle(store, [next(numbers) for _ in range(batch)])  # the first statement of each kind is compiled here
    with timed() as one_by_one:
        for _ in range(20):
            cycle(store, [next(numbers)])
    taken = []
    entries = 0
    processor_before = time.process_time()
    while entries < rows:
        with timed() as seconds:
            cycle(store, [next(numbers) for _ in range(batch)])
        taken.append(seconds())
        entries += 6 * batch
    processor = time.process_time() - processor_before
    saving = save_workloads(store, batch)
    rate = batch * len(taken) / sum(taken)
    return {
        "batch": batch,
        "entries": entries,
        "hold_charge_release_per_second": round(rate),
        "per_second_of_processor": round(batch * len(taken) / processor),
        "goal_per_second": GOAL_PER_SECOND,
        "is_met": rate >= GOAL_PER_SECOND,
        "cycle_p50_ms": milliseconds(sorted(taken)[len(taken) // 2]),
        "cycle_max_ms": milliseconds(max(taken)),
        "one_alone_ms": milliseconds(one_by_one() / 20),
        "save_workloads_ms": milliseconds(saving),
        "statement_of_one_engineer_ms": milliseconds(median(lambda: statement_of(store, 0))),
        "month_of_everybody_ms": milliseconds(median(lambda: read(store, month_of_everybody))),
        "all_balances_ms": milliseconds(median(lambda: read(store, lambda b: b.allowances.balances()))),
        "rebuild_ms": milliseconds(median(lambda: read(store, lambda b: b.journal.differences()))),
    }


def prepare(store: SqlStore) -> None:
    with store.writing() as books:
        for number in range(ENGINEERS):
            allowance = Allowance(
                id=AllowanceId(f"tier/e-{number}/2026-11"),
                holder=Holder(HolderKind.ENGINEER, f"e-{number}"),
                source=AllowanceSource.TIER,
                amount=10**15,
                starts_at=Instant(0),
                expires_at=None,
                granted_at=Instant(0),
            )
            books.allowances.add(allowance)
            books.journal.post([grant(allowance, actor="benchmark")], Instant(0))


def cycle(store: SqlStore, numbers: list[int]) -> None:
    """What a scheduling cycle writes for that many attempts: holds, a charge each, the release of the rest."""
    attempts = [attempt(number) for number in numbers]
    with store.writing() as books:
        books.workloads.add([workload(number) for number in numbers])
        books.attempts.add(attempts)
        holds = {
            item.id: holds_for(
                [FundingShare(AllowanceId(f"tier/{item.owner}/2026-11"), LIMIT_MS)],
                [HoldId(f"h-{item.id}")],
                item.workload_id,
                item.id,
                item.launched_at,
            )
            for item in attempts
        }
        opened = [each for several in holds.values() for each in several]
        books.holds.open(opened)
        books.journal.post(hold(opened), Instant(1))
        charges = [charge(item, holds[item.id], USED_MS, CHARGED_AT) for item in attempts]
        books.journal.post([each for made in charges for each in made.transactions], CHARGED_AT)
        books.holds.charge({name: amount for made in charges for name, amount in made.from_holds.items()})
        charged = [each for several in books.holds.of_attempts([a.id for a in attempts]).values() for each in several]
        books.journal.post(release(charged, ENDED_AT), ENDED_AT)
        books.holds.resolve([each.id for each in charged], ENDED_AT)


def save_workloads(store: SqlStore, batch: int) -> float:
    """Seconds to add that many workloads and to save each once."""
    made = [replace(workload(number), id=WorkloadId(f"s-{number}")) for number in range(batch)]
    with timed() as seconds, store.writing() as books:
        books.workloads.add(made)
        assert books.workloads.save([replace(item, version=1) for item in made]) == []
    return seconds()


def statement_of(store: SqlStore, number: int) -> None:
    accounts = accounts_of([AllowanceId(f"tier/e-{number}/2026-11")], [EngineerId(f"e-{number}")])
    with store.reading() as books:
        opening, closing = (books.journal.totals(ends_at=at, accounts=accounts) for at in (Instant(0), LATER))
        made = statement(
            opening,
            closing,
            lines_of(books.journal.stated(accounts=accounts, starts_at=Instant(0), ends_at=LATER))[0],
        )
        assert made.available == books.journal.balance(Account(AccountKind.ALLOWANCE, accounts[0].owner))


def month_of_everybody(books: Books) -> int:
    return sum(posted.amount for posted in books.journal.sums(kinds=[AccountKind.CHARGED]))


def read(store: SqlStore, look: Callable[[Books], object]) -> None:
    with store.reading() as books:
        look(books)


def bare(path: Path, batch: int) -> float:
    """How many a second, of the same rows, when nothing is checked, indexed or read."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
    for table, (_, columns) in ROWS_OF_ONE.items():
        names = ", ".join(f"c{n} INTEGER" for n in range(columns))
        connection.execute(f"CREATE TABLE {table} ({names}) STRICT")
    with timed() as seconds:
        for _ in range(20):
            connection.execute("BEGIN IMMEDIATE")
            for table, (rows, columns) in ROWS_OF_ONE.items():
                places = ", ".join("?" * columns)
                values = [tuple(range(columns))] * (rows * batch)
                connection.executemany(f"INSERT INTO {table} VALUES ({places})", values)  # noqa: S608  # names are ours
            connection.execute("COMMIT")
    connection.close()
    return 20 * batch / seconds()


def workload(number: int) -> Workload:
    spec = WorkloadSpec(
        name=f"job-{number}",
        kind=WorkloadKind.JOB,
        project=ProjectName("atlas"),
        gpu_classes=(GpuClassName("h100"),),
        priority_class=PriorityClassName("standard"),
        time_limit_ms=LIMIT_MS,
    )
    owner = EngineerId(f"e-{number % ENGINEERS}")
    return Workload(WorkloadId(f"w-{number}"), owner, TeamName("research"), spec, Instant(number))


def attempt(number: int) -> Attempt:
    return Attempt(
        id=AttemptId(f"w-{number}.1"),
        workload_id=WorkloadId(f"w-{number}"),
        number=1,
        owner=EngineerId(f"e-{number % ENGINEERS}"),
        team=TeamName("research"),
        pool=PoolName("research"),
        gpu_class=GpuClassName("h100"),
        priority_class=PriorityClassName("standard"),
        placement=Placement(((NodeName(f"n-{number % 100}"), 1),)),
        pod=PodRequest(gpus=1, cpu_milli=8_000, memory_mib=65_536),
        weight=PerMille(1000),
        class_factor=PerMille(1000),
        hold_mode=HoldMode.FULL,
        time_limit_ms=LIMIT_MS,
        launched_at=Instant(1),
        started_at=Instant(1),
    )


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    """Gives a function that says how many seconds the block took."""
    began = time.perf_counter()
    ended: list[float] = []
    yield lambda: ended[0]
    ended.append(time.perf_counter() - began)


def median(run: Callable[[], object], times: int = 5) -> float:
    taken = []
    for _ in range(times):
        with timed() as seconds:
            run()
        taken.append(seconds())
    return sorted(taken)[times // 2]


def milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)


if __name__ == "__main__":
    main()
