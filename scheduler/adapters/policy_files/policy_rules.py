"""What must hold between the keys of a policy file, beyond the kind of each."""

from collections.abc import Iterable, Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from scheduler.adapters.policy_files import idle_keys, stop_keys
from scheduler.adapters.policy_files import policy_keys as keys
from scheduler.adapters.policy_files.allowance_keys import CAP, TIER_ALLOWANCES
from scheduler.adapters.policy_files.award_keys import ROLLOVER, ROLLOVER_CAP
from scheduler.adapters.policy_files.cohort_keys import COHORTS, check_cohorts
from scheduler.adapters.policy_files.document import quoted
from scheduler.adapters.policy_files.guard_keys import check_guard, check_off_peak
from scheduler.adapters.policy_files.kinds import Reading, did_you_mean
from scheduler.adapters.policy_files.pool_keys import POOLS, TEAMS, check_pool, check_teams
from scheduler.adapters.policy_files.sections import Record
from scheduler.adapters.policy_files.topology_keys import check_levels
from scheduler.domain.allowances import Purpose
from scheduler.domain.policy import image_is_allowed
from scheduler.domain.rollover import RolloverRule
from scheduler.domain.workloads import HoldMode


def check_rules(policy: Record, reading: Reading) -> None:
    """Add a problem for each rule that is broken. Keys that could not be read are left out of the rules."""
    _check_references(policy, reading)
    _check_time_zone(policy, reading)
    _check_gpu_classes(policy.find(keys.GPU_CLASSES) or {}, reading)
    for priority_class in (policy.find(keys.PRIORITY_CLASSES) or {}).values():
        _check_slice(priority_class, reading)
        starts = priority_class.find(keys.STARTS)
        if starts is not None:
            check_off_peak(starts, reading)
        _check_minimum_runtime(priority_class, reading)
    for tier in (policy.find(keys.TIERS) or {}).values():
        _check_rollover(tier, reading)
    pools = policy.find(POOLS) or {}
    check_teams(pools, reading)
    for pool in pools.values():
        check_pool(pool, reading)
    check_cohorts(policy.find(COHORTS) or {}, reading)
    for guard in (policy.find(keys.SPEND_GUARDS) or {}).values():
        check_guard(guard, reading)
    check_levels(policy, reading)
    _check_projects(policy.find(keys.PROJECTS) or {}, reading)
    _check_sandbox(policy, reading)
    for rule in (policy.find(keys.IDLE_RULES) or {}).values():
        _check_warnings(rule, reading)
    rates = policy.find(keys.RATES)
    if rates is not None:
        _check_rates(rates, reading)


def _check_projects(projects: Mapping[str, Record], reading: Reading) -> None:
    """Who submits with `personal` submits for no project: one of that name could not be asked for, nor its hours used."""
    personal = projects.get(Purpose.PERSONAL)
    if personal is not None:
        seen = "the name of work that is for no project"
        reading.refuse(personal.mark, f"projects.{Purpose.PERSONAL}", seen, "another name")


def _check_references(policy: Record, reading: Reading) -> None:
    pools = policy.find(POOLS) or {}
    # A name is known once it stands in its section, though its own keys may have problems.
    known: dict[str, list[str]] = {
        "gpu_classes": list(policy.find(keys.GPU_CLASSES) or {}),
        "priority_classes": list(policy.find(keys.PRIORITY_CLASSES) or {}),
        "cohorts": list(policy.find(COHORTS) or {}),
        "teams": [team for pool in pools.values() for team in pool.find(TEAMS) or ()],
    }
    for reference in reading.references:
        names = known[reference.target]
        if reference.name not in names:
            seen = f"the unknown name {quoted(reference.name)}{did_you_mean(reference.name, names)}"
            reading.refuse(reference.mark, reference.path, seen, f"{reference.expected}: {_listed(names)}")


def _listed(names: Iterable[str]) -> str:
    shown = sorted(set(names))
    return ", ".join(shown[:12]) + (", …" if len(shown) > 12 else "") if shown else "none is defined"


def _check_time_zone(policy: Record, reading: Reading) -> None:
    zone = policy.find(keys.TIME_ZONE)
    if zone is None:
        return
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        expected = "a zone of the IANA time zone database, such as Europe/Berlin"
        reading.refuse(policy.mark_of(keys.TIME_ZONE), keys.TIME_ZONE.key, quoted(zone), expected)


def _check_gpu_classes(classes: Mapping[str, Record], reading: Reading) -> None:
    """A GPU has one class: no class may select all nodes of another for the same resource."""
    for name, record in classes.items():
        selector = record.find(keys.NODE_SELECTOR)
        resource = record.find(keys.RESOURCE)
        if selector is None:
            continue
        for other_name, other in classes.items():
            other_selector = other.find(keys.NODE_SELECTOR)
            if other_name == name or other_selector is None or other.find(keys.RESOURCE) != resource:
                continue
            is_twin = selector == other_selector
            if selector.items() <= other_selector.items() and not (is_twin and other.mark < record.mark):
                reading.refuse(
                    record.mark_of(keys.NODE_SELECTOR),
                    f"{record.path}.node_selector",
                    f"a selector that also takes every node of {other_name}",
                    "selectors that tell the classes of one resource apart",
                )


def _check_slice(priority_class: Record, reading: Reading) -> None:
    if priority_class.gives(keys.SLICE) and priority_class.find(keys.HOLD) is HoldMode.FULL:
        reading.refuse(
            priority_class.mark_of(keys.SLICE),
            f"{priority_class.path}.slice_minutes",
            "a slice where the whole time limit is held",
            "hold: rolling beside it, or no slice",
        )


def _check_minimum_runtime(priority_class: Record, reading: Reading) -> None:
    """One minimum runtime in one unit: of two that differ nobody could say which is meant."""
    if priority_class.gives(keys.MINIMUM_RUNTIME) and priority_class.gives(keys.MINIMUM_RUNTIME_SECONDS):
        reading.refuse(
            priority_class.mark_of(keys.MINIMUM_RUNTIME_SECONDS),
            f"{priority_class.path}.{keys.MINIMUM_RUNTIME_SECONDS.key}",
            f"a minimum runtime beside {keys.MINIMUM_RUNTIME.key}",
            "one of the two",
        )


def _check_rollover(tier: Record, reading: Reading) -> None:
    if tier.find(ROLLOVER) is RolloverRule.CAPPED and tier.find(ROLLOVER_CAP) is None:
        reading.refuse(
            tier.mark_of(ROLLOVER),
            f"{tier.path}.rollover",
            "a capped rollover without a cap",
            "rollover_cap_gpu_hours beside it",
        )
    for unit, granted in (tier.find(TIER_ALLOWANCES) or {}).items():
        if tier.find(ROLLOVER) is RolloverRule.CAPPED and not granted.gives(CAP):
            reading.refuse(
                granted.mark,
                f"{tier.path}.allowances.{unit}",
                "a capped rollover without a cap",
                "rollover_cap beside its amount",
            )


def _check_sandbox(policy: Record, reading: Reading) -> None:
    sandbox = policy.find(keys.SANDBOX_TERMS)
    if sandbox is None:
        return
    images = sandbox.find(keys.SANDBOX_IMAGES) or policy.find(keys.IMAGES) or ()
    image = sandbox.find(keys.DEFAULT_IMAGE)
    if image is not None and (image.endswith("*") or not image_is_allowed(image, images)):
        reading.refuse(
            sandbox.mark_of(keys.DEFAULT_IMAGE),
            f"{sandbox.path}.default_image",
            quoted(image),
            f"one image that the list allows: {_listed(images)}",
        )


def _check_warnings(rule: Record, reading: Reading) -> None:
    warnings, window = rule.find(idle_keys.WARN_AT), rule.find(idle_keys.WINDOW)
    if not warnings or window is None:
        return
    if list(warnings) != sorted(warnings) or warnings[-1] >= window:
        reading.refuse(
            rule.mark_of(idle_keys.WARN_AT),
            f"{rule.path}.warn_at_minutes",
            " and ".join(map(str, warnings)),
            f"two, in order, both before the window's end at {window}",
        )


def _check_rates(rates: Record, reading: Reading) -> None:
    for field in (stop_keys.PREEMPT_RATE, stop_keys.EXHAUSTION_RATE, stop_keys.IDLE_RATE):
        rate = rates.find(field)
        if rate is None or rate.find(stop_keys.RATE) is not stop_keys.Stops.UNLIMITED:
            continue
        for bound in (stop_keys.SHARE, stop_keys.FLOOR):
            if rate.gives(bound):
                reading.refuse(
                    rate.mark_of(bound),
                    f"{rate.path}.{bound.key}",
                    "a bound beside rate: unlimited",
                    "one or the other",
                )
