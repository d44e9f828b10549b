"""The house rules that a machine can check: short files and functions, names that say something, no loose ends."""

import ast
import gc
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
ASSERTING = re.compile(r"_?assert_|raises$|expect$|run_state_machine_as_test$")
LOOSE_ENDS = re.compile(
    r"\b(" + "TO" + r"DO|FIX" + r"ME|XX" + r"X|HACK)\b|Not" + r"ImplementedError|# pragma: no" + r" cover"
    r"|# type: ig" + r"nore(?!\[)|# no" + r"qa(?!: )"
)
GO_SOURCES = sorted((ROOT / "tests" / "controlplane").rglob("*.go"))
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
Function = ast.FunctionDef | ast.AsyncFunctionDef
DRAWN = ("entrypoints", "simulation", "adapters", "lifecycle", "decision", "finance")
"""Floors with rooms."""
LINES_MAX = 400
FUNCTION_LINES_MAX = 60


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 50
    assert len(GO_SOURCES) > 5


@pytest.fixture(scope="module")
def trees() -> Iterator[dict[Path, ast.Module]]:
    """Each file parsed once; they go with the module, as they are large. There is no garbage in them, and to look for it
    would take four times as long as to parse them."""
    gc.disable()
    yield {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
    gc.enable()


@pytest.fixture(scope="module")
def functions(trees: dict[Path, ast.Module]) -> list[tuple[Path, Function]]:
    found = ((path, node) for path, tree in trees.items() for node in ast.walk(tree))
    return [(path, node) for path, node in found if isinstance(node, Function)]


def test_a_file_fits_in_the_head() -> None:
    lines = {_relative(path): path.read_text(encoding="utf-8").count("\n") for path in (*SOURCES, *GO_SOURCES)}
    assert {path: count for path, count in lines.items() if count > LINES_MAX} == {}


def test_a_function_fits_on_a_screen(functions: list[tuple[Path, Function]]) -> None:
    long = [
        f"{_relative(path)}:{function.lineno} {function.name}: {length}"
        for path, function in functions
        if (length := (function.end_lineno or function.lineno) - function.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert long == []


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
        for path in (*SOURCES, *GO_SOURCES)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if LOOSE_ENDS.search(line) and path != Path(__file__)
    ]
    assert found == []


def test_every_module_says_what_it_is(trees: dict[Path, ast.Module]) -> None:
    missing = [
        _relative(path)
        for path, tree in trees.items()
        if path.name != "__init__.py" and "tests" not in path.relative_to(ROOT).parts and not ast.get_docstring(tree)
    ]
    assert missing == []


def test_every_room_is_named_where_the_house_is_drawn() -> None:
    """ARCHITECTURE.md draws the floors and, of those that have them, the rooms (ADR 26)."""
    drawn = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("```")[1]
    floors = [ROOT / "scheduler" / floor for floor in DRAWN]
    rooms = {path.parent.name for floor in floors for path in floor.glob("*/__init__.py")}
    assert rooms - set(re.findall(r"\b([a-z_]+)/", drawn)) == set()


def test_every_test_asserts_something(functions: list[tuple[Path, Function]]) -> None:
    """Itself, or in a helper whose name says so."""
    silent = [
        f"{_relative(path)}:{function.lineno} {function.name}"
        for path, function in functions
        if path.name.startswith("test_") and function.name.startswith("test_")
        if not any(map(_asserts, ast.walk(function)))
    ]
    assert silent == []


def test_imports_stand_at_the_top_of_the_file(functions: list[tuple[Path, Function]]) -> None:
    inner = [
        f"{_relative(path)}:{node.lineno}"
        for path, function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert inner == []


def test_every_migration_has_a_number_of_its_own_and_the_next_free_one() -> None:
    """Of two that were written at once, the later to come takes the next number."""
    folder = ROOT / "scheduler" / "adapters" / "sql" / "migrations" / "versions"
    numbers = sorted(path.name[1:5] for path in folder.glob("v*.py"))
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]
    assert numbers[-1] == HEAD


def _asserts(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return isinstance(node, ast.Assert)
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    return bool(ASSERTING.match(name))


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))
