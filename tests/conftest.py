"""Plumbing for the whole suite; each plugin says what its fixtures give."""

import os
import sys

from hypothesis import settings

pytest_plugins = [
    "tests.plugins.controlplane",
    "tests.plugins.deployed",
    "tests.plugins.postgres",
    "tests.plugins.chromium",
    "tests.plugins.realnode",
    "tests.plugins.cgroup2",
    "tests.plugins.hanging",
    "tests.plugins.collector",
]

# Images often forbid bytecode. Each of the hundreds of processes that tests start would compile everything anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The same fifty examples in every run, so that what fails fails again; `make nightly` looks for new ones, ten times as
# many. Without Hypothesis's deadline of 200 ms: a pause of a busy machine is no defect.
settings.register_profile("steady", derandomize=True, deadline=None, max_examples=50)
settings.register_profile(
    "searching", derandomize=False, deadline=None, max_examples=int(os.environ.get("ALLOT_EXAMPLES", "500"))
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
