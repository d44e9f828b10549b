"""The description of the API, made once: it takes a third of a second, and is the same for every company."""

from functools import cache
from typing import Any

from scheduler.entrypoints.api.app import create_app
from tests.entrypoints.company import small_company


@cache
def description() -> dict[str, Any]:
    """To read, and to leave as it is: all tests of a worker share it."""
    service = small_company()
    try:
        return create_app(service).openapi()
    finally:
        service.store.close()
