"""What a large export costs: a period of so many charges written as FOCUS 1.4 by the command line, offline.

python -m benchmarks.export [--url postgresql://…] [--rows 1000000] prints one JSON object. The database must be a new one;
without --url it is a SQLite file of its own. The rows are hourly charges of attempts that run for a long time. The same
command writes a tenth of them first, when the database has no more: memory is constant where its peak is about the same
for both.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from benchmarks.ledger import attempt as attempt_of
from benchmarks.ledger import prepare
from benchmarks.ledger import workload as workload_of
from benchmarks.measured import keep
from scheduler.adapters.policy_files import read_policy, read_prices
from scheduler.adapters.sql.store import SqlStore, open_store
from scheduler.domain.funding import FundingShare
from scheduler.domain.records import PolicyVersion, PriceBookVersion
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, GpuClassName, HoldId, Instant
from scheduler.domain.workloads import Attempt
from scheduler.entrypoints.settings import EXAMPLES
from scheduler.ledger.charging import charge
from scheduler.ledger.holding import hold, holds_for
from scheduler.ledger.journal import Transaction

CHARGES = 600
"""Of each attempt, one an hour: twenty-five days."""
STARTS_AT = Instant(1_790_812_800_000)
"""2026-10-01T00:00Z."""
GROWTH_MAX = 1.25
SCRATCH = Path("var")
"""On the disk of the checkout, where `git add` looks past it: most of a gigabyte."""
_CLI = "from scheduler.entrypoints.cli import main; main()"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="", help="of an empty database")
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    attempts = -(-arguments.rows // CHARGES)
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        url = arguments.url or f"sqlite:///{scratch}/export.db"
        store = open_store(url)
        begin(store)
        fill(store, range(attempts // 10))
        small = measured(url, Path(scratch, "small"))
        fill(store, range(attempts // 10, attempts))
        large = measured(url, Path(scratch, "large"))
        store.close()
    growth = large["peak_mib"] / small["peak_mib"]
    result = {
        "rows": large["rows"],
        "seconds": large["seconds"],
        "processor_seconds": large["processor_seconds"],
        "rows_per_second": round(large["rows"] / large["seconds"]),
        "megabytes": large["megabytes"],
        "peak_mib": large["peak_mib"],
        "peak_mib_of_a_tenth": small["peak_mib"],
        "lines_of_progress": large["progress"],
        "goal": f"memory constant: a tenth takes at least 1/{GROWTH_MAX} of it; progress is shown",
        "is_met": growth <= GROWTH_MAX and large["progress"] > 0,
    }
    name = "export" if url.startswith("sqlite") else "export-postgresql"
    print(orjson.dumps(keep(name, result), option=orjson.OPT_INDENT_2).decode())


def measured(url: str, folder: Path) -> dict[str, Any]:
    """Export what is there. The peak is that of the largest child so far: the small one comes first."""
    command = [sys.executable, "-c", _CLI, "export", "focus", "--period", "2026-10", "--output", str(folder)]
    began, processor = time.perf_counter(), _processor_of_children()
    done = subprocess.run(
        [*command, "--database", url, "--json"],
        check=True,
        capture_output=True,
    )
    seconds = time.perf_counter() - began
    summary = orjson.loads(done.stdout)
    return {
        "rows": summary["rows"],
        "seconds": round(seconds, 1),
        "processor_seconds": round(_processor_of_children() - processor, 1),
        "megabytes": round(summary["bytes"] / 1e6),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
        "progress": len(done.stderr.replace(b"\r", b"\n").split(b"\n")) - 1,
    }


def _processor_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def begin(store: SqlStore) -> None:
    """People, a policy, and prices."""
    prepare(store)
    policy, prices = ((EXAMPLES / name).read_text(encoding="utf-8") for name in ("example.yaml", "prices.yaml"))
    with store.writing() as books:
        book = read_prices(prices, "prices.yaml")
        read = read_policy(policy, "example.yaml")
        books.control.add_policy(PolicyVersion(read.hash, "example.yaml", policy, STARTS_AT, "benchmark"))
        books.prices.add(PriceBookVersion(book.hash, "prices.yaml", prices, STARTS_AT, "benchmark"))


def fill(store: SqlStore, attempts: Iterable[int]) -> None:
    """Attempts of these numbers, each charged every hour."""
    for number in attempts:
        running(store, number)


def running(store: SqlStore, number: int) -> None:
    made = replace(attempt_of(number), gpu_class=GpuClassName("H100"), started_at=STARTS_AT, launched_at=STARTS_AT)
    limit = CHARGES * MS_PER_HOUR
    share = FundingShare(AllowanceId(f"tier/{made.owner}/2026-11"), limit)
    holds = holds_for([share], [HoldId(f"h-{made.id}")], made.workload_id, made.id, STARTS_AT)
    with store.writing() as books:
        books.workloads.add([workload_of(number)])
        books.attempts.add([made])
        books.holds.open(holds)
        books.journal.post([*hold(holds), *_charges(made, holds)], STARTS_AT)


def _charges(made: Attempt, holds: list[Any]) -> list[Transaction]:
    found: list[Transaction] = []
    for hour in range(1, CHARGES + 1):
        charged = charge(made, holds, hour * MS_PER_HOUR, Instant(STARTS_AT + hour * MS_PER_HOUR))
        found += charged.transactions
        made = replace(made, charged_gpu_ms=charged.gpu_ms, charged=charged.total)
        holds = [replace(each, charged=each.charged + charged.from_holds.get(each.id, 0)) for each in holds]
    return found


if __name__ == "__main__":
    main()
