"""The reference of all keys as Markdown tables: printed by `allot policy keys`, and standing in docs/policies.md."""

from collections.abc import Iterable
from enum import StrEnum

from scheduler.adapters.policy_files import people, policy_keys, price_keys
from scheduler.adapters.policy_files.sections import Field, Section


def policy_reference() -> str:
    """Every key of a policy file."""
    return _tables(policy_keys.SECTIONS)


def people_reference() -> str:
    """Every key of a people directory."""
    return _tables(people.SECTIONS)


def price_reference() -> str:
    """Every key of a price book."""
    return _tables(price_keys.SECTIONS)


def _tables(sections: Iterable[Section]) -> str:
    return "\n\n".join(_table(section) for section in sections)


def _table(section: Section) -> str:
    rows = [
        f"| `{field.key}` | {_cell(field.kind.expected)} | {_default(field)} | {field.meaning} |"
        for field in section.fields
    ]
    return "\n".join(
        [
            f"### {section.title}",
            "",
            section.meaning,
            "",
            "| key | value | default | meaning |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def _default(field: Field[object]) -> str:
    if field.is_required:
        return "required"
    if field.absent:
        return field.absent
    match field.default:
        case bool():
            return "`true`" if field.default else "`false`"
        case StrEnum():
            return f"`{field.default.value}`"
        case tuple():
            return ", ".join(f"`{item}`" for item in field.default)
        case _:
            return f"`{field.default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
