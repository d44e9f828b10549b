"""Options that several commands take: of whom, and of which period."""

from typing import Annotated

import typer

Owner = Annotated[
    str | None, typer.Option("--owner", help="An engineer, a team, a project, or company; yourself where left out.")
]
Period = Annotated[
    str | None,
    typer.Option("--period", help="Such as 2026-11, 2026-W47 or 2026-11-20; the running one where left out."),
]
