"""Programs built once from a Go module of the source checkout, then taken from the cache."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scheduler.domain.errors import RefusalCode, Unavailable

_BUILD_LIMIT_SECONDS = 3600


class ProgramsMissing(Unavailable):
    """The programs are not in the cache and cannot be built here; the remedy says what is needed."""

    default_code = RefusalCode.DEV_CLUSTER_UNAVAILABLE


@dataclass(frozen=True)
class GoModule:
    """What the module's `tool` lines name, stamped with the version of Kubernetes; `title` is what people call it."""

    directory: Path
    title: str
    kubernetes_version: str

    @property
    def arguments(self) -> tuple[str, ...]:
        # Without these the programs would say v0.0.0-master, and clients that check the version would refuse them.
        major, minor, _ = self.kubernetes_version.removeprefix("v").split(".")
        stamps = (
            f"-X k8s.io/component-base/version.gitVersion={self.kubernetes_version}",
            f"-X k8s.io/component-base/version.gitMajor={major}",
            f"-X k8s.io/component-base/version.gitMinor={minor}",
        )
        return ("-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", " ".join(("-s", "-w", *stamps)))

    def built_in(self, cache: Path) -> Path:
        """The folder of its programs in the cache: complete, or not there."""
        digest = hashlib.sha256()
        for path in (self.directory / "go.mod", self.directory / "go.sum", *sorted(self.directory.rglob("*.go"))):
            digest.update(path.read_bytes())
        digest.update("\0".join(self.arguments).encode())
        return cache / digest.hexdigest()[:16]


def holds(directory: Path, programs: Sequence[str]) -> bool:
    return all(os.access(directory / program, os.X_OK) for program in programs)


def provide(module: GoModule, programs: Sequence[str], cache: Path) -> Path:
    """The folder of the programs, built if need be: minutes the first time, then at once.

    Processes that ask at the same time wait for the one that builds.
    """
    built = module.built_in(cache)
    if holds(built, programs):
        return built
    go = shutil.which("go")
    if go is None:
        raise ProgramsMissing(
            f"Go is not installed and the {module.title}'s programs are not in the cache",
            where=str(cache),
            remedy="install Go 1.26 (https://go.dev/dl) and run again",
        )
    cache.mkdir(parents=True, exist_ok=True)
    with exclusive(cache / "build.lock"):
        if not holds(built, programs):
            _build(go, module, built)
    return built


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Holds a lock between processes; the kernel lets go of it when the holder dies."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build(go: str, module: GoModule, destination: Path) -> None:
    # Built beside and renamed at the end: a folder of that name is complete or does not exist.
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix="building-") as scratch:
        built = Path(scratch) / "bin"
        built.mkdir()
        outcome = subprocess.run(
            [go, "build", *module.arguments, "-o", f"{built}/", "tool"],
            cwd=module.directory,
            env=os.environ | {"CGO_ENABLED": "0"},
            capture_output=True,
            text=True,
            timeout=_BUILD_LIMIT_SECONDS,
            check=False,
        )
        if outcome.returncode != 0:
            raise ProgramsMissing(
                f"go build of the {module.title} failed: {_tail(outcome.stderr)}",
                where=str(module.directory),
                remedy="Go 1.26 and access to its module proxy are needed the first time",
            )
        if destination.exists():
            shutil.rmtree(destination)
        built.rename(destination)


def _tail(text: str, lines: int = 5) -> str:
    """What was said last, in one line; Go says much of it once for each module."""
    said = list(dict.fromkeys(" ".join(line.split()) for line in text.strip().splitlines()))
    return " / ".join(said[-lines:])
