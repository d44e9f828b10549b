"""What the image installs: the run-time part of the lock that everything is tested with, and no more."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
_PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*==[^ \\;]+)", re.MULTILINE)


def pinned(lock: str) -> set[str]:
    return set(_PINNED.findall((ROOT / lock).read_text()))


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower() for requirement in requirements}


def test_the_image_installs_versions_that_were_tested() -> None:
    assert pinned("requirements-runtime.lock") <= pinned("requirements.lock")


def test_the_image_has_every_library_that_the_package_needs_and_none_that_only_tests_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = {pin.split("==")[0] for pin in pinned("requirements-runtime.lock")}

    assert names(project["dependencies"]) <= installed
    assert not names(project["optional-dependencies"]["dev"]) & installed


def test_the_image_is_built_from_what_is_let_in() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        source
        for line in (ROOT / "Containerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }

    assert ignored[0] == "*"
    assert copied == let_in
    assert all((ROOT / source).exists() for source in copied)


def test_only_the_base_of_the_image_names_a_version_of_python() -> None:
    """On another base what is copied to a path with a version in it is not found, and the embedded default fails."""
    lines = (ROOT / "Containerfile").read_text().splitlines()
    assert [line for line in lines if re.search(r"python:?3\.\d", line)] == [
        line for line in lines if line.startswith("ARG PYTHON=")
    ]
