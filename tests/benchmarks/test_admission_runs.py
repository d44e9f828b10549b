"""`python -m benchmarks.admission` from end to end on some dozens of workloads: a change broke it unseen once."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from benchmarks.admission.generator import read_generator
from scheduler.entrypoints.devcluster.binaries import Binaries

SMALL = Path(__file__).parents[2] / "benchmarks" / "admission" / "small.yaml"
PATIENCE_SECONDS = 600
"""For a machine on which everything else runs at once; a dozen seconds are usual."""


@pytest.mark.controlplane
def test_the_benchmark_of_admission_runs_to_its_end_and_its_books_are_settled(programs: Binaries) -> None:
    assert programs.are_complete
    command = (sys.executable, "-m", "benchmarks.admission", "--generator", str(SMALL), "--json")
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
    assert ran.returncode == 0, ran.stderr
    found = orjson.loads(ran.stdout)

    creations = [creation for series in read_generator(SMALL).series() for creation in series]
    assert found["workloads"] == len(creations) == 52
    assert set(found["average_wait_seconds"]) == {"large", "medium", "small"}
    ledger = found["ledger"]
    assert (ledger["open_holds"], ledger["live_attempts"], ledger["balances_that_differ"]) == (0, 0, 0)
    assert ledger["charged_gpu_seconds"] > 0, "who ran for a second has seen the stamp of its end after its launch"
