"""The script that leaves out of the image what nothing here imports."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "trim-libraries"
_INSTALLED = Path(sysconfig.get_path("purelib"))

_IMPORTS = """
import importlib, pkgutil, sys
from importlib.machinery import PathFinder

taken = set(sys.stdin.read().split("\\n"))

class AsAfterwards:
    def find_spec(name, path=None, target=None):
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin in taken:
            raise ModuleNotFoundError(name)
        return None

sys.meta_path.insert(0, AsAfterwards)
import scheduler
for each in pkgutil.walk_packages(scheduler.__path__, "scheduler."):
    if not each.name.endswith(("__main__", ".env")):  # these run when they are imported
        importlib.import_module(each.name)
from kubernetes.client import ApiClient, Configuration  # what its configuration asks for when it needs them
with open("/proc/self/maps") as maps:
    mapped = {line.split(maxsplit=5)[5].strip() for line in maps if ".so" in line}
print(*sorted(mapped & taken), sep="\\n")
"""


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(_SCRIPT), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.skipif(sys.platform != "linux", reason="which libraries are loaded is read from /proc")
def test_every_module_can_be_imported_without_what_is_taken_out() -> None:
    taken = [_INSTALLED / line for line in _run("--list", str(_INSTALLED)).stdout.splitlines()]
    files = [file for each in taken for file in (each.rglob("*") if each.is_dir() else [each])]
    assert len(files) > 1_000, "the list is that of the libraries installed"

    told = subprocess.run(
        [sys.executable, "-c", _IMPORTS],
        input="\n".join(map(str, files)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stdout.strip()) == (0, ""), told.stderr


def test_what_is_listed_is_what_goes(tmp_path: Path) -> None:
    libraries = tmp_path / "libraries"
    for name in ("kubernetes", "pyarrow", "numpy/f2py", "yaml"):
        shutil.copytree(_INSTALLED / name, libraries / name, copy_function=_only_the_name)
    before = _files(libraries)
    listed = _run("--list", str(libraries)).stdout.splitlines()
    assert _files(libraries) == before

    assert _run(str(libraries)).returncode == 0
    gone = {name for name in before if any(name == each or name.startswith(f"{each}/") for each in listed)}
    assert _files(libraries) == before - gone
    assert "kubernetes/client/configuration.py" in before - gone
    assert {"kubernetes/client/api/batch_v1_api.py", "pyarrow/lib.pyi", "pyarrow/table.pxi"} & before <= gone


def test_a_library_that_moved_what_is_named_fails_the_build(tmp_path: Path) -> None:
    ran = _run(str(tmp_path))
    assert ran.returncode == 1
    assert "nothing is called kubernetes/aio" in ran.stderr


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def _only_the_name(_: str, target: str) -> None:
    Path(target).touch()
