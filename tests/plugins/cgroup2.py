"""A real hierarchy of control groups, version 2: the one that is mounted, or one that root may mount.

Where there is neither, tests that ask for it are left out with one plain line.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

LEFT_OUT = "no cgroup v2 that may be written to: attribution by live control groups is left out (needs root on Linux)"


@pytest.fixture
def cgroup2(tmp_path: Path) -> Iterator[Path]:
    """An empty group of the test's own in it; what is below is removed again."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip(LEFT_OUT)
    with ExitStack() as stack:
        root = _mounted() or stack.enter_context(_mounting(tmp_path / "cgroup2"))
        own = root / f"allot-test-{os.getpid()}"
        try:
            own.mkdir()
        except OSError:
            pytest.skip(LEFT_OUT)
        stack.callback(_remove, own)
        yield own


def _mounted() -> Path | None:
    try:
        lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return None
    found = (Path(line[1]) for line in lines if line[2] == "cgroup2" and "rw" in line[3].split(","))
    return next((path for path in found if os.access(path, os.W_OK)), None)


@contextmanager
def _mounting(path: Path) -> Iterator[Path]:
    path.mkdir()
    done = subprocess.run(["mount", "-t", "cgroup2", "none", str(path)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(LEFT_OUT)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def _remove(group: Path) -> None:
    """Deepest first; a group whose processes have ended is empty."""
    for below in sorted((each for each in group.rglob("*") if each.is_dir()), reverse=True):
        below.rmdir()
    group.rmdir()
