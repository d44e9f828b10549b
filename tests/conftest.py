"""Plumbing for the whole suite; each plugin says what its fixtures give."""

import os

from hypothesis import settings

pytest_plugins = [
    "tests.plugins.controlplane",
    "tests.plugins.deployed",
    "tests.plugins.postgres",
    "tests.plugins.chromium",
    "tests.plugins.realnode",
]

# The same examples in every run, so that what fails fails again; `make nightly` looks for new ones.
settings.register_profile("steady", derandomize=True)
settings.register_profile("searching", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
