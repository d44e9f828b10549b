"""`python -m scheduler.entrypoints.cli` is `allot`."""

from scheduler.entrypoints.cli import main

main()
