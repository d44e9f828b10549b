"""An export of our own history (`allot export history`): JSON, one object a line, read as strictly as it was written."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import orjson

from scheduler.domain.allowances import Allowance, AllowanceSource, Holder, HolderKind, Purpose
from scheduler.domain.cluster import PodRequest
from scheduler.domain.errors import InvalidInput
from scheduler.domain.people import Engineer
from scheduler.domain.quantities import measure
from scheduler.domain.units import (
    AMOUNT_MAX,
    MS_PER_SECOND,
    STANDARD_GPU,
    AllowanceId,
    EngineerId,
    GpuClassName,
    Instant,
    PriorityClassName,
    ProjectName,
    TeamName,
    TierName,
    Unit,
)
from scheduler.domain.workloads import WorkloadKind, WorkloadSpec
from scheduler.lifecycle.accounting.export_history import FORMAT, VERSION
from scheduler.simulation.replay.submissions import Stream, Submission
from scheduler.simulation.traces.opening import opened_bytes
from scheduler.simulation.traces.rows import LeaveOut, invalid, refuse_all

GPUS_MAX = 100_000
LATEST_MS = 4_102_444_800_000
"""The year 2100: no time of a replay is later, which goes through all that lie between."""
GUESSED = "run length of work that still waited: half its time limit"

Line = Mapping[str, Any]
Word = TypeVar("Word", bound=StrEnum)


def read_history(file: Path, leave_out: LeaveOut = refuse_all) -> Stream:
    """The people, the grants by hand and the work. Raises InvalidInput `invalid-trace` where a line is none of these."""
    people: dict[EngineerId, Engineer] = {}
    grants: list[Allowance] = []
    submissions: list[Submission] = []
    left_out: Counter[str] = Counter()
    guessed: Counter[str] = Counter()
    seen: dict[str, str] = {}
    for line, where in _lines(file, leave_out):
        try:
            if "engineer" in line:
                engineer = _engineer(line, where)
                people[engineer.id] = engineer
            elif "grant" in line:
                grant = _grant(line, where)
                _require_new(seen, "grant", grant.id, where)
                grants.append(grant)
            else:
                submission = _submission(line, where)
                if submission.owner not in people:
                    raise invalid(f"{where}: owner", repr(submission.owner), "an engineer of a line before")
                _require_new(seen, "workload", submission.spec.name, where)
                if submission.spec.kind is WorkloadKind.BOOKING:
                    left_out["booking: what ran inside it comes as work"] += 1
                elif line.get("still_waits") is True:
                    guessed[GUESSED] += 1
                    submissions.append(_guessed(submission))
                elif submission.run_ms:
                    submissions.append(submission)
                else:
                    left_out["never ran"] += 1
        except InvalidInput as refusal:
            leave_out(refusal)
    return Stream(
        {"kind": "history", "files": [file.name], "put_otherwise": dict(guessed)},
        tuple(people.values()),
        sorted(submissions, key=lambda each: (each.at, each.spec.name)),
        left_out,
        tuple(sorted(grants, key=lambda each: (each.starts_at, each.id))),
    )


def _guessed(submission: Submission) -> Submission:
    """Half its limit, as of a foreign trace a limit is twice the run; no less than what it has done."""
    run_ms = max(submission.run_ms, submission.spec.time_limit_ms // 2)
    return replace(submission, run_ms=run_ms)


def _require_new(seen: dict[str, str], key: str, name: str, where: str) -> None:
    """Each id once: two exports put together would count what both hold twice."""
    place = seen.setdefault(f"{key} {name}", where)
    if place != where:
        line = place.rpartition(":")[2]
        raise invalid(f"{where}: {key}", f"{name!r} again, as in line {line}", "each id once")


def _lines(file: Path, leave_out: LeaveOut) -> Iterator[tuple[Line, str]]:
    """The objects after the header, each with its place."""
    with opened_bytes(file) as content:
        if not content.peek(1):
            raise invalid(f"{file}:1: format", "nothing", f"{FORMAT}, version {VERSION}")
        for number, text in enumerate(content, 1):
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
                continue
            for key, expected in (("format", FORMAT), ("version", VERSION)):
                if line.get(key) != expected:
                    raise invalid(f"{where}: {key}", _shown(line.get(key)), f"{FORMAT}, version {VERSION}")


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
    gpu_classes, kinds = line.get("gpu_classes"), line.get("kinds")
    unit = _unit(line, where)
    return Allowance(
        id=AllowanceId(_text(line, "grant", where)),
        holder=Holder(_word(HolderKind, line, "holder_kind", where), _text(line, "holder", where)),
        source=_word(AllowanceSource, line, "source", where),
        amount=_whole(line, "standard_gpu_ms" if unit == STANDARD_GPU else "amount", where, 1, AMOUNT_MAX - 1),
        starts_at=Instant(_whole(line, "starts_at_ms", where, most=LATEST_MS)),
        expires_at=None if line.get("expires_at_ms") is None else Instant(_whole(line, "expires_at_ms", where)),
        granted_at=Instant(_whole(line, "starts_at_ms", where, most=LATEST_MS)),
        unit=unit,
        gpu_classes=None if gpu_classes is None else frozenset(map(GpuClassName, _texts(line, "gpu_classes", where))),
        kinds=None if kinds is None else _words(WorkloadKind, line, "kinds", where),
        purposes=_words(Purpose, line, "purposes", where),
    )


def _unit(line: Line, where: str) -> Unit:
    """May be left out: then it is standard time."""
    if line.get("unit") is None:
        return STANDARD_GPU
    unit = Unit(_text(line, "unit", where))
    try:
        measure(unit)
    except InvalidInput:
        raise invalid(f"{where}: unit", _shown(unit), "hours of a GPU class, or a currency") from None
    return unit


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
        Instant(_whole(line, "submitted_at_ms", where, most=LATEST_MS)),
        EngineerId(_text(line, "owner", where)),
        spec,
        _whole(line, "run_ms", where),
        _exit_code(line, where) if line.get("has_failed") is True else 0,
        _whole(line, "checkpoint_every_ms", where),
        _whole(line, "start_ms", where),
    )


def _min_pods(line: Line, where: str) -> int | None:
    """May be left out: then all of its pods start together."""
    if line.get("min_pods") is None:
        return None
    return _whole(line, "min_pods", where, 1, _whole(line, "pods", where, 1, GPUS_MAX))


def _exit_code(line: Line, where: str) -> int:
    """May be left out: then it is 1."""
    return 1 if line.get("exit_code") is None else _whole(line, "exit_code", where, 1, 255)


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


def _word(words: type[Word], line: Line, key: str, where: str) -> Word:
    value = line.get(key)
    try:
        return words(str(value))
    except ValueError:
        raise invalid(f"{where}: {key}", _shown(value), "one of " + ", ".join(words)) from None


def _words(words: type[Word], line: Line, key: str, where: str) -> frozenset[Word]:
    return frozenset(_word(words, {key: each}, key, where) for each in _texts(line, key, where))


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)[:40]
