"""What dcgm-exporter's labels and values mean: which device, on which node, with which pod, and what is no value."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from scheduler.domain.units import GpuUuid, NodeName
from scheduler.metering.samples import PodRef

MEBIBYTE: Final = 1 << 20

EXPORTER: Final = "dcgm-exporter"
PODS: Final = (("exported_namespace", "exported_pod"), ("namespace", "pod"))
"""Prometheus renames the exporter's own labels where the scrape's target bears the same, unless told to honour them."""
NODES: Final = ("node", "kubernetes_node", "Hostname", "hostname")
"""The first is what scrape rules add, the last two the exporter's own (the small letter from 4.8.3 on): its node's name, as
its chart sets it up."""
DRIVERS: Final = ("DCGM_FI_DRIVER_VERSION", "DCGM_FI_SYSTEM_DRIVER_VERSION")

UTIL: Final = "DCGM_FI_DEV_GPU_UTIL"
ENGINE: Final = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
POWER: Final = "DCGM_FI_DEV_POWER_USAGE"
ENERGY: Final = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
USED: Final = "DCGM_FI_DEV_FB_USED"
FREE: Final = "DCGM_FI_DEV_FB_FREE"
SM: Final = "DCGM_FI_PROF_SM_ACTIVE"
OCCUPANCY: Final = "DCGM_FI_PROF_SM_OCCUPANCY"
TENSOR: Final = "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"
DRAM: Final = "DCGM_FI_PROF_DRAM_ACTIVE"
XID: Final = "DCGM_FI_DEV_XID_ERRORS"
XID_COUNT: Final = "DCGM_EXP_XID_ERRORS_COUNT"
"""How many of each Xid (label `xid`) there were within the exporter's window; no series for those that there were not. Not
among what it exports by default."""

SINCE_4_9: Final[Mapping[str, tuple[str, float]]] = MappingProxyType(
    {
        "DCGM_FI_DEV_GPU_UTIL_RATIO": (UTIL, 100),
        "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO": (ENGINE, 1),
        "DCGM_FI_DEV_BOARD_POWER_WATTS": (POWER, 1),
        "DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL": (ENERGY, 1_000),
        "DCGM_FI_DEV_FB_USED_BYTES": (USED, 1 / MEBIBYTE),
        "DCGM_FI_DEV_FB_FREE_BYTES": (FREE, 1 / MEBIBYTE),
        "DCGM_FI_PROF_SM_UTIL_RATIO": (SM, 1),
        "DCGM_FI_PROF_SM_OCCUPANCY_RATIO": (OCCUPANCY, 1),
        "DCGM_FI_PROF_TENSOR_UTIL_RATIO": (TENSOR, 1),
        "DCGM_FI_PROF_DRAM_UTIL_RATIO": (DRAM, 1),
        "DCGM_FI_DEV_XID_ERROR": (XID, 1),
    }
)
"""What dcgm-exporter 4.9 (DCGM 4.7) calls the same by default, and what its figures are to be multiplied by."""
METRICS: Final = (UTIL, ENGINE, POWER, ENERGY, USED, FREE, SM, OCCUPANCY, TENSOR, DRAM, XID, XID_COUNT, *SINCE_4_9)

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
