"""Which MIG instance a claim was given: its name tells a profile and a place, and only CDI tells the instance.

The driver of DRA writes a specification of each claim's devices for the container runtime; among the device nodes of a MIG
instance are its capabilities, `/dev/nvidia-caps/nvidia-cap<N>`, and the kernel module's table says whose those are
(`gpu0/gi3/ci0/access 31`). No right in the cluster is needed for that, and none to ask the driver for placements.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILES_MAX = 4_096
FILE_BYTES_MAX = 1 << 20
MIG_MINORS = Path("driver/nvidia-caps/mig-minors")
"""Under /proc."""

_CAPABILITY = re.compile(r"/dev/nvidia-caps/nvidia-cap(?P<minor>\d+)")
_ACCESS = re.compile(r"gpu(?P<gpu>\d+)/gi(?P<gi>\d+)/ci(?P<ci>\d+)/access")


@dataclass(frozen=True, slots=True)
class MigPlace:
    """A compute instance by the numbers that the driver gives: the GPU's minor, its GPU instance, and its own."""

    gpu_minor: int
    gpu_instance: int
    compute_instance: int

    @property
    def device_id(self) -> str:
        return f"nvidia{self.gpu_minor}/gi{self.gpu_instance}/ci{self.compute_instance}"


class CdiFolder:
    """Read anew at every question: claims come and go. What cannot be read names no instance."""

    def __init__(self, folder: Path, proc: Path) -> None:
        self._folder = folder
        self._minors = proc / MIG_MINORS

    def places(self) -> dict[str, tuple[MigPlace, ...]]:
        """The instances of each device, by its full name: `k8s.gpu.nvidia.com/claim=…`."""
        place_of = self._places_by_capability()
        found: dict[str, tuple[MigPlace, ...]] = {}
        if not place_of:
            return found
        for kind, device in self._devices():
            paths = (_of(node, "path", "") for node in _of(_of(device, "containerEdits", {}), "deviceNodes", []))
            minors = [int(named["minor"]) for path in paths if (named := _CAPABILITY.fullmatch(path))]
            found[f"{kind}={device.get('name')}"] = tuple(place_of[minor] for minor in minors if minor in place_of)
        return found

    def _places_by_capability(self) -> dict[int, MigPlace]:
        try:
            lines = self._minors.read_text().splitlines()
        except OSError:
            return {}
        found = {}
        for line in lines:
            name, _, minor = line.partition(" ")
            access = _ACCESS.fullmatch(name)
            if access is not None and minor.strip().isdigit():
                found[int(minor)] = MigPlace(*(int(access[part]) for part in ("gpu", "gi", "ci")))
        return found

    def _devices(self) -> Iterator[tuple[str, dict[str, Any]]]:
        try:
            files = sorted(each for each in self._folder.iterdir() if each.suffix in {".json", ".yaml"})
        except OSError:
            return
        for file in files[:FILES_MAX]:
            spec = _read(file)
            for device in _of(spec, "devices", []):
                if isinstance(device, dict):
                    yield str(spec.get("kind")), device


def _read(file: Path) -> dict[str, Any]:
    """JSON is YAML, too."""
    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            return {}
        spec = yaml.safe_load(file.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return spec if isinstance(spec, dict) else {}


def _of(mapping: Any, key: str, otherwise: Any) -> Any:
    """The value, where it is of the kind that it ought to be."""
    value = mapping.get(key) if isinstance(mapping, dict) else None
    return value if isinstance(value, type(otherwise)) else otherwise
