"""What NVML's return codes mean for us: one table, and the one place where a call is made.

A code becomes an absent value, or one of four signals for the whole device or node. None ever becomes a 0.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pynvml

from scheduler.metering.samples import Absence

Value = TypeVar("Value")


class NvmlSignal(Exception):
    """A return code that is about more than the value that was asked for."""


class NoDriver(NvmlSignal):
    """There is no library or no kernel driver."""


class DeviceUnhealthy(NvmlSignal):
    """This GPU is lost or wants a reset. The others go on."""


class NotInitialised(NvmlSignal):
    """The library wants `nvmlInit`: once more, then a restart."""


class MustRestart(NvmlSignal):
    """Only a fresh process can read again: access was revoked (nvidia-container-toolkit#48), or the driver was
    replaced under the library that this process has loaded."""


SIGNALS: dict[int, type[NvmlSignal]] = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: NoDriver,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: NoDriver,
    pynvml.NVML_ERROR_GPU_IS_LOST: DeviceUnhealthy,
    pynvml.NVML_ERROR_RESET_REQUIRED: DeviceUnhealthy,
    pynvml.NVML_ERROR_GPU_NOT_FOUND: DeviceUnhealthy,
    pynvml.NVML_ERROR_IRQ_ISSUE: DeviceUnhealthy,
    pynvml.NVML_ERROR_UNINITIALIZED: NotInitialised,
    pynvml.NVML_ERROR_UNKNOWN: MustRestart,
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: MustRestart,
}
"""Every other code, of today or of a later driver, leaves the value absent."""

NAMES = {
    getattr(pynvml, name): name.removeprefix("NVML_ERROR_") for name in dir(pynvml) if name.startswith("NVML_ERROR_")
}


class AbsentValue(Exception):
    """This value cannot be had; `code` is the name of NVML's return code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def ask(call: Callable[..., Value], *arguments: Any) -> Value:
    """Make one call of the bindings. Raises AbsentValue or an NvmlSignal in the place of the bindings' errors."""
    try:
        return call(*arguments)
    except pynvml.NVMLError as error:
        # The bindings' errors compare only with each other and cannot be hashed: their number is all we take.
        code = int(error.value)
    except pynvml.NVMLLibraryMismatchError as error:
        # Not an NVMLError: raised where the library lacks the symbol of the version that the bindings want.
        raise AbsentValue("FUNCTION_NOT_FOUND") from error
    name = NAMES.get(code, f"CODE_{code}")
    signal = SIGNALS.get(code)
    raise AbsentValue(name) if signal is None else signal(name)


@dataclass
class Asker:
    """Asks for the values of one device, and keeps why some are absent."""

    absences: list[Absence] = field(default_factory=list)

    def value(self, name: str, call: Callable[..., Value], *arguments: Any) -> Value | None:
        """What the call says; None, with the reason kept under `name`, where it says nothing."""
        try:
            return ask(call, *arguments)
        except AbsentValue as absent:
            self.lacks(name, absent.code)
            return None

    def lacks(self, name: str, code: str) -> None:
        self.absences.append(Absence(name, code))
