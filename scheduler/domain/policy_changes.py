"""What differs between two policies, in the words and units of the files, and whom it concerns. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scheduler.domain.awards import PeriodGrant
from scheduler.domain.bookings import BookingTerms
from scheduler.domain.brakes import StopRate
from scheduler.domain.burning import BurnTerms
from scheduler.domain.cluster import GpuClass
from scheduler.domain.consolidation import ConsolidationTerms
from scheduler.domain.guards import SpendGuard
from scheduler.domain.idleness import IdleRule, IdleThresholds, Retention
from scheduler.domain.policy import CoverageRule, OffPeak, Policy, Pool, PriorityClass, Project, Quota, Tier
from scheduler.domain.quantities import unit_label, whole
from scheduler.domain.retries import RetryRule
from scheduler.domain.rollover import Rollover, RolloverRule
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE, MS_PER_SECOND
from scheduler.domain.workloads import HoldMode

Term = int | bool | str
Terms = dict[str, Term]


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One key whose meaning differs. `path` is that of the file, and the values are in the key's unit.

    None is a key of an entry that is not there before or after. `affects` says whom it concerns, as a phrase.
    """

    path: str
    before: Term | None
    after: Term | None
    affects: str


def diff_policies(old: Policy, new: Policy) -> tuple[PolicyChange, ...]:
    """Every difference in meaning, by path; a default that is now written out is none. Equal policies have none."""
    before, after = policy_terms(old), policy_terms(new)
    affected_before, affected_after = _affected(old), _affected(new)
    return tuple(
        PolicyChange(
            path,
            before.get(path),
            after.get(path),
            " and ".join(sorted({known[path] for known in (affected_before, affected_after) if path in known})),
        )
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    )


def policy_terms(policy: Policy) -> Terms:
    """Everything that a policy says, flat: the file's path of each key, and its value in the key's unit."""
    return {f"{prefix}{key}": term for prefix, _, terms in _sections(policy) for key, term in terms.items()}


def _affected(policy: Policy) -> dict[str, str]:
    return {f"{prefix}{key}": affects for prefix, affects, terms in _sections(policy) for key in terms}


def _sections(policy: Policy) -> Iterator[tuple[str, str, Terms]]:
    """Each part of a policy: the path that its keys begin with, whom it concerns, and its keys."""
    yield "", "every allowance", {"period": policy.period.value, "time_zone": policy.time_zone}
    yield "", "everybody", {"images": _listed(policy.images)}
    yield "", "work that names no priority class", {"default_priority_class": policy.default_priority_class or "none"}
    for gpu_class in policy.gpu_classes.values():
        yield f"gpu_classes.{gpu_class.name}.", f"work that starts on {gpu_class.name}", _gpu_class(gpu_class)
    for priority_class in policy.priority_classes.values():
        name = priority_class.name
        yield f"priority_classes.{name}.", f"work that starts in {name}", _priority_class(priority_class)
    for tier in policy.tiers.values():
        yield f"tiers.{tier.name}.", f"engineers of tier {tier.name}", _tier(tier)
    for pool in policy.pools.values():
        affects = f"{'team' if len(pool.teams) == 1 else 'teams'} {_listed(pool.teams)}"
        yield f"pools.{pool.name}.", affects, _pool(pool)
        for quota in pool.quotas.values():
            yield f"pools.{pool.name}.quotas.{quota.gpu_class}.", affects, _quota(quota)
    yield from _cohorts(policy)
    yield from _topology(policy)
    for project in policy.projects.values():
        yield f"projects.{project.name}.", f"work for {project.name}", _project(project)
    yield "", "projects without an allowance of their own", {"project_gpu_hours": policy.project_hours // MS_PER_HOUR}
    half_life_hours = policy.fair_share.half_life_ms // MS_PER_HOUR
    yield "fair_share.", "pools that order by fair share", {"half_life_hours": half_life_hours}
    yield "bookings.", "bookings that are made from now on", _bookings(policy.bookings)
    yield "consolidation.", "running work that may be moved for a gang", _consolidation(policy.consolidation)
    yield "limits.", "everybody", _limits(policy)
    yield "sandbox.", "sandboxes that start", _sandbox(policy)
    for loop, rate in (
        ("preempt", policy.preempt_rate),
        ("exhaustion", policy.exhaustion_rate),
        ("idle", policy.idle_rate),
    ):
        yield f"stop_rates.{loop}.", f"the loop {loop}", _rate(rate)
    yield "", "everybody", {"idle_rules": ", ".join(rule.name for rule in policy.idle_rules) or "none"}
    for rule in policy.idle_rules:
        affects = f"work that the idle rule {rule.name} covers"
        yield f"idle_rules.{rule.name}.", affects, _idle_rule(rule)
        yield f"idle_rules.{rule.name}.thresholds.", affects, _thresholds(rule.thresholds)
    yield "", "everybody", {"spend_guards": ", ".join(guard.name for guard in policy.spend_guards) or "none"}
    for guard in policy.spend_guards:
        yield f"spend_guards.{guard.name}.", f"each {guard.of.value}", _spend_guard(guard)
    yield "burn.", "who is told of use", _burn(policy.burn)
    yield "", "jobs that fail", {"retry_rules": ", ".join(rule.name for rule in policy.retry_rules) or "none"}
    for retry in policy.retry_rules:
        yield f"retry_rules.{retry.name}.", f"jobs that the retry rule {retry.name} covers", _retry_rule(retry)
    yield "retention.", "readings of GPUs", _retention(policy.retention)
    excused = policy.misuse
    names: Terms = {
        "allowed_processes": _listed(excused.allowed_processes),
        "allowed_in_pods": _listed(excused.allowed_in_pods),
    }
    yield "misuse.", "processes of nobody's on GPUs", names
    rules = policy.approvals
    terms: Terms = {key: getattr(rules, key).value for key in ("grants", "policy", "prices", "access")}
    yield "approvals.", "who grants, who applies policies and prices, and who gives roles", terms
    yield "coverage.", "grants and policies that promise hours", _coverage(policy.coverage)


def _cohorts(policy: Policy) -> Iterator[tuple[str, str, Terms]]:
    """Of their quotas what is given: a cohort without an entry is without limits, too."""
    for cohort in policy.cohorts.values():
        pools = _listed(pool.name for pool in policy.pools.values() if pool.cohort == cohort.name)
        affects = f"its pools: {pools or 'none'}"
        yield f"cohorts.{cohort.name}.", affects, {"parent": cohort.parent or "none"}
        for quota in cohort.quotas.values():
            limits: Terms = {key: term for key, term in _quota(quota).items() if isinstance(term, int)}
            yield f"cohorts.{cohort.name}.quotas.{quota.gpu_class}.", affects, limits


def _topology(policy: Policy) -> Iterator[tuple[str, str, Terms]]:
    levels = {level.name: level.label for level in policy.topology}
    yield "", "gangs that ask for a level of the topology", {"topology": ", ".join(levels) or "none"}
    for level, label in levels.items():
        yield "topology.", f"gangs that ask for one {level}", {level: label}


def _gpu_class(item: GpuClass) -> Terms:
    return {
        "weight_per_mille": item.weight,
        "node_selector": ", ".join(f"{key}={value}" for key, value in sorted(item.node_selector)) or "every node",
        "resource": item.resource,
        "tolerates": ", ".join(sorted(item.tolerates)) or "none",
    }


def _priority_class(item: PriorityClass) -> Terms:
    return {
        "value": item.value,
        "class_factor_per_mille": item.class_factor,
        "hold": item.hold.value,
        **({"slice_minutes": item.slice_ms // MS_PER_MINUTE} if item.hold is HoldMode.ROLLING else {}),
        "minimum_runtime_seconds": item.minimum_runtime_ms // MS_PER_SECOND,
        "preemption_delay_seconds": item.preemption_delay_ms // MS_PER_SECOND,
        "preemptible": item.is_preemptible,
        "at_exhaustion": item.at_exhaustion.value,
        "may_start_unfunded": item.may_start_unfunded,
        "grace_max_seconds": item.grace_seconds_max,
        "refund_cap_minutes": item.refund_cap_ms // MS_PER_MINUTE,
        **_off_peak(item.off_peak),
        "kinds": "any" if item.kinds is None else _listed(item.kinds),
    }


def _off_peak(item: OffPeak | None) -> Terms:
    if item is None:
        return {"off_peak": "starts at any time"}
    return {
        "off_peak.from_hour": "none" if item.from_hour is None else item.from_hour,
        "off_peak.until_hour": "none" if item.until_hour is None else item.until_hour,
        "off_peak.weekends": item.includes_weekends,
        "off_peak.free_per_mille": "no other time" if item.free is None else item.free,
    }


def _tier(item: Tier) -> Terms:
    return {
        "allowance_gpu_hours": item.allowance // MS_PER_HOUR,
        "gpu_classes": "any" if item.gpu_classes is None else _listed(item.gpu_classes),
        "priority_classes": "any" if item.priority_classes is None else _listed(item.priority_classes),
        "gpus_max": _or_no_limit(item.gpus_max),
        "time_limit_max_hours": "no limit of its own"
        if item.time_limit_max_ms is None
        else item.time_limit_max_ms // MS_PER_HOUR,
        "overdraft_gpu_hours": item.overdraft // MS_PER_HOUR,
        **_rollover(item.rollover),
        "may_transfer": item.may_transfer,
        "may_donate": item.may_donate,
        **_beside(item.beside),
    }


def _rollover(item: Rollover | None) -> Terms:
    if item is None:
        return {"rollover": RolloverRule.NONE.value}
    keep: Terms = {"rollover_keep_per_mille": item.keep} if item.rule is RolloverRule.DECAYING else {}
    cap = "no cap" if item.cap is None else item.cap // MS_PER_HOUR
    return {"rollover": item.rule.value, "rollover_cap_gpu_hours": cap, **keep}


def _pool(item: Pool) -> Terms:
    return {
        "teams": _listed(item.teams),
        "cohort": item.cohort or "none",
        "order": item.order.value,
        "ageing_hours": item.ageing_ms // MS_PER_HOUR,
        "ageing_per_engineer": item.ageing_per_engineer,
        "within_pool": item.within_pool.value,
        "reclaim_within_cohort": item.reclaim_within_cohort.value,
        "borrow_within_cohort": item.borrow_within_cohort.value,
        "borrow_threshold": "any lower one" if item.borrow_threshold is None else item.borrow_threshold,
    }


def _quota(item: Quota) -> Terms:
    return {
        "nominal_gpus": item.nominal,
        "borrowing_limit_gpus": _or_no_limit(item.borrowing_limit),
        "lending_limit_gpus": _or_no_limit(item.lending_limit),
    }


def _project(item: Project) -> Terms:
    return {
        "team": item.team,
        "importance_per_mille": item.importance,
        "allowance_gpu_hours": item.allowance // MS_PER_HOUR,
        **_beside(item.beside),
    }


def _beside(items: Iterable[PeriodGrant]) -> Terms:
    """What is granted in other units, as the file counts it."""
    terms: Terms = {}
    for item in items:
        path = f"allowances.{unit_label(item.unit)}"
        terms[f"{path}.amount"] = item.amount // whole(item.unit)
        if item.rollover_cap is not None:
            terms[f"{path}.rollover_cap"] = item.rollover_cap // whole(item.unit)
    return terms


def _limits(policy: Policy) -> Terms:
    limits = policy.limits
    return {
        "gpus_per_engineer": _or_no_limit(limits.gpus_per_engineer),
        "gpus_per_team": _or_no_limit(limits.gpus_per_team),
        "gpus_per_workload": limits.gpus_per_workload,
        "time_limit_max_hours": limits.time_limit_max_ms // MS_PER_HOUR,
        "start_timeout_minutes": limits.start_timeout_ms // MS_PER_MINUTE,
        "queued_per_engineer": limits.queued_per_engineer,
        "unfunded_gpus_per_engineer": limits.unfunded_gpus_per_engineer,
        "runtime_max_hours": "no limit" if limits.runtime_max_ms is None else limits.runtime_max_ms // MS_PER_HOUR,
        "protected_gpu_hours_per_day": (
            "no limit" if limits.protected_per_day is None else limits.protected_per_day // MS_PER_HOUR
        ),
        "confirm_weekend_per_mille": "nothing" if limits.confirm_weekend is None else limits.confirm_weekend,
    }


def _sandbox(policy: Policy) -> Terms:
    sandbox = policy.sandbox
    return {
        "images": _listed(sandbox.images),
        "default_image": sandbox.default_image or "none",
        "default_command": " ".join(sandbox.default_command) or "the image's own",
        "home_gib": sandbox.home_gib,
        "port": sandbox.port,
        "extensions_max": sandbox.extensions_max,
    }


def _rate(rate: StopRate) -> Terms:
    if rate.share is None:
        return {"rate": "unlimited"}
    return {"rate": "limited", "share_per_mille": rate.share, "floor_gpus": rate.floor}


def _idle_rule(rule: IdleRule) -> Terms:
    terms = rule.policy
    return {
        "kinds": "any" if rule.kinds is None else _listed(rule.kinds),
        "priority_classes": "any" if rule.priority_classes is None else _listed(rule.priority_classes),
        "window_minutes": terms.window_ms // MS_PER_MINUTE,
        "warn_at_minutes": " and ".join(str(at // MS_PER_MINUTE) for at in terms.warn_at_ms),
        "lead_minutes": terms.lead_ms // MS_PER_MINUTE,
        "startup_minutes": terms.startup_ms // MS_PER_MINUTE,
        "coverage_per_mille": terms.coverage_permille,
        "keep_alives_max": terms.keep_alives_max,
        "action": terms.action.value,
        "dry_run": terms.is_dry_run,
        "acts_without_checkpoint": terms.acts_without_checkpoint,
        "cpu_busy_percent": "never" if terms.cpu_busy_millicores is None else terms.cpu_busy_millicores // 10,
        "cpu_wait_minutes_max": terms.cpu_wait_ms_max // MS_PER_MINUTE,
    }


def _spend_guard(guard: SpendGuard) -> Terms:
    return {
        "of": guard.of.value,
        "window": guard.window.value,
        "soft_gpu_hours": "no warning" if guard.soft is None else guard.soft // MS_PER_HOUR,
        "hard_gpu_hours": "no limit" if guard.hard is None else guard.hard // MS_PER_HOUR,
    }


def _retry_rule(rule: RetryRule) -> Terms:
    return {
        "exit_codes": "any" if rule.exit_codes is None else ", ".join(map(str, sorted(rule.exit_codes))),
        "ends": _listed(rule.ends),
        "retries_max": rule.retries_max,
        "first_wait_seconds": rule.first_wait_ms // MS_PER_SECOND,
        "longest_wait_seconds": rule.longest_wait_ms // MS_PER_SECOND,
        "jitter_per_mille": rule.jitter,
    }


def _thresholds(thresholds: IdleThresholds) -> Terms:
    return {
        "idle_percent": thresholds.percent,
        "power_per_mille": thresholds.power_permille,
        "power_watts": thresholds.power_milliwatts // 1_000,
        "baseline_watts_max": thresholds.baseline_milliwatts_max // 1_000,
        "hung_percent": thresholds.hung_percent,
        "coverage_per_mille": thresholds.coverage_permille,
    }


def _bookings(terms: BookingTerms) -> Terms:
    return {
        "horizon_days": terms.horizon_ms // MS_PER_DAY,
        "late_cancel_hours": terms.late_ms // MS_PER_HOUR,
        "late_cancel_percent": terms.late_cost // 10,
    }


def _burn(terms: BurnTerms) -> Terms:
    return {
        "jump_percent": terms.jump_factor // 10,
        "jump_gpu_hours": terms.jump_floor // MS_PER_HOUR,
        "warn_days": terms.warn_ms // MS_PER_DAY,
    }


def _consolidation(terms: ConsolidationTerms) -> Terms:
    return {
        "priority_classes": _listed(terms.priority_classes) or "none",
        "lost_max_gpu_minutes": terms.lost_max // MS_PER_MINUTE,
        "moves_max": terms.moves_max,
    }


def _retention(retention: Retention) -> Terms:
    return {"windows_days": retention.windows_ms // MS_PER_DAY, "hours_days": retention.hours_ms // MS_PER_DAY}


def _coverage(rule: CoverageRule) -> Terms:
    return {"ratio_max_per_mille": _or_no_limit(rule.ratio_max), "availability_per_mille": rule.availability}


def _or_no_limit(limit: int | None) -> Term:
    return "no limit" if limit is None else limit


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
