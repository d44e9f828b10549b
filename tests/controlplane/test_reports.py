"""A test that fails on the real control plane says where its logs are."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAILING = """
import pytest
from tests.plugins.controlplane import _LOGS

@pytest.fixture
def control_plane(pytestconfig, tmp_path):
    pytestconfig.stash[_LOGS] = tmp_path / "logs"

def test_fails(control_plane):
    assert False

def test_fails_beside():
    assert False
"""


def test_the_report_of_a_failing_test_names_the_folder_of_the_control_planes_logs(tmp_path: Path) -> None:
    (tmp_path / "test_failing.py").write_text(FAILING)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "KUBE"))}
    plugins = ("-p", "tests.plugins.controlplane", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", "-n0")
    command = [sys.executable, "-m", "pytest", *plugins, f"--basetemp={tmp_path / 'made'}", "test_failing.py"]
    environment = {**kept, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "2 failed" in done.stdout
    told = [line for line in done.stdout.splitlines() if line.startswith("logs: ")]
    assert told == [f"logs: {tmp_path / 'made' / 'test_fails0' / 'logs'}"], "of the one that used it, and no other"
