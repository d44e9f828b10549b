"""The books without a server: a database that is read where it lies, or a copy of one."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scheduler.entrypoints.cli.database_books import OfflineBooks


@contextmanager
def offline_books(url: str) -> Iterator["OfflineBooks"]:
    """The views over a database that is not migrated and not written. Raises Unavailable where it cannot be used.

    The libraries of a database take longer to import than a command takes that asks the server, as most do.
    """
    opened: Callable[[str], AbstractContextManager[OfflineBooks]] = import_module(
        "scheduler.entrypoints.cli.database_books"
    ).database_books
    with opened(url) as books:
        yield books
