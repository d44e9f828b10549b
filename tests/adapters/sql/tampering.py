"""Tampering with a copy of a database and its heads, as an intruder who may do anything to both."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from scheduler.adapters.head_folder import HeadFolder
from scheduler.adapters.signing import is_signed
from scheduler.adapters.sql.evidence import open_evidence
from scheduler.finance.proving.findings import FindingCode, Verification
from scheduler.finance.proving.relations import SEALED, TREES
from scheduler.finance.proving.verification import verify

ALL = {relation.name: relation for relation in (*TREES, *SEALED)}


@dataclass(frozen=True)
class Original:
    """A database and its heads."""

    database: Path
    heads: Path


def look(database: Path | str, heads: Path, trusted: bytes | None = None) -> Verification:
    url = f"sqlite:///{database}" if isinstance(database, Path) else database
    with open_evidence(url) as evidence:
        return verify(evidence, HeadFolder(heads), is_signed, trusted)


def codes(found: Verification) -> set[FindingCode]:
    return {finding.code for finding in found.findings}


def first(found: Verification) -> tuple[str, object]:
    """The first bad row."""
    assert found.first_bad_row is not None, found.findings
    return found.first_bad_row.table, found.first_bad_row.row


def named(statement: str, *names: str) -> str:
    """The statement with these names in the places of its {}."""
    for name in names:
        statement = statement.replace("{}", f'"{name}"', 1)
    return statement


def intruder(database: Path) -> sqlite3.Connection:
    """A connection without triggers, checks and foreign keys."""
    connection = sqlite3.connect(database, isolation_level=None)
    for pragma in ("synchronous = OFF", "foreign_keys = OFF", "ignore_check_constraints = ON"):
        connection.execute(f"PRAGMA {pragma}")
    triggers = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
    for name in triggers:
        connection.execute(named("DROP TRIGGER {}", name))
    return connection


def loosen(connection: sqlite3.Connection, table: str) -> None:
    """The same rows in a table that takes any value: no types, no keys, no NOT NULL."""
    columns = ", ".join(f'"{row[1]}"' for row in connection.execute(named("PRAGMA table_info({})", table)))
    connection.execute(f"CREATE TABLE loose ({columns})")
    connection.execute(named("INSERT INTO loose SELECT * FROM {}", table))
    connection.execute(named("DROP TABLE {}", table))
    connection.execute(named("ALTER TABLE loose RENAME TO {}", table))


def rewrite(file: Path, content: bytes) -> None:
    """Write over a file that was published."""
    file.chmod(0o644)
    file.write_bytes(content)
