"""Who one is to the server: sign in, issue tokens."""

import re
from typing import Annotated
from urllib.parse import quote

import typer

from scheduler.domain.errors import Conflict, InvalidInput, RefusalCode
from scheduler.domain.people import Role
from scheduler.entrypoints.cli.client import Connection, connect, read_connection, write_connection
from scheduler.entrypoints.cli.durations import parse_duration
from scheduler.entrypoints.cli.grants import after
from scheduler.entrypoints.cli.output import AsJson, Column, err, moment, print_json, print_table, print_text
from scheduler.entrypoints.cli.workloads import Key, new_key

app = typer.Typer(add_completion=False)
token_app = typer.Typer(help="Tokens for people, programs and agents.", no_args_is_help=True, add_completion=False)

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}")


@app.command()
def login(
    server: Annotated[str | None, typer.Option(help="Its address; the one in use where it is left out.")] = None,
    as_person: Annotated[
        str | None, typer.Option("--as", help="On a simulated cluster: become one of its people, without a secret.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a token, see that the server takes it, and keep both for the next command (mode 0600)."""
    address = (server or read_connection().server).rstrip("/")
    if as_person is not None:
        with connect(Connection(address, "")) as api:
            token = api.post("/v1/demo/tokens", {"subject": as_person})["token"]
    else:
        token = typer.prompt("Token", hide_input=True, err=True).strip()
    if not _TOKEN.fullmatch(token):
        raise InvalidInput("that is no token", where="token", expected="what `allot token issue` printed")
    connection = Connection(address, token)
    with connect(connection) as api:
        me = api.get("/v1/me")
    file = write_connection(connection)
    if as_json:
        print_json(me)
    else:
        print_text(f"Signed in to {address} as {me['subject']} ({', '.join(me['roles'])}). Kept in {file}.")


@app.command()
def whoami(as_json: AsJson = False) -> None:
    """Say who the server takes you for."""
    with connect() as api:
        me = api.get("/v1/me")
        if as_json:
            print_json(me)
        else:
            belongs = f", {me['team']}, tier {me['tier']}" if me["team"] else ""
            print_text(f"{me['subject']}{belongs}: {', '.join(me['roles'])} at {api.server}")


@token_app.command()
def issue(
    subject: Annotated[str, typer.Argument(help="Whom it is for; `node:NAME` for the agent of a node.")],
    role: Annotated[list[Role], typer.Option("--role", "-r", help="What it may do; may be given several times.")],
    lasts: Annotated[str | None, typer.Option(help="How long it is good, such as 90d; for ever if left out.")] = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Issue a token, printed once and kept as a hash. It may take a second person to be good."""
    with connect() as api:
        expires = None
        if lasts is not None:
            api.get("/v1/me")
            expires = after(api.now, parse_duration(lasts, "--lasts"))
        body = {"subject": subject, "roles": [each.value for each in role], "expires_at": expires}
        found = api.post("/v1/tokens", body, key or new_key())
        if as_json:
            print_json(found)
            return
        if found["token"] is None:
            raise Conflict(
                f"the token {found['id']} was issued under that key before, and shown with the first answer alone",
                code=RefusalCode.IDEMPOTENCY_CONFLICT,
                expected="a new key for a new token",
                remedy=f"if that answer was lost: `allot token revoke {found['id']}`, and issue another",
            )
        if found["approval"] is None:
            err().print(f"A token for {subject}; it is shown this once:")
        else:
            short = found["approval"]["hash"][:12]
            err().print(f"A token for {subject}, good once another person runs `allot approvals approve {short}`:")
        typer.echo(found["token"])


@token_app.command("list")
def list_tokens(as_json: AsJson = False) -> None:
    """List the tokens that are good now: whose, what they may do, since when, and who issued them."""
    with connect() as api:
        page = api.get("/v1/tokens")
        if as_json:
            print_json(page)
            return
        columns = (
            Column("ID"),
            Column("SUBJECT", width_max=18),
            Column("ROLES", width_max=18),
            Column("ISSUED (UTC)"),
        )
        rows = [(t["id"], t["subject"], ", ".join(t["roles"]), moment(t["issued_at"])) for t in page["items"]]
        print_table(columns, rows, empty="No token is out.")


@token_app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(help="Its id, or the beginning of it.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Take a token back: whoever shows it is refused from now on."""
    with connect() as api:
        taken = api.ask("DELETE", f"/v1/tokens/{quote(token_id, safe='')}")
        if as_json:
            print_json(taken)
        else:
            print_text(f"{taken['id']} of {taken['subject']} is revoked.")
