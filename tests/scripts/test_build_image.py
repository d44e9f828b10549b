"""The script that builds the image, with stand-ins for the builders: which one it takes, and what it says without."""

import shutil
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_SCRIPT = _ROOT / "scripts" / "build-image"
_SAYS = '#!/bin/sh\necho "${0##*/} $*"\n'


def _run(folder: Path, *arguments: str, builders: tuple[str, ...] = (), **told: str) -> tuple[int, str]:
    """Exit code and all that it said, with these builders alone."""
    for tool in ("sh", "dirname", "id"):
        (folder / tool).symlink_to(shutil.which(tool) or "")
    for builder in builders:
        (folder / builder).write_text(_SAYS)
        (folder / builder).chmod(0o700)
    done = subprocess.run(
        ["/bin/sh", str(_SCRIPT), *arguments],
        env={"PATH": str(folder), "HOME": str(folder), **told},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("builders", "taken"),
    [(("docker", "podman", "buildah"), "docker"), (("buildah", "podman"), "podman"), (("buildah",), "buildah")],
)
def test_the_builder_that_is_there_is_taken(tmp_path: Path, builders: tuple[str, ...], taken: str) -> None:
    told = _run(tmp_path, builders=builders)
    assert told == (0, f"{taken} build -f {_ROOT}/Containerfile -t allot {_ROOT}\n")


def test_another_name_and_another_base_are_passed_on(tmp_path: Path) -> None:
    told = _run(tmp_path, "registry.example/allot:1", builders=("docker",), PYTHON="base:3.12")
    wanted = f"build -f {_ROOT}/Containerfile --build-arg PYTHON=base:3.12 -t registry.example/allot:1 {_ROOT}"
    assert told == (0, f"docker {wanted}\n")


def test_without_a_builder_it_says_which_would_do(tmp_path: Path) -> None:
    assert _run(tmp_path) == (1, "No image is built: it takes docker, podman or buildah.\n")


def test_a_stand_in_takes_more_than_a_builder(tmp_path: Path) -> None:
    told = _run(tmp_path, "--stand-in", str(tmp_path / "image.tar"), builders=("buildah",))
    assert told == (1, "No image is built on a stand-in: it takes root, mmdebstrap and buildah.\n")


@pytest.mark.parametrize("arguments", [("--stand-in",), ("--else",), ("one", "two")])
def test_what_it_does_not_understand_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    code, said = _run(tmp_path, *arguments, builders=("docker",))
    assert (code, said) == (2, f"usage: {_SCRIPT} [TAG] | --stand-in ARCHIVE\n")
