"""Commands in the pages exist: `allot …` is parsed by the command line itself, without running anything."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.exceptions import TyperException
from typer.main import get_command

from scheduler.entrypoints.cli.app import app
from tests.docs.markdown import PAGES, ROOT, fences, named, read, spans

SHELLS = {"sh", "console", "bash"}
FILES = {"FILE", "OLD", "NEW", "policy.yaml", "people.yaml", "new.yaml"}
"""What a page calls a file of the reader's; the parser wants one that exists."""

_ROOT = get_command(app)
_SUBSTITUTED = re.compile(r"\$\(((?:[A-Z_]+=\S* )*allot [^)]*)\)")
_ASSIGNED = re.compile(r"^(?:[A-Z_]+=\S* +)*")
_ENDS = {"|", "&&", "||", ";", ">", ">>", "2>", "&", "<"}
_TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
_MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_allot_command_in_a_fence_is_one(page: Path) -> None:
    wrong = [f"{line}: {problem}" for line, words in commands_of(read(page)) if (problem := problem_of(words))]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_allot_command_in_the_text_has_its_options(page: Path) -> None:
    said = [span.split() for span in spans(read(page)) if span.startswith("allot ")]
    assert [" ".join(words) for words in said if not _is_known(words)] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_target_of_make_that_is_named_is_there(page: Path) -> None:
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    text = read(page)
    told = [*spans(text), *(fence.text for fence in fences(text) if fence.language in SHELLS)]
    assert {target for words in told for target in _MAKE.findall(words)} - targets == set()


def test_a_command_that_is_none_is_found() -> None:
    page = "```sh\nallot grant bao 40h\nX=1 allot nodes --jsn | cat\nallot nodes --json\n```\n"
    assert [line for line, words in commands_of(page) if problem_of(words)] == [2, 3]
    assert not _is_known(["allot", "extend", "--by"])
    assert _is_known(["allot", "sandbox", "resume"])


def test_enough_commands_are_looked_at() -> None:
    assert sum(1 for page in PAGES for _ in commands_of(read(page))) > 50


def commands_of(text: str) -> Iterator[tuple[int, list[str]]]:
    """(line, words after `allot`) of every command in the page's shell blocks."""
    for fence in fences(text):
        if fence.language not in SHELLS:
            continue
        lines = re.sub(r"\\\n", "  ", fence.text).splitlines()
        for number, line in enumerate(lines, fence.line):
            if fence.language == "console" and not line.startswith("$ "):
                continue
            for part in (line.removeprefix("$ "), *_SUBSTITUTED.findall(line)):
                words = _after_allot(part)
                if words is not None:
                    yield number, words


def problem_of(words: list[str]) -> str:
    """What the command line says against these words, or nothing."""
    existing = str(ROOT / "policies" / "example.yaml")
    given = [existing if word in FILES or word.endswith((".yaml", ".csv")) else word for word in words]
    try:
        _parse(given)
    except TyperException as error:
        return f"allot {' '.join(words)}: {error}"
    return ""


def _parse(words: list[str]) -> None:
    command, context, rest = _ROOT, None, words
    name = "allot"
    while True:
        context = command.make_context(name, list(rest), parent=context)
        if not hasattr(command, "resolve_command"):
            return
        rest = [*context._protected_args, *context.args]  # a group keeps the words of its command there
        if not rest and getattr(command, "invoke_without_command", False):
            return
        name, command, rest = command.resolve_command(context, rest)


def _after_allot(line: str) -> list[str] | None:
    """The words of an allot command up to its pipe or end; None where the line is another command."""
    asked = _ASSIGNED.sub("", line)
    if not re.match(r"(\S*/)?allot ", asked):
        return None
    words = shlex.split(asked, comments=True)
    end = next((index for index, word in enumerate(words) if word in _ENDS), len(words))
    return words[1:end]


def _is_known(words: list[str]) -> bool:
    """Whether the words lead to a command, and it has each option that is named."""
    command: Any = _ROOT
    for word in words[1:]:
        found = getattr(command, "commands", None)
        following = command.get_command(None, word) if hasattr(command, "resolve_command") else None
        if following is None and found is not None and not word.startswith("-") and "|" not in word:
            return False
        command = following or command
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return all(word.split("=")[0] in options | {"--help"} for word in words if re.fullmatch(r"--?[a-z].*", word))
