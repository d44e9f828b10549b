"""The difference between two policies, in the words and units of the files."""

from dataclasses import fields, is_dataclass, replace

from scheduler.domain.brakes import StopRate
from scheduler.domain.cluster import GpuClass
from scheduler.domain.consolidation import ConsolidationTerms
from scheduler.domain.guards import GuardOf, GuardWindow, SpendGuard
from scheduler.domain.policy import Policy, Pool, PriorityClass, Project, Quota, SandboxTerms, Tier
from scheduler.domain.policy_changes import PolicyChange, diff_policies, policy_terms
from scheduler.domain.topology import LevelName, TopologyLevel
from scheduler.domain.units import (
    MS_PER_HOUR,
    GpuClassName,
    PerMille,
    PoolName,
    PriorityClassName,
    ProjectName,
    TeamName,
    TierName,
)
from scheduler.domain.workloads import HoldMode

GPU, STANDARD, SENIOR = GpuClassName("gpu"), PriorityClassName("standard"), TierName("senior")
POOL = Pool(PoolName("lab"), (TeamName("vision"),), {GPU: Quota(GPU, 8)})
POLICY = Policy(
    name="p",
    hash="0",
    gpu_classes={GPU: GpuClass(GPU, PerMille(1000))},
    priority_classes={STANDARD: PriorityClass(STANDARD, 500, hold=HoldMode.ROLLING)},
    tiers={SENIOR: Tier(SENIOR, 400 * 3_600_000)},
    pools={PoolName("lab"): POOL},
)


def test_a_policy_does_not_differ_from_itself_under_another_name() -> None:
    assert diff_policies(POLICY, replace(POLICY, name="q", hash="1")) == ()


def test_a_lower_allowance_is_shown_in_hours_with_whom_it_concerns() -> None:
    new = replace(POLICY, tiers={SENIOR: Tier(SENIOR, 300 * 3_600_000)})
    assert diff_policies(POLICY, new) == (
        PolicyChange("tiers.senior.allowance_gpu_hours", 400, 300, "engineers of tier senior"),
    )


def test_a_new_project_is_a_change_from_nothing() -> None:
    atlas = ProjectName("atlas")
    new = replace(POLICY, projects={atlas: Project(atlas, TeamName("vision"), allowance=2 * 3_600_000)})
    assert diff_policies(POLICY, new) == (
        PolicyChange("projects.atlas.allowance_gpu_hours", None, 2, "work for atlas"),
        PolicyChange("projects.atlas.importance_per_mille", None, 1000, "work for atlas"),
        PolicyChange("projects.atlas.team", None, "vision", "work for atlas"),
    )
    assert next((c.path, c.before, c.after) for c in diff_policies(new, POLICY)) == (
        "projects.atlas.allowance_gpu_hours",
        2,
        None,
    )


def test_a_team_that_joins_a_pool_concerns_those_before_and_after() -> None:
    new = replace(POLICY, pools={POOL.name: replace(POOL, teams=(TeamName("vision"), TeamName("speech")))})
    assert diff_policies(POLICY, new) == (
        PolicyChange("pools.lab.teams", "vision", "speech, vision", "team vision and teams speech, vision"),
    )


def test_a_limit_that_is_lifted_reads_as_a_word() -> None:
    new = replace(POLICY, idle_rate=StopRate(None))
    assert [(change.path, change.before, change.after) for change in diff_policies(POLICY, new)] == [
        ("stop_rates.idle.floor_gpus", 8, None),
        ("stop_rates.idle.rate", "limited", "unlimited"),
        ("stop_rates.idle.share_per_mille", 50, None),
    ]


def test_what_a_policy_leaves_open_reads_as_words_and_what_it_says_as_its_files_do() -> None:
    guards = (
        SpendGuard("day", GuardOf.ENGINEER, GuardWindow.DAY, soft=5 * MS_PER_HOUR),
        SpendGuard("hour", GuardOf.TEAM, GuardWindow.HOUR, hard=9 * MS_PER_HOUR),
    )
    shell = SandboxTerms(default_image="lab:1", default_command=("jupyter", "lab"))
    rack = TopologyLevel(LevelName("rack"), "example.com/rack")
    moved = ConsolidationTerms(frozenset({STANDARD}))
    spoken = replace(POLICY, spend_guards=guards, sandbox=shell, topology=(rack,), consolidation=moved)
    open_terms, said = policy_terms(POLICY), policy_terms(spoken)

    assert {path: (open_terms.get(path), said[path]) for path in said if open_terms.get(path) != said[path]} == {
        "spend_guards": ("none", "day, hour"),
        "spend_guards.day.of": (None, "engineer"),
        "spend_guards.day.window": (None, "day"),
        "spend_guards.day.soft_gpu_hours": (None, 5),
        "spend_guards.day.hard_gpu_hours": (None, "no limit"),
        "spend_guards.hour.of": (None, "team"),
        "spend_guards.hour.window": (None, "hour"),
        "spend_guards.hour.soft_gpu_hours": (None, "no warning"),
        "spend_guards.hour.hard_gpu_hours": (None, 9),
        "sandbox.default_image": ("none", "lab:1"),
        "sandbox.default_command": ("the image's own", "jupyter lab"),
        "topology": ("none", "rack"),
        "topology.rack": (None, "example.com/rack"),
        "consolidation.priority_classes": ("none", "standard"),
    }


def test_a_name_with_dots_keeps_its_path() -> None:
    dotted = TierName("senior.staff")
    new = replace(POLICY, tiers={**POLICY.tiers, dotted: Tier(dotted, 3_600_000)})
    changes = {change.path: change.affects for change in diff_policies(POLICY, new)}
    assert changes["tiers.senior.staff.allowance_gpu_hours"] == "engineers of tier senior.staff"


def test_every_term_of_the_domain_is_compared() -> None:
    # A term that is added to the domain and not to the comparison would change silently.
    named = ("name",)  # the key of the mapping
    parts: tuple[tuple[str, object, frozenset[str]], ...] = (
        ("gpu_classes.gpu.", POLICY.gpu_classes[GPU], frozenset(named)),
        ("priority_classes.standard.", POLICY.priority_classes[STANDARD], frozenset(named)),
        ("tiers.senior.", POLICY.tiers[SENIOR], frozenset({"name", "beside"})),  # by unit: see test_raising
        ("pools.lab.", POOL, frozenset({"name", "quotas"})),
        ("pools.lab.quotas.gpu.", POOL.quotas[GPU], frozenset({"gpu_class"})),
        ("limits.", POLICY.limits, frozenset()),
        ("sandbox.", POLICY.sandbox, frozenset()),
    )
    terms = policy_terms(POLICY)
    for prefix, part, not_terms in parts:
        assert is_dataclass(part)
        own = [path for path in terms if path.startswith(prefix) and "." not in path.removeprefix(prefix)]
        assert len(own) == len(fields(part)) - len(not_terms), prefix
