"""What was put in force by whom, newest first: policies and price books."""

from scheduler.entrypoints.cli.client import connect
from scheduler.entrypoints.cli.output import Column, moment, print_json, print_table
from scheduler.entrypoints.web.formatting import who

_VERSIONS = (Column("WHEN (UTC)"), Column("BY", width_max=24), Column("FILE", width_max=24), Column("SHA256"))


def list_versions(path: str, limit: int, *, empty: str, as_json: bool) -> None:
    with connect() as api:
        page = api.get(path, limit=limit)
        if as_json:
            print_json(page)
            return
        rows = [(moment(v["applied_at"]), who(v["applied_by"]), v["name"], v["hash"][:12]) for v in page["items"]]
        print_table(_VERSIONS, rows, empty=empty)
