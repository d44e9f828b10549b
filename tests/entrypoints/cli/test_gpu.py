"""`allot gpu` and `allot keep`: recordings judged offline, and what the server knows of agents and of rest."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scheduler.domain.cluster import Node
from scheduler.domain.periods import to_instant
from scheduler.domain.units import MS_PER_HOUR, AttemptId, GpuUuid, Instant, NodeName
from scheduler.entrypoints.cli.app import app
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.views.misuses import Misuses, MisuseView, WorkView
from scheduler.lifecycle.views.usage_shapes import ReclaimView
from scheduler.metering.gpu_faults import GpuFault
from scheduler.metering.misuse import MisuseKind
from scheduler.metering.refusals import RefusedSample
from tests.entrypoints.cli.conftest import Allot

POLICY = Path(__file__).parents[3] / "policies" / "example.yaml"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HEADER = "timestamp,gpu_uuid,utilization_percent,power_watts,process_count,attempt"


def recording(tmp_path: Path, rows: Iterable[str], header: str = HEADER) -> Path:
    file = tmp_path / "recording.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def minutes(*parts: tuple[int, str, str]) -> list[str]:
    """A reading a minute: (how many, utilisation, watts) one part after the other."""
    rows: list[str] = []
    for count, percent, watts in parts:
        for _ in range(count):
            rows.append(f"{(NOON + timedelta(minutes=len(rows))).isoformat()},GPU-a,{percent},{watts},1,a-1")
    return rows


def judged(file: Path, *options: str) -> Any:
    result = CliRunner().invoke(app, ["gpu", "judge", "--samples", str(file), "--policy", str(POLICY), *options])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_recording_is_told_as_intervals_warnings_stops_and_hours_handed_back(tmp_path: Path) -> None:
    rows = minutes((20, "90", "600"), (130, "0", "70"), (5, "90", "600"))
    (gpu,), (attempt,) = (found := judged(recording(tmp_path, rows), "--json"))["gpus"], found["attempts"]
    assert [each["state"] for each in gpu["intervals"]] == ["active", "idle-held", "active"]
    assert gpu["intervals"][1] == {
        "start": "2026-11-20T12:19:00Z",
        "end": "2026-11-20T14:29:00Z",
        "state": "idle-held",
    }
    assert attempt["warned_at"] == ["2026-11-20T12:50:00Z", "2026-11-20T13:10:00Z"]
    assert attempt["stopped_at"] == ["2026-11-20T13:20:00Z"]
    assert attempt["returned_gpu_hours"] == found["returned_gpu_hours"] == round(69 / 60, 4)
    assert (found["format"], found["rule"], gpu["gap_seconds"]) == ("allot-gpu-judge/2", "sandboxes", 150.0)
    assert (gpu["stopped_at"], gpu["idle_watts"]) == (attempt["stopped_at"], 70.0)
    assert gpu["witness"] in {"energy", "gauge"}
    assert (gpu["use_joules"] is None) == (gpu["witness"] == "gauge")


def test_an_empty_cell_is_absent_and_never_zero(tmp_path: Path) -> None:
    rows = minutes((20, "90", "600"), (120, "", "70"))
    (attempt,) = judged(recording(tmp_path, rows), "--json")["attempts"]
    assert [each["state"] for each in attempt["intervals"]] == ["active", "unknown"]
    assert (attempt["stopped_at"], attempt["returned_gpu_hours"]) == ([], 0.0)


def test_less_than_a_percent_is_use(tmp_path: Path) -> None:
    rows = minutes((4, "90", "600"), (20, "0", "70"), (120, "0.3", "200"))
    (attempt,) = judged(recording(tmp_path, rows), "--json")["attempts"]
    assert attempt["stopped_at"] == []


def test_parts_of_a_percent_alone_are_use_by_a_rule_to_which_any_use_is_one(tmp_path: Path) -> None:
    file = recording(tmp_path, minutes((40, "0.4", "70"), (30, "0", "70")))
    (attempt,) = judged(file, "--json")["attempts"]
    assert [each["state"] for each in attempt["intervals"]] == ["active", "idle-held"]
    shares = CliRunner().invoke(
        app, ["gpu", "judge", "--samples", str(file), "--policy", str(POLICY), "--rule", "jobs"]
    )
    assert (shares.exit_code, "no figure above 1" in shares.output) == (2, True)


def test_a_pause_in_the_recording_is_unknown(tmp_path: Path) -> None:
    rows = minutes((150, "0", "70"))
    (gpu,) = judged(recording(tmp_path, rows[:20] + rows[40:]), "--json")["gpus"]
    assert [each["state"] for each in gpu["intervals"]] == ["idle-held", "unknown", "idle-held"]


TIMES = (
    "2026-11-20T12:00:00Z",
    "2026-11-20 12:00:00",
    "2026-11-20 12:00",
    "2026/11/20 12:00:00.000",
    "2026-11-20t12:00:00.000000999z",
    "2026-11-20T13:00:00+01:00",
    "2026-11-20T06:30:00-0530",
    "2026-11-20 13:00:00.0 +01:00",
    "2026-11-20 12:00:00 UTC",
    "20261120T120000Z",
    "1795176000",
    "1795176000.0",
    "1795176000000",
    "1795176000000000",
    "1795176000000000000",
)


@pytest.mark.parametrize("first", TIMES)
def test_a_time_is_iso_8601_in_utc_or_a_number_since_1970(tmp_path: Path, first: str) -> None:
    file = recording(
        tmp_path, [f"{first},GPU-a,50", "2026-11-20T12:01:00Z,GPU-a,50"], "timestamp,gpu_uuid,utilization_percent"
    )
    (gpu,) = judged(file, "--json")["gpus"]
    assert gpu["intervals"] == [{"start": "2026-11-20T12:00:00Z", "end": "2026-11-20T12:01:00Z", "state": "active"}]


def test_a_recording_without_attempts_is_judged_as_if_each_gpu_had_one(tmp_path: Path) -> None:
    rows = [row.rpartition(",")[0] for row in minutes((20, "90", "600"), (130, "0", "70"), (5, "90", "600"))]
    found = judged(recording(tmp_path, rows, HEADER.rpartition(",")[0]), "--json")
    ((attempt,), (gpu,)) = found["attempts"], found["gpus"]
    assert (found["names_attempts"], attempt["attempt"], gpu["attempts"]) == (False, None, [])
    assert attempt["stopped_at"] == gpu["stopped_at"] == ["2026-11-20T13:20:00Z"]
    assert found["returned_gpu_hours"] == round(69 / 60, 4)


def test_a_gpu_of_nobody_among_attempts_is_told_and_never_stopped(tmp_path: Path) -> None:
    rows = minutes((5, "90", "600"), (150, "0", "70"))
    free = [row.replace("GPU-a", "GPU-b").removesuffix("a-1") for row in rows]
    found = judged(recording(tmp_path, rows + free), "--json")
    assert [attempt["gpu_uuids"] for attempt in found["attempts"]] == [["GPU-a"]]
    assert [(gpu["gpu_uuid"], len(gpu["stopped_at"])) for gpu in found["gpus"]] == [("GPU-a", 1), ("GPU-b", 0)]


def test_nothing_but_times_and_gpus_is_unknown(tmp_path: Path) -> None:
    rows = ["2026-11-20T12:00:00Z,GPU-a", "2026-11-20T12:01:00Z,GPU-a"]
    found = judged(recording(tmp_path, rows, "timestamp,gpu_uuid"), "--json")
    assert found["gpus"][0]["seconds_by_state"]["unknown"] == 60.0
    assert found["attempts"][0]["stopped_at"] == []


def test_rest_beside_busy_cpus_is_waited_for_where_the_rule_says_so(tmp_path: Path) -> None:
    rows = [
        f"{row},{'2.5' if 40 <= place < 100 else ''}"
        for place, row in enumerate(minutes((5, "90", "600"), (195, "0", "70")))
    ]
    file = recording(tmp_path, rows, f"{HEADER},cpu_cores")
    text = POLICY.read_text()
    waiting = tmp_path / "waiting.yaml"
    waiting.write_text(text.replace("window_minutes: 60", "window_minutes: 60\n    cpu_busy_percent: 200", 1))
    assert waiting.read_text() != text

    def stopped(policy: Path) -> tuple[list[str], float]:
        command = ["gpu", "judge", "--samples", str(file), "--policy", str(policy), "--json"]
        (attempt,) = json.loads(CliRunner().invoke(app, command).stdout)["attempts"]
        return attempt["stopped_at"], attempt["cpu_wait_seconds"]

    (without,), waited = stopped(POLICY)
    assert waited == 0
    (with_wait,), waited = stopped(waiting)
    assert waited == 3_600
    moved = datetime.fromisoformat(with_wait) - datetime.fromisoformat(without)
    # The hour of waiting, and until the window holds enough rest again.
    assert timedelta(hours=1) <= moved <= timedelta(hours=1, minutes=30)


def test_what_a_gauge_alone_cannot_tell_is_reported_and_not_stopped(tmp_path: Path) -> None:
    """One reading alone saw it at work: others may have fallen between two."""
    file = recording(tmp_path, minutes((1, "0", "70"), (1, "90", "600"), (148, "0", "70")))
    (attempt,) = (found := judged(file, "--json"))["attempts"]
    assert (attempt["stopped_at"], attempt["returned_gpu_hours"], found["returned_gpu_hours"]) == ([], 0.0, 0.0)
    assert attempt["due_at"] == attempt["unproven_at"] == ["2026-11-20T13:10:00Z"]
    assert (len(attempt["warned_at"]), attempt["rested_gpu_hours"]) == (2, round(79 / 60, 4))
    command = ["gpu", "judge", "--samples", str(file), "--policy", str(POLICY)]
    assert "1 only reported: a gauge alone" in CliRunner().invoke(app, command).output


def test_people_read_a_table(tmp_path: Path) -> None:
    file = recording(tmp_path, minutes((20, "90", "600"), (130, "0", "70")))
    command = ["gpu", "judge", "--samples", str(file), "--policy", str(POLICY)]
    result = CliRunner().invoke(app, command)
    assert "Under the rule sandboxes, 1.2 GPU-hours would have come back." in result.output
    assert all(len(line) <= 80 for line in result.output.splitlines())


def test_either_a_file_or_a_prometheus_is_judged() -> None:
    result = CliRunner().invoke(app, ["gpu", "judge", "--policy", str(POLICY)])
    assert result.exit_code == 2
    assert "either --samples FILE or --prometheus URL" in result.output.replace("\n", " ").replace("  ", " ")


BAD: dict[str, tuple[list[str], str]] = {
    "no time": (["when,GPU-a,1,,,"], "timestamp: found 'when'"),
    "an empty time": ([",GPU-a,1,,,"], "timestamp: found nothing"),
    "no GPU": (["2026-11-20T12:00:00Z,,1,,,"], "gpu_uuid: found nothing"),
    "text for a figure": (["2026-11-20T12:00:00Z,GPU-a,busy,,,"], "utilization_percent: found 'busy'"),
    "negative": (["2026-11-20T12:00:00Z,GPU-a,-1,,,"], "utilization_percent: found '-1'"),
    "infinite": (["2026-11-20T12:00:00Z,GPU-a,1,inf,,"], "power_watts: found 'inf'"),
    "over 100 percent": (["2026-11-20T12:00:00Z,GPU-a,101,,,"], "utilization_percent: found '101'"),
    "half a process": (["2026-11-20T12:00:00Z,GPU-a,1,,0.5,"], "process_count: found '0.5'"),
    "a year of 0": (["0000-11-20T12:00:00Z,GPU-a,1,,,"], "timestamp: found '0000-11-20T12:00:00Z'"),
    "before 1970": (["1969-11-20T12:00:00Z,GPU-a,1,,,"], "timestamp: found '1969-11-20T12:00:00Z'"),
    "a line that is cut short": (["2026-11-20T12:00:00Z,GPU-a,1"], "power_watts: found no cell"),
    "too many cells": (["2026-11-20T12:00:00Z,GPU-a,1,2,3,a,b"], "found more cells than columns"),
}


@pytest.mark.parametrize(("rows", "message"), BAD.values(), ids=BAD)
def test_a_bad_cell_is_refused_with_its_line(tmp_path: Path, rows: list[str], message: str) -> None:
    file = recording(tmp_path, ["2026-11-20T11:00:00Z,GPU-a,1,,,", *rows])
    command = ["gpu", "judge", "--samples", str(file), "--policy", str(POLICY)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    told = result.output.replace("\n", "")
    assert "recording.csv:3" in told
    assert message in told


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column timestamp"),
        (b"timestamp,utilization_percent\n", "no column gpu_uuid"),
        (b"timestamp,gpu_uuid,gpu_uuid\n", "named twice"),
        (b"\xff\xfe\x00", "recording.csv:1: found no CSV in UTF-8"),
        (b"timestamp,gpu_uuid\n0,GPU-a\n15,GPU-\xff\n", "recording.csv:3: found no CSV in UTF-8"),
    ],
)
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "recording.csv"
    file.write_bytes(content)
    result = CliRunner().invoke(app, ["gpu", "judge", "--samples", str(file), "--policy", str(POLICY)])
    assert result.exit_code == 2
    assert "".join(message.split()) in "".join(result.output.split())


def test_a_rule_that_the_policy_has_not_is_refused_with_those_it_has(tmp_path: Path) -> None:
    file = recording(tmp_path, minutes((2, "0", "70")))
    command = ["gpu", "judge", "--samples", str(file), "--policy", str(POLICY), "--rule", "none"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert "sandboxes, jobs" in result.output.replace("\n", " ")


def test_the_other_rule_of_the_policy_can_be_tried(tmp_path: Path) -> None:
    file = recording(tmp_path, minutes((20, "90", "600"), (200, "2", "70")))
    found = judged(file, "--rule", "jobs", "--json")
    (attempt,) = found["attempts"]
    assert found["action"] == "report"
    assert (len(attempt["warned_at"]), len(attempt["due_at"]), attempt["stopped_at"]) == (2, 1, [])
    assert attempt["rested_gpu_hours"] > attempt["returned_gpu_hours"] == found["returned_gpu_hours"] == 0


@pytest.mark.parametrize("command", ["agents", "refused", "reclaims", "misuse", "faults"])
def test_what_the_platform_knows_of_its_sensing_is_listed(allot: Allot, command: str) -> None:
    assert allot("gpu", command, who="olga").code == 0
    listed = allot("gpu", command, "--json", who="olga").json
    assert (listed["items"], listed["next_cursor"]) == ([], None)
    assert allot("gpu", command, who="ada").code == 4


def test_what_a_table_leaves_out_is_said(allot: Allot, service: Service) -> None:
    at = to_instant(NOON)
    ends = []
    for nodes in (range(100), range(100, 101), range(101, 1_001)):
        with service.store.writing() as books:
            books.samples.refuse([RefusedSample(f"n{n}", "", "overlaps", 1, at, at) for n in nodes])
        ends.append(allot("gpu", "refused", who="olga").out.splitlines()[-1])
    assert ends[1:] == ["and 1 more, in --json", "These are the latest 100; --json has the latest 1,000."]
    assert ends[0].startswith("n")
    assert len(allot("gpu", "refused", "--json", who="olga").json["items"]) == 1_000


def test_what_was_due_names_the_work_and_its_owner_and_says_why_it_was_left_alone(
    allot: Allot, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = to_instant(NOON)
    due = ("w-8.1", "w-8", at, Instant(at - MS_PER_HOUR), MS_PER_HOUR, "suspend", True, "", 5_400_000, ())
    done = ReclaimView(*due, "notebook", "e-1", "Ada Moreau", came_back_ms=5_280_000)
    left = replace(
        done, workload_id="w-9", workload_name="ablation-of-the-learning-rate", is_taken=False, hindrance="no-home"
    )
    ended = replace(done, action="stop", owner_name="", came_back_ms=0, came_back=("12.50 EUR", "2.0 h of H100"))
    ending = replace(done, came_back_ms=None)
    told = replace(left, action="report", hindrance="report")
    monkeypatch.setattr(service.views, "reclaims", lambda *_, **__: (done, left, ended, told, ending))
    out = allot("gpu", "reclaims", who="olga").out
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "WHEN (UTC) WORKLOAD OWNER RESTED OUTCOME CAME BACK",
        "2026-11-20 12:00 notebook Ada Moreau 1 h suspended 1 h 28 min",
        "2026-11-20 12:00 ablation-of-the-le Ada Moreau 1 h left alone –",
        "arning-rate",
        "not suspended: it has neither a home nor a preStop hook",
        "2026-11-20 12:00 notebook e-1 1 h ended 0 s",
        "came back besides: 12.50 EUR, 2.0 h of H100",
        "2026-11-20 12:00 ablation-of-the-le Ada Moreau 1 h left alone –",
        "arning-rate",
        "the rule only reports",
        "2026-11-20 12:00 notebook Ada Moreau 1 h suspended ending",
    ]
    listed = allot("gpu", "reclaims", "--json", who="olga").json["items"]
    assert [(each["workload_id"], each["workload_name"]) for each in listed[:2]] == [
        ("w-8", "notebook"),
        ("w-9", "ablation-of-the-learning-rate"),
    ]
    assert (listed[0]["owner"], listed[0]["owner_name"]) == ("e-1", "Ada Moreau")


def test_a_gpu_that_broke_is_told_with_the_work_that_had_it(allot: Allot, service: Service) -> None:
    at = to_instant(NOON)
    with service.store.writing() as books:
        books.gpu_faults.note(
            [GpuFault(GpuUuid("GPU-7"), NodeName("n0"), 79, Instant(at - 15_000), at, None, is_judged=True)]
        )
    assert [" ".join(line.split()) for line in allot("gpu", "faults", who="olga").out.splitlines()] == [
        "UNTIL (UTC) NODE XID WHICH IS ITS WORK",
        "2026-11-20 12:00 n0 79 fallen off the bus none",
        "GPU-7",
    ]


def test_a_process_out_of_place_is_told_with_the_work_that_is_concerned(
    allot: Allot, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = to_instant(NOON)
    seen = MisuseView(
        *(MisuseKind.OTHER_POD, NodeName("n0"), GpuUuid("GPU-7"), 4242, 7, "python"),
        *(None, AttemptId("a-1"), AttemptId("a-2"), at, at, 3),
        work=WorkView("w-1", "train", "Ada"),
        holder_work=WorkView("w-2", "serve", ""),
    )
    found = Misuses((seen,), ())
    monkeypatch.setattr(service.views, "misuses", lambda *_, **__: found)
    assert allot("gpu", "misuse", who="olga").out.splitlines()[1:] == [
        "2026-11-20 12:00  n0    other-pod  python         3",
        "  GPU-7: of train (Ada), on a GPU given to serve, pid 4242",
    ]
    (item,) = allot("gpu", "misuse", "--json", who="olga").json["items"]
    assert (item["attempt_id"], item["holder"], item["work"]["workload_id"]) == ("a-1", "a-2", "w-1")


def test_misuse_is_unavailable_and_not_absent_where_no_agent_sees_processes(allot: Allot) -> None:
    nodes = ["node-0", "node-1", "node-2", "node-3"]
    assert allot("gpu", "misuse", "--json", who="olga").json["unavailable_on"] == nodes
    assert "Unavailable on 4 nodes" in allot("gpu", "misuse", who="olga").out


def test_where_every_gpu_hour_went_is_told_and_unexplained_is_none(allot: Allot, service: Service) -> None:
    now = service.clock.now()
    service.world.put_node(NodeName("n0"), Node(NodeName("n0"), None, 8, 1, 1))
    service.census.run(now)
    service.clock.at = Instant(now + MS_PER_HOUR)  # type: ignore[attr-defined]  # a clock that a test moves
    told = allot("gpu", "conservation", who="olga").out
    assert "unexplained: 0.0." in told
    assert all(len(line) <= 80 for line in told.splitlines())
    found = allot("gpu", "conservation", "--json", who="olga").json
    assert found["total"]["idle_ms"] == found["total"]["capacity_ms"] > 0
    assert [node["capacity_ms"] for node in found["nodes"] if node["node"] == "n0"] == [8 * MS_PER_HOUR]
    assert allot("gpu", "conservation", "--period", "2031-01", who="olga").code == 1
    assert allot("gpu", "conservation", who="ada").code == 4
    of_gpus = allot("gpu", "conservation", "--node", "n0", who="olga").out
    assert "not read" in of_gpus
    assert "unexplained: 0.0." in of_gpus
    assert allot("gpu", "conservation", "--node", "nowhere", who="olga").code != 0


def test_an_owner_keeps_a_workload_and_lets_it_go(allot: Allot) -> None:
    submitted = allot(
        "submit",
        "-p",
        "atlas",
        "-c",
        "H100",
        "-t",
        "8h",
        "--image",
        "registry.example.com/a:1",
        "--json",
        "--",
        "true",
        who="ada",
    ).json
    kept = allot("keep", submitted["id"], "--why", "a demo", "--for", "2d", "--json", who="ada").json
    assert (kept["why"], kept["expires_at"]) == ("a demo", "2026-11-22T12:00:00Z")
    assert (
        "Kept until 2026-11-20 20:00 UTC: a demo" in allot("keep", submitted["id"], "--why", "a demo", who="ada").out
    )
    assert allot("keep", submitted["id"], "--end", who="ada").code == 0
    assert allot("keep", submitted["id"], who="ada").code == 2
