"""What of a changed policy gives somebody more, key by key; and whom it concerns."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scheduler.adapters.policy_files import read_policy
from scheduler.domain.policy import Policy
from scheduler.domain.policy_changes import policy_terms
from scheduler.domain.raising import _JUDGES, raised_for, raises

TEXT = (Path(__file__).parents[1] / "entrypoints/company.yaml").read_text(encoding="utf-8")
EXAMPLES = Path(__file__).parents[2] / "policies"
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
    "tiers.senior.time_limit_max_hours": swap("time_limit_max_hours: 72", "time_limit_max_hours: 73"),
    "priority_classes.standard.minimum_runtime_seconds": swap(_TEN, "    minimum_runtime_seconds: 601 "),
    "priority_classes.standard.preemptible": swap(_TEN, f"    preemptible: false\n{_TEN}"),
    "priority_classes.sandbox.at_exhaustion": swap("at_exhaustion: stop", "at_exhaustion: unfunded"),
    "cohorts.company.parent": swap("  company: {}", "  company: {parent: group}\n  group: {}"),
    "cohorts.company.quotas.H100.nominal_gpus": swap(
        "  company: {}", "  company: {quotas: {H100: {nominal_gpus: 8}}}"
    ),
    "bookings.horizon_days": swap("\nlimits:\n", "\nbookings: {horizon_days: 360}\nlimits:\n"),
}
EITHER_WAY: dict[str, Edit] = {
    "gpu_classes.A100.weight_per_mille": swap("weight_per_mille: 600", "weight_per_mille: 700"),
    "priority_classes.urgent.class_factor_per_mille": swap("factor_per_mille: 1500", "factor_per_mille: 1400"),
    "projects.atlas.team": swap("    team: research\n    importance", "    team: evals\n    importance"),
    "time_zone": swap("time_zone: Europe/Berlin", "time_zone: UTC"),
    "gpu_classes.A100.node_selector": swap("NVIDIA-A100-SXM4-80GB", "NVIDIA-B200"),
    "gpu_classes.A100.tolerates": swap("weight_per_mille: 600", "weight_per_mille: 600\n    tolerates: [sku]"),
    "gpu_classes.A100.resource": swap(
        "weight_per_mille: 600", "weight_per_mille: 600\n    resource: example.com/gpu"
    ),
    "pools.apps.quotas.H100.lending_limit_gpus": swap("lending_limit_gpus: 16", "lending_limit_gpus: 8"),
    "bookings.late_cancel_percent": swap("\nlimits:\n", "\nbookings: {late_cancel_percent: 7}\nlimits:\n"),
    "bookings.late_cancel_hours": swap("\nlimits:\n", "\nbookings: {late_cancel_hours: 7}\nlimits:\n"),
}


@pytest.mark.parametrize(
    ("limit", "is_found"), [("borrowing_limit_gpus", (False, True)), ("lending_limit_gpus", (True, True))]
)
def test_a_limit_of_a_cohort_binds_until_it_is_gone(limit: str, is_found: tuple[bool, bool]) -> None:
    """What it may borrow is less with one; what it lends is others' without one, and its members' own with one."""
    inside = "  company: {parent: group%s}\n  group: {}"
    free = read(TEXT.replace("  company: {}", inside % "", 1))
    bound = read(TEXT.replace("  company: {}", inside % f", quotas: {{H100: {{{limit}: 8}}}}", 1))
    path = f"cohorts.company.quotas.H100.{limit}"
    found = tuple([change.path for change in raises(*each)] == [path] for each in ((free, bound), (bound, free)))
    assert found == is_found


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
        lambda text: text.replace("grants: one-person", "grants: two-persons"),
    ],
    ids=["less", "retention", "comment", "stricter"],
)
def test_what_gives_nobody_more_raises_nothing(edit: Edit) -> None:
    assert raises(read(TEXT), read(edit(TEXT))) == ()


def test_loosening_who_approves_and_how_much_is_promised_is_raising() -> None:
    strict = TEXT.replace("policy: one-person", "policy: two-persons") + "\ncoverage: {ratio_max_per_mille: 1000}\n"
    loose = TEXT + "\ncoverage: {ratio_max_per_mille: 1100}\n"
    assert [change.path for change in raises(read(strict), read(loose))] == [
        "approvals.policy",
        "coverage.ratio_max_per_mille",
    ]
    assert [change.path for change in raises(read(strict), read(TEXT))][-1] == "coverage.ratio_max_per_mille"


def test_to_say_that_one_person_is_enough_is_raising_where_nothing_was_said() -> None:
    (line,) = (line for line in TEXT.splitlines() if line.startswith("approvals: "))
    silent = read(TEXT.replace(line, ""))
    assert [change.path for change in raises(silent, read(TEXT))] == [
        f"approvals.{key}" for key in ("access", "grants", "policy", "prices")
    ]
    assert raises(silent, read(TEXT.replace(line, line.replace("one-person", "two-persons")))) == ()


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


@pytest.mark.parametrize("path", EITHER_WAY)
def test_what_lets_hours_buy_more_or_cost_more_is_raising_either_way(path: str) -> None:
    before, after = read(TEXT), read(EITHER_WAY[path](TEXT))
    assert [change.path for change in raises(before, after)] == [path]
    assert [change.path for change in raises(after, before)] == [path]


GUARD = "\nspend_guards:\n  day: {of: engineer, window: day, hard_gpu_hours: 100}\n"
GUARDED = TEXT.replace("\nlimits:\n", f"{GUARD}\nlimits:\n  confirm_weekend_per_mille: 500\n")
_UNFUNDED = "    may_start_unfunded: true\n"
NIGHT = GUARDED.replace(_UNFUNDED, f"{_UNFUNDED}    off_peak: {{from_hour: 20, until_hour: 6}}\n")


def test_a_guard_or_a_time_of_day_that_binds_no_more_is_raising() -> None:
    for before, after, paths in (
        (
            GUARDED,
            GUARDED.replace("per_mille: 500\n  gpus", "per_mille: 900\n  gpus"),
            ["limits.confirm_weekend_per_mille"],
        ),
        (GUARDED, GUARDED.replace("window: day", "window: hour"), ["spend_guards.day.window"]),
        (GUARDED, GUARDED.replace("of: engineer", "of: team"), ["spend_guards.day.of"]),
        (GUARDED, GUARDED.replace(GUARD, ""), ["spend_guards.day.hard_gpu_hours"]),
        (NIGHT, GUARDED, ["priority_classes.off-peak.off_peak"]),
        (NIGHT, NIGHT.replace("from_hour: 20", "from_hour: 18"), ["priority_classes.off-peak.off_peak.from_hour"]),
        (GUARDED, NIGHT, []),
        (TEXT, GUARDED, []),
    ):
        assert after != before
        assert [change.path for change in raises(read(before), read(after))] == paths


def test_a_project_that_is_left_more_because_another_weighs_less_is_raised() -> None:
    shared = TEXT.replace("\nlimits:\n", "\nproject_gpu_hours: 1000\nlimits:\n")
    shared = shared.replace(
        "    importance_per_mille: 1500\n    allowance_gpu_hours: 4000\n", "    importance_per_mille: 3000\n"
    )
    lighter = shared.replace("importance_per_mille: 3000", "importance_per_mille: 1000")
    old, new = read(shared), read(lighter)
    (change,) = raises(old, new)
    assert (change.path, change.before, change.after) == ("projects.meridian.share_gpu_hours", 250, 500)
    assert raised_for((change,), tier="staff", team="research", old=old, new=new)
    assert not raised_for((change,), tier="staff", team="apps", old=old, new=new)
    gone = read(shared.replace("  atlas:\n    team: research\n    importance_per_mille: 3000\n", ""))
    assert [change.path for change in raises(old, gone)] == ["projects.meridian.share_gpu_hours"]


UNJUDGED = {
    "orders and brakes": {
        "ageing_hours",
        "ageing_per_engineer",
        "borrow_threshold",
        "default_priority_class",
        "order",
        "half_life_hours",
    },
    "what a start takes": {"hold", "slice_minutes", "grace_max_seconds", "start_timeout_minutes", "topology"},
    "sandboxes": {"default_command", "default_image", "home_gib", "port"},
    "moves": {"lost_max_gpu_minutes", "moves_max"},
    "words, and who is told": {"jump_gpu_hours", "jump_percent", "warn_days", "allowed_processes", "allowed_in_pods"},
    "names of what has keys of its own": {"idle_rules", "retry_rules", "spend_guards"},
    "judged by their part of the file": {
        "access",
        "grants",
        "policy",
        "prices",
        "rate",
        "share_per_mille",
        "floor_gpus",
        "hours_days",
        "windows_days",
    },
}


def test_every_key_of_a_policy_is_judged_or_known_to_give_nobody_more() -> None:
    examples = [NIGHT, *(path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.yaml")))]
    keys = {
        path.rpartition(".")[2]
        for text in examples
        if "gpu_classes:" in text and "priority_classes:" in text
        for path in policy_terms(read(text))
        if not path.startswith(("idle_rules.", "retry_rules.", "topology."))
    }
    assert len(keys) > 60
    assert keys - _JUDGES.keys() - set().union(*UNJUDGED.values()) == set()
