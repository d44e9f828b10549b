"""What single GPUs tell Prometheus, under the names and labels of dcgm-exporter wherever they mean the same.

The service serves it with whose each GPU is, and each agent that of its own node. What was not read has no series:
absent, never 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

from scheduler.domain.units import NodeName
from scheduler.metering.devices import Device
from scheduler.metering.windows import ActivityIntegral, Window

MIB = 1 << 20

DEVICE_LABELS = (
    *("simulated", "gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname", "GPU_I_PROFILE", "GPU_I_ID"),
)

Read = Callable[[Window], float | None]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric and how it is read off a window; None has no series. `is_of_the_whole`: a MIG instance without one is not
    one with 0, since the driver tells it of the whole GPU."""

    name: str
    about: str
    read: Read
    is_of_the_whole: bool = False

    def value(self, window: Window, device: Device | None) -> float | None:
        value = self.read(window)
        is_instance = device is not None and device.parent_uuid is not None
        return None if self.is_of_the_whole and is_instance and value == 0 else value


def _activity(permille_ms: Callable[[ActivityIntegral], int | None]) -> Read:
    """The mean of a profiling metric as a ratio from 0 to 1."""

    def read(window: Window) -> float | None:
        activity = window.activity
        total = permille_ms(activity) if activity is not None and activity.covered_ms else None
        return None if activity is None or total is None else total / activity.covered_ms / 1_000

    return read


def _utilization(window: Window) -> float | None:
    mean = None if window.utilization is None else window.utilization.mean_permille
    return None if mean is None else mean / 10


def _watts(window: Window) -> float | None:
    milliwatts = None if window.energy is None else window.energy.mean_milliwatts
    return None if milliwatts is None else milliwatts / 1_000


def _free_mib(window: Window) -> float | None:
    used, whole = window.memory_used_bytes_max, window.memory_total_bytes
    return None if used is None or whole is None else (whole - used) / MIB


FAMILIES = (
    Family("DCGM_FI_DEV_GPU_UTIL", "Mean GPU utilization of the last window (in %).", _utilization),
    Family("DCGM_FI_DEV_POWER_USAGE", "Mean power of the last window, from the energy counter (in W).", _watts),
    Family(
        "DCGM_FI_DEV_FB_USED",
        "Framebuffer memory used, the most in the last window (in MiB).",
        lambda window: None if window.memory_used_bytes_max is None else window.memory_used_bytes_max / MIB,
    ),
    Family("DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB).", _free_mib),
    Family(
        "DCGM_FI_DEV_XID_ERRORS",
        "The last Xid of the last five minutes, 0 for none.",
        lambda window: float(window.xids[-1]) if window.xids else 0.0 if window.covered_ms else None,
        is_of_the_whole=True,
    ),
    Family("DCGM_FI_PROF_SM_ACTIVE", "The ratio of active multiprocessors.", _activity(lambda a: a.sm_permille_ms)),
    Family("DCGM_FI_PROF_SM_OCCUPANCY", "The ratio of resident warps.", _activity(lambda a: a.occupancy_permille_ms)),
    Family(
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
        "The ratio of cycles in which the tensor pipe was active.",
        _activity(lambda a: a.tensor_permille_ms),
    ),
    Family(
        "DCGM_FI_PROF_DRAM_ACTIVE",
        "The ratio of cycles in which the memory interface was active.",
        _activity(lambda a: a.dram_permille_ms),
    ),
    Family(
        "allot_gpu_processes",
        "Processes on the GPU, the most in the last window.",
        lambda window: None if window.process_count_max is None else float(window.process_count_max),
    ),
)


def device_labels(uuid: str, node: NodeName, device: Device | None, *, is_simulated: bool) -> dict[str, object]:
    """What dcgm-exporter says of a device; None where nobody knows."""
    minor = device.minor if device is not None else None
    return {
        "simulated": "true" if is_simulated else "false",
        "gpu": device.index if device is not None else None,
        "UUID": uuid,
        "pci_bus_id": device.pci_bus_id if device is not None else None,
        "device": f"nvidia{minor}" if minor is not None else None,
        "modelName": device.model if device is not None else None,
        "Hostname": node,
        "GPU_I_PROFILE": device.mig_profile if device is not None else None,
        "GPU_I_ID": device.mig_gpu_instance if device is not None else None,
    }


def label_values(names: tuple[str, ...], told: dict[str, object]) -> list[str]:
    """In the order of the names; empty where nothing is known."""
    return ["" if told[name] is None else str(told[name]) for name in names]
