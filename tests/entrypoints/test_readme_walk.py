"""The walk in the README, typed as it stands: on the quiet simulated company that the README starts."""

import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
READS = {"list", "explain", "balance", "statement"}
"""Commands that may be asked again until what they should show is there."""
SECONDS = 40
PORT = "8411"


def test_every_command_of_the_walk_does_what_the_readme_says(company: dict[str, str]) -> None:
    steps = list(_steps())
    assert len(steps) > 15
    for command, expected in steps:
        _walk_one_step(command, expected, company)


@pytest.fixture
def company(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of the walk, with the README's own `allot serve` running on a free port."""
    serve = next(line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith("allot serve"))
    port = _free_port()
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "COLUMNS": "100",
        "ALLOT_SERVER": f"http://127.0.0.1:{port}",
    }
    arguments = shlex.split(serve.replace(PORT, str(port)))
    with (tmp_path / "serve.log").open("w") as log:
        process = subprocess.Popen(arguments, cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for_port(port, process)
            yield environment
        finally:
            process.terminate()
            process.wait(timeout=20)


def _steps() -> Iterator[tuple[str, list[str]]]:
    """(command, what its output contains) from the README's console blocks."""
    for block in re.findall(r"```console\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *expected = part.strip().splitlines()
            yield command, expected


def _walk_one_step(command: str, expected: list[str], environment: dict[str, str]) -> None:
    if command.startswith("export "):
        return  # the test's own server listens elsewhere
    words = shlex.split(command)
    deadline = time.monotonic() + (SECONDS if words[1] in READS else 0)
    wanted = [line.replace(PORT, environment["ALLOT_SERVER"].rsplit(":", 1)[1]) for line in expected]
    while True:
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        shown = re.sub(r"\s+", " ", done.stdout)
        missing = [line for line in wanted if line not in shown]
        if done.returncode == 0 and not missing:
            return
        assert time.monotonic() < deadline, f"$ {command}\n{done.stdout}{done.stderr}\nmissing: {missing}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError(f"the service did not come up: exit {process.poll()}")
