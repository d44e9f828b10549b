"""`allot simulate`: the service's own decisions in virtual time, over described clusters and other people's traces."""

import typer

from scheduler.entrypoints.cli import simulate_pack, simulate_replay

app = typer.Typer(
    help="Try placements and policies in virtual time, on traces. Nothing of it is real.",
    no_args_is_help=True,
    add_completion=False,
)
app.command()(simulate_pack.pack)
app.command()(simulate_replay.replay)
