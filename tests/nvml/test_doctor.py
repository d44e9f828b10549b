"""`allot doctor` on a machine with GPUs: what it says of the sensors there, and what to do about what is lost."""

import json
from typing import Any

import pytest

from tests.entrypoints.cli.forked import forked
from tests.nvml.machine import FakeMachine, Fault, Gpu, Machine

A, B = Gpu("GPU-a"), Gpu("GPU-b", bus="00000000:2a:00.0", minor=1)

MACHINES: dict[str, tuple[Machine, bool | None, str, str]] = {
    "well": (Machine((A, B)), True, "2 devices, driver ", ""),
    "one lost": (Machine((A, B), (Fault(15, gpu=0),)), False, "1 lost", "dmesg"),
    "a driver that does not answer": (Machine((A, B), (Fault(999),)), False, "", "restart the agent"),
    "no driver": (Machine((A,), (Fault(9),)), None, "no NVIDIA driver here (DRIVER_NOT_LOADED)", "GPU nodes"),
}


@pytest.mark.parametrize(("machine", "is_ok", "found", "remedy"), MACHINES.values(), ids=MACHINES.keys())
def test_the_doctor_looks_at_the_sensors(
    fake: FakeMachine, machine: Machine, is_ok: bool | None, found: str, remedy: str
) -> None:
    fake.describe(machine)
    sensors = _sensors(fake)
    assert sensors["ok"] is is_ok
    assert found in sensors["found"]
    assert remedy in sensors["remedy"]


def _sensors(fake: FakeMachine) -> dict[str, Any]:
    """The doctor's word on the sensors, from a process of its own: NVML's library is never swapped inside one."""
    environment = {**fake.environment(), "ALLOT_SERVER": "http://127.0.0.1:1"}
    with forked(["doctor", "--json", "--no-kubernetes"], environment, fake.library) as doctor:
        said = json.loads(doctor.stdout.read())
    (found,) = (check for check in said["checks"] if check["name"] == "sensors")
    return dict(found)
