"""`allot gpu judge` on GPUs that idle above what the rule learns as idle power."""

from pathlib import Path

from typer.testing import CliRunner

from scheduler.entrypoints.cli.app import app
from tests.entrypoints.cli.test_gpu import POLICY, judged, minutes, recording


def test_gpus_that_idle_above_what_the_rule_learns_are_named_and_not_passed_over_in_silence(tmp_path: Path) -> None:
    file = recording(tmp_path, minutes((20, "90", "600"), (130, "0", "171.5")))
    (gpu,) = judged(file, "--json")["gpus"]
    assert (gpu["idle_watts"], gpu["unlearned_idle_watts"], gpu["stopped_at"]) == (None, 171.5, [])
    command = ["gpu", "judge", "--samples", str(file), "--policy"]
    said = " ".join(CliRunner().invoke(app, [*command, str(POLICY)]).output.split())
    assert "1 GPU is never idle by this rule: 171 W or more without use" in said
    assert "above its baseline_watts_max (160 W). Raise it if that is rest. GPU-a" in said
    raised = tmp_path / "raised.yaml"
    text = POLICY.read_text()
    raised.write_text(
        text.replace("    dry_run: false\n", "    dry_run: false\n    thresholds: {baseline_watts_max: 200}\n", 1)
    )
    output = CliRunner().invoke(app, [*command, str(raised)]).output
    assert "never idle" not in output
    assert "2026-11-20 13:" in output


def test_a_gpu_at_work_below_full_use_is_not_said_to_idle_high(tmp_path: Path) -> None:
    (gpu,) = judged(recording(tmp_path, minutes((60, "40", "300"), (2, "0", "200"), (60, "40", "300"))), "--json")[
        "gpus"
    ]
    assert (gpu["idle_watts"], gpu["unlearned_idle_watts"]) == (None, None)
