"""A company for each test."""

from collections.abc import Iterator

import pytest

from tests.lifecycle.build import Company


@pytest.fixture
def company() -> Iterator[Company]:
    made = Company()
    yield made
    made.close()
