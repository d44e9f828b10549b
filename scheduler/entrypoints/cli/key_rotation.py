"""`allot audit rotate-key`: the company's next signing key, endorsed by the one before."""

from pathlib import Path
from typing import Annotated

import typer

from scheduler.adapters.signing import rotate
from scheduler.domain.errors import InvalidInput
from scheduler.entrypoints.cli.output import AsJson, print_fields, print_json, print_text
from scheduler.entrypoints.heads import key_file
from scheduler.entrypoints.settings import Settings


def rotate_key(
    new: Annotated[Path, typer.Argument(dir_okay=False, help="The file of the key that comes.", show_default=False)],
    signing_key: Annotated[
        Path | None, typer.Option(dir_okay=False, help="The key that goes; ALLOT_SIGNING_KEY where left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a new signing key, endorsed by the old one, offline. Start the service with it; old heads stay as they are."""
    old = signing_key or key_file(Settings())
    if old is None or not old.is_file():
        raise InvalidInput("which key goes?", where="--signing-key", expected="the file of the key that signs now")
    made = rotate(old, new)
    last = made.endorsements[-1]
    if as_json:
        print_json({"file": str(new), "key": last.new, "endorsed_by": last.old, "rotations": len(made.endorsements)})
        return
    print_text(f"{new} is endorsed by {old}.", style="bold")
    print_fields((("key", last.new), ("before", last.old)))
    print_text("Start the service with it as --signing-key, and tell whoever verifies the new public key.")
