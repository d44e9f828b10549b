"""The command line: talks to the API, except for what runs the service itself."""

import signal
from importlib import import_module

__all__ = ["main"]


def main() -> None:
    """The console script. It imports the command line only now, so that Ctrl-C until then just ends it.

    Python would print where in its imports it was.
    """
    previous = signal.getsignal(signal.SIGINT)
    if previous is signal.default_int_handler:  # else whoever started it keeps Ctrl-C from it, as `nohup` does
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    app = import_module("scheduler.entrypoints.cli.app")
    signal.signal(signal.SIGINT, previous)
    app.main()
