"""The control plane's programs: built once from the Go module under tests/controlplane, then taken from the cache."""

import os
from dataclasses import dataclass
from pathlib import Path

from scheduler.entrypoints.devcluster import gobuild
from scheduler.entrypoints.devcluster.gobuild import GoModule, ProgramsMissing

KUBERNETES_VERSION = "v1.36.1"

# `go build` names a program by the last element of its package: etcd is go.etcd.io/etcd/server/v3.
_PROGRAMS = ("server", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelets")


@dataclass(frozen=True)
class Binaries:
    """Where the built programs lie."""

    directory: Path

    @property
    def etcd(self) -> Path:
        return self.directory / "server"

    @property
    def apiserver(self) -> Path:
        return self.directory / "kube-apiserver"

    @property
    def controller_manager(self) -> Path:
        return self.directory / "kube-controller-manager"

    @property
    def scheduler(self) -> Path:
        return self.directory / "kube-scheduler"

    @property
    def kubectl(self) -> Path:
        return self.directory / "kubectl"

    @property
    def kubelets(self) -> Path:
        return self.directory / "kubelets"

    @property
    def are_complete(self) -> bool:
        return gobuild.holds(self.directory, _PROGRAMS)


def cache_directory() -> Path:
    """`$XDG_CACHE_HOME/allot/controlplane`: programs by the hash of their module, and the clusters that run."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "allot" / "controlplane"


def find_module() -> Path:
    """The folder of the Go module, in the source checkout that this package was imported from."""
    module = Path(__file__).resolve().parents[3] / "tests" / "controlplane"
    if not (module / "go.sum").is_file():
        raise ProgramsMissing(
            "the Go module of the control plane is not beside the installed package",
            where=str(module),
            remedy="run from a source checkout of allot, or set KUBECONFIG to a cluster that runs already",
        )
    return module


def cached(module: Path, cache: Path | None = None) -> Binaries | None:
    """The programs built from exactly this module, if they are in the cache."""
    binaries = Binaries(_module(module).built_in(cache or cache_directory()))
    return binaries if binaries.are_complete else None


def provide(module: Path, cache: Path | None = None) -> Binaries:
    """The programs, built if need be: about five minutes on two cores the first time, then at once."""
    return Binaries(gobuild.provide(_module(module), _PROGRAMS, cache or cache_directory()))


def _module(directory: Path) -> GoModule:
    return GoModule(directory, "control plane", KUBERNETES_VERSION)
