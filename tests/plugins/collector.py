"""The garbage collector does not visit, in every test anew, what was there before the first: all modules and all tests."""

import gc

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
