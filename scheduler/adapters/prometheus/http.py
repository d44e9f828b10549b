"""Questions to Prometheus' HTTP API, and what its answers mean. Nothing is ever written there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from scheduler.domain.errors import InvalidInput, RefusalCode, Unavailable
from scheduler.domain.units import MS_PER_SECOND, Instant

TIMEOUT_SECONDS = 60.0


class PrometheusApi:
    """One server's API; `token_file` holds a bearer token, read anew for every question since such tokens turn over."""

    def __init__(self, url: str, token_file: Path | None = None) -> None:
        self._token_file = token_file
        self._client = httpx.Client(base_url=url.rstrip("/"), timeout=TIMEOUT_SECONDS)

    def close(self) -> None:
        self._client.close()

    def ask(self, path: str, parameters: Mapping[str, str | float]) -> Any:
        """The answer's `result`. Raises Unavailable where Prometheus does not answer, InvalidInput where it refuses or
        answers something else."""
        try:
            answer = self._client.get(f"/api/v1/{path}", params=dict(parameters), headers=self._headers())
            body = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(
                f"Prometheus at {self._client.base_url} did not answer: {error}", code=RefusalCode.SERVER_UNREACHABLE
            ) from error
        except ValueError as error:
            raise self._no_prometheus(f"no JSON (status {answer.status_code})") from error
        if not isinstance(body, dict) or body.get("status") != "success":
            said = body.get("error") if isinstance(body, dict) else None
            if answer.is_server_error:
                raise Unavailable(
                    f"Prometheus at {self._client.base_url} failed: {said}", code=RefusalCode.SERVER_UNREACHABLE
                )
            raise self._no_prometheus(f"{said or 'another answer'} (status {answer.status_code})")
        data = body.get("data")
        if not isinstance(data, dict) or not isinstance(data.get("result"), list):
            raise self._no_prometheus("another answer")
        return data["result"]

    def now(self) -> Instant:
        """What Prometheus' own clock shows."""
        told = self.ask("query", {"query": "time()"})
        try:
            return Instant(round(float(told[0]) * MS_PER_SECOND))
        except (IndexError, TypeError, ValueError, OverflowError) as error:
            raise self._no_prometheus(f"{str(told)[:80]} for the time") from error

    def _headers(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        try:
            return {"Authorization": f"Bearer {self._token_file.read_text(encoding='utf-8').strip()}"}
        except OSError as error:
            raise Unavailable(
                f"the token for Prometheus cannot be read: {error}", code=RefusalCode.SERVER_UNREACHABLE
            ) from error

    def _no_prometheus(self, found: str) -> InvalidInput:
        return InvalidInput(
            f"found {found}",
            code=RefusalCode.INVALID_VALUE,
            where=f"--prometheus {self._client.base_url}",
            expected="the address of a Prometheus that has dcgm-exporter's metrics",
        )
