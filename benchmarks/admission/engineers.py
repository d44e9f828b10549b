"""The engineers' tokens, in the file that the apiserver knows them by: each queue's engineer creates their own Jobs.

They have an administrator's rights. A token is verified as that of an engineer who signed in; the runner's right to
impersonate them would be looked up at each creation instead.
"""

import csv
import secrets
from collections.abc import Iterable
from pathlib import Path

GROUP = "system:masters"


def write_tokens(path: Path, engineers: Iterable[str]) -> None:
    """In the apiserver's format: the token, the name, the user's id, the groups."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows((secrets.token_hex(16), name, name, GROUP) for name in engineers)
    path.chmod(0o600)


def read_tokens(path: Path) -> dict[str, str]:
    """By the engineer's name."""
    with path.open(encoding="utf-8", newline="") as file:
        return {name: token for token, name, _, _ in csv.reader(file)}
