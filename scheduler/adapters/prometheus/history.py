"""Reads what dcgm-exporter told Prometheus: a cluster's own history, as a recording, without an agent of ours.

Utilisation is the highest sample of each step and power its mean, so that no sample is passed over; energy is the
counter. A row is stamped with the scrape that it ends with, so that a step in which nothing was scraped makes none of its
own. What Prometheus does not have is absent.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from scheduler.adapters.prometheus import dcgm
from scheduler.adapters.prometheus.dcgm import MEBIBYTE, device_of, pod_of, value_of
from scheduler.adapters.prometheus.http import PrometheusApi
from scheduler.domain.units import MS_PER_SECOND, AttemptId, Instant
from scheduler.metering.recorded import Recorded
from scheduler.metering.wire import WATTS_MAX

POINTS_MAX = 10_000
"""Of one series in one question: Prometheus refuses more than 11,000."""

PERCENT_MOST = 200
"""A ratio of times may be a little above one."""
MILLIJOULES_MOST = 2**53
"""285 years of a kilowatt, and what a floating point number counts."""
MEBIBYTES_MOST = 2**30
SECONDS_MOST = 2**33
"""In the year 2242."""
OURS = "simulated"
"""The label of what agents and the service tell under the exporter's names. It counts only of devices that the exporter
tells nothing of: two readings of one, each with its own counter, would be taken for one."""
STAMPED = (
    *(dcgm.UTIL, "DCGM_FI_DEV_GPU_UTIL_RATIO"),
    *(dcgm.ENGINE, "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO"),
    *(dcgm.ENERGY, "DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL"),
)
"""Of a scrape all bear its stamp, so that any tells it."""


_Rows = dict[tuple[str, Instant, tuple[AttemptId, ...]], Recorded]


@dataclass(frozen=True, slots=True)
class PromRange:
    """What to ask for: [starts_at, ends_at], a row every `step_ms`."""

    starts_at: Instant
    ends_at: Instant
    step_ms: int


@dataclass(frozen=True, slots=True)
class _Query:
    """What is asked, and what its values are to a row. Above `most` a value is none: a mean or sum with a blank of DCGM's
    in it. `is_of_whole`: it is the GPU's, and counts for no instance of it. `is_more`: only rows that are there already
    learn of it; where this alone is known nothing was read."""

    text: str
    take: Callable[[Recorded, float], Recorded]
    most: float
    is_of_whole: bool = False
    is_more: bool = False


def _queries(step_ms: int) -> tuple[_Query, ...]:
    """What is asked by both of its names: dcgm-exporter's, and those from its release 4.9 on. A MIG instance has no
    utilisation: its use is the share of time in which its engine was active."""
    step = f"{step_ms // MS_PER_SECOND}s"
    of_instances = f'{{GPU_I_ID!=""}}[{step}]'
    return (
        _Query(
            f"max_over_time({dcgm.UTIL}[{step}]) or 100 * max_over_time(DCGM_FI_DEV_GPU_UTIL_RATIO[{step}])"
            f" or 100 * max_over_time({dcgm.ENGINE}{of_instances})"
            f" or 100 * max_over_time(DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO{of_instances})",
            lambda row, value: row._replace(percent=min(100, math.ceil(value))),
            most=PERCENT_MOST,
        ),
        _Query(
            f"avg_over_time({dcgm.POWER}[{step}]) or avg_over_time(DCGM_FI_DEV_BOARD_POWER_WATTS[{step}])",
            lambda row, value: row._replace(milliwatts=round(value * 1_000)),
            most=WATTS_MAX,
            is_of_whole=True,
        ),
        _Query(
            f"{dcgm.ENERGY} or 1000 * DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL",
            lambda row, value: row._replace(energy_millijoules=round(value)),
            most=MILLIJOULES_MOST,
            is_of_whole=True,
        ),
        _Query(
            f"({dcgm.USED} + {dcgm.FREE}) or (DCGM_FI_DEV_FB_USED_BYTES + DCGM_FI_DEV_FB_FREE_BYTES) / {MEBIBYTE}",
            lambda row, value: row._replace(memory_bytes=round(value) * MEBIBYTE),
            most=MEBIBYTES_MOST,
            is_more=True,
        ),
        _Query(
            " or ".join(f"timestamp({name})" for name in STAMPED),
            lambda row, value: row._replace(at=Instant(round(value * MS_PER_SECOND))),
            most=SECONDS_MOST,
            is_more=True,
        ),
    )


def read_prometheus(url: str, asked: PromRange) -> Iterator[Recorded]:
    """Every row that anything is known of. Raises Unavailable where Prometheus does not answer, InvalidInput where it
    refuses or answers something else."""
    with closing(PrometheusApi(url)) as api:
        for part in _parts(asked):
            theirs: _Rows = {}
            ours: _Rows = {}
            for query in _queries(asked.step_ms):
                for labels, values in _series(api, query.text, part):
                    _gather(ours if OURS in labels else theirs, labels, values, query)
            told = {uuid for uuid, _, _ in theirs}
            yield from theirs.values()
            yield from (row for (uuid, _, _), row in ours.items() if uuid not in told)


def _parts(asked: PromRange) -> Iterator[PromRange]:
    """Neighbours share no instant."""
    start = asked.starts_at
    while start <= asked.ends_at:
        end = min(asked.ends_at, Instant(start + (POINTS_MAX - 1) * asked.step_ms))
        yield replace(asked, starts_at=start, ends_at=end)
        start = Instant(end + asked.step_ms)


def _series(api: PrometheusApi, query: str, part: PromRange) -> Iterator[tuple[Mapping[str, str], list[Any]]]:
    parameters: dict[str, str | float] = {
        "query": query,
        "start": part.starts_at / MS_PER_SECOND,
        "end": part.ends_at / MS_PER_SECOND,
        "step": part.step_ms / MS_PER_SECOND,
    }
    for each in api.ask("query_range", parameters):
        yield each["metric"], each["values"]


def _gather(
    rows: _Rows,
    labels: Mapping[str, str],
    values: list[Any],
    query: _Query,
) -> None:
    uuid = device_of(labels)
    if uuid is None or (query.is_of_whole and labels.get("GPU_I_ID")):
        return
    attempts = _attempts(labels)
    for seconds, text in values:
        value = value_of(text)
        if value is not None and value <= query.most:
            at = Instant(round(float(seconds) * MS_PER_SECOND))
            key = (uuid, at, attempts)
            if query.is_more and key not in rows:
                continue
            rows[key] = query.take(rows.get(key) or Recorded(at, uuid, attempts), value)


def _attempts(labels: Mapping[str, str]) -> tuple[AttemptId, ...]:
    """The pod stands for the attempt."""
    pod = pod_of(labels)
    return () if pod is None else (AttemptId(f"{pod.namespace}/{pod.name}"),)
