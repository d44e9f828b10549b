"""Plumbing for the whole suite; each plugin says what its fixtures give."""

pytest_plugins = ["tests.plugins.controlplane", "tests.plugins.postgres"]
