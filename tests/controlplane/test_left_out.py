"""Where no control plane can be had, the summary says in one line what was left out, why, and how to get it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = ("tests/controlplane/test_flow.py", "tests/controlplane/test_pods.py")
REFUSED = """#!/bin/sh
echo "k8s.io/kubernetes@v1.36.1: 403 Forbidden" >&2
exit 1
"""


def _run(folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """On a machine that has neither a cluster nor built programs, and no other commands than the folder's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "KUBE", "ALLOT_"))}
    bare = {**kept, "PATH": str(folder), "XDG_CACHE_HOME": str(folder), **variables}
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *FILES]
    return subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, check=False)


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    """A folder with a Go that cannot have its modules."""
    (tmp_path / "go").write_text(REFUSED)
    (tmp_path / "go").chmod(0o755)
    return tmp_path


def test_without_go_one_plain_line_says_which_tests_were_left_out_and_how_to_get_them(tmp_path: Path) -> None:
    done = _run(tmp_path)

    assert done.returncode == 0, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "left out" in line]
    assert "the tests against the real control plane were left out; to get them, install Go" in line
    assert "or set KUBECONFIG to what `allot dev cluster start` printed" in line


def test_where_it_cannot_be_built_the_line_says_why(refused: Path) -> None:
    done = _run(refused)

    assert done.returncode == 0, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "left out" in line]
    assert "the tests against the real control plane were left out: go build of the control plane failed" in line
    assert "k8s.io/kubernetes@v1.36.1: 403 Forbidden" in line
    assert "access to its module proxy are needed the first time, or set KUBECONFIG" in line


def test_where_it_is_required_they_fail_instead(refused: Path) -> None:
    done = _run(refused, ALLOT_REQUIRE_CONTROL_PLANE="1")

    assert done.returncode == 1, done.stdout
    assert "403 Forbidden" in done.stdout
    assert " passed" not in done.stdout
    assert " skipped" not in done.stdout
