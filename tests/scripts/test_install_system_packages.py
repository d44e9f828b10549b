"""The script that installs system packages, with stand-ins for what it looks for and for apt-get."""

import shutil
import subprocess
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "install-system-packages"
_PRESENT = ("initdb", "chromium", "cc", "make", "containerd", "runc", "iptables", "busybox", "prometheus", "promtool")


class Machine:
    """A PATH of its own: the shell's few tools, and the programs that this machine is said to have."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder
        folder.mkdir()
        for tool in ("sh", "cat", "ls"):
            (folder / tool).symlink_to(shutil.which(tool) or "")

    def has(self, name: str, script: str = "exit 0") -> None:
        program = self.programs / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", str(_SCRIPT), *arguments],
            env={"PATH": str(self.programs), "PROGRAMS": str(self.programs), "CNI_PLUGINS": str(self.programs)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path / "bin")
    for name in (*_PRESENT, "ptp"):
        machine.has(name)
    return machine


def test_with_everything_there_nothing_is_touched(machine: Machine) -> None:
    machine.has("apt-get", "echo touched; exit 1")
    outcome = machine.run()
    assert (outcome.returncode, outcome.stdout) == (0, "PostgreSQL, Chromium, a C compiler and make are here.\n")


def test_as_root_what_is_missing_is_installed(machine: Machine) -> None:
    (machine.programs / "chromium").unlink()
    machine.has("id", "echo 0")
    machine.has(
        "apt-get",
        'echo "$@" >> "$PROGRAMS/asked"; cat "$PROGRAMS/make" > "$PROGRAMS/chromium"; /bin/chmod 700 "$PROGRAMS/chromium"',
    )
    assert machine.run().returncode == 0
    asked = (machine.programs / "asked").read_text().splitlines()
    assert asked == ["update -q", "install -q -y --no-install-recommends chromium"]


def test_as_root_a_real_node_is_made_possible_and_no_matter_where_it_cannot_be(machine: Machine) -> None:
    for name in ("runc", "ptp"):
        (machine.programs / name).unlink()
    machine.has("id", "echo 0")
    machine.has("apt-get", 'echo "$@" >> "$PROGRAMS/asked"; exit 100')
    outcome = machine.run()
    assert outcome.returncode == 0
    assert outcome.stderr == (
        "runc could not be had; tests that need it are left out\n"
        "containernetworking-plugins could not be had; tests that need it are left out\n"
    )
    assert (machine.programs / "asked").read_text().splitlines() == [
        "update -q",
        "install -q -y --no-install-recommends runc",
        "install -q -y --no-install-recommends containernetworking-plugins",
    ]


def test_looking_says_what_a_real_node_lacks_and_is_content(machine: Machine) -> None:
    for name in ("busybox", "promtool"):
        (machine.programs / name).unlink()
    machine.has("id", "echo 0")
    outcome = machine.run("--check")
    assert (outcome.returncode, outcome.stderr) == (
        0,
        "Missing for tests that are left out: prometheus busybox-static\n",
    )


def test_without_root_it_says_what_to_run(machine: Machine) -> None:
    (machine.programs / "make").unlink()
    machine.has("id", "echo 1000")
    machine.has("apt-get", "exit 1")
    outcome = machine.run()
    assert outcome.returncode == 1
    assert "sudo apt-get install --no-install-recommends make" in outcome.stderr


def test_on_another_system_it_says_what_is_missing(machine: Machine) -> None:
    (machine.programs / "chromium").unlink()
    (machine.programs / "cc").unlink()
    outcome = machine.run()
    assert outcome.returncode == 1
    assert outcome.stderr == "Missing, by their Debian names: chromium gcc libc6-dev\n"


def test_an_install_that_leaves_something_missing_fails(machine: Machine) -> None:
    (machine.programs / "chromium").unlink()
    machine.has("id", "echo 0")
    machine.has("apt-get")
    outcome = machine.run()
    assert outcome.returncode == 1
    assert "still not found: chromium" in outcome.stderr
