"""The commands by which others check the books, as the specification writes them, on both databases; and what they say to
what is not there: one JSON object or nothing on stdout, an exit code that tells why, and nothing half-written."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from scheduler.adapters.policy_files import read_prices
from scheduler.adapters.sql.engine import parse
from scheduler.entrypoints.cli.exits import ExitCode
from tests.entrypoints.cli.conftest import Audited, command_for
from tests.entrypoints.company import NOON, POLICY, SYSTEM, small_company
from tests.entrypoints.serving import served

NOWHERE = "http://127.0.0.1:9"
PRICES = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
SUMS = {
    "opening_ms",
    "granted_ms",
    "charged_ms",
    "refunded_ms",
    "expired_ms",
    "transferred_ms",
    "closing_ms",
    "lines",
}


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('books')}/books.db"
    new_database: Callable[..., str] = request.getfixturevalue("new_postgres_database")
    return new_database(request.getfixturevalue("migrated_postgres_database"))


@pytest.fixture(scope="module")
def books(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    folder = tmp_path_factory.mktemp("audited")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ALLOT_HEADS", str(folder / "heads"))
        patched.setenv("ALLOT_SIGNING_KEY", str(folder / "key.pem"))
        service = small_company(url)
        service.pricing.apply(SYSTEM, PRICES, read_prices(PRICES, "prices.yaml"), now=NOON)
        with served(service, with_loops=False) as address:
            yield Audited(command_for(address, folder), folder, service)


def test_each_command_works_as_it_is_written(books: Audited, url: str) -> None:
    heads, out = str(books.folder / "heads"), books.folder / "out"
    stated = books.run("statement", "--owner", "ada", "--period", "2026-10", "--json", who="fin")
    assert (stated.code, SUMS - stated.json.keys(), stated.json["period"]) == (0, set(), "2026-10")
    for file_format in ("csv", "parquet"):
        made = books.run(
            *("export", "focus", "--period", "2026-10", "--output", str(out), "--format", file_format, "--json"),
            who="fin",
        )
        assert (made.code, made.json["format"], made.json["rows"]) == (0, file_format, 0)
        assert Path(made.json["file"]).is_file()
    reconciled = books.run("reconcile", "--period", "2026-10", "--json", who="fin")
    assert (reconciled.code, reconciled.json["ok"], reconciled.json["differences"]) == (0, True, [])
    assert books.run("period", "close", "2026-10", who="fin").code == 0
    rebuilt = books.run("audit", "rebuild", "--json", who="aud")
    assert (rebuilt.code, rebuilt.json["ok"], rebuilt.json["differences"]) == (0, True, [])
    found = books.run(
        "audit", "verify", "--database", url, "--heads", heads, "--json", who=None, ALLOT_SERVER=NOWHERE
    )
    assert (found.code, found.json["ok"], found.json["first_bad_row"]) == (0, True, None)


def test_a_statement_and_an_export_of_the_database_alone_say_what_the_server_says(books: Audited, url: str) -> None:
    asked = ("statement", "--owner", "ada", "--period", "2026-11", "--json")
    online = books.run(*asked, who="fin")
    offline = books.run(*asked, "--database", url, who=None, ALLOT_SERVER=NOWHERE)
    assert (online.code, offline.code, offline.json) == (0, 0, online.json)
    assert online.json["opening_ms"] + online.json["granted_ms"] > 0
    export = ("export", "focus", "--period", "2026-11", "--json")
    made = [
        books.run(*export, "--output", str(books.folder / "online"), who="fin"),
        books.run(*export, "--output", str(books.folder / "offline"), "--database", url, who=None),
    ]
    assert made[0].json["sha256"] == made[1].json["sha256"]


def test_an_export_without_a_period_is_of_the_one_that_runs(books: Audited, url: str) -> None:
    export = ("export", "focus", "--output", str(books.folder / "running"), "--json")
    running = books.run("statement", "--owner", "ada", "--json", who="fin").json["period"]
    online, offline = books.run(*export, who="fin"), books.run(*export, "--database", url, who=None)
    assert (online.code, online.json["period"], offline.code) == (0, running, 0)
    for made in (online, offline):
        assert Path(made.json["file"]).name == f"focus-{made.json['period']}.csv"


def test_a_changed_balance_and_a_changed_row_are_named(books: Audited, url: str) -> None:
    books.run("audit", "head", who="aud")
    engine = create_engine(parse(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET session_replication_role = replica")
        connection.exec_driver_sql("UPDATE accounts SET balance = balance + 1 WHERE id = 2")
    rebuilt = books.run("audit", "rebuild", "--json", "--database", url, who=None, ALLOT_SERVER=NOWHERE)
    assert (rebuilt.code, rebuilt.json["ok"], len(rebuilt.json["differences"])) == (1, False, 1)
    heads = str(books.folder / "heads")
    found = books.run("audit", "verify", "--database", url, "--heads", heads, "--json", who=None)
    assert (found.code, found.json["ok"]) == (1, False)
    assert (found.json["first_bad_row"]["table"], found.json["first_bad_row"]["row"]) == ("accounts", 2)
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET session_replication_role = replica")
        connection.exec_driver_sql("UPDATE accounts SET balance = balance - 1 WHERE id = 2")
    engine.dispose()


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("statement --owner nobody --period 2026-10 --json", ExitCode.REFUSED, "unknown-owner"),
        ("statement --owner ada --period 2026-13 --json", ExitCode.REFUSED, "invalid-value"),
        ("export focus --period 2026-13 --output OUT --format csv", ExitCode.REFUSED, "invalid-value"),
        ("export focus --period 2019-01 --output OUT --format xls", ExitCode.USAGE, "--format"),
        ("period close 2031-01", ExitCode.REFUSED, "period"),
        ("period close nonsense", ExitCode.REFUSED, "invalid-value"),
        ("reconcile --period nonsense --json", ExitCode.REFUSED, "invalid-value"),
        ("reconcile --period 2026-10-01/2026-10-15 --json", ExitCode.USAGE, "no period that is closed"),
        ("period write-off 2026-10/evidence-lost/node:n1 --reason x", ExitCode.USAGE, "no period that is closed"),
        ("audit verify --database sqlite:///none.db --heads HEADS --json", ExitCode.USAGE, "there is no database"),
        ("audit verify --database rubbish --heads HEADS --json", ExitCode.USAGE, "database"),
        ("audit rebuild --json --database sqlite:///none.db", ExitCode.UNAVAILABLE, "there is no database"),
    ],
    ids=[
        "unknown owner",
        "no month",
        "export of no month",
        "no format",
        "close the future",
        "close nothing",
        "reconcile nothing",
        "reconcile some days",
        "write off by an id alone",
        "verify no database",
        "verify no URL",
        "rebuild no database",
    ],
)
def test_what_is_not_there_is_refused_in_words_and_writes_nothing(
    books: Audited, command: str, code: ExitCode, said: str
) -> None:
    out = books.folder / "refused"
    words = command.replace("OUT", str(out)).replace("HEADS", str(books.folder / "heads")).split()
    done = books.run(*words, who="fin")
    assert (done.code, done.out) == (code, ""), done.err
    assert said in done.err
    assert "Traceback" not in done.err
    assert not out.exists()
    assert not Path("none.db").exists()


@pytest.mark.parametrize("period", ["2019-01", "2031-01"], ids=["long ago", "to come"])
def test_a_period_in_which_nothing_happened_is_a_statement_of_nothing(books: Audited, period: str) -> None:
    stated = books.run("statement", "--owner", "ada", "--period", period, "--json", who="fin")
    assert (stated.code, stated.json["lines"], stated.json["charged_ms"]) == (0, [], 0)
    reconciled = books.run("reconcile", "--period", period, "--json", who="fin")
    assert (reconciled.code, reconciled.json["ok"]) == (0, True)


@pytest.mark.parametrize("place", ["nothing", "rubbish", "a file", "locked"])
def test_heads_that_cannot_be_read_are_a_finding(books: Audited, url: str, place: str) -> None:
    heads = books.folder / place
    if place == "a file":
        heads.write_text("x", encoding="utf-8")
    elif place != "nothing":
        heads.mkdir()
        head = heads / "head-00000001.json"
        head.write_text("rubbish", encoding="utf-8")
        os.chmod(head, 0 if place == "locked" else 0o644)
    found = books.run("audit", "verify", "--database", url, "--heads", str(heads), "--json", who=None)
    assert (found.code, found.json["ok"], found.json["first_bad_row"]) == (1, False, None)
    assert found.json["findings"][0]["code"] in {"no-heads", "head-forged", "unreadable"}
