"""What `sacct --json` prints, as the cells that `sacct -P` would have: one reader makes jobs of both.

Liberal in the versions: numbers stand alone or as `{"set": true, "number": 3}`, a state alone or in a list.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scheduler.simulation.traces.rows import Row, invalid

_EXPECTED = 'an object with the list "jobs", as `sacct --json` prints it'


def begins_json(first_line: str) -> bool:
    """A header has names of columns."""
    return first_line.lstrip().startswith(("{", "["))


def read_json(text: str, file: Path) -> Iterator[tuple[Row, str]]:
    """Each job's cells, and where it stands. Steps are part of their job here, and are left out.

    Raises InvalidInput `invalid-trace` where it is no such object.
    """
    try:
        printed = json.loads(text)
    except json.JSONDecodeError as error:
        raise invalid(f"{file}:{error.lineno}", f"no JSON ({error.msg})", _EXPECTED) from error
    except RecursionError as error:
        raise invalid(str(file), "JSON of too many levels", _EXPECTED) from error
    jobs = _inside(printed, "jobs")
    if not isinstance(jobs, list):
        raise invalid(str(file), 'JSON without the list "jobs"', _EXPECTED)
    for at, job in enumerate(jobs):
        yield _cells(job), f"{file}: jobs[{at}]"


def _cells(job: object) -> Row:
    return {
        "JobID": _job_id(job),
        "JobName": _text(job, "name"),
        "User": _text(job, "user") or _text(job, "association", "user"),
        "Account": _text(job, "account") or _text(job, "association", "account"),
        "Partition": _text(job, "partition"),
        "QOS": _text(job, "qos"),
        "Cluster": _text(job, "cluster"),
        "State": _state(job),
        "Submit": _seconds(job, "submission"),
        "Eligible": _seconds(job, "eligible"),
        "Start": _seconds(job, "start"),
        "End": _seconds(job, "end"),
        "ElapsedRaw": _number(job, "time", "elapsed"),
        "TimelimitRaw": _number(job, "time", "limit"),
        "NNodes": _number(job, "allocation_nodes"),
        "ReqTRES": _tres(job, "requested"),
        "AllocTRES": _tres(job, "allocated"),
        "ExitCode": f"{_number(job, 'exit_code', 'return_code')}:{_signal(job)}",
    }


def _job_id(job: object) -> str:
    """As `sacct -P` writes it: `7`, of an array `7_3` or `7_[4-9]`, of a part of a heterogeneous job `7+1`."""
    array, task = _number(job, "array", "job_id"), _number(job, "array", "task_id")
    waiting = _text(job, "array", "task")
    if array not in {"", "0"} and (task or waiting):
        return f"{array}_{task}" if task else f"{array}_[{waiting}]"
    whole = _number(job, "het", "job_id")
    if whole not in {"", "0"}:
        return f"{whole}+{_number(job, 'het', 'job_offset') or 0}"
    return _number(job, "job_id") or _text(job, "job_id")


def _state(job: object) -> str:
    state = _inside(job, "state", "current")
    return str(state[0]) if isinstance(state, list) and state else _text(job, "state", "current")


def _seconds(job: object, name: str) -> str:
    """Of an instant; 0 is one that has not come."""
    seconds = _number(job, "time", name)
    return "" if seconds == "0" else seconds


def _signal(job: object) -> str:
    return _number(job, "exit_code", "signal", "id") or _number(job, "exit_code", "signal", "signal_id")


def _tres(job: object, which: str) -> str:
    """`cpu=32,mem=1024,gres/gpu:a100=8`; memory is in MiB."""
    items = _inside(job, "tres", which)
    return ",".join(
        f"{'/'.join(filter(None, (_text(each, 'type'), _text(each, 'name'))))}={_number(each, 'count')}"
        for each in (items if isinstance(items, list) else ())
    )


def _number(value: object, *path: str) -> str:
    """Nothing of what is not said, or has no end."""
    found = _inside(value, *path)
    if isinstance(found, dict):
        found = found.get("number") if found.get("set") and not found.get("infinite") else None
    return str(int(found)) if isinstance(found, (int, float)) and not isinstance(found, bool) else ""


def _text(value: object, *path: str) -> str:
    found = _inside(value, *path)
    return found.strip() if isinstance(found, str) else ""


def _inside(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
