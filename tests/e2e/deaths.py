"""Every death that a script of `tests.e2e.scripts` can die, by signal 9, one after the other, each on books of its own.

A program of its own: it imports everything once, and forks each life. It has one thread, so forking is safe.
"""

import gc
import json
import multiprocessing
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.governing import ALL
from tests.e2e.scripts import Script, live, prepared

_FORKING = multiprocessing.get_context("fork")
DEATHS_MAX = 50
"""Of one script: it comes to its end before."""


@dataclass
class Deadly:
    """Ends the process at the point that is passed after `left` others: no handler, no finally and no buffer gets to do
    anything."""

    left: int
    told: Path

    def reach(self, name: str) -> None:
        if self.left == 0:
            self.told.write_text(name, encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


def die_of(name: str, script: Script, folder: Path) -> list[str]:
    """The points at which it died, in order: `NUMBER.db` is what each death left, `whole.db` what a whole life made."""
    folder.mkdir()
    prepared(script, folder / "before.db")
    died_at: list[str] = []
    for number in range(DEATHS_MAX):
        file, told = folder / f"{number}.db", folder / "told"
        shutil.copy(folder / "before.db", file)
        if _life(script, file, Deadly(number, told)) == 0:
            file.rename(folder / "whole.db")
            return died_at
        died_at.append(told.read_text(encoding="utf-8"))
    raise AssertionError(f"{name} never comes to its end")


def _life(script: Script, file: Path, points: Deadly) -> int:
    """Its exit status: 0, or that of signal 9."""
    process = _FORKING.Process(target=_live, args=(script, file, points))
    process.start()
    process.join()
    assert process.exitcode in {0, -signal.SIGKILL}, f"it ended by itself with {process.exitcode}"
    return process.exitcode


def _live(script: Script, file: Path, points: Deadly) -> None:
    service = live(file, points)
    script.act(service)
    service.store.close()


if __name__ == "__main__":
    gc.freeze()  # no life looks through what all of them share, and by that makes a copy of it
    root = Path(sys.argv[1])
    print(json.dumps({name: die_of(name, script, root / name) for name, script in ALL.items()}))
