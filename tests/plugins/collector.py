"""The garbage collector is left out of collecting tests, and never visits what that brought: all modules, all tests."""

import gc
from collections.abc import Generator

import pytest

THRESHOLDS = (1_000, 10, 100)
"""Everything that is alive is visited a tenth as often as by default: tests leave little that only this would find."""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)
