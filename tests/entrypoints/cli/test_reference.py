"""The page of the command line is written from the commands; every option says what it is for."""

import subprocess
import sys
from pathlib import Path

from scheduler.entrypoints.cli.app import PARTS
from scheduler.entrypoints.cli.exits import MEANINGS, ExitCode
from scheduler.entrypoints.cli.reference import reference
from tests.entrypoints.cli.conftest import Allot

ROOT = Path(__file__).parents[3]
HEAVY = ("fastapi", "sqlalchemy", "uvicorn", "kubernetes", "aiohttp", "alembic")


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


def test_a_command_that_asks_the_server_loads_none_of_the_services_libraries() -> None:
    program = f"import sys, scheduler.entrypoints.cli.workloads; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
