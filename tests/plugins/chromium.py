"""Debian's Chromium, headless. Where it is missing, the browser's tests are left out and the summary says how to get it."""

import shutil
from collections.abc import Generator

import pytest

_LEFT_OUT = (
    "the tests in a browser were left out; to get them, run scripts/install-system-packages as root "
    "(Debian's package chromium)"
)

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""It talks to the service under test and to nobody else. Tests may run as root, where there is no sandbox."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and _LEFT_OUT in str(report.longrepr):
        # One place for all of them, so that the summary folds them into one line.
        report.longrepr = (__file__, 1, _LEFT_OUT)
    return report


@pytest.fixture(scope="session")
def chromium_path() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip(_LEFT_OUT)
    return found
