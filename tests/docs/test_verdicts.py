"""Every reason that somebody can be shown is brought about by a test of the decision or of a life."""

import ast
from collections.abc import Iterator
from functools import cache

import pytest

from scheduler.domain.reasons import Reason
from tests.docs.markdown import ROOT

BRING_ABOUT = ("decision", "lifecycle")
"""Their tests run the decision, or the verbs on real books. What needs a cluster or a trace besides counts as well only
there: these run in every check."""


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_the_outcome_that_a_test_expects(reason: Reason) -> None:
    assert reason.name in _expected(), f"no test of {' or '.join(BRING_ABOUT)} expects Reason.{reason.name}"


def test_a_reason_that_is_only_named_is_not_expected() -> None:
    assert list(_named_in_asserts("given = Reason.QUOTA\nassert given\n")) == []
    assert list(_named_in_asserts("assert Reason.QUOTA in seen, Reason.PRIORITY\n")) == ["QUOTA"]


@cache
def _expected() -> frozenset[str]:
    paths = (path for floor in BRING_ABOUT for path in (ROOT / "tests" / floor).rglob("test_*.py"))
    return frozenset(name for path in paths for name in _named_in_asserts(path.read_text(encoding="utf-8")))


def _named_in_asserts(source: str) -> Iterator[str]:
    """Members of Reason that a test compares with; a message beside the comparison does not count."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert):
            for part in ast.walk(node.test):
                if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "Reason":
                    yield part.attr
