"""Applications that are lent to one service after another: FastAPI makes every route of an application anew, and once
more at its first request, which takes longer than most tests."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI

from scheduler.entrypoints.api.app import answer_for, create_app
from scheduler.entrypoints.running import Service


class Standing:
    """Stands for the service that an application is lent to now."""

    service: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.service, name)


@contextmanager
def lent_app(service: Service, elapsed: Callable[[], float] = time.monotonic) -> Iterator[FastAPI]:
    """As `create_app(service, elapsed)`, until the block ends. Two at a time are two applications."""
    app, standing = _free.pop() if _free else _made(service)
    standing.service = service
    answer_for(app, service, elapsed)
    try:
        yield app
    finally:
        standing.service = None
        _free.append((app, standing))


def _made(service: Service) -> tuple[FastAPI, Standing]:
    standing = Standing()
    standing.service = service
    return create_app(standing), standing  # type: ignore[arg-type]  # it stands for one


_free: list[tuple[FastAPI, Standing]] = []
