"""Reads what dcgm-exporter told Prometheus: a cluster's own history, as a recording, without an agent of ours.

Utilisation is the highest sample of each step and power its mean, so that no sample is passed over; energy is the
counter. What Prometheus does not have is absent. Nothing is written there.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx

from scheduler.domain.errors import InvalidInput, RefusalCode, Unavailable
from scheduler.domain.units import MS_PER_SECOND, AttemptId, GpuUuid, Instant
from scheduler.metering.recorded import Recorded

POINTS_MAX = 10_000
"""Of one series in one question: Prometheus refuses more than 11,000."""

TIMEOUT_SECONDS = 60.0
EXPORTER = "dcgm-exporter"


@dataclass(frozen=True, slots=True)
class PromRange:
    """What to ask for: [starts_at, ends_at], a row every `step_ms`."""

    starts_at: Instant
    ends_at: Instant
    step_ms: int


_Take = Callable[[Recorded, float], Recorded]


def _queries(step_ms: int) -> dict[str, _Take]:
    step = f"{step_ms // MS_PER_SECOND}s"
    return {
        f"max_over_time(DCGM_FI_DEV_GPU_UTIL[{step}])": lambda row, value: row._replace(percent=math.ceil(value)),
        f"avg_over_time(DCGM_FI_DEV_POWER_USAGE[{step}])": lambda row, value: row._replace(
            milliwatts=round(value * 1_000)
        ),
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": lambda row, value: row._replace(energy_millijoules=round(value)),
    }


def read_prometheus(url: str, asked: PromRange) -> Iterator[Recorded]:
    """Every row that anything is known of. Raises Unavailable where Prometheus does not answer, InvalidInput where it
    refuses or answers something else."""
    with httpx.Client(base_url=url.rstrip("/"), timeout=TIMEOUT_SECONDS) as client:
        for part in _parts(asked):
            rows: dict[tuple[str, Instant, tuple[AttemptId, ...]], Recorded] = {}
            for query, take in _queries(asked.step_ms).items():
                for labels, values in _series(client, query, part):
                    _gather(rows, labels, values, take)
            yield from rows.values()


def _parts(asked: PromRange) -> Iterator[PromRange]:
    """Neighbours share no instant."""
    start = asked.starts_at
    while start <= asked.ends_at:
        end = min(asked.ends_at, Instant(start + (POINTS_MAX - 1) * asked.step_ms))
        yield replace(asked, starts_at=start, ends_at=end)
        start = Instant(end + asked.step_ms)


def _series(client: httpx.Client, query: str, part: PromRange) -> Iterator[tuple[Mapping[str, str], list[Any]]]:
    parameters: dict[str, str | float] = {
        "query": query,
        "start": part.starts_at / MS_PER_SECOND,
        "end": part.ends_at / MS_PER_SECOND,
        "step": part.step_ms / MS_PER_SECOND,
    }
    try:
        answer = client.get("/api/v1/query_range", params=parameters)
        body = answer.json()
    except httpx.HTTPError as error:
        raise Unavailable(
            f"Prometheus at {client.base_url} did not answer: {error}", code=RefusalCode.SERVER_UNREACHABLE
        ) from error
    except ValueError as error:
        raise _no_prometheus(client, f"no JSON (status {answer.status_code})") from error
    if not isinstance(body, dict) or body.get("status") != "success":
        said = body.get("error") if isinstance(body, dict) else None
        raise _no_prometheus(client, f"{said or 'another answer'} (status {answer.status_code})")
    for each in body["data"]["result"]:
        yield each["metric"], each["values"]


def _no_prometheus(client: httpx.Client, found: str) -> InvalidInput:
    return InvalidInput(
        f"found {found}",
        code=RefusalCode.INVALID_VALUE,
        where=f"--prometheus {client.base_url}",
        expected="the address of a Prometheus that has dcgm-exporter's metrics",
    )


def _gather(
    rows: dict[tuple[str, Instant, tuple[AttemptId, ...]], Recorded],
    labels: Mapping[str, str],
    values: list[Any],
    take: _Take,
) -> None:
    uuid = _device(labels)
    if uuid is None:
        return
    attempts = _attempts(labels)
    for seconds, text in values:
        value = float(text)
        if math.isfinite(value) and value >= 0:
            at = Instant(round(float(seconds) * MS_PER_SECOND))
            key = (uuid, at, attempts)
            rows[key] = take(rows.get(key) or Recorded(at, uuid, attempts), value)


def _device(labels: Mapping[str, str]) -> GpuUuid | None:
    """A MIG instance is a device of its own, by its number within the GPU."""
    uuid, instance = labels.get("UUID"), labels.get("GPU_I_ID")
    return None if not uuid else GpuUuid(f"{uuid}/{instance}" if instance else uuid)


NAMES: Final = (("exported_namespace", "exported_pod"), ("namespace", "pod"))
"""Prometheus renames the exporter's own labels where the scrape's target bears the same, unless told to honour them."""


def _attempts(labels: Mapping[str, str]) -> tuple[AttemptId, ...]:
    """The pod stands for the attempt. Without a pod on the GPU, `pod` is the exporter's own: nobody's."""
    for namespace, pod in NAMES:
        if labels.get(pod):
            return () if EXPORTER in labels[pod] else (AttemptId(f"{labels.get(namespace, '')}/{labels[pod]}"),)
    return ()
