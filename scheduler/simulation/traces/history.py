"""An export of our own history (`allot export history`): JSON, one object a line, read as strictly as it was written."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from scheduler.domain.allowances import Allowance, AllowanceSource, Holder, HolderKind, Purpose
from scheduler.domain.cluster import PodRequest
from scheduler.domain.errors import InvalidInput
from scheduler.domain.people import Engineer
from scheduler.domain.units import (
    AMOUNT_MAX,
    MS_PER_SECOND,
    AllowanceId,
    EngineerId,
    GpuClassName,
    Instant,
    PriorityClassName,
    ProjectName,
    TeamName,
    TierName,
)
from scheduler.domain.workloads import WorkloadKind, WorkloadSpec
from scheduler.lifecycle.accounting.export_history import FORMAT, VERSION
from scheduler.simulation.replay.submissions import Stream, Submission
from scheduler.simulation.traces.rows import LeaveOut, invalid, refuse_all

GPUS_MAX = 100_000

Line = Mapping[str, Any]


def read_history(file: Path, leave_out: LeaveOut = refuse_all) -> Stream:
    """The people, the grants by hand and the work. Raises InvalidInput `invalid-trace` where a line is none of these."""
    people: dict[EngineerId, Engineer] = {}
    grants: list[Allowance] = []
    submissions: list[Submission] = []
    left_out: Counter[str] = Counter()
    for line, where in _lines(file, leave_out):
        try:
            if "engineer" in line:
                engineer = _engineer(line, where)
                people[engineer.id] = engineer
            elif "grant" in line:
                grants.append(_grant(line, where))
            else:
                submission = _submission(line, where)
                if submission.owner not in people:
                    raise invalid(f"{where}: owner", repr(submission.owner), "an engineer of a line before")
                if submission.run_ms:
                    submissions.append(submission)
                else:
                    left_out["never ran"] += 1
        except InvalidInput as refusal:
            leave_out(refusal)
    return Stream(
        {"kind": "history", "files": [file.name]},
        tuple(people.values()),
        sorted(submissions, key=lambda each: (each.at, each.spec.name)),
        left_out,
        tuple(sorted(grants, key=lambda each: (each.starts_at, each.id))),
    )


def _lines(file: Path, leave_out: LeaveOut) -> Iterator[tuple[Line, str]]:
    """The objects after the header, each with its place."""
    if not file.stat().st_size:
        raise invalid(f"{file}:1: format", "nothing", f"{FORMAT}, version {VERSION}")
    with file.open("rb") as raw:
        for number, text in enumerate(raw, 1):
            where = f"{file}:{number}"
            try:
                line = _object(text.rstrip(b"\r\n"), where)
            except InvalidInput as refusal:
                if number == 1:
                    raise
                leave_out(refusal)
                continue
            if number > 1:
                yield line, where
            elif (line.get("format"), line.get("version")) != (FORMAT, VERSION):
                raise invalid(f"{where}: format", repr(line.get("format")), f"{FORMAT}, version {VERSION}")


def _object(text: bytes, where: str) -> Line:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise invalid(f"{where}:{error.colno}", "no JSON", "one object") from None
    if not isinstance(value, dict):
        raise invalid(f"{where}:1", type(value).__name__, "one object")
    return value


def _engineer(line: Line, where: str) -> Engineer:
    name = _text(line, "engineer", where)
    return Engineer(
        EngineerId(name), name, TeamName(_text(line, "team", where)), TierName(_text(line, "tier", where)), name
    )


def _grant(line: Line, where: str) -> Allowance:
    gpu_classes = line.get("gpu_classes")
    return Allowance(
        id=AllowanceId(_text(line, "grant", where)),
        holder=Holder(_word(HolderKind, line, "holder_kind", where), _text(line, "holder", where)),
        source=_word(AllowanceSource, line, "source", where),
        amount=_whole(line, "standard_gpu_ms", where, 1, AMOUNT_MAX - 1),
        starts_at=Instant(_whole(line, "starts_at_ms", where)),
        expires_at=None if line.get("expires_at_ms") is None else Instant(_whole(line, "expires_at_ms", where)),
        granted_at=Instant(_whole(line, "starts_at_ms", where)),
        gpu_classes=None if gpu_classes is None else frozenset(map(GpuClassName, _texts(line, "gpu_classes", where))),
        purposes=frozenset(
            _word(Purpose, {"purposes": each}, "purposes", where) for each in _texts(line, "purposes", where)
        ),
    )


def _submission(line: Line, where: str) -> Submission:
    project = line.get("project")
    spec = WorkloadSpec(
        name=_text(line, "workload", where),
        kind=_word(WorkloadKind, line, "kind", where),
        project=None if project is None else ProjectName(_text(line, "project", where)),
        gpu_classes=tuple(GpuClassName(each) for each in _texts(line, "gpu_classes", where)),
        priority_class=PriorityClassName(_text(line, "priority_class", where)),
        time_limit_ms=_whole(line, "time_limit_ms", where, MS_PER_SECOND),
        pods=_whole(line, "pods", where, 1, GPUS_MAX),
        min_pods=_min_pods(line, where),
        pod=PodRequest(
            _whole(line, "gpus_per_pod", where, 1, GPUS_MAX),
            _whole(line, "cpu_milli", where),
            _whole(line, "memory_mib", where),
        ),
        grace_seconds=_whole(line, "grace_seconds", where),
        uses_compensation=line.get("uses_compensation") is True,
    )
    return Submission(
        Instant(_whole(line, "submitted_at_ms", where)),
        EngineerId(_text(line, "owner", where)),
        spec,
        _whole(line, "run_ms", where),
        1 if line.get("has_failed") is True else 0,
        _whole(line, "checkpoint_every_ms", where),
        _whole(line, "start_ms", where),
    )


def _min_pods(line: Line, where: str) -> int | None:
    """May be left out: then all of its pods start together."""
    if line.get("min_pods") is None:
        return None
    return _whole(line, "min_pods", where, 1, _whole(line, "pods", where, 1, GPUS_MAX))


def _text(line: Line, key: str, where: str) -> str:
    value = line.get(key)
    if not isinstance(value, str) or not value:
        raise invalid(f"{where}: {key}", _shown(value), "a name")
    return value


def _texts(line: Line, key: str, where: str) -> list[str]:
    value = line.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(each, str) and each for each in value):
        raise invalid(f"{where}: {key}", _shown(value), "a list of names")
    return value


def _whole(line: Line, key: str, where: str, least: int = 0, most: int = 2**53) -> int:
    value = line.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise invalid(f"{where}: {key}", _shown(value), f"a whole number from {least} to {most}")
    return value


def _word(words: Any, line: Line, key: str, where: str) -> Any:
    value = line.get(key)
    try:
        return words(value)
    except ValueError:
        raise invalid(f"{where}: {key}", _shown(value), "one of " + ", ".join(words)) from None


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)[:40]
