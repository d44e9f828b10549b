"""The fake's structs and symbols against those that the bindings declare and the adapter calls."""

import ctypes
import re
from pathlib import Path

import pynvml
import pytest

from tests.nvml.machine import FAKE_SOURCES

ADAPTER = Path(__file__).parents[2] / "scheduler/adapters/nvml"
ASSERTED = dict(re.findall(r"_Static_assert\(sizeof\((\w+)\) == (\d+)", (FAKE_SOURCES / "nvml_abi.h").read_text()))
BOUND = {
    "nvml_utilization": pynvml.c_nvmlUtilization_t,
    "nvml_memory": pynvml.c_nvmlMemory_t,
    "nvml_memory_v2": pynvml.c_nvmlMemory_v2_t,
    "nvml_process_utilization": pynvml.c_nvmlProcessUtilizationSample_t,
    "nvml_process_utilization_info": pynvml.c_nvmlProcessUtilizationInfo_v1_t,
    "nvml_processes_utilization": pynvml.c_nvmlProcessesUtilizationInfo_v1_t,
    "nvml_process": pynvml.c_nvmlProcessInfo_v3_t,
    "nvml_value": pynvml.c_nvmlValue_t,
    "nvml_sample": pynvml.c_nvmlSample_t,
    "nvml_field_value": pynvml.c_nvmlFieldValue_t,
    "nvml_event": pynvml.c_nvmlEventData_t,
    "nvml_attributes": pynvml.c_nvmlDeviceAttributes,
    "nvml_pci": pynvml.nvmlPciInfo_t,
    "nvml_gpm_metric": pynvml.c_nvmlGpmMetric_t,
    "nvml_gpm_support": pynvml.c_nvmlGpmSupport_t,
}


@pytest.mark.parametrize("name", BOUND)
def test_a_struct_has_the_size_that_the_bindings_give_it(name: str) -> None:
    assert int(ASSERTED[name]) == ctypes.sizeof(BOUND[name])


def test_the_header_of_the_metrics_request_ends_where_its_array_begins() -> None:
    assert int(ASSERTED["nvml_gpm_metrics"]) == pynvml.c_nvmlGpmMetricsGet_t.metrics.offset


def test_every_asserted_struct_is_held_against_the_bindings() -> None:
    assert ASSERTED.keys() == BOUND.keys() | {"nvml_gpm_metrics", "nvml_process_535"}


def test_the_library_has_every_symbol_that_the_adapter_calls(library: Path) -> None:
    called = set(re.findall(r"pynvml\.(nvml[A-Z]\w+)", "".join(p.read_text() for p in ADAPTER.glob("*.py"))))
    called -= {name for name in called if not callable(getattr(pynvml, name))}
    versions = {"nvmlInit": "nvmlInitWithFlags", "nvmlDeviceGetPciInfo": "nvmlDeviceGetPciInfo_v3"}
    versions |= {"nvmlDeviceGetCount": "nvmlDeviceGetCount_v2"}
    versions |= {"nvmlDeviceGetHandleByIndex": "nvmlDeviceGetHandleByIndex_v2"}
    symbols = library.read_bytes()
    missing = [name for name in sorted(called) if versions.get(name, name).encode() + b"\0" not in symbols]
    assert len(called) > 20
    assert missing == []
