"""Starting programs in sessions of their own, and ending exactly those: by process id and start time."""

import os
import random
import signal
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Below every system's ephemeral range, so that no outgoing connection takes a port between choice and use.
_PORTS = range(20_000, 32_000)
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Process:
    """A program that was started. Process ids are reused; id and start time together are not."""

    name: str
    pid: int
    started: str


def free_ports(count: int) -> tuple[int, ...]:
    """Loopback ports that nobody listens on now."""
    chosen: list[int] = []
    # Not a secret: random only so that two clusters that start at once do not try the same.
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        chosen.append(port)
        if len(chosen) == count:
            return tuple(chosen)
    raise OSError(f"fewer than {count} free ports between {_PORTS.start} and {_PORTS.stop} on 127.0.0.1")


def spawn(name: str, command: list[str], log: Path) -> Process:
    """Starts a program that outlives us, with its output in `log`, out of reach of our terminal's Ctrl-C."""
    # Not subprocess: Popen warns when the object goes before the program, and these may outlive us.
    pid = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    return Process(name, pid, start_time(pid) or "")


def start_time(pid: int) -> str | None:
    """When that process started, in ticks since boot; None where it is gone or a zombie."""
    try:
        # Everything after the last ")": the program's name may hold spaces and parentheses itself.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def is_alive(process: Process) -> bool:
    _reap(process.pid)
    return start_time(process.pid) == process.started


def kill(processes: Iterable[Process], limit_seconds: float = 10.0) -> None:
    """Kills what still runs of these, and returns when it is gone.

    At once and not politely: a throwaway cluster has nothing to save, and an apiserver that is asked to end waits
    ten seconds for the etcd that was asked to end as well.
    """
    running = [process for process in processes if is_alive(process)]
    for process in running:
        # Each leads a process group of its own, so what it started ends with it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + limit_seconds
    while any(is_alive(process) for process in running) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return  # someone else's child: its parent, or init, reaps it
