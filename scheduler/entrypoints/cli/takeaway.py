"""`allot statement sign` and `verify`: a statement to take away, and to check without us."""

from pathlib import Path
from typing import Annotated, Any

import typer

from scheduler.adapters.signing import is_signed
from scheduler.domain.errors import InvalidInput
from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.exits import ExitCode
from scheduler.entrypoints.cli.keys import public_key_of
from scheduler.entrypoints.cli.output import AsJson, hours_of, print_fields, print_json, print_text, utc
from scheduler.finance.proving.takeaway import signed_text, verify_statement

_FILE_BYTES_MAX = 1 << 30


def sign(
    output: Annotated[Path, typer.Option("--output", "-o", dir_okay=False, help="The file to write.")],
    period: Annotated[str | None, typer.Option(help="As `allot statement` takes it.")] = None,
    owner: Annotated[str | None, typer.Option(help="An engineer; yourself where it is left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a statement to FILE, signed with the company's key: yours to keep, and to show to others."""
    with connect() as api:
        found = api.get("/v1/statement/signed", period=period, owner=owner)
    text = signed_text(found)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{output} cannot be written: {error.strerror}", where="--output") from error
    if as_json:
        print_json({"file": str(output), "key": found["key"], "issued_at": found["issued_at"]})
    else:
        print_text(f"{output}: signed at {utc(found['issued_at'])} with the key {found['key'][:16]}…")


def verify(
    file: Annotated[Path, typer.Argument(help="As `allot statement sign` wrote it.", show_default=False)],
    key: Annotated[
        str | None, typer.Option(help="The company's public key, known from elsewhere: a PEM file, or 64 hex digits.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a signed statement, offline. Exits with 1 where anything in it was changed, or another key signed it."""
    trusted = public_key_of(key) if key is not None else None
    found = verify_statement(_read(file), is_signed, trusted)
    if as_json:
        print_json(
            {
                "file": str(file),
                "ok": found.holds,
                "detail": found.detail,
                "key": found.key,
                "is_pinned": found.is_pinned,
                "issued_at": found.issued_at or None,
                "statement": found.statement,
            }
        )
    else:
        print_text(f"{file}: {found.detail}.")
        if found.statement is not None:
            print_fields(_shown(found.statement, found.key, is_pinned=found.is_pinned))
    if not found.holds:
        raise typer.Exit(ExitCode.REFUSED)


def _shown(statement: dict[str, Any], key: str, *, is_pinned: bool) -> list[tuple[str, str]]:
    source = "the company's" if is_pinned else "by the file itself: compare it with the company's"
    return [
        ("who", str(statement.get("owner_name") or statement.get("owner", ""))),
        ("period", str(statement.get("period", ""))),
        *((name, hours_of(statement, name)) for name in ("vested", "charged", "closing")),
        ("key", f"{key[:16]}… {source}"),
    ]


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > _FILE_BYTES_MAX:
            raise InvalidInput(f"{file} is larger than any statement", where="FILE")
        return file.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}", where="FILE") from error
