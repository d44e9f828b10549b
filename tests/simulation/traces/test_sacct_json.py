"""What `sacct --json` prints is read as the table of the same jobs is, in the forms of all its versions."""

import json
from pathlib import Path
from typing import Any

import pytest

from scheduler.domain.errors import InvalidInput
from scheduler.simulation.traces.sacct import SlurmJob, read_jobs
from tests.simulation.traces.test_sacct import JOB, changed, read

UNSET = {"set": False, "infinite": False, "number": 0}
GPUS = [("cpu", "", 32), ("mem", "", 512 * 1024), ("node", "", 2), ("gres", "gpu:a100", 8), ("gres", "gpu", 8)]
TRES = [{"type": kind, "name": name, "id": 1, "count": count} for kind, name, count in GPUS]


def number(value: int) -> dict[str, Any]:
    return {"set": True, "infinite": False, "number": value}


NOW: dict[str, Any] = {
    "job_id": 101,
    "array": {"job_id": 0, "task_id": UNSET, "task": ""},
    "het": {"job_id": 0, "job_offset": UNSET},
    "name": "train",
    "user": "ada",
    "account": "research",
    "partition": "gpu",
    "qos": "high",
    "state": {"current": ["COMPLETED"], "reason": "None"},
    "time": {
        "elapsed": 7200,
        "submission": 1767603600,
        "eligible": 1767603600,
        "start": 1767605400,
        "end": 1767612600,
        "limit": number(1440),
    },
    "allocation_nodes": 2,
    "tres": {"allocated": TRES, "requested": TRES},
    "exit_code": {"status": ["SUCCESS"], "return_code": number(0), "signal": {"id": UNSET, "name": ""}},
    "steps": [{"step": {"id": "101.batch"}}],
}
OLD = {
    **NOW,
    "array": {"job_id": 0, "task": None, "task_id": None},
    "het": {"job_id": 0, "job_offset": None},
    "user": None,
    "association": {"user": "ada", "account": "research"},
    "state": {"current": "COMPLETED", "reason": "None"},
    "time": {**NOW["time"], "limit": 1440},
    "exit_code": {"status": "SUCCESS", "return_code": 0},
}
"""As Slurm 21.08 wrote it."""


def read_json(tmp_path: Path, *jobs: object) -> list[SlurmJob]:
    file = tmp_path / "sacct.json"
    file.write_text(json.dumps({"meta": {}, "jobs": jobs, "errors": []}, indent=2))
    return read_jobs([file], "UTC")[0]


@pytest.mark.parametrize("job", [NOW, OLD], ids=["now", "of 21.08"])
def test_a_job_is_the_one_that_the_table_has(tmp_path: Path, job: object) -> None:
    (of_table,) = read(tmp_path, JOB.replace("09:00:00", "09:00:00+00:00"))
    (of_json,) = read_json(tmp_path, job)
    same: tuple[str, ...] = (
        "id",
        "name",
        "user",
        "account",
        "partition",
        "qos",
        "state",
        "submitted_at",
        "started_at",
    )
    same += ("ran_ms", "limit_ms", "nodes", "gpus", "models", "cpu_milli", "memory_mib", "exit_code")
    assert [getattr(of_json, name) for name in same] == [getattr(of_table, name) for name in same]


@pytest.mark.parametrize(
    ("of", "name"),
    [
        ({"array": {"job_id": 7, "task_id": number(0), "task": ""}}, "7_0"),
        ({"array": {"job_id": 7, "task_id": 3, "task": None}}, "7_3"),
        ({"array": {"job_id": 7, "task_id": UNSET, "task": "4-9%2"}}, "7_[4-9%2]"),
        ({"het": {"job_id": 9, "job_offset": number(1)}}, "9+1"),
        ({"het": {"job_id": 9, "job_offset": UNSET}}, "9+0"),
    ],
)
def test_elements_of_arrays_and_parts_of_jobs_are_jobs(tmp_path: Path, of: dict[str, Any], name: str) -> None:
    assert [job.id for job in read_json(tmp_path, NOW | of)] == [name]


def test_a_job_that_waits_has_not_run_and_one_without_a_limit_has_none(tmp_path: Path) -> None:
    time = NOW["time"] | {"elapsed": 0, "start": 0, "end": 0, "limit": UNSET | {"set": True, "infinite": True}}
    (job,) = read_json(tmp_path, NOW | {"time": time, "state": {"current": ["PENDING"]}})
    assert (job.ran_ms, job.limit_ms, job.has_started) == (None, None, False)


def test_what_a_signal_ended_has_failed(tmp_path: Path) -> None:
    ended = [{"signal": {"id": number(9)}}, {"signal": {"signal_id": 9}}, {"return_code": number(3)}]
    assert [read_json(tmp_path, NOW | {"exit_code": each})[0].exit_code for each in ended] == [137, 137, 3]


def test_a_broken_job_is_named_by_its_place_and_can_be_left_out(tmp_path: Path) -> None:
    file = tmp_path / "sacct.json"
    bad = NOW | {"time": NOW["time"] | {"submission": 0}}
    with pytest.raises(InvalidInput) as raised:
        read_json(tmp_path, NOW, bad)
    assert raised.value.where == f"{file}: jobs[1]: Submit"
    file.write_text(json.dumps({"jobs": [bad, 5, NOW]}))
    left_out: list[InvalidInput] = []
    assert [job.id for job in read_jobs([file], "UTC", left_out.append)[0]] == ["101"]
    assert [refusal.where for refusal in left_out] == [f"{file}: jobs[0]: Submit", f"{file}: jobs[1]: JobID"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"jobs": [\n', ":2: found no JSON"),
        ('{"nodes": []}', ': found JSON without the list "jobs"'),
        ("[[", ":1: found no JSON"),
        ("[" * 100_000, ": found JSON of too many levels"),
    ],
    ids=["cut off", "of nodes", "a list", "deep"],
)
def test_json_that_sacct_did_not_print_is_refused(tmp_path: Path, text: str, found: str) -> None:
    file = tmp_path / "sacct.json"
    file.write_text(text)
    with pytest.raises(InvalidInput) as raised:
        read_jobs([file], "UTC")
    assert str(raised.value).startswith(f"{file}{found}")


BANNER = "Welcome to login1.\n** Maintenance on Friday; keep your JobID **\n"


def test_what_a_machine_says_before_the_header_is_named_and_can_be_left_out(tmp_path: Path) -> None:
    file = tmp_path / "sacct.txt"
    file.write_text(f"{BANNER}\nJobID|Submit|ElapsedRaw|AllocTRES\n1|2026-01-05T09:00:00|60|gres/gpu=1\nx|||\n")
    with pytest.raises(InvalidInput) as raised:
        read_jobs([file], "UTC")
    found = "found 'Welcome to login1.' before the header; expected the names of the columns, which stand in line 4"
    assert str(raised.value) == f"{file}:1: {found}"
    left_out: list[InvalidInput] = []
    assert [job.gpus for job in read_jobs([file], "UTC", left_out.append)[0]] == [1]
    assert [refusal.where for refusal in left_out] == [f"{file}:1", f"{file}:2", f"{file}:6: JobID"]


def test_where_no_header_follows_the_first_line_is_told_as_what_was_taken_for_it(tmp_path: Path) -> None:
    file = tmp_path / "sacct.txt"
    file.write_text(BANNER + changed(JobID="7"))
    with pytest.raises(
        InvalidInput, match=r"1: JobID: found no column of that name in the header, 'Welcome to login1"
    ):
        read_jobs([file], "UTC")
