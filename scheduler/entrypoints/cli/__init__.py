"""The command line: talks to the API, except for what runs the service itself."""

from scheduler.entrypoints.cli.app import main

__all__ = ["main"]
