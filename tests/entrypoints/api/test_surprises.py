"""What nobody foresaw: answered as a problem with a code and a request's id, and never with a trace."""

import logging

import pytest

from scheduler.domain.errors import RefusalCode
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.conftest import Client


async def test_a_failure_that_nobody_foresaw_is_logged_and_answered_without_its_trace(
    service: Service, as_: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("the secret of this failure")

    monkeypatch.setattr(service.views, "policies", fail)
    with caplog.at_level(logging.ERROR):
        answer = await as_("olga").get("/v1/policies")

    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["code"] == RefusalCode.INTERNAL_ERROR
    assert "secret" not in answer.text
    assert problem["request_id"] in caplog.text
    assert "the secret of this failure" in caplog.text
