"""The script that has Go look at the source of the simulated kubelets, with a stand-in for Go."""

import shutil
import subprocess
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "vet-go"


def _run(folder: Path, go: str) -> subprocess.CompletedProcess[str]:
    for tool in ("sh",):
        (folder / tool).symlink_to(shutil.which(tool) or "")
    program = folder / "go"
    program.write_text(f"#!/bin/sh\n{go}\n")
    program.chmod(0o700)
    return subprocess.run(
        ["/bin/sh", str(_SCRIPT), str(folder), "./kubelets"],
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("vetted", "code"), [("exit 0", 0), ("echo main.go:3: unreachable code; exit 1", 1)])
def test_what_go_says_of_the_package_decides(tmp_path: Path, vetted: str, code: int) -> None:
    ran = _run(tmp_path, f'case "$1 $*" in list*) exit 0;; "vet vet ./kubelets") {vetted};; *) exit 7;; esac')
    assert (ran.returncode, "unreachable" in ran.stdout) == (code, code == 1)


def test_without_the_modules_it_is_left_out_with_a_line(tmp_path: Path) -> None:
    ran = _run(tmp_path, 'case "$1" in list) echo no network >&2; exit 1;; *) exit 7;; esac')
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == f"go vet of {tmp_path} is left out: Go cannot get its modules here.\n"
