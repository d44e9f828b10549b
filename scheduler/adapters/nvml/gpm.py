"""Profiling metrics (GPM) of Hopper and later: the only utilisation that NVML has for a MIG instance."""

from typing import Any

import pynvml

from scheduler.adapters.nvml.calls import AbsentValue, Asker, ask
from scheduler.adapters.nvml.inventory import Found
from scheduler.metering.samples import Activity

SPACING_MIN_US = 100_000
"""nvml.h: two samples must lie more than 100 ms apart."""

_METRICS = (
    pynvml.NVML_GPM_METRIC_SM_UTIL,
    pynvml.NVML_GPM_METRIC_SM_OCCUPANCY,
    pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL,
    pynvml.NVML_GPM_METRIC_DRAM_BW_UTIL,
)


class ActivityReader:
    """Keeps a device's last sample, and compares it with the next."""

    def __init__(self) -> None:
        self._last: Any = None
        self._spare: Any = None
        self._last_at_us = 0

    def read(self, asker: Asker, found: Found, now_us: int) -> Activity | None:
        """Means since the reading before; None at the first, and where the hardware has no such metrics."""
        if not found.device.has_profiling:
            return None
        try:
            sample = self._take(found)
            elapsed_us = now_us - self._last_at_us
            if self._last is not None and elapsed_us <= SPACING_MIN_US:
                self._spare = sample
                return None
            before, self._last, self._last_at_us = self._last, sample, now_us
            self._spare = before
            return None if before is None else _compare(before, sample, elapsed_us)
        except AbsentValue as absent:
            asker.lacks("activity", absent.code)
            return None

    def close(self) -> None:
        for sample in (self._last, self._spare):
            if sample is not None:
                pynvml.nvmlGpmSampleFree(sample)
        self._last = self._spare = None

    def _take(self, found: Found) -> Any:
        sample, self._spare = self._spare, None
        if sample is None:
            sample = ask(pynvml.nvmlGpmSampleAlloc)
        if found.parent is None:
            ask(pynvml.nvmlGpmSampleGet, found.handle, sample)
        else:
            ask(pynvml.nvmlGpmMigSampleGet, found.parent, found.device.mig_gpu_instance, sample)
        return sample


def _compare(before: Any, after: Any, elapsed_us: int) -> Activity:
    request = pynvml.c_nvmlGpmMetricsGet_t()
    request.version = pynvml.NVML_GPM_METRICS_GET_VERSION
    request.numMetrics = len(_METRICS)
    request.sample1, request.sample2 = before, after
    for place, metric in enumerate(_METRICS):
        request.metrics[place].metricId = metric
    ask(pynvml.nvmlGpmMetricsGet, request)
    return Activity(elapsed_us, *(_permille(request.metrics[place]) for place in range(len(_METRICS))))


def _permille(metric: Any) -> int | None:
    """Each metric has a return code of its own. What is not a share between 0 and 100 (NaN too) is absent."""
    percent: float = metric.value
    if metric.nvmlReturn != pynvml.NVML_SUCCESS or not 0.0 <= percent <= 100.0:
        return None
    return round(percent * 10)
