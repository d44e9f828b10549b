"""The house rules that a machine can check: short files and functions, names that say something, no loose ends."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.adapters.sql.migrations import HEAD

ROOT = Path(__file__).parents[1]
FOLDERS = ("scheduler", "tests", "benchmarks")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
EMPTY_NAMES = re.compile(r"(^|/)(utils?|common|helpers?|managers?|misc|services)(\.py|/)")
LOOSE_ENDS = re.compile(
    r"\b(" + "TO" + r"DO|FIX" + r"ME|XX" + r"X|HACK)\b|Not" + r"ImplementedError|# pragma: no" + r" cover"
    r"|# type: ig" + r"nore(?!\[)|# no" + r"qa(?!: )"
)
TOP_FOLDERS = ("scheduler", "manifests", "policies", "tests", "benchmarks", "docs")
TOP_FILES = [
    "pyproject.toml",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "Containerfile",
]
LINES_MAX = 400
FUNCTION_LINES_MAX = 60


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 50


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_fits_in_the_head(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") <= LINES_MAX


def test_a_function_fits_on_a_screen() -> None:
    assert [
        f"{path.relative_to(ROOT)}:{line} {name}: {length}" for path, line, name, length in _long_functions()
    ] == []


def test_the_top_level_is_what_whoever_looks_for_it_expects() -> None:
    assert sorted(name for name in (*TOP_FOLDERS, *TOP_FILES) if not (ROOT / name).exists()) == []
    assert all((ROOT / name).is_dir() for name in TOP_FOLDERS)
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_distribution_and_the_command_are_called_allot() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (project["name"], project["license"], project["requires-python"]) == ("allot", "Apache-2.0", ">=3.11")
    assert project["scripts"] == {"allot": "scheduler.entrypoints.cli:main"}


def test_names_say_something() -> None:
    assert [path for path in map(_relative, SOURCES) if EMPTY_NAMES.search(path)] == []


def test_no_loose_ends_are_left() -> None:
    found = [
        f"{_relative(path)}:{number}: {line.strip()}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if LOOSE_ENDS.search(line) and path != Path(__file__)
    ]
    assert found == []


def test_every_module_says_what_it_is() -> None:
    missing = [
        _relative(path)
        for path in SOURCES
        if path.name != "__init__.py"
        and "tests" not in path.relative_to(ROOT).parts
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert missing == []


def test_every_room_is_named_where_the_house_is_drawn() -> None:
    """ARCHITECTURE.md draws the floors and, of those that have them, the rooms (ADR 26)."""
    drawn = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("```")[1]
    floors = [ROOT / "scheduler" / floor for floor in ("lifecycle", "decision", "finance")]
    rooms = {path.parent.name for floor in floors for path in floor.glob("*/__init__.py")} - {"focus"}
    assert rooms <= set(re.findall(r"\b([a-z]+)/", drawn))


def test_imports_stand_at_the_top_of_the_file() -> None:
    inner = [
        f"{_relative(path)}:{node.lineno}"
        for path in SOURCES
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert inner == []


def _long_functions() -> Iterator[tuple[Path, int, str, int]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    yield path, node.lineno, node.name, length


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_migration_has_a_number_of_its_own_and_the_next_free_one() -> None:
    """Of two that were written at once, the later to come takes the next number."""
    folder = ROOT / "scheduler" / "adapters" / "sql" / "migrations" / "versions"
    numbers = sorted(path.name[1:5] for path in folder.glob("v*.py"))
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]
    assert numbers[-1] == HEAD
