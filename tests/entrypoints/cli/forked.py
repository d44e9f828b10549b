"""`allot serve` as a process that is forked from one which has imported everything once: imports are most of a start."""

import ctypes
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, Pipe
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TextIO

from scheduler.entrypoints.cli import main
from tests.e2e.killing import FORKING


class Forked:
    """What `subprocess.Popen` is of a program: its id, what it says, its signals and its end."""

    def __init__(self, process: BaseProcess, said: TextIO) -> None:
        self._process = process
        self.stdout = said

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, limit_seconds: float) -> int:
        self._process.join(limit_seconds)
        assert self._process.exitcode is not None, f"it does not end in {limit_seconds} s"
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()


@contextmanager
def forked(arguments: Sequence[str], env: Mapping[str, str], library: Path | None = None) -> Iterator[Forked]:
    """`allot` with these arguments, in this environment alone; it is ended with the block. Who asks for a library of the
    given one's name gets that: LD_LIBRARY_PATH is read when a program starts, and this one has started long ago."""
    reader, writer = Pipe(duplex=False)
    process = FORKING.Process(target=_live, args=(list(arguments), dict(env), writer, library), daemon=True)
    process.start()
    writer.close()
    with reader, os.fdopen(os.dup(reader.fileno()), encoding="utf-8") as said:
        try:
            yield Forked(process, said)
        finally:
            process.kill()
            process.join()
            process.close()


def _live(arguments: list[str], env: dict[str, str], output: Connection, library: Path | None) -> None:
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output.fileno(), stream.fileno())
    output.close()
    os.environ.clear()
    os.environ.update(env)
    if library is not None:
        ctypes.CDLL(str(library))
    sys.argv = ["allot", *arguments]
    main()
