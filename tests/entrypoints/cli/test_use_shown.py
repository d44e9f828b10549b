"""What `allot explain` shows of the use of GPUs."""

from typing import Any

import pytest

from scheduler.entrypoints.cli.use_shown import show_use

CURVE = [
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


def shown(capsys: pytest.CaptureFixture[str], **found: Any) -> str:
    show_use({"usage": [], "curve": [], "idle": None, **found})
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines())
    return out


def test_the_curve_has_a_column_a_point_and_a_hole_where_nothing_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, curve=CURVE)
    assert "busy   █·▁  of 100 %" in out
    assert "power  █·▂  of 600 W" in out
    assert "state  a?i" in out


def test_the_clock_says_when_the_action_is_due(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, idle=IDLE)
    assert "Idle rule sandboxes: suspend (a dry run)" in out
    assert "It has rested for 1 of 30 minutes" in out
    assert "Its CPUs were busy for 7 min of that: the clock waited (120 at most)." in out
    assert "the action is due at" in out
    assert "It does not rest." in shown(capsys, idle={**IDLE, "since": None})


def test_use_says_of_what_the_mean_is_and_what_is_advised(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, usage=[USAGE])
    for said in ("sm-activity", "42 %", "33 %", "20 GiB", "2160", "67 %", "2 of its 8 GPUs were never used."):
        assert said in out


def test_where_nothing_was_read_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys) == ""
