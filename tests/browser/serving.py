"""The whole service on its embedded default, as `make run` starts it: an invented company, accelerated time."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START_SECONDS = 120.0
_SERVE = "from scheduler.entrypoints.cli import main; main()"


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Where it listens. Its database and its log are in the folder; it is ended as Ctrl-C ends it."""
    environment = {**os.environ, "ALLOT_DATABASE": f"sqlite:///{folder}/allot.db", "ALLOT_LOG_LEVEL": "WARNING"}
    command = [sys.executable, "-c", _SERVE, "serve", "--demo-sign-in", "--port", "0"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    kill = threading.Timer(_START_SECONDS, process.kill)
    kill.start()
    try:
        line = process.stdout.readline()
        kill.cancel()
        listening = re.search(r"http://\S+", line)
        assert listening, f"no service: {line!r} {(folder / 'log').read_text()}"
        yield listening.group()
    finally:
        kill.cancel()
        process.send_signal(signal.SIGINT)
        process.wait()
        process.stdout.close()
