"""What an audit costs on a journal of a million rows: signing a head over it, verifying it offline against the published
heads, a statement, a month of everybody, and closing the month.

python -m benchmarks.audit [--rows 1000000] prints one JSON object. The rows are transactions and entries; the seals and
the sealed rows (holds, attempts, pods, workloads) that belong to them come on top, and are verified, too. Reading from
a file that was just written: it is in the page cache. `month_of_everybody` is the sums of every account; the statement of
the company, with 5,000 of its lines, and the page of a month read every attempt as well, without a price book: all rows
lie in one month, so both grow with the journal. They have no goal of their own here.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from benchmarks.ledger import attempt as attempt_of
from benchmarks.ledger import cycle, milliseconds, month_of_everybody, prepare, read, statement_of, timed
from benchmarks.ledger import workload as workload_of
from benchmarks.measured import keep
from scheduler.adapters.head_folder import HeadFolder
from scheduler.adapters.policy_files.policy_reader import read_policy
from scheduler.adapters.signing import is_signed, open_key
from scheduler.adapters.sql.evidence import open_evidence
from scheduler.adapters.sql.store import SqlStore, open_store
from scheduler.domain.people import Caller, Role
from scheduler.domain.records import EndEvidence, PodRun
from scheduler.domain.units import MS_PER_DAY, Instant, NodeName, PodUid
from scheduler.domain.workloads import AttemptState, WorkloadState
from scheduler.entrypoints.settings import EXAMPLES
from scheduler.finance.proving.verification import verify
from scheduler.finance.reconciling.reconciliation import SettlementKind
from scheduler.lifecycle.accounting.close_period import Decision, Periods
from scheduler.lifecycle.accounting.publish import Publisher
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.reader import Views

ROWS_OF_ONE = 9
BATCH = 1_000
HEADS = 20
FINANCE = Caller("benchmark", frozenset({Role.FINANCE}))
LATER = Instant(60 * MS_PER_DAY)
GOALS = {
    "verify_seconds": 10,
    "statement_of_one_engineer_ms": 50,
    "month_of_everybody_seconds": 2,
    "close_seconds": 30,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="transactions and entries to fill up to")
    rows: int = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as scratch:
        store = open_store(f"sqlite:///{scratch}/audit.db")
        result = measure(store, Path(scratch), rows)
        store.close()
    print(orjson.dumps(keep("audit", result), option=orjson.OPT_INDENT_2).decode())


def measure(store: SqlStore, folder: Path, rows: int) -> dict[str, Any]:
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
    with timed() as verifying, open_evidence(f"sqlite:///{folder}/audit.db") as evidence:
        found = verify(evidence, HeadFolder(folder / "heads"), is_signed)
    processor = time.process_time() - processor
    assert found.is_ok, found.findings[:3]
    with timed() as month:
        read(store, month_of_everybody)
    with timed() as statement:
        statement_of(store, 0)
    views = Views(store, a_world())
    with timed() as company:
        views.statement(FINANCE, "1970-01", LATER, "company")
    with timed() as month_page:
        views.month(FINANCE, "1970-01", LATER)
    closing = close(store)
    measured = {
        "rows": found.trees["transactions"].rows + found.trees["entries"].rows,
        "seals": found.trees["seals"].rows,
        "sealed_rows": sum(found.trees[name].rows for name in ("holds", "attempts", "pods", "workloads")),
        "heads": found.heads,
        "publish_head_seconds_max": round(max(heads), 2),
        "verify_seconds": round(verifying(), 2),
        "verify_processor_seconds": round(processor, 2),
        "statement_of_one_engineer_ms": milliseconds(statement()),
        "month_of_everybody_seconds": round(month(), 2),
        "close_seconds": round(closing, 2),
        "company_statement_seconds": round(company(), 2),
        "month_page_seconds": round(month_page(), 2),
    }
    missed = [name for name, goal in GOALS.items() if measured[name] >= goal]
    return {**measured, "goals": GOALS, "is_met": not missed, "missed": missed}


def fill(store: SqlStore, numbers: list[int]) -> None:
    """What so many attempts write from launch to end: the journal, and everything that is sealed."""
    cycle(store, numbers)
    ended = [
        replace(
            attempt_of(number),
            state=AttemptState.ENDED,
            started_at=Instant(0),
            ended_at=Instant(1_000_000),
            charged_gpu_ms=1_000_000,
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
                    Instant(1_000_000),
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
    return world


if __name__ == "__main__":
    main()
