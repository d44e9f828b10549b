"""Carries notices to an address of the company's own: one POST of JSON each. What becomes of them is its business."""

from dataclasses import asdict

import httpx
import orjson

from scheduler.domain.errors import RefusalCode, Unavailable
from scheduler.lifecycle.sensing.notices import Notice

TIMEOUT_SECONDS = 10.0


class Webhook:
    """Any 2xx is an answer; anything else, or none, and the notice is to be brought again."""

    def __init__(self, url: str, *, is_simulated: bool) -> None:
        self._url = url
        self._is_simulated = is_simulated
        self._client = httpx.Client(timeout=TIMEOUT_SECONDS)

    def close(self) -> None:
        self._client.close()

    def bring(self, notice: Notice) -> None:
        """Raises Unavailable where it was not taken."""
        body = orjson.dumps({**asdict(notice), "simulated": self._is_simulated})
        try:
            answer = self._client.post(self._url, content=body, headers={"Content-Type": "application/json"})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _away(str(error)) from error
        if not answer.is_success:
            raise _away(f"status {answer.status_code}")


def _away(found: str) -> Unavailable:
    return Unavailable(f"the address of --notify did not take a notice: {found}", code=RefusalCode.SERVER_UNREACHABLE)
