"""The control plane's programs: built once from the Go module under tests/controlplane, then taken from the cache."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scheduler.domain.errors import RefusalCode, Unavailable

KUBERNETES_VERSION = "v1.36.3"

# Without these the programs would say v0.0.0-master, and clients that check the version would refuse them.
_STAMPS = (
    f"-X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}",
    "-X k8s.io/component-base/version.gitMajor=1",
    "-X k8s.io/component-base/version.gitMinor=36",
)
_BUILD_ARGUMENTS = ("-mod=readonly", "-trimpath", "-ldflags", " ".join(("-s", "-w", *_STAMPS)))
_BUILD_LIMIT_SECONDS = 1800


class ProgramsMissing(Unavailable):
    """The programs are not in the cache and cannot be built here; the remedy says what is needed."""

    default_code = RefusalCode.DEV_CLUSTER_UNAVAILABLE


@dataclass(frozen=True)
class Binaries:
    """Where the built programs lie."""

    directory: Path

    @property
    def etcd(self) -> Path:
        # `go build` names a program by the last element of its package: go.etcd.io/etcd/server/v3.
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
    def kwok(self) -> Path:
        return self.directory / "kwok"

    @property
    def are_complete(self) -> bool:
        programs = (self.etcd, self.apiserver, self.controller_manager, self.scheduler, self.kubectl, self.kwok)
        return all(os.access(program, os.X_OK) for program in programs)


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
    binaries = Binaries((cache or cache_directory()) / _fingerprint(module))
    return binaries if binaries.are_complete else None


def provide(module: Path, cache: Path | None = None) -> Binaries:
    """The programs, built if need be: about five minutes on two cores the first time, then at once.

    Processes that ask at the same time wait for the one that builds.
    """
    cache = cache or cache_directory()
    ready = cached(module, cache)
    if ready:
        return ready
    go = shutil.which("go")
    if go is None:
        raise ProgramsMissing(
            "Go is not installed and the control plane's programs are not in the cache",
            where=str(cache),
            remedy="install Go 1.26 (https://go.dev/dl) and run again",
        )
    cache.mkdir(parents=True, exist_ok=True)
    with exclusive(cache / "build.lock"):
        ready = cached(module, cache)
        return ready or _build(go, module, cache / _fingerprint(module))


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Holds a lock between processes; the kernel lets go of it when the holder dies."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _fingerprint(module: Path) -> str:
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((module / name).read_bytes())
    digest.update("\0".join(_BUILD_ARGUMENTS).encode())
    return digest.hexdigest()[:16]


def _build(go: str, module: Path, destination: Path) -> Binaries:
    # Built beside and renamed at the end: a folder of that name is complete or does not exist.
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix="building-") as scratch:
        built = Path(scratch) / "bin"
        built.mkdir()
        outcome = subprocess.run(
            [go, "build", *_BUILD_ARGUMENTS, "-o", f"{built}/", "tool"],
            cwd=module,
            env=os.environ | {"CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
            timeout=_BUILD_LIMIT_SECONDS,
            check=False,
        )
        if outcome.returncode != 0:
            raise ProgramsMissing(
                f"go build of the control plane failed: {_tail(outcome.stderr)}",
                where=str(module),
                remedy="Go 1.26 and access to its module proxy are needed the first time",
            )
        if destination.exists():
            shutil.rmtree(destination)
        built.rename(destination)
    return Binaries(destination)


def _tail(text: str, lines: int = 5) -> str:
    return " / ".join(text.strip().splitlines()[-lines:])
