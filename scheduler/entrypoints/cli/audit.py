"""The audit: verify a database against its published heads, prove single rows, compare balances with the journal.

`verify`, `prove` and `check` need no server: a copy of the database, the heads and, best, the public key.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from sqlalchemy import make_url

from scheduler.adapters.signing import is_signed
from scheduler.adapters.sql.evidence import open_evidence
from scheduler.adapters.sql.store import open_store
from scheduler.domain.errors import InvalidInput, Unavailable
from scheduler.domain.periods import iso
from scheduler.domain.wording import counted
from scheduler.entrypoints.cli import audit_log
from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.exits import ExitCode
from scheduler.entrypoints.cli.key_rotation import rotate_key
from scheduler.entrypoints.cli.keys import public_key_of
from scheduler.entrypoints.cli.output import AsJson, Column, print_fields, print_json, print_table, print_text, utc
from scheduler.entrypoints.cli.progress import WatchedEvidence
from scheduler.entrypoints.heads import archive_at, place_of_heads
from scheduler.entrypoints.settings import Settings
from scheduler.finance.proving.chain import read_chain
from scheduler.finance.proving.findings import Finding, FindingCode, Verification
from scheduler.finance.proving.proofs import check as check_proof
from scheduler.finance.proving.proofs import prove_growth, prove_row
from scheduler.finance.proving.relations import TREES
from scheduler.finance.proving.verification import verify as verify_evidence

app = typer.Typer(
    help="Prove that nothing was altered, and who did what.", no_args_is_help=True, add_completion=False
)
prove_app = typer.Typer(help="Proofs that stand alone, as JSON.", no_args_is_help=True, add_completion=False)
app.add_typer(prove_app, name="prove")
app.command()(audit_log.log)
app.command()(audit_log.access)
app.command("rotate-key")(rotate_key)

Database = Annotated[
    str | None, typer.Option(help="The database or a copy of it; ALLOT_DATABASE where left out.", show_default=False)
]
Heads = Annotated[
    str | None, typer.Option(help="Where its heads were published; ALLOT_HEADS where left out.", show_default=False)
]
PublicKey = Annotated[
    str | None,
    typer.Option(
        help="The company's public key, known from elsewhere: a PEM file, or 64 hex digits.", show_default=False
    ),
]
_SHOWN_MAX = 20


@app.command()
def verify(
    database: Database = None, heads: Heads = None, public_key: PublicKey = None, as_json: AsJson = False
) -> None:
    """Compare every row with what was published, offline. Exits with 1 where anything is off, and names the row."""
    url, place = _where(database, heads)
    trusted = public_key_of(public_key) if public_key is not None else None
    try:
        with open_evidence(url) as evidence:
            found = verify_evidence(WatchedEvidence(evidence), archive_at(place), is_signed, trusted)
    except Unavailable as refusal:  # it is there and cannot be opened: that is a finding, too
        finding = Finding(FindingCode.UNREADABLE, refusal.message)
        found = Verification([finding], 1, 0, None, "", trusted is not None)
    if as_json:
        print_json({"database": _without_password(url), "place": place, **_as_object(found)})
    else:
        _show(found)
    if not found.is_ok:
        raise typer.Exit(ExitCode.REFUSED)


@app.command()
def rebuild(database: Database = None, as_json: AsJson = False) -> None:
    """Add up the journal and compare every cached balance with it. Repairs nothing; exits with 1 where one differs.

    Asks the server, or, with a database, that.
    """
    url = database or os.environ.get("ALLOT_DATABASE")
    found = _rebuilt(url) if url is not None else _asked_rebuilt()
    if as_json:
        print_json(found)
    elif found["ok"]:
        print_text(f"All {found['accounts']} balances are the sums of their entries.")
    else:
        rows = [(d["account"], d["unit"], str(d["cached"]), str(d["rebuilt"])) for d in found["differences"]]
        columns = (
            Column("ACCOUNT", width_max=30),
            Column("UNIT", width_max=15),
            Column("KEPT AS", is_number=True),
            Column("ADDS UP TO", is_number=True),
        )
        print_table(columns, rows)
    if not found["ok"]:
        raise typer.Exit(ExitCode.REFUSED)


@app.command()
def head(as_json: AsJson = False) -> None:
    """Have the service sign and publish a head now, over everything that was written so far."""
    with connect() as api:
        made = api.post("/v1/audit/heads")
        if as_json:
            print_json(made)
        else:
            word = "published" if made["is_new"] else "is still the last: nothing was written since"
            print_text(f"Head {made['number']} {word}. {made['rows']} rows, signed by {made['key'][:16]}….")


@prove_app.command("row")
def prove_one(
    table: Annotated[str, typer.Argument(help="transactions, entries, attempts, …", show_default=False)],
    row: Annotated[str, typer.Argument(help="Its number or id.", show_default=False)],
    database: Database = None,
    heads: Heads = None,
    as_json: AsJson = False,
) -> None:
    """Prove one row under the last head: what it says, and with --json the path from it to the signed root."""
    url, place = _where(database, heads)
    chain = read_chain(archive_at(place), is_signed, None)
    with open_evidence(url) as evidence:
        _show_proof(prove_row(evidence, chain, table, row), as_json)


@prove_app.command("growth")
def prove_two(
    earlier: Annotated[int, typer.Argument(help="The number of a head.", show_default=False)],
    later: Annotated[int, typer.Argument(help="The number of a later one.", show_default=False)],
    heads: Heads = None,
    as_json: AsJson = False,
) -> None:
    """Prove that a head only added to an earlier one: with --json, the hashes that show it."""
    _, place = _where("sqlite:///", heads)
    _show_proof(prove_growth(read_chain(archive_at(place), is_signed, None), earlier, later), as_json)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A proof.", show_default=False)],
    public_key: PublicKey = None,
    as_json: AsJson = False,
) -> None:
    """Check a proof with nothing but the public key. Exits with 1 where it does not hold."""
    trusted = public_key_of(public_key) if public_key is not None else None
    found = check_proof(file.read_text(encoding="utf-8", errors="replace"), is_signed, trusted)
    if as_json:
        print_json({"ok": found.is_ok, "proves": found.sentence, "key": found.key, "key_pinned": trusted is not None})
    else:
        at = f", {utc(iso(found.at))}" if found.at is not None else ""  # type: ignore[arg-type]  # an instant
        print_text(f"{'It holds' if found.is_ok else 'It does not hold'}: {found.sentence}{at}.")
    if not found.is_ok:
        raise typer.Exit(ExitCode.REFUSED)


def _show_proof(proof: dict[str, object], as_json: bool) -> None:
    """A proof is meant for a file; to a reader it is what it proves."""
    if as_json:
        print_json(proof)
        return
    for line in str(proof.get("sealed", proof.get("leaf", ""))).splitlines():
        print_text(line)
    found = check_proof(orjson.dumps(proof).decode(), is_signed, None)
    print_text(f"{'It holds' if found.is_ok else 'It does not hold'}: {found.sentence}.")


def _where(database: str | None, heads: str | None) -> tuple[str, str]:
    """The database and the heads that are meant: given, or by the same settings as the service's."""
    settings = Settings() if database is None else Settings(database=database)
    if heads is not None:
        settings = settings.model_copy(update={"heads": heads})
    place = place_of_heads(settings)
    if place is None:
        raise InvalidInput("where are its heads?", where="--heads", expected="the folder that they were published to")
    return settings.database, place


def _rebuilt(url: str) -> Any:
    store = open_store(url, migrate=False)
    try:
        with store.reading() as books:
            accounts, found = books.journal.accounts(), books.journal.differences()
    finally:
        store.close()
    rows = [{"account": str(d.account), "unit": d.unit, "cached": d.cached, "rebuilt": d.rebuilt} for d in found]
    return {"ok": not rows, "accounts": accounts, "differences": rows}


def _asked_rebuilt() -> Any:
    with connect() as api:
        return api.get("/v1/audit/rebuild")


def _as_object(found: Verification) -> dict[str, object]:
    trees = {tree.name for tree in TREES}
    return {
        "ok": found.is_ok,
        "heads": found.heads,
        "last_head_at": iso(found.last_head_at) if found.last_head_at is not None else None,
        "key": found.key,
        "key_pinned": found.is_pinned,
        "keys": [{"key": key, "first_head": head} for head, key in found.keys],
        "first_bad_row": _finding(found.first_bad_row) if found.first_bad_row is not None else None,
        "rows": {
            name: {"rows": tree.rows, "anchored": min(tree.rows, tree.anchored), "unanchored": tree.unanchored}
            for name, tree in found.trees.items()
        },
        "unanchored_rows": sum(tree.unanchored for name, tree in found.trees.items() if name in trees),
        "findings_total": found.found,
        "findings": [_finding(finding) for finding in found.findings],
    }


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "code": finding.code.value,
        "table": finding.table,
        "row": finding.row,
        "name": finding.name,
        "head": finding.head,
        "detail": finding.detail,
    }


def _show(found: Verification) -> None:
    if found.is_ok:
        print_text("Nothing was altered.", style="bold")
    elif (bad := found.first_bad_row) is not None:
        print_text(f"{bad.table} {bad.row} {bad.name}: {bad.detail}.", style="bold")
    else:
        print_text(f"{counted(found.found, 'finding')}.", style="bold")
    last = utc(iso(found.last_head_at)) if found.last_head_at is not None else "never"
    pinned = "given" if found.is_pinned else "taken from the first head: compare it with the company's"
    print_fields(
        (("heads", f"{found.heads}, the last {last}"), ("key", found.key), ("", pinned), *_later_keys(found))
    )
    print_text("")
    rows = [(name, str(t.rows), str(min(t.rows, t.anchored)), str(t.unanchored)) for name, t in found.trees.items()]
    columns = (Column("TABLE"), Column("ROWS", is_number=True), Column("ANCHORED", is_number=True))
    print_table((*columns, Column("NOT YET", is_number=True)), rows)
    for finding in found.findings[:_SHOWN_MAX]:
        place = f"head {finding.head}" if finding.head is not None else finding.table
        at = f" {finding.row}" if finding.row is not None else ""
        print_text(f"{finding.code.value}: {place}{at}: {finding.detail}")
    if found.found > _SHOWN_MAX:
        print_text(f"… and {found.found - _SHOWN_MAX} more; --json has up to {len(found.findings)}.")


def _later_keys(found: Verification) -> list[tuple[str, str]]:
    """Those that came by rotation, each endorsed by the one before it."""
    return [(f"from head {head}", key) for head, key in found.keys[1:]]


def _without_password(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)
