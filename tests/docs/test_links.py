"""Every relative link leads somewhere: to a file of the repository, and to a heading where it names one."""

from pathlib import Path

import pytest

from tests.docs.markdown import PAGES, ROOT, anchors, links, named, read


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_relative_link_resolves(page: Path) -> None:
    broken = [link for link in links(read(page)) if not _resolves(page, link)]
    assert broken == []


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links(read(index))}
    assert [named(page) for page in (ROOT / "docs").glob("*.md") if page not in {index, *linked}] == []


def test_every_decision_is_in_the_index_of_decisions() -> None:
    index = ROOT / "docs" / "adr" / "README.md"
    linked = {(index.parent / link).resolve() for link in links(read(index))}
    assert [named(page) for page in (ROOT / "docs" / "adr").glob("0*.md") if page not in linked] == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    page = ROOT / "README.md"
    assert [_resolves(page, link) for link in ("docs/none.md", "docs/cli.md#none", "#none")] == [False] * 3
    assert [_resolves(page, link) for link in ("docs/cli.md", "docs/cli.md#exit-codes", "#a-walk")] == [True] * 3


def _resolves(page: Path, link: str) -> bool:
    if "://" in link:
        return True
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists() or not target.is_relative_to(ROOT):
        return False
    return not anchor or anchor in anchors(read(target))
