"""What `allot explain` shows of the use of GPUs."""

from typing import Any

import pytest

from scheduler.entrypoints.cli.use_shown import show_use

CURVE: list[dict[str, Any]] = [
    {
        "start": "2026-11-20T12:00:00Z",
        "end": "2026-11-20T12:01:00Z",
        "state": "active",
        "percent_max": 100,
        "milliwatts": 600_000,
    },
    {
        "start": "2026-11-20T12:01:00Z",
        "end": "2026-11-20T12:02:00Z",
        "state": "unknown",
        "percent_max": None,
        "milliwatts": None,
    },
    {
        "start": "2026-11-20T12:02:00Z",
        "end": "2026-11-20T12:03:00Z",
        "state": "idle-held",
        "percent_max": 0,
        "milliwatts": 75_000,
    },
]
IDLE = {
    "rule": "sandboxes",
    "action": "suspend",
    "is_dry_run": True,
    "window_ms": 1_800_000,
    "since": "2026-11-20T12:02:00Z",
    "rested_ms": 60_000,
    "due_at": "2026-11-20T12:32:00Z",
    "cpu_waited_ms": 420_000,
    "cpu_wait_ms_max": 7_200_000,
    "keep_alives_left": 2,
    "exemption": None,
    "served_at": None,
    "decisions": [],
}
RESTED = {**CURVE[2], "start": "2026-11-20T11:00:00Z", "end": "2026-11-20T11:30:00Z", "milliwatts": 150_000}
DECISION = {
    "at": "2026-11-20T11:30:00Z",
    "since": "2026-11-20T11:00:00Z",
    "rested_ms": 1_800_000,
    "action": "suspend",
    "is_taken": False,
    "hindrance": "dry-run",
    "curve": [RESTED],
}
USAGE = {
    "number": 1,
    "measure": "sm-activity",
    "mean_permille": 421,
    "percent_max": 100,
    "idle_permille": 333,
    "memory_bytes_max": 20 << 30,
    "joules_per_active_gpu_hour": 2_160_000,
    "covered_permille": 666,
    "advice": [{"kind": "unused-gpus", "sentence": "2 of its 8 GPUs were never used.", "evidence": {}}],
}


def shown(capsys: pytest.CaptureFixture[str], state: str = "running", **found: Any) -> str:
    show_use({"workload": {"state": state}, "usage": [], "curve": [], "idle": None, **found})
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines())
    return out


def test_the_curve_has_a_column_a_point_and_a_hole_where_nothing_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, curve=CURVE)
    assert "busy   █·▁  of 100 %" in out
    assert "power  █·▂  of 600 W" in out
    assert "state  a?i" in out


def test_a_long_curve_has_sixty_columns_that_hide_no_work(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, curve=CURVE * 40)
    assert f"busy   {'██▁' * 20}  of 100 %" in out
    assert f"power  {'·█·' * 20}  of 337 W" in out
    assert f"state  {'aa?' * 20}" in out


def test_the_clock_says_when_the_action_is_due(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, idle=IDLE)
    assert "Idle rule sandboxes: suspend (a dry run)" in out
    assert "It has rested for 1 of 30 minutes" in out
    assert "Its CPUs were busy for 7 min of that: the clock waited (120 at most)." in out
    assert "the action is due at" in out
    assert "`allot extend` sets its clock back, 2 times more." in out
    assert "It does not rest now." in shown(capsys, idle={**IDLE, "since": None})


def test_what_waits_is_told_of_no_rule_that_nothing_came_of(capsys: pytest.CaptureFixture[str]) -> None:
    resting = {**IDLE, "since": None}
    assert shown(capsys, "queued", idle=resting) == ""
    assert "left alone after 30 min" in shown(capsys, "queued", idle={**resting, "decisions": [DECISION]})


@pytest.mark.parametrize(
    ("decided", "said"),
    [
        ([DECISION], "It was left alone: the rule is a dry run."),
        ([{**DECISION, "is_taken": True, "hindrance": ""}], "It is being suspended."),
        ([{**DECISION, "since": "2026-11-19T11:00:00Z"}], "Nothing was done about it yet."),
        ([], "Nothing was done about it yet."),
    ],
    ids=["left alone", "taken", "decided on another rest", "put off"],
)
def test_a_rest_longer_than_its_rule_asks_for_says_what_became_of_it(
    capsys: pytest.CaptureFixture[str], decided: list[dict[str, Any]], said: str
) -> None:
    rest = {"since": DECISION["since"], "rested_ms": 87 * 60_000, "due_at": None}
    out = shown(capsys, idle={**IDLE, **rest, "decisions": decided})
    assert "It has rested for 87 minutes, since 2026-11-20 11:00 UTC: all 30 of its rule." in out
    assert said in out
    assert "of 30 minutes" not in out


def test_who_keeps_it_and_what_it_served_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    kept = {"by": "Ada Moreau", "why": "the demo is tomorrow", "expires_at": "2026-11-21T12:00:00Z"}
    out = shown(capsys, idle={**IDLE, "since": None, "exemption": kept, "served_at": "2026-11-20T12:03:00Z"})
    assert "Ada Moreau keeps it until 2026-11-21 12:00 UTC: the demo is tomorrow" in out
    assert "It served a request by 2026-11-20 12:03 UTC, which set its clock back." in out


@pytest.mark.parametrize("curve", [CURVE, []], ids=["readings of another time", "no readings any more"])
def test_a_decision_is_shown_with_the_readings_that_it_rests_on_whatever_else_is_kept(
    capsys: pytest.CaptureFixture[str], curve: list[dict[str, Any]]
) -> None:
    out = shown(capsys, curve=curve, idle={**IDLE, "decisions": [DECISION]})
    assert "2026-11-20 11:30 UTC: left alone after 30 min of rest: the rule is a dry run" in out
    assert "From 2026-11-20 11:00 to 2026-11-20 11:30 UTC" in out
    assert "power  █  of 150 W" in out


def test_readings_that_are_shown_already_are_not_shown_twice(capsys: pytest.CaptureFixture[str]) -> None:
    whole = [RESTED, *CURVE]
    out = shown(capsys, curve=whole, idle={**IDLE, "decisions": [DECISION]})
    assert out.count("power") == 1


def test_use_says_of_what_the_mean_is_and_what_is_advised(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, usage=[USAGE])
    for said in (
        "sm-activity",
        "42 %",
        "33 %",
        "20 GiB",
        "KWH/USEFUL GPU-H",
        "0.60",
        "67 %",
        "2 of its 8 GPUs were never used.",
    ):
        assert said in out


def test_where_nothing_was_read_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys) == ""
