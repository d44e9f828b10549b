"""What a diff of two policies shows is what their files say: the same paths, in the same units."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from scheduler.adapters.policy_files import read_policy
from scheduler.domain.policy_changes import policy_terms

POLICIES = [path for path in sorted(Path("policies").glob("*.yaml")) if "pools:" in path.read_text()]


@pytest.mark.parametrize("file", POLICIES, ids=lambda path: path.stem)
def test_what_a_policys_file_says_is_shown_as_it_is_written(file: Path) -> None:
    terms = policy_terms(read_policy(file.read_text(), file.name))
    said = {path: value for path, value in _single_values(yaml.safe_load(file.read_text())) if path in terms}

    assert said
    assert {path: terms[path] for path in said} == said


def _single_values(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """By path; lists are left out: they are shown as text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _single_values(inner, f"{path}.{key}" if path else key)
    elif not isinstance(value, list):
        yield path, value
