"""What dcgm-exporter's labels and values mean: which device, on which node, with which pod, and what is no value."""

import math
from collections.abc import Mapping
from typing import Final

from scheduler.domain.units import GpuUuid, NodeName
from scheduler.metering.samples import PodRef

EXPORTER: Final = "dcgm-exporter"
PODS: Final = (("exported_namespace", "exported_pod"), ("namespace", "pod"))
"""Prometheus renames the exporter's own labels where the scrape's target bears the same, unless told to honour them."""
NODES: Final = ("node", "kubernetes_node", "Hostname")
"""The first is what scrape rules add, the last the exporter's own: its node's name, as its chart sets it up."""

BLANKS: Final = ((2**31 - 16, 2**31), (2**47, 2**47 + 16), (2**63 - 1024, 2**63 + 1024))
"""DCGM's sentinels for blank, not found, not supported and not permitted (`dcgm_fields.h`): of 32-bit integers, of
floating point numbers, and of 64-bit integers as a floating point number holds them."""


def value_of(text: str) -> float | None:
    """None where the sample says nothing: a blank, NaN, infinite or negative."""
    value = float(text)
    if not math.isfinite(value) or value < 0 or any(low <= value < high for low, high in BLANKS):
        return None
    return value


def device_of(labels: Mapping[str, str]) -> GpuUuid | None:
    """A MIG instance is a device of its own, by its number within the GPU."""
    uuid, instance = labels.get("UUID"), labels.get("GPU_I_ID")
    return None if not uuid else GpuUuid(f"{uuid}/{instance}" if instance else uuid)


def pod_of(labels: Mapping[str, str]) -> PodRef | None:
    """The pod that has the device. Without one, `pod` is the exporter's own: nobody's."""
    for namespace, pod in PODS:
        if labels.get(pod):
            return None if EXPORTER in labels[pod] else PodRef(labels.get(namespace, ""), labels[pod])
    return None


def node_of(labels: Mapping[str, str]) -> NodeName | None:
    return next((NodeName(labels[name]) for name in NODES if labels.get(name)), None)
