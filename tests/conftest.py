"""Plumbing for the whole suite; each plugin says what its fixtures give."""

pytest_plugins = [
    "tests.plugins.controlplane",
    "tests.plugins.deployed",
    "tests.plugins.postgres",
    "tests.plugins.chromium",
]
