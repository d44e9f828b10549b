"""The page of the command line is written from the commands; every option says what it is for."""

import ast
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from scheduler.entrypoints.cli.app import PARTS, app
from scheduler.entrypoints.cli.exits import MEANINGS, ExitCode
from scheduler.entrypoints.cli.reference import reference
from tests.entrypoints.cli.conftest import Allot

ROOT = Path(__file__).parents[3]
HEAVY = ("fastapi", "sqlalchemy", "uvicorn", "kubernetes", "aiohttp", "alembic", "httpx")


def test_the_page_is_current() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    assert page == reference(), "run python -m scheduler.entrypoints.cli.reference > docs/cli.md"


def test_every_command_is_on_the_page_and_in_the_help(allot: Allot) -> None:
    page = reference()
    helped = allot("--help", who=None).out
    for name in PARTS:
        assert f"\n## allot {name}" in page
        assert name in helped


def test_every_exit_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(ExitCode)


def test_the_help_says_of_each_command_what_its_own_help_begins_with() -> None:
    group = get_command(app)
    context = typer.Context(group, info_name="allot")
    for name, part in PARTS.items():
        own = group.get_command(context, name).help or ""  # type: ignore[attr-defined]
        assert not part.summary or own.split("\n\n")[0].replace("\n", " ") == part.summary, name


@pytest.mark.parametrize("module", ["workloads", "money", "statements", "cluster", "sandbox", "requests", "prices"])
def test_a_command_that_asks_the_server_loads_none_of_the_services_libraries(module: str) -> None:
    assert loaded(f"import scheduler.entrypoints.cli.{module}", HEAVY) == []


def test_the_help_loads_no_command_of_the_service() -> None:
    asked = "from scheduler.entrypoints.cli.app import app; app(['--help'], standalone_mode=False)"
    assert loaded(asked, (*HEAVY, "numpy", "pyarrow", "scheduler.lifecycle")) == []


def test_the_server_loads_nothing_to_start_that_only_other_commands_and_clusters_need() -> None:
    unneeded = ("kubernetes", "aiohttp", "alembic", "pyarrow", "psycopg", "pynvml", "scheduler.adapters.kubernetes")
    assert loaded("import scheduler.entrypoints.cli.server", unneeded) == []


def loaded(statement: str, names: Sequence[str]) -> list[str]:
    """Which of these modules a fresh interpreter has after the statement."""
    program = f"import sys\n{statement}\nprint([m for m in {tuple(names)} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    found: list[str] = ast.literal_eval(done.stderr.strip().splitlines()[-1])
    return found
