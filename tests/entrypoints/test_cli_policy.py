"""`allot policy` offline: what it prints, and the exit codes that scripts rely on."""

import json
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from scheduler.entrypoints.cli.policy import app
from scheduler.entrypoints.cli.prices import app as prices

POLICIES = Path(__file__).parents[2] / "policies"


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    file = tmp_path / "broken.yaml"
    file.write_text((POLICIES / "small.yaml").read_text().replace("nominal_gpus: 8", "nominal_gpus: -8"))
    return file


def test_check_says_what_a_policy_holds() -> None:
    result = CliRunner().invoke(app, ["check", str(POLICIES / "small.yaml")])
    assert result.exit_code == 0
    assert "small.yaml: a policy (GPU classes: 1, priority classes: 1, tiers: 1, pools: 1, projects: 0; sha256" in (
        result.output
    )


def test_check_prints_each_problem_with_its_place_and_exits_with_1(broken: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(broken)])
    assert result.exit_code == 1
    assert result.output.splitlines()[0] == (
        f'{broken}:23:27: pools.everyone.quotas.gpu.nominal_gpus: found "-8"; '
        "expected a whole number from 0 to 16384 (GPUs)"
    )


@pytest.mark.parametrize(
    ("command", "file", "told"),
    [
        (app, "prices.yaml", "a price book, and not a policy; it is for `allot prices check`"),
        (app, "people.yaml", "a people directory, and not a policy; it is for `allot people apply`"),
        (prices, "small.yaml", "a policy, and not a price book; it is for `allot policy check`"),
    ],
)
def test_another_of_our_files_is_told_for_what_it_is_and_not_by_all_that_it_is_not(
    command: Typer, file: str, told: str
) -> None:
    result = CliRunner().invoke(command, ["check", str(POLICIES / file)])
    assert (result.exit_code, result.output) == (1, f"{POLICIES / file}: {told}\n")


def test_check_answers_programs_with_one_object(broken: Path) -> None:
    result = CliRunner().invoke(app, ["check", "--json", str(broken)])
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert (answer["ok"], answer["hash"], answer["problems"][0]["line"]) == (False, None, 23)


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["check", str(tmp_path / "none.yaml")]).exit_code == 2


def test_diff_shows_keys_values_and_whom_they_concern() -> None:
    files = [str(POLICIES / "conservative.yaml"), str(POLICIES / "generous.yaml")]
    table = CliRunner().invoke(app, ["diff", *files])
    assert table.exit_code == 0
    lines = table.output.splitlines()
    place = next(place for place, line in enumerate(lines) if "tiers.intern.allowance_gpu_hours" in line)
    assert lines[place].split() == ["tiers.intern.allowance_gpu_hours", "30", "200"]
    assert lines[place + 1].strip() == "engineers of tier intern"
    assert max(map(len, lines)) <= 80
    changes = json.loads(CliRunner().invoke(app, ["diff", "--json", *files]).stdout)["changes"]
    assert {
        "path": "priority_classes.standard.hold",
        "before": "full",
        "after": "rolling",
        "affects": "work that starts in standard",
    } in changes


def test_diff_of_a_file_with_itself_is_no_change() -> None:
    file = str(POLICIES / "example.yaml")
    result = CliRunner().invoke(app, ["diff", file, file])
    assert (result.exit_code, result.output) == (0, "The two policies mean the same.\n")


def test_diff_with_a_file_that_is_no_policy_exits_with_1(broken: Path) -> None:
    small = str(POLICIES / "small.yaml")
    assert CliRunner().invoke(app, ["diff", small, str(broken)]).exit_code == 1
    answer = json.loads(CliRunner().invoke(app, ["diff", "--json", small, str(broken)]).stdout)
    assert [side["ok"] for side in answer.values()] == [True, False]


def test_keys_prints_the_reference() -> None:
    assert "| `weight_per_mille` |" in CliRunner().invoke(app, ["keys"]).output
    assert "| `subject` |" in CliRunner().invoke(app, ["keys", "--people"]).output
    assert "| `weight_per_mille` |" in json.loads(CliRunner().invoke(app, ["keys", "--json"]).stdout)["markdown"]
