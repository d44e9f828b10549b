"""What holds for every command there is: JSON for programs, and a shell that completes it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from scheduler.entrypoints.cli.app import PARTS, app

NO_ANSWER = {"serve", "agent"}
"""They run until they are stopped, and answer over HTTP."""

NAMED = (
    "submit sandbox list show explain cancel extend balance statement grant policy nodes top serve agent dev doctor"
)
WORDS = {
    "a command": ("allot stat", "statement"),
    "an option": ("allot submit --gpu-c", "--gpu-class"),
    "a command of a command": ("allot sandbox conn", "connect"),
    "a command of a command's command": ("allot dev cluster kube", "kubeconfig"),
}


def test_every_command_that_is_promised_is_there() -> None:
    assert set(NAMED.split()) <= set(PARTS)


def test_every_command_that_answers_has_json() -> None:
    assert {name for name, options in _commands() if "--json" not in options} == NO_ANSWER


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_given_what_completes_allot(shell: str) -> None:
    assert "_ALLOT_COMPLETE" in _completing(_ALLOT_COMPLETE=f"source_{shell}")


@pytest.mark.parametrize("typed", WORDS)
def test_what_is_typed_in_part_is_completed(typed: str) -> None:
    line, whole = WORDS[typed]
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1), "_ALLOT_COMPLETE": "complete_bash"}
    assert _completing(**asked).split() == [whole]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_told_in_one_line_and_an_exit_code() -> None:
    program = "import sys; sys.argv = ['allot', '--help']; from scheduler.entrypoints.cli import main; main()"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    told = "allot: standard output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, told)


_INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.{handler})
class CtrlC:
    def find_spec(name, path=None, target=None):
        if name == "scheduler.entrypoints.cli.app":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, CtrlC)
sys.argv = ["allot", "--version"]
from scheduler.entrypoints.cli import main
main()
"""
"""Ctrl-C is typed just when the command line begins to be imported."""


@pytest.mark.parametrize(
    ("handler", "ends", "says"),
    [("default_int_handler", -signal.SIGINT, ""), ("SIG_IGN", 0, "allot ")],
    ids=["ends it", "is kept from it by who started it"],
)
def test_ctrl_c_while_python_imports_prints_no_traceback(handler: str, ends: int, says: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED.format(handler=handler)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout[:6], done.stderr) == (ends, says, "")


def _completing(**asked: str) -> str:
    """What the completion of a shell gets to hear: the program is asked by its environment, under its own name."""
    program = "import sys; sys.argv = ['allot']; from scheduler.entrypoints.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), **asked}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout


def _commands() -> Iterator[tuple[str, set[str]]]:
    """Each command that does something, by its words, with its options."""
    group: Any = get_command(app)
    waiting: list[tuple[tuple[str, ...], Any, typer.Context]] = [((), group, typer.Context(group))]
    while waiting:
        words, command, context = waiting.pop()
        if not hasattr(command, "list_commands"):
            yield " ".join(words), {option for parameter in command.params for option in parameter.opts}
            continue
        for name in command.list_commands(context):
            part = command.get_command(context, name)
            waiting.append(((*words, name), part, typer.Context(part, info_name=name, parent=context)))


def test_an_object_for_a_standard_output_that_a_shell_has_closed_is_no_fault_of_the_program() -> None:
    keys = "import sys; sys.stdout = None; sys.argv = ['allot', 'policy', 'keys', '--json']"
    done = subprocess.run(
        [sys.executable, "-c", f"{keys}; from scheduler.entrypoints.cli import main; main()"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
