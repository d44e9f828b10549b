"""Devices that are never idle by the thresholds, because they draw more without use than is learned as idle power."""

from dataclasses import dataclass

from scheduler.domain.units import MS_PER_MINUTE, GpuUuid, NodeName

SHOWN_AFTER_MS = 5 * MS_PER_MINUTE
"""Of an hour without use: what is shorter may be noise."""


@dataclass(frozen=True, slots=True)
class NeverIdle:
    """In some hour no sample told of use, and yet it was at work by its power, `milliwatts` on the mean, the least of such
    hours; its idle power is not known. Either that is silent work, or the device idles there."""

    gpu_uuid: GpuUuid
    node: NodeName
    milliwatts: int
