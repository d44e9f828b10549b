"""Where there is neither Go nor a cluster, the summary says in one line what was left out and how to get it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = ("tests/controlplane/test_flow.py", "tests/controlplane/test_pods.py")


def test_without_go_one_plain_line_says_which_tests_were_left_out_and_how_to_get_them(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "KUBE"))}
    bare = {**kept, "PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *FILES]
    done = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "left out" in line]
    assert "the tests against the real control plane were left out; to get them, install Go" in line
    assert "or set KUBECONFIG to what `allot dev cluster start` printed" in line
