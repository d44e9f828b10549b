"""What of a changed policy gives somebody more: hours, GPUs, priority, rights, or another price. Pure.

Judged key by key over the differences in meaning, and project by project over what each is granted: who is left more
because another weighs less gains as well. What only takes away, and what gives nobody anything (idle rules, retention,
retries), raises nothing. A test names every key that is not judged.
"""

from collections.abc import Callable

from scheduler.domain.policy import Policy
from scheduler.domain.policy_changes import PolicyChange, Term, diff_policies
from scheduler.domain.units import MS_PER_HOUR

_Judge = Callable[[Term | None, Term | None], bool]


def raises(old: Policy, new: Policy) -> tuple[PolicyChange, ...]:
    """The differences that raise an allowance, a price or a right, or loosen who must approve."""
    found = tuple(change for change in diff_policies(old, new) if _raises(change))
    return (*found, *_larger_shares(old, new))


def _larger_shares(old: Policy, new: Policy) -> tuple[PolicyChange, ...]:
    """The projects that are granted more of `project_gpu_hours`, where no key of their own says so."""
    before, after = old.project_shares, new.project_shares
    return tuple(
        PolicyChange(
            f"projects.{name}.share_gpu_hours",
            before.get(name, 0) // MS_PER_HOUR,
            after[name] // MS_PER_HOUR,
            f"work for {name}",
        )
        for name in sorted(after)
        if new.projects[name].allowance == 0 and after[name] > before.get(name, 0)
    )


def raised_for(changes: tuple[PolicyChange, ...], *, tier: str, team: str, old: Policy, new: Policy) -> bool:
    """Whether any of these raises something of this tier, or of this team's pool or projects in particular."""
    own = {f"tiers.{tier}."}
    for policy in (old, new):
        own |= {f"pools.{pool.name}." for pool in policy.pools.values() if team in pool.teams}
        own |= {f"projects.{project.name}." for project in policy.projects.values() if project.team == team}
    return any(change.path.startswith(tuple(own)) for change in changes)


def _raises(change: PolicyChange) -> bool:
    if change.path.startswith("approvals."):
        return change.after == "one-person"
    if change.path.startswith(("idle_rules.", "retention.", "retry_rules.", "stop_rates.")):
        return False
    key = change.path.rpartition(".")[2]
    judge = (_OF_COHORTS if change.path.startswith("cohorts.") else _JUDGES).get(key)
    return judge is not None and judge(change.before, change.after)


def _is_more(before: Term | None, after: Term | None) -> bool:
    """Of an amount: an entry that is not there gives nothing."""
    return _amount(after) > _amount(before)


def _is_looser(before: Term | None, after: Term | None) -> bool:
    """Of a bound: one that is not there does not bind."""
    return _bound(after) > _bound(before)


def _caps_less(before: Term | None, after: Term | None) -> bool:
    """Of a rollover's cap: where neither side had a rollover it caps nothing; without a cap all goes on."""
    return before is not None and after is not None and _bound(after) > _bound(before)


def _is_wider(before: Term | None, after: Term | None) -> bool:
    """Of a list of names, where `any` is all of them."""
    if before == "any" or after is None:
        return False
    return after == "any" or not _names(after) <= _names(before)


def _differs(before: Term | None, after: Term | None) -> bool:
    return before != after


def _becomes(wanted: Term) -> _Judge:
    return lambda before, after: after == wanted and before != wanted


def _is_other(before: Term | None, after: Term | None) -> bool:
    """Of what is there before and after: whatever it becomes, somebody's hours buy more by it, or something else."""
    return None not in {before, after} and before != after


def _is_dearer_or_cheaper(before: Term | None, after: Term | None) -> bool:
    """Of a weight: more of it is a dearer price, and less of it lets every hour that was granted buy more."""
    return after is not None and before != after


def _joins(before: Term | None, after: Term | None) -> bool:
    """Of a cohort: who is in one may borrow from it."""
    return after not in {before, None, "none"}


def _amount(term: Term | None) -> float:
    if term is None:
        return 0
    return term if isinstance(term, int) else float("inf")  # in words: without a limit


def _bound(term: Term | None) -> float:
    return term if isinstance(term, int) else float("inf")


def _names(term: Term | None) -> set[str]:
    return set() if term is None else {name.strip() for name in str(term).split(",")}


_JUDGES: dict[str, _Judge] = {
    **dict.fromkeys(
        (
            "allowance_gpu_hours",
            "amount",
            "project_gpu_hours",
            "rollover_keep_per_mille",
            "overdraft_gpu_hours",
            "gpus_max",
            "nominal_gpus",
            "borrowing_limit_gpus",
            "importance_per_mille",
            "value",
            "refund_cap_minutes",
            "minimum_runtime_seconds",
            "extensions_max",
            "availability_per_mille",
            "horizon_days",
        ),
        _is_more,
    ),
    **dict.fromkeys(
        (
            "time_limit_max_hours",
            "gpus_per_engineer",
            "gpus_per_team",
            "gpus_per_workload",
            "unfunded_gpus_per_engineer",
            "runtime_max_hours",
            "protected_gpu_hours_per_day",
            "queued_per_engineer",
            "soft_gpu_hours",
            "hard_gpu_hours",
            "ratio_max_per_mille",
            "confirm_weekend_per_mille",
        ),
        _is_looser,
    ),
    **dict.fromkeys(("gpu_classes", "priority_classes", "kinds", "images", "teams"), _is_wider),
    **dict.fromkeys(
        ("period", "within_pool", "reclaim_within_cohort", "borrow_within_cohort", "preemption_delay_seconds"),
        _differs,
    ),
    **dict.fromkeys(("weight_per_mille", "class_factor_per_mille"), _is_dearer_or_cheaper),
    **dict.fromkeys(
        (
            "time_zone",  # of the periods, and of what vests
            "node_selector",
            "resource",
            "tolerates",
            "team",  # whose a project's hours are to spend
            "of",
            "window",  # of a spend guard
            "from_hour",
            "until_hour",
            "weekends",
            "free_per_mille",
            "lending_limit_gpus",
            "late_cancel_hours",
            "late_cancel_percent",
        ),
        _is_other,
    ),
    **dict.fromkeys(("cohort", "parent"), _joins),
    "off_peak": _becomes("starts at any time"),  # a change of the hours themselves is judged by its keys
    "at_exhaustion": _becomes("unfunded"),
    **dict.fromkeys(("rollover_cap", "rollover_cap_gpu_hours"), _caps_less),
    "rollover": lambda before, after: after not in {before, "none"},
    **dict.fromkeys(("may_start_unfunded", "may_transfer", "may_donate"), _becomes(True)),
    "preemptible": _becomes(False),
}
_OF_COHORTS: dict[str, _Judge] = {
    **{key: _JUDGES[key] for key in ("parent", "nominal_gpus")},
    "borrowing_limit_gpus": _is_looser,  # a limit that is not there does not bind
    "lending_limit_gpus": lambda before, after: (
        before != after
    ),  # less is its members' own, more is others' to borrow
}
