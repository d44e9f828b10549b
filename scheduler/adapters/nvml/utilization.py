"""Utilisation as an integral: the driver buffers samples, so that nothing between two readings is missed."""

from typing import Any

import pynvml

from scheduler.adapters.nvml.calls import AbsentValue, Asker, ask
from scheduler.adapters.nvml.inventory import Handle
from scheduler.metering.samples import Utilization, UtilizationSource

SAMPLE_PERIOD_MAX_US = 1_000_000
"""nvml.h: the sampling period is between 1/6 s and 1 s, by product. A longer pause between samples is a hole."""

CLOCK_SLACK_US = 1_000_000

_VALUES = {
    pynvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
    pynvml.NVML_VALUE_TYPE_SIGNED_INT: "siVal",
    pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT: "usVal",
}


class UtilizationReader:
    """Reads one GPU on from where it read last. The cursor is the newest stamp that was returned, never our clock."""

    def __init__(self) -> None:
        self._cursor_us: int | None = None
        self._read_at_us: int | None = None

    def read(self, asker: Asker, handle: Handle, now_us: int) -> Utilization | None:
        """Since the reading before; None at the first, and where the driver says nothing."""
        before_us, self._read_at_us = self._read_at_us, now_us
        if self._cursor_us is not None and self._cursor_us > now_us + CLOCK_SLACK_US:
            self._cursor_us = None
        try:
            samples = self._new_samples(handle)
        except AbsentValue as absent:
            samples = None
            asker.lacks("utilization_samples", absent.code)
        if samples:
            return self._integrate(samples)
        gauge = asker.value("utilization", pynvml.nvmlDeviceGetUtilizationRates, handle)
        if gauge is None or before_us is None or not 0 <= gauge.gpu <= 100:
            return None
        elapsed_us = max(0, now_us - before_us)
        return Utilization(elapsed_us, gauge.gpu * elapsed_us, int(gauge.gpu), UtilizationSource.GAUGE)

    def _new_samples(self, handle: Handle) -> list[tuple[int, int]]:
        kind, raw = ask(
            pynvml.nvmlDeviceGetSamples, handle, pynvml.NVML_GPU_UTILIZATION_SAMPLES, self._cursor_us or 0
        )
        samples = ((int(sample.timeStamp), _number(kind, sample.sampleValue)) for sample in raw)
        newer = sorted(sample for sample in samples if sample[0] > (self._cursor_us or 0))
        return [(stamp_us, percent) for stamp_us, percent in newer if 0 <= percent <= 100]

    def _integrate(self, samples: list[tuple[int, int]]) -> Utilization | None:
        """Each sample speaks for the time since the one before it, within the longest sampling period."""
        if self._cursor_us is None:
            # What the buffer holds from before the first reading belongs to no interval of ours.
            self._cursor_us = samples[-1][0]
            return None
        covered_us = percent_us = 0
        for stamp_us, percent in samples:
            length_us = min(stamp_us - self._cursor_us, SAMPLE_PERIOD_MAX_US)
            covered_us += length_us
            percent_us += percent * length_us
            self._cursor_us = stamp_us
        highest = max(percent for _, percent in samples)
        return Utilization(covered_us, percent_us, highest, UtilizationSource.SAMPLES)


def _number(kind: int, value: Any) -> int:
    number: float = getattr(value, _VALUES.get(kind, "uiVal"))
    return round(number)
