"""Waiting for the service to get somewhere, with progress on standard error."""

import time
from collections.abc import Callable
from typing import Any

from rich.text import Text

from scheduler.entrypoints.cli.client import Api, workload_path
from scheduler.entrypoints.cli.output import err

POLL_SECONDS = 0.5


def wait_until(api: Api, workload_id: str, is_there: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    """Poll the workload until `is_there`, or until it is final. Ctrl-C ends the waiting and nothing else."""
    console = err()
    with console.status(Text(f"{workload_id}: waiting {what}")) as status:
        while True:
            workload: dict[str, Any] = api.get(workload_path(workload_id))
            if is_there(workload) or workload["state"] in {"completed", "failed", "cancelled"}:
                return workload
            status.update(Text(f"{workload_id}: {workload['verdict']['sentence']}"))
            time.sleep(POLL_SECONDS)
