"""ADR 2 says of every library that we install why it was taken."""

import re
import tomllib

import pytest

from tests.docs.markdown import ROOT, read

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_TABLE = read(ROOT / "docs" / "adr" / "0002-libraries.md")


def _names() -> list[str]:
    required = [*_PROJECT["dependencies"], *_PROJECT["optional-dependencies"]["dev"]]
    return [re.split(r"[\[<>=]", each)[0] for each in required]


@pytest.mark.parametrize("name", _names())
def test_every_library_has_its_reason(name: str) -> None:
    first_cells = [line.split("|")[1] for line in _TABLE.splitlines() if line.startswith("|")]
    taken = {each.strip().lower() for cell in first_cells for each in cell.split(",")}
    assert name in taken
