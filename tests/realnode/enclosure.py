"""The namespaces that a real node lives in: whatever it starts, mounts or leaves lying about ends with them.

A PID namespace, since containers outlive the runtime that started them and the kernel alone knows them all; a mount
namespace, since kubelet's folders are fixed. The network is the machine's own, so that a test reaches pods.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scheduler.entrypoints.devcluster import processes
from scheduler.entrypoints.devcluster.processes import Process

_INIT = Path(__file__).with_name("init.py")
_LIMIT_SECONDS = 240.0


class NodeUnavailable(Exception):
    """This machine cannot run a real node; the message says why, in one line."""


@dataclass(frozen=True)
class Enclosure:
    """`pid` is that of its first process, as the machine sees it. Nothing outlives `close`, or the death of its opener."""

    pid: int
    cgroup: str
    logs: Path
    _unshare: "subprocess.Popen[str]"

    @classmethod
    def open(cls, cgroup: str, scratch: Path) -> Self:
        """`cgroup` is the node's root in every hierarchy; `scratch` is an empty folder of its own."""
        first = ["unshare", "--mount", "--pid", "--fork", "--propagation", "private"]
        with (scratch / "enclosure.log").open("wb") as log:
            # Its end of the pipe is closed when we end, however we end: that is what PID 1 waits for.
            unshare = subprocess.Popen(
                [*first, sys.executable, "-I", str(_INIT), cgroup, str(scratch)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert unshare.stdout is not None
        seen_as = unshare.stdout.readline().strip()
        if not seen_as:
            unshare.communicate()
            said = (scratch / "enclosure.log").read_text(errors="replace").strip().splitlines()
            shutil.rmtree(scratch, ignore_errors=True)
            raise NodeUnavailable(f"no namespaces of its own: {said[-1] if said else 'unshare said nothing'}")
        return cls(int(seen_as), cgroup, scratch, unshare)

    def path(self, inside: str) -> Path:
        """Where a file of the enclosure is found from outside. Sockets, too: the path stays far below 108 bytes."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def run(self, *command: str) -> str:
        """What a program said that ran in it to its end."""
        done = subprocess.run(
            self._entered(command), capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False
        )
        if done.returncode != 0:
            raise NodeUnavailable(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-500:]}")
        return done.stdout

    def spawn(self, name: str, *command: str) -> Process:
        """A program that runs until the enclosure is closed; its output is in the folder of logs."""
        return processes.spawn(name, self._entered(command), self.logs / f"{name}.log")

    def last_words(self, name: str) -> str:
        """For a failure: the last line that the program wrote."""
        log = self.logs / f"{name}.log"
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        return lines[-1][-500:] if lines else "nothing"

    def close(self) -> None:
        """Returns when every process of it is gone, and its cgroups, mounts and logs with them."""
        self._unshare.communicate(timeout=_LIMIT_SECONDS)
        shutil.rmtree(self.logs, ignore_errors=True)

    def _entered(self, command: Sequence[str]) -> list[str]:
        return ["/usr/bin/nsenter", f"--target={self.pid}", "--mount", "--pid", "--", *command]
