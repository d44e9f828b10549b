"""A test that hangs fails by name, and what comes after it is run: no run waits for ever."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFTEST = """
from tests.plugins import hanging
hanging.GRACE_SECONDS = 1.0
"""
HANGS = """
import asyncio
import time

def test_before():
    pass

def test_that_waits():
    time.sleep(600)

async def test_that_waits_for_a_thread_when_it_is_interrupted():
    await asyncio.to_thread(time.sleep, 600)

def test_after():
    pass
"""


def test_what_hangs_is_named_and_the_rest_is_run(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_hanging.py").write_text(HANGS)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    options = ("-p", "tests.plugins.hanging", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", "-n1", "-rf")
    command = [sys.executable, "-m", "pytest", *options, "--timeout=1", "-o", "asyncio_mode=auto", "test_hanging.py"]
    environment = {**kept, "PYTHONPATH": str(ROOT)}

    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert set(failed) == {
        "test_hanging.py::test_that_waits",
        "test_hanging.py::test_that_waits_for_a_thread_when_it_is_interrupted",
    }, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert "test_that_waits_for_a_thread_when_it_is_interrupted hangs in its cleaning up" in done.stderr
