"""What of a changed policy gives somebody more, key by key; and whom it concerns."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scheduler.adapters.policy_files import read_policy
from scheduler.domain.policy import Policy
from scheduler.domain.raising import raised_for, raises

TEXT = (Path(__file__).parents[1] / "entrypoints/company.yaml").read_text(encoding="utf-8")
Edit = Callable[[str], str]


def read(text: str) -> Policy:
    return read_policy(text, "policy.yaml")


def swap(old: str, new: str) -> Edit:
    assert old in TEXT, old
    return lambda text: text.replace(old, new, 1)


_TEN = "    minimum_runtime_minutes: 10 "
RAISING: dict[str, Edit] = {
    "tiers.senior.allowance_gpu_hours": swap("allowance_gpu_hours: 2500", "allowance_gpu_hours: 2600"),
    "tiers.senior.gpus_max": swap("    gpus_max: 128\n", ""),
    "tiers.intern.gpu_classes": swap("gpu_classes: [A100, L40S]", "gpu_classes: [A100, L40S, H100]"),
    "tiers.engineer.priority_classes": swap("    priority_classes: [urgent, sandbox, standard, off-peak]\n", ""),
    "gpu_classes.A100.weight_per_mille": swap("weight_per_mille: 600", "weight_per_mille: 700"),
    "tiers.senior.time_limit_max_hours": swap("time_limit_max_hours: 72", "time_limit_max_hours: 73"),
    "priority_classes.standard.minimum_runtime_seconds": swap(_TEN, "    minimum_runtime_seconds: 601 "),
    "priority_classes.standard.preemptible": swap(_TEN, f"    preemptible: false\n{_TEN}"),
}


@pytest.mark.parametrize("path", RAISING)
def test_what_gives_more_is_found_and_its_reverse_is_not(path: str) -> None:
    before, after = read(TEXT), read(RAISING[path](TEXT))
    assert [change.path for change in raises(before, after)] == [path]
    assert raises(after, before) == ()


@pytest.mark.parametrize(
    "edit",
    [
        swap("allowance_gpu_hours: 2500", "allowance_gpu_hours: 2400"),
        lambda text: text + "\nretention: {windows_days: 3}\n",
        lambda text: text + "\n# a comment\n",
        lambda text: text + "\napprovals: {grants: two-persons}\n",
    ],
    ids=["less", "retention", "comment", "stricter"],
)
def test_what_gives_nobody_more_raises_nothing(edit: Edit) -> None:
    assert raises(read(TEXT), read(edit(TEXT))) == ()


def test_loosening_who_approves_and_how_much_is_promised_is_raising() -> None:
    strict = TEXT + "\napprovals: {policy: two-persons}\ncoverage: {ratio_max_per_mille: 1000}\n"
    loose = TEXT + "\ncoverage: {ratio_max_per_mille: 1100}\n"
    assert [change.path for change in raises(read(strict), read(loose))] == [
        "approvals.policy",
        "coverage.ratio_max_per_mille",
    ]
    assert [change.path for change in raises(read(strict), read(TEXT))][-1] == "coverage.ratio_max_per_mille"


def test_a_raise_concerns_the_tier_the_team_s_pool_and_its_projects() -> None:
    old = read(TEXT)
    for edit, tier, team in (
        (swap("allowance_gpu_hours: 2500", "allowance_gpu_hours: 2600"), "senior", "evals"),
        (swap("allowance_gpu_hours: 4000", "allowance_gpu_hours: 4100"), "staff", "research"),
    ):
        new = read(edit(TEXT))
        changes = raises(old, new)
        assert raised_for(changes, tier=tier, team=team, old=old, new=new)
        assert not raised_for(changes, tier="intern", team="apps", old=old, new=new)
