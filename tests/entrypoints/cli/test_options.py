"""What the server refuses is told by the name of the option that was typed, not of the field that it became."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.main import get_command

from scheduler.entrypoints.cli.app import app
from scheduler.entrypoints.cli.options import _OF_SEVERAL, _PARAMETER_OF, typed_as
from tests.entrypoints.cli.conftest import Allot

SUBMIT = (
    "submit",
    "--project",
    "atlas",
    "--gpu-class",
    "H100",
    "--time",
    "1h",
    "--image",
    "registry.example.com/t:1",
)
QUOTE = ("quote", "--project", "atlas", "--gpu-class", "H100", "--time", "1h")
START = ("sandbox", "start", "--project", "atlas", "--gpu-class", "H100", "--time", "1h", "--no-wait")
BOOK = ("book", "--project", "atlas", "--class", "H100", "--from", "tomorrow", "--for", "1h")

REFUSED = {
    "no GPU": ((*SUBMIT, "--gpus", "0"), "--gpus is 0; expected at least 1", "gpus_per_pod"),
    "no GPU in a quote": ((*QUOTE, "--gpus", "0"), "--gpus is 0; expected at least 1", "gpus_per_pod"),
    "no GPU of a sandbox": ((*START, "--gpus", "0"), "--gpus is 0; expected at least 1", "gpus is"),
    "no GPU of a booking": ((*BOOK, "--gpus", "0"), "--gpus is 0; expected at least 1", "gpus is"),
    "no pod": ((*SUBMIT, "--pods", "0"), "--pods is 0; expected at least 1", "pods is"),
    "no core": ((*SUBMIT, "--cpu", "0"), "--cpu is '0'; expected at least 1", "cpu_milli"),
    "no memory": ((*SUBMIT, "--memory", "-1"), "--memory is '-1'; expected at least 1", "memory_mib"),
    "several at once": (
        (*SUBMIT, "--gpus", "0", "--pods", "-1"),
        "       --gpus is 0 (expected at least 1)",
        "gpus_per_pod",
    ),
    "a GPU class that there is not": (
        (*SUBMIT[:4], "B200", *SUBMIT[5:]),
        "--gpu-class: there is no GPU class 'B200'",
        "gpu_classes",
    ),
    "too long a time": ((*SUBMIT[:6], "9000h", *SUBMIT[7:]), "--time: the time limit of 9000.0 h", "time_limit"),
    "too long a grace": ((*SUBMIT, "--grace", "2d"), "--grace is 172800; expected at most 86400", "grace_seconds"),
    "an array of none": ((*SUBMIT, "--array", "0"), "--array is 0; expected at least 1", "array.count"),
    "more GPUs than there are": ((*SUBMIT, "--gpus", "1000", "--pods", "90"), "gpus is 90000", "--gpus"),
}


@pytest.mark.parametrize("typed", ["1_0", " 1", "+1", "1.0", "１", ""])
def test_a_number_is_digits_alone(allot: Allot, typed: str) -> None:
    ran = allot(*SUBMIT, f"--gpus={typed}")
    assert (ran.code, f"--gpus is {typed!r}; expected a whole number" in ran.err) == (2, True), ran.err
    assert allot(*SUBMIT, "--gpus=01").code == 0
    ran = allot("simulate", "replay", "--policy", ".", f"--busy={typed}_5")
    assert (ran.code, f"--busy is {typed + '_5'!r}; expected a number" in ran.err) == (2, True), ran.err


@pytest.mark.parametrize(("arguments", "said", "unsaid"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_names_the_option_that_was_typed(
    allot: Allot, arguments: tuple[str, ...], said: str, unsaid: str
) -> None:
    ran = allot(*arguments)
    assert ran.code != 0
    assert said in ran.err
    assert unsaid not in ran.err.replace(said, "")


def test_every_parameter_that_a_field_is_told_by_is_one_of_some_command() -> None:
    there = {parameter.name for command in _commands(get_command(app)) for parameter in command.params}
    assert {*_PARAMETER_OF.values(), *_OF_SEVERAL.values()} <= there


def test_without_a_command_a_field_has_its_own_name() -> None:
    assert typed_as("gpus_per_pod") == "gpus_per_pod"


def _commands(group: Any) -> Iterator[Any]:
    context = typer.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield command
        if hasattr(command, "list_commands"):
            yield from _commands(command)
