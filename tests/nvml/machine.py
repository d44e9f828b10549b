"""Describes a machine with GPUs to the fake `libnvidia-ml.so.1`, builds that library, and moves its time.

Everything that the library says is computed in C from this description: nothing here answers for NVML.
"""

import hashlib
import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar

FAKE_SOURCES = Path(__file__).parent / "fake"
GIB = 1 << 30
HANG = -1
"""As a fault's result: the call does not return while the fault lasts."""


@dataclass(frozen=True)
class _Line:
    """One line of the description; the field names are the keys."""

    word: ClassVar[str]

    def text(self) -> str:
        pairs = ((f.name, getattr(self, f.name)) for f in fields(self))
        return " ".join([self.word, *(f"{key}={_value(value)}" for key, value in pairs if value is not None)])


def _value(value: str | int) -> str:
    return str(int(value)) if isinstance(value, int) else value.replace(" ", "_")


@dataclass(frozen=True)
class Gpu(_Line):
    word: ClassVar[str] = "gpu"
    uuid: str
    name: str = "NVIDIA H100 80GB HBM3"
    bus: str = "00000000:18:00.0"
    architecture: int = 9
    minor: int = 0
    memory_bytes: int = 80 * GIB
    reserved_bytes: int = GIB // 2
    idle_mw: int = 70_000
    gpm: bool = True
    energy: bool = True
    memory_v2: bool = True
    process_struct_bytes: int = 24


@dataclass(frozen=True)
class Mig(_Line):
    word: ClassVar[str] = "mig"
    gpu: int
    uuid: str
    index: int
    gi: int
    ci: int = 0
    name: str = "NVIDIA H100 80GB HBM3 MIG 1g.10gb"
    slices: int = 1
    memory_bytes: int = 10 * GIB


@dataclass(frozen=True)
class Job(_Line):
    """Kernels of one process: they run for `duty_permille` of every `period_ms` from `start_ms` on."""

    word: ClassVar[str] = "job"
    gpu: int
    pid: int
    start_ms: int = 0
    end_ms: int | None = None
    period_ms: int = 1_000
    duty_permille: int = 1_000
    memory_bytes: int = 10 * GIB
    context_mw: int = 20_000
    active_mw: int = 400_000
    sm_permille: int = 800
    occupancy_permille: int = 400
    tensor_permille: int = 300
    dram_permille: int = 200
    gi: int | None = None
    ci: int | None = None
    kind: int = 0
    listed: bool = True


@dataclass(frozen=True)
class Xid(_Line):
    word: ClassVar[str] = "event"
    gpu: int
    at_ms: int
    data: int


@dataclass(frozen=True)
class Ecc(_Line):
    word: ClassVar[str] = "ecc"
    gpu: int
    at_ms: int
    count: int = 1


@dataclass(frozen=True)
class EnergyReset(_Line):
    word: ClassVar[str] = "energy_reset"
    gpu: int
    at_ms: int


@dataclass(frozen=True)
class Latch(_Line):
    """Utilisation that stays where it is whatever runs, as some Blackwell drivers leave it."""

    word: ClassVar[str] = "latch"
    gpu: int
    from_ms: int
    until_ms: int
    percent: int = 100


@dataclass(frozen=True)
class Fault(_Line):
    """From `from_ms` to `until_ms` the call (or `*`) on the GPU (or all) returns `result`, or hangs."""

    word: ClassVar[str] = "fault"
    result: int
    call: str = "*"
    gpu: int | None = None
    from_ms: int = 0
    until_ms: int | None = None


Script = Mig | Job | Xid | Ecc | EnergyReset | Latch | Fault


@dataclass(frozen=True)
class Machine:
    """GPUs and what happens on them. A job, event or fault names its GPU by its place in `gpus`."""

    gpus: tuple[Gpu, ...]
    script: tuple[Script, ...] = ()
    booted_ms: int = 0
    driver: str = "simulated-575.57.08"
    nvml: str = "12.575.57.08"

    def text(self) -> str:
        system = f"system driver={self.driver} nvml={self.nvml} booted_ms={self.booted_ms}"
        return "\n".join([system, *(line.text() for line in (*self.gpus, *self.script)), ""])


@dataclass
class FakeMachine:
    """A machine on disk, with the control file through which its time passes and its description changes."""

    directory: Path
    library: Path
    _control: mmap.mmap = field(init=False)
    _generation: int = 0

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / "control"
        path.write_bytes(bytes(16))
        with path.open("r+b") as file:
            self._control = mmap.mmap(file.fileno(), 16)

    def describe(self, machine: Machine) -> None:
        """Replaces the machine under the running library, which sees it at its next call."""
        fresh = self.directory / "machine.new"
        fresh.write_text(machine.text())
        fresh.replace(self.directory / "machine")
        self._generation += 1
        struct.pack_into("=q", self._control, 8, self._generation)

    def set_time(self, now_ms: int) -> None:
        """Stops the machine's clock at an instant; 0 lets it follow the system's clock."""
        struct.pack_into("=q", self._control, 0, now_ms * 1_000)

    def environment(self) -> Mapping[str, str]:
        """What a process needs to load the fake in the place of the driver's library: set before it starts."""
        return {
            **os.environ,
            "LD_LIBRARY_PATH": str(self.library.parent),
            "ALLOT_FAKE_NVML_MACHINE": str(self.directory / "machine"),
            "ALLOT_FAKE_NVML_CONTROL": str(self.directory / "control"),
        }


def compiler() -> str | None:
    return shutil.which(os.environ.get("CC", "cc"))


def build_library(cache: Path) -> Path:
    """Builds `libnvidia-ml.so.1` once per content of its sources; several test workers may do so at once."""
    cc = compiler()
    assert cc is not None, "the fake NVML library needs a C compiler"
    sources = sorted(FAKE_SOURCES.glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    library = cache / f"fake-nvml-{digest}" / "libnvidia-ml.so.1"
    if library.exists():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    unfinished = library.with_name(f"unfinished-{os.getpid()}")
    flags = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2", "-fPIC", "-shared", "-pthread"]
    subprocess.run(
        [cc, *flags, "-fvisibility=hidden", "-Wl,-soname,libnvidia-ml.so.1", "-o", str(unfinished)]
        + [str(source) for source in sources if source.suffix == ".c"],
        check=True,
    )
    unfinished.replace(library)
    return library
