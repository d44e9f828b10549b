"""Walking a page: its `console` blocks are typed as they stand, and the output has to be what the page shows.

What differs from run to run does not count: numbers, instants, weeks, durations, ids, hashes, tokens, and whatever the
page leaves out with `…`. An id or a hash that the page shows stands for the one that this run got in its place, in later
commands too.
"""

import itertools
import operator
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from typer.testing import CliRunner

from scheduler.adapters.clock import SystemClock
from scheduler.domain.periods import to_datetime
from scheduler.entrypoints.cli.app import app
from scheduler.simulation.stream import opening_instant
from tests.docs.markdown import ROOT, fences

SIMULATED = "A walk"
ON_KUBERNETES = "The walk on Kubernetes"
"""What the README calls its two."""

REPEATED = {"list", "show", "explain", "balance", "statement", "queue", "nodes", "get", "describe", "apply"}
"""Verbs that may be typed again until what they should show is there: those that read, and kubectl's apply, which right
after RBAC was written may be refused still."""
SECONDS = 300
"""For each of them: many times what it takes on a quiet machine. A control plane beside other tests is slow."""
LONGEST_PAUSE_SECONDS = 2.0

WRITTEN = date(2026, 11, 16)
"""The Monday on which the company of the pages begins."""

_ID = re.compile(r"\b(?:(?:w|a|g|e|key)-[a-z0-9]{6,}|[0-9a-f]{12})\b")
_WEEK = re.compile(r"\b\d{4}-W\d{2}\b")
_MONTH = re.compile(r"\b\d{4}-\d{2}\b(?!-)")
_VARIES = re.compile(r"\b\d{4}-W\d{2}\b|\ballot_[\w-]{20,}|[+−-]?\b\d[\d.,:]*(?:[TZ][\d:.]*Z?)?(?: (?:s|min|h|d)\b)?")
_SHELL = frozenset("$`|&;<>(){}*?~#")
_MARKED = re.compile(r"#(?:[ -]?#)*")


@dataclass(frozen=True)
class Step:
    """A command as the page shows it, and the lines of output below it."""

    command: str
    output: tuple[str, ...]


@dataclass
class Walk:
    """One walk through a page, in an environment that its commands may add to with `export`."""

    environment: dict[str, str]
    replaced: Mapping[str, str] = field(default_factory=dict)
    begun: date = WRITTEN
    """The day on which the company begins."""
    ids: dict[str, str] = field(default_factory=dict)

    def follow(self, text: str) -> int:
        """Type every command of a page, or of a section of one; returns how many there were."""
        steps = list(steps_of(text))
        for step in steps:
            self.take(step)
        return len(steps)

    def take(self, step: Step) -> None:
        command = self.here(step.command)
        if command.startswith("export "):
            self._export(command)
            return
        deadline = time.monotonic() + (SECONDS if REPEATED.intersection(shlex.split(command)) else 0)
        for pause_seconds in itertools.accumulate(itertools.repeat(1.5), operator.mul, initial=0.2):
            code, said = self.type(command)
            missing = self._missing(step.output, said)
            if code == 0 and not missing:
                if any(line.startswith("Running on") for line in step.output):
                    time.sleep(LONGEST_PAUSE_SECONDS)  # charges are by whole seconds
                return
            assert time.monotonic() < deadline, f"$ {command}\n{said}\nmissing: {missing}"
            time.sleep(min(pause_seconds, LONGEST_PAUSE_SECONDS))

    def _week(self, found: re.Match[str]) -> str:
        year, week, _ = (date.fromisoformat(f"{found[0]}-1") + (self.begun - WRITTEN)).isocalendar()
        return f"{year}-W{week:02}"

    def _month(self, found: re.Match[str]) -> str:
        year, month = map(int, found[0].split("-"))
        months = 12 * (year + self.begun.year - WRITTEN.year) + month - 1 + self.begun.month - WRITTEN.month
        return f"{months // 12}-{months % 12 + 1:02}"

    def type(self, command: str, folder: Path = ROOT) -> tuple[int, str]:
        """Its exit code, and all that it said. What needs nothing of a shell runs in this process, which has imported
        `allot` already: in each of its own, that is most of what a command costs."""
        if command.startswith("allot ") and not _SHELL.intersection(command):
            with chdir(folder):
                ran = CliRunner().invoke(app, shlex.split(command)[1:], env=self.environment, prog_name="allot")
            if ran.exception is not None and not isinstance(ran.exception, SystemExit):
                raise ran.exception
            return ran.exit_code, ran.output
        done = subprocess.run(
            ["bash", "-c", command],
            env=self.environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def _export(self, command: str) -> None:
        """Keep what the command sets for those after it, but not where the server is: that is the test's own affair."""
        name = command.removeprefix("export ").partition("=")[0]
        if name != "ALLOT_SERVER":
            script = f'set -e; {command.removeprefix("export ")}; printf %s "${name}"'
            done = subprocess.run(
                ["bash", "-c", script], env=self.environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"$ {command}\n{done.stderr}"
            self.environment[name] = done.stdout

    def here(self, text: str) -> str:
        """The page's text with this run's port, ids, week and month."""
        text = _MONTH.sub(self._month, _WEEK.sub(self._week, text))
        for there, here in {**self.replaced, **self.ids}.items():
            text = text.replace(there, here)
        return text

    def _missing(self, expected: tuple[str, ...], shown: str) -> list[str]:
        seen, ids = _normal(shown), _ID.findall(shown)
        missing = []
        for line in expected:
            pattern = ".*?".join(re.escape(part) for part in _normal(line).split("…"))
            found = re.search(pattern, seen)
            if found is None:
                missing.append(line)
                continue
            before = seen.count("‹id›", 0, found.start())
            self.ids.update(zip(_ID.findall(line), ids[before:], strict=False))
        return missing


def steps_of(text: str) -> Iterator[Step]:
    for fence in fences(text):
        if fence.language == "console":
            for part in re.split(r"^\$ ", fence.text.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
                command, *output = part.strip().splitlines()
                yield Step(command, tuple(line.strip() for line in output if line.strip()))


def command_of(text: str, beginning: str) -> str:
    """The first line of the text's shell blocks that begins so."""
    lines = (line for fence in fences(text) if fence.language == "sh" for line in fence.text.splitlines())
    return next(line for line in lines if line.startswith(beginning))


@contextmanager
def serving(command: str, port: str, folder: Path, **more: str) -> Iterator[Walk]:
    """A walk beside the page's own `allot serve`, on a free port instead of the page's, its database in the folder."""
    free = _free_port()
    environment = os.environ | {
        "XDG_CONFIG_HOME": str(folder / "config"),
        "COLUMNS": "80",
        "ALLOT_SERVER": f"http://127.0.0.1:{free}",
        **more,
    }
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    here = command.replace(port, str(free)).replace("sqlite:///", f"sqlite:///{folder}/")
    arguments = shlex.split(here, comments=True)
    with (folder / "serve.log").open("w") as log:
        process = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for_port(free, process, folder / "serve.log")
            yield Walk(environment, {port: str(free), "sqlite:///": f"sqlite:///{folder}/"}, _begun())
        finally:
            process.terminate()
            process.wait(SECONDS)


def _normal(text: str) -> str:
    """Without what differs from run to run, and with one blank where there are several."""
    blanks = re.sub(r"\s+", " ", _ID.sub("‹id›", text))
    return _MARKED.sub("#", _VARIES.sub("#", blanks))


def _begun() -> date:
    """The day on which the simulated company begins: a Monday, like that of the page."""
    return to_datetime(opening_instant(SystemClock().now())).date()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"the service did not come up, exit {process.poll()}: {log.read_text()[-2000:]}")
