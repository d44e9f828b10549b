"""The kubelet, built once from the Go module beside this file, then taken from the cache."""

import subprocess
from pathlib import Path

from scheduler.entrypoints.devcluster import gobuild
from scheduler.entrypoints.devcluster.binaries import cache_directory
from tests.realnode.machine import missing

_MODULE = gobuild.GoModule(Path(__file__).parent, "kubelet", "v1.34.4")
_CACHE = cache_directory().with_name("realnode")
_PROGRAMS = ("kubelet",)


def cached_kubelet() -> Path | None:
    built = _MODULE.built_in(_CACHE)
    return built / "kubelet" if gobuild.holds(built, _PROGRAMS) else None


def provided_kubelet() -> Path:
    """Built if need be: four minutes on two cores."""
    return gobuild.provide(_MODULE, _PROGRAMS, _CACHE) / "kubelet"


def main() -> None:
    """Builds it where a real node can run. Where that fails the tests are left out, and nothing else is kept back."""
    reason = missing()
    if reason is not None:
        print(f"No kubelet is built, since no real node can run here: {reason}.")
        return
    try:
        print(provided_kubelet())
    except (gobuild.ProgramsMissing, subprocess.TimeoutExpired) as refused:
        print(f"No kubelet is built, and the tests on a real node are left out: {refused}")


if __name__ == "__main__":
    main()
