"""The pages of the project, and what of their Markdown the tests look at: fences, links, headings, code spans."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "manifests").rglob("*.md")],
    key=lambda page: str(page.relative_to(ROOT)),
)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!\\)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_UNSLUGGED = re.compile(r"[^\w\- ]")


@dataclass(frozen=True)
class Fence:
    """A fenced block; `line` is that of its first line of text."""

    language: str
    text: str
    line: int


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def fences(text: str) -> Iterator[Fence]:
    for match in _FENCE.finditer(text):
        yield Fence(match[1], match[2], text.count("\n", 0, match.start(2)) + 1)


def section(text: str, title: str) -> str:
    """What stands under the heading of the second level, to the next of these."""
    _, found, rest = text.partition(f"\n## {title}\n")
    assert found, f"no section is called {title!r}"
    return rest.partition("\n## ")[0]


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    return _FENCE.sub("", text)


def links(text: str) -> list[str]:
    return _LINK.findall(prose(text))


def spans(text: str) -> list[str]:
    """What stands in `backquotes`, each on one line."""
    return [" ".join(span.split()) for span in _SPAN.findall(prose(text))]


def anchors(text: str) -> set[str]:
    """The headings as GitHub addresses them."""
    return {_slug(heading) for heading in _HEADING.findall(prose(text))}


def _slug(heading: str) -> str:
    return _UNSLUGGED.sub("", heading.lower()).replace(" ", "-")
