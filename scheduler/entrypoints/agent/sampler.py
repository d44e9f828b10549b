"""The sampler: reads NVML at a steady pace and writes each reading to the pipe that its parent gave it.

It has no state that would be missed: it may be killed at any moment, and a driver call that hangs holds only it.
Run by the agent as `python -m scheduler.entrypoints.agent.sampler PIPE SAMPLE_MS PROC`.
"""

import signal
import sys
import time
from pathlib import Path

from scheduler.adapters.nvml.calls import MustRestart
from scheduler.adapters.nvml.proc import ProcessTable
from scheduler.adapters.nvml.sensors import NvmlSensors
from scheduler.domain.units import Instant
from scheduler.entrypoints.agent.frames import write_frame

EXIT_RESTART = 75
"""EX_TEMPFAIL: only a fresh process can read again."""


class _Stop(Exception):
    pass


def sample_forever(pipe: int, sample_ms: int, proc: Path) -> int:
    """Until the parent is gone or asks to stop. Returns the exit status."""
    sensors = NvmlSensors(ProcessTable(proc))
    due = time.monotonic()
    try:
        while True:
            write_frame(pipe, sensors.read(Instant(time.time_ns() // 1_000_000)))
            due += sample_ms / 1_000
            pause = due - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            else:
                # Readings that were missed are not made up for: they would all tell of now.
                due = time.monotonic()
    except MustRestart as reason:
        sys.stderr.write(f"the sampler has to be started afresh: {reason}\n")
        return EXIT_RESTART
    except (_Stop, BrokenPipeError):
        sensors.close()
        return 0


def _stop(*_: object) -> None:
    raise _Stop


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, _stop)
    # Ctrl-C goes to the whole group: it is the parent that ends the sampler, after its last reading is kept.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe, sample_ms, proc = arguments
    return sample_forever(int(pipe), int(sample_ms), Path(proc))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
