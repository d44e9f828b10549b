"""What an audit costs on a journal of a million rows: signing a head over it, verifying it offline against the published
heads, a statement, a month of everybody, and closing the month.

python -m benchmarks.audit [--url sqlite:///FILE] [--rows 1000000] prints one JSON object. The database must be a new one;
without --url it is a SQLite file of its own. The rows are transactions and entries; the seals and
the sealed rows (holds, attempts, pods, workloads) that belong to them come on top, and are verified, too. Reading from
a file that was just written: it is in the page cache. All rows lie in one month. `month_of_everybody` is the sums of
every account; the statements are those of the command and the page: of an engineer every line, the median of several
engineers (and the first one asked for, whose statements SQLAlchemy spells then), of the company all sums and 5,000 lines.
`priced` is the same with a price book, by which every single charge is valued, and with it the general ledger and what the
month cost. All these are read as the service reads them, with its settings of the garbage collector.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from benchmarks.ledger import (
    ENDED_AT,
    ENGINEERS,
    LATER,
    USED_MS,
    cycle,
    milliseconds,
    month_of_everybody,
    prepare,
    read,
    timed,
)
from benchmarks.ledger import attempt as attempt_of
from benchmarks.ledger import workload as workload_of
from benchmarks.measured import keep
from scheduler.adapters.head_folder import HeadFolder
from scheduler.adapters.policy_files import read_policy, read_prices
from scheduler.adapters.signing import is_signed, open_key
from scheduler.adapters.sql.evidence import open_evidence
from scheduler.adapters.sql.store import SqlStore, open_store
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.records import EndEvidence, PodRun
from scheduler.domain.units import EngineerId, Instant, NodeName, PodUid, TeamName, TierName
from scheduler.domain.workloads import AttemptState, WorkloadState
from scheduler.entrypoints.cli.server import prefer_short_pauses
from scheduler.entrypoints.settings import EXAMPLES
from scheduler.finance.proving.verification import verify
from scheduler.finance.reconciling.reconciliation import SettlementKind
from scheduler.lifecycle.accounting.close_period import Decision, Periods
from scheduler.lifecycle.accounting.publish import Publisher
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.money import MoneyViews
from scheduler.lifecycle.views.reader import Views

ROWS_OF_ONE = 9
BATCH = 1_000
ENGINEERS_ASKED = 8
HEADS = 20
FINANCE = Caller("benchmark", frozenset({Role.FINANCE}))
GOALS = {
    "verify_seconds": 10,
    "statement_of_one_engineer_ms": 50,
    "month_of_everybody_seconds": 2,
    "company_statement_seconds": 2,
    "month_page_seconds": 2,
    "close_seconds": 30,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="", help="of an empty database")
    parser.add_argument("--rows", type=int, default=1_000_000, help="transactions and entries to fill up to")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        url = arguments.url or f"sqlite:///{scratch}/audit.db"
        store = open_store(url)
        result = measure(store, url, Path(scratch), arguments.rows)
        store.close()
    name = "audit" if url.startswith("sqlite") else "audit-postgresql"
    print(orjson.dumps(keep(name, result), option=orjson.OPT_INDENT_2).decode())


def measure(store: SqlStore, url: str, folder: Path, rows: int) -> dict[str, Any]:
    publisher = Publisher(store, HeadFolder(folder / "heads"), open_key(folder / "key.pem"), lambda: LATER)
    batches = -(-rows // (ROWS_OF_ONE * BATCH))
    prepare(store)
    heads = []
    for number in range(batches):
        fill(store, list(range(number * BATCH, (number + 1) * BATCH)))
        if number % -(-batches // HEADS) == 0 or number == batches - 1:
            with timed() as seconds:
                publisher.publish()
            heads.append(seconds())
    processor = time.process_time()
    with timed() as verifying, open_evidence(url) as evidence:
        found = verify(evidence, HeadFolder(folder / "heads"), is_signed)
    processor = time.process_time() - processor
    assert found.is_ok, found.findings[:3]
    with timed() as month:
        read(store, month_of_everybody)
    prefer_short_pauses()  # as the service that answers: it seldom visits all that a company's month makes
    reading = {
        **reads(store, a_world()),
        **{f"priced_{name}": took for name, took in reads(store, a_priced_world()).items()},
        **reads_in_money(store, a_priced_world()),
    }
    closing = close(store)
    measured = {
        "rows": found.trees["transactions"].rows + found.trees["entries"].rows,
        "seals": found.trees["seals"].rows,
        "sealed_rows": sum(found.trees[name].rows for name in ("holds", "attempts", "pods", "workloads")),
        "heads": found.heads,
        "publish_head_seconds_max": round(max(heads), 2),
        "verify_seconds": round(verifying(), 2),
        "verify_processor_seconds": round(processor, 2),
        "month_of_everybody_seconds": round(month(), 2),
        "close_seconds": round(closing, 2),
        **reading,
    }
    missed = [name for name, goal in GOALS.items() if measured[name] >= goal]
    return {**measured, "goals": GOALS, "is_met": not missed, "missed": missed}


def reads(store: SqlStore, world: World) -> dict[str, float]:
    views = Views(store, world)

    def statement(owner: str) -> float:
        with timed() as seconds:
            views.statement(FINANCE, "1970-01", LATER, owner)
        return seconds()

    first, *others = [statement(f"e-{number}") for number in range(ENGINEERS_ASKED)]
    company = statement("company")
    with timed() as month_page:
        views.month(FINANCE, "1970-01", LATER)
    return {
        "statement_of_one_engineer_ms": milliseconds(sorted(others)[len(others) // 2]),
        "first_statement_of_one_engineer_ms": milliseconds(first),
        "company_statement_seconds": round(company, 2),
        "month_page_seconds": round(month_page(), 2),
    }


def reads_in_money(store: SqlStore, world: World) -> dict[str, float]:
    money = MoneyViews(store, world)
    with timed() as general_ledger:
        money.general_ledger(FINANCE, "1970-01", LATER)
    with timed() as cost:
        money.cost(FINANCE, "1970-01", LATER)
    return {"general_ledger_seconds": round(general_ledger(), 2), "cost_seconds": round(cost(), 2)}


def fill(store: SqlStore, numbers: list[int]) -> None:
    """What so many attempts write from launch to end: the journal, and everything that is sealed."""
    cycle(store, numbers)
    ended = [
        replace(
            attempt_of(number),
            state=AttemptState.ENDED,
            started_at=Instant(1),
            ended_at=ENDED_AT,
            charged_gpu_ms=USED_MS,
        )
        for number in numbers
    ]
    with store.writing() as books:
        books.attempts.save(ended)
        books.attempts.save_pods(
            [
                PodRun(
                    PodUid(f"p-{each.id}"),
                    each.id,
                    "pod",
                    NodeName("n1"),
                    1,
                    Instant(0),
                    ENDED_AT,
                    end_evidence=EndEvidence.FINISHED,
                )
                for each in ended
            ]
        )
        made = [workload_of(number) for number in numbers]
        books.workloads.save([replace(w, state=WorkloadState.COMPLETED, version=w.version + 1) for w in made])


def close(store: SqlStore) -> float:
    """Seconds to close January 1970, in which all of it lies, its one difference written off before."""
    periods = Periods(store, a_world())
    periods.close(FINANCE, "1970-01", now=LATER, provisionally=True)
    left = periods.reconciliation(FINANCE, "1970-01", LATER).unresolved
    if left:
        periods.settle(
            FINANCE, [each.id for each in left], Decision(SettlementKind.WRITE_OFF, "no agents"), now=LATER
        )
    with timed() as seconds:
        periods.close(FINANCE, "1970-01", now=LATER)
    return seconds()


def a_world() -> World:
    world = World()
    text = (EXAMPLES / "example.yaml").read_text(encoding="utf-8")
    world.put_policy(replace(read_policy(text, "example.yaml"), time_zone="UTC"))
    world.people |= {EngineerId(f"e-{number}"): an_engineer(number) for number in range(ENGINEERS)}
    return world


def a_priced_world() -> World:
    """The example's prices, as if they had held in 1970."""
    world = a_world()
    text = (EXAMPLES / "prices.yaml").read_text(encoding="utf-8")
    dated = text.replace("2026-01-01", "1970-01-01").replace("2026-07-01", "1970-07-01").replace("H100", "h100")
    world.price_book = read_prices(dated, "prices.yaml")
    return world


def an_engineer(number: int) -> Engineer:
    return Engineer(EngineerId(f"e-{number}"), f"e-{number}", TeamName("research"), TierName("engineer"))


if __name__ == "__main__":
    main()
