"""The last resort against a test that hangs: its worker is ended, and the run goes on with another.

pytest-timeout interrupts the main thread once, and that fails most. It cannot help where the interrupted test then waits
for ever in its own cleaning up: for a thread that is stuck, say.
"""

import faulthandler
import os
import threading
from collections.abc import Generator

import pytest

GRACE_SECONDS = 300.0
"""For what an interrupted test cleans up."""

_STDERR = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    # What a test writes there is captured, and the capture ends with the worker.
    config.stash[_STDERR] = os.dup(2)


def pytest_unconfigure(config: pytest.Config) -> None:
    os.close(config.stash[_STDERR])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    limit = _limit_seconds(item)
    if limit <= 0:
        return (yield)
    watchdog = threading.Timer(limit + GRACE_SECONDS, _end_worker, (item,))
    watchdog.daemon = True
    watchdog.start()
    try:
        return (yield)
    finally:
        watchdog.cancel()


def _limit_seconds(item: pytest.Item) -> float:
    """What pytest-timeout is told for this test, on the command line, by its marker, or for all; 0 is no limit."""
    told = item.config.getoption("timeout", None)
    marker = item.get_closest_marker("timeout")
    if marker is not None:
        return float(marker.args[0])
    return float(told if told is not None else item.config.getini("timeout") or 0)


def _end_worker(item: pytest.Item) -> None:
    stderr = item.config.stash[_STDERR]
    os.write(stderr, f"{item.nodeid} hangs in its cleaning up; its worker is ended. Its threads:\n".encode())
    faulthandler.dump_traceback(stderr)
    os._exit(1)
