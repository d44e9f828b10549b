"""What there is to set, to read and to measure is documented, and nothing else is: pages are compared with the code."""

import ast
import re
from collections.abc import Iterator

import pytest

from scheduler.adapters.sql import tables
from scheduler.domain.reasons import TEXTS, Reason
from scheduler.entrypoints.references import reasons, settings
from scheduler.entrypoints.settings import Settings
from scheduler.finance.proving.relations import SEALED, TREES, Relation
from tests.docs.markdown import ROOT, read

DOCS = ROOT / "docs"
WHERE_VERDICTS_ARE_MADE = ("decision", "lifecycle")
_VARIABLE = re.compile(r"\bALLOT_[A-Z][A-Z_]*[A-Z]\b")


def test_the_page_of_settings_is_current() -> None:
    command = "run python -m scheduler.entrypoints.references.settings > docs/settings.md"
    assert read(DOCS / "settings.md") == settings.reference(), command


def test_every_setting_and_every_fixed_field_of_the_agent_says_what_it_means() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
    assert set(settings.FIXED_MEANINGS) == set(settings.fixed_agent_fields())


def test_every_variable_that_the_code_knows_is_on_the_page_of_settings() -> None:
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "scheduler").rglob("*.py"))
    known = {variable for source in sources for variable in _VARIABLE.findall(source)}
    assert known - set(_VARIABLE.findall(read(DOCS / "settings.md"))) == set()


def test_the_page_of_reasons_is_current() -> None:
    command = "run python -m scheduler.entrypoints.references.reasons > docs/reasons.md"
    assert read(DOCS / "reasons.md") == reasons.reference(), command


def test_every_reason_has_a_sentence_a_section_and_evidence_that_is_explained() -> None:
    page = read(DOCS / "reasons.md")
    assert set(TEXTS) == set(Reason)
    for reason in Reason:
        assert f"\n## {reason.value}\n" in page
        assert set(reasons.keys_of(reason)) <= set(reasons.EVIDENCE), reason


def test_no_key_of_evidence_is_explained_that_no_reason_has() -> None:
    assert set(reasons.EVIDENCE) == {key for reason in Reason for key in reasons.keys_of(reason)}


def test_the_evidence_that_the_code_gives_is_the_evidence_on_the_page() -> None:
    given = list(_evidence_given())
    undocumented = [
        f"{reason}: {key}" for reason, keys in given for key in keys - set(reasons.keys_of(Reason[reason]))
    ]
    assert len(given) > 15
    assert undocumented == []


def _evidence_given() -> Iterator[tuple[str, set[str]]]:
    """(member of Reason, keys of the mapping that goes with it) for each call or pair that is given both."""
    for floor in WHERE_VERDICTS_ARE_MADE:
        for path in (ROOT / "scheduler" / floor).rglob("*.py"):
            for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(function, ast.FunctionDef):
                    yield from _evidence_of(function)


def _evidence_of(function: ast.FunctionDef) -> Iterator[tuple[str, set[str]]]:
    named = {
        target.id: node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Dict)
    }
    for node in ast.walk(function):
        if isinstance(node, ast.Call | ast.Tuple):
            parts = node.args if isinstance(node, ast.Call) else node.elts
            reasons_of = [part.attr for part in parts if isinstance(part, ast.Attribute) and _is_of_reasons(part)]
            mappings = [named.get(part.id) if isinstance(part, ast.Name) else part for part in parts]
            found = [mapping for mapping in mappings if isinstance(mapping, ast.Dict)]
            if len(reasons_of) == len(found) == 1:
                yield reasons_of[0], {str(key.value) for key in found[0].keys if isinstance(key, ast.Constant)}


def _is_of_reasons(part: ast.Attribute) -> bool:
    return isinstance(part.value, ast.Name) and part.value.id == "Reason"


@pytest.mark.parametrize("relation", [*TREES, *SEALED], ids=lambda relation: relation.name)
def test_every_table_that_is_proven_is_named_and_every_column_of_it_inside(relation: Relation) -> None:
    """A column that is added goes to the end of its relation in finance/relations, or the tampering with it is free."""
    columns = {column.name for column in tables.journal.accounts.metadata.tables[relation.name].columns}
    assert {*relation.columns, *relation.may_change} == columns
    assert f"`{relation.name}`" in read(DOCS / "finance.md")


def test_every_table_of_the_database_is_said_to_be_covered_or_not() -> None:
    page = read(DOCS / "audit.md")
    names = set(tables.journal.accounts.metadata.tables)
    assert {name for name in names if f"`{name}`" not in page} == set()
