"""What may become of a world of `manifold.py` from one cycle to the next: time passes, up to an hour that the clock has
twice or leaves out; nodes fall ill, go, come back with other GPUs and labels; work starts, ends, comes and is let go on;
allowances are granted, spent and frozen, and expire; GPUs are booked and given back; and policy changes under all of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from scheduler.decision.decide import decide
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.brakes import Brake, Pause, Stop
from scheduler.domain.cluster import Taint
from scheduler.domain.guards import GuardWindow, PastSpend, window_at
from scheduler.domain.policy import Policy, Pool
from scheduler.domain.units import (
    MS_PER_HOUR,
    MS_PER_MINUTE,
    EngineerId,
    Instant,
    NodeName,
    PerMille,
    PoolName,
    StandardGpuMs,
    TeamName,
    TierName,
)
from scheduler.domain.usage import DecayedUse
from scheduler.domain.workloads import Workload
from tests.decision.ailing import all_start, an_attempt_goes_on, what_stops_has_ended
from tests.decision.applying import recorded
from tests.decision.manifold import (
    ZONES,
    booked,
    classes_of,
    cohorts_of,
    guards_of,
    labels,
    limits_of,
    manifold,
    nodes_of,
    pools_of,
    waiting_of,
)
from tests.decision.pay import balance_of, prices
from tests.decision.worlds import OWNERS, TEAMS, TOPOLOGY, mostly

FIELDS = ("nodes", "queued", "attempts", "launched", "balances", "reservations", "tiers", "usage", "spent")
PASSES = (1, 1_000, 30_000, 5 * MS_PER_MINUTE, 11 * MS_PER_MINUTE, MS_PER_HOUR, 3 * MS_PER_HOUR)


@st.composite
def changed(draw: st.DrawFn, *, waiting: int = 6, running: int = 6) -> Snapshot:
    """A world in which plans were recorded, and much has happened since, one to three times."""
    world = draw(manifold(waiting=waiting, running=running))
    for number in range(draw(st.integers(1, 3))):
        world = draw(a_cycle_on(recorded(world, decide(world)), number))
    return world


@st.composite
def a_cycle_on(draw: st.DrawFn, world: Snapshot, number: int) -> Snapshot:
    """The world after one to four things have happened to it."""
    for each in range(draw(st.integers(1, 4))):
        happens: Callable[..., Snapshot] = draw(st.sampled_from(_EVENTS))
        world = happens(draw, world, f"{number}{each}")
    return world


def told_between(before: Snapshot, after: Snapshot) -> Changes:
    """What is another, and nothing else."""
    changed: dict[str, Any] = {}
    for name in FIELDS:
        old, new = getattr(before, name), getattr(after, name)
        changed[name] = {key: new.get(key) for key in {**old, **new} if old.get(key) != new.get(key)}
    for name in ("policy", "prices", "pauses", "stops"):
        changed[name] = getattr(after, name) if getattr(after, name) != getattr(before, name) else None
    return Changes(**changed)


def _time_passes(draw: st.DrawFn, world: Snapshot, _: str) -> Snapshot:
    return replace(world, now=Instant(world.now + draw(st.sampled_from(PASSES))))


# --- nodes -----------------------------------------------------------------------------------------------------------


def _a_node_changes(draw: st.DrawFn, world: Snapshot, _: str) -> Snapshot:
    """It goes or comes, is laid out anew with other instances, falls ill, loses GPUs, or is moved to another rack."""
    name = NodeName(draw(st.sampled_from([*sorted(world.nodes), "n9"])))
    known = dict(world.nodes)
    old = known.pop(name, None)
    kind = draw(st.sampled_from(["gone", "anew", "health", "gpus", "rack"]))
    if old is None or kind == "anew":
        return replace(world, nodes={**known, name: draw(nodes_of(name))})
    if kind == "gone":
        return replace(world, nodes=known)
    if kind == "health":
        taints = (Taint("broken", "", "NoSchedule"),) if old.accepts_work else ()
        return replace(world, nodes={**known, name: replace(old, accepts_work=not old.accepts_work, taints=taints)})
    if kind == "gpus":
        return replace(world, nodes={**known, name: replace(old, gpus=draw(st.sampled_from([old.gpus - 1, 8])))})
    return replace(world, nodes={**known, name: replace(old, labels=draw(labels()))})


# --- work and bookings -----------------------------------------------------------------------------------------------


def _somebody_comes(draw: st.DrawFn, world: Snapshot, number: str) -> Snapshot:
    made = draw(waiting_of(f"w9{number}", now=world.now))
    return replace(world, queued={**world.queued, made.id: made})


def _somebody_goes(draw: st.DrawFn, world: Snapshot, _: str) -> Snapshot:
    waiting = sorted(world.queued.keys() - world.reservations.keys())
    return replace(world, queued=_without(world.queued, draw(st.sampled_from(waiting)))) if waiting else world


def _what_they_follow_is_over(_: st.DrawFn, world: Snapshot, __: str) -> Snapshot:
    """As the service takes them out: from then on they wait."""

    def let_go(each: Workload) -> Workload:
        since = Instant(max(world.now, each.waits_since))
        return replace(each, spec=replace(each.spec, after=()), eligible_at=since) if each.spec.after else each

    return replace(world, queued={key: let_go(each) for key, each in world.queued.items()})


def _gpus_are_booked(draw: st.DrawFn, world: Snapshot, number: str) -> Snapshot:
    made = draw(booked(f"bk9{number}", dict(world.nodes), list(world.attempts.values()), now=world.now))
    return replace(world, attempts={**world.attempts, **{each.id: each for each in made if each.is_booking}})


def _a_booking_changes(draw: st.DrawFn, world: Snapshot, _: str) -> Snapshot:
    """It is given back, or is over an hour sooner."""
    names = sorted(key for key, each in world.attempts.items() if each.is_booking)
    if not names:
        return world
    name = draw(st.sampled_from(names))
    shorter = replace(world.attempts[name], time_limit_ms=max(1, world.attempts[name].time_limit_ms - MS_PER_HOUR))
    attempts = draw(st.sampled_from([_without(world.attempts, name), {**world.attempts, name: shorter}]))
    return replace(world, attempts=attempts)


# --- hours -----------------------------------------------------------------------------------------------------------


def _hours_change(draw: st.DrawFn, world: Snapshot, number: str) -> Snapshot:
    """An allowance is granted, gone, frozen or unfrozen, or something is spent of it or given back."""
    balances = dict(world.balances)
    name = draw(st.sampled_from([*sorted(balances), None]))
    if name is None:
        made = draw(balance_of(HolderKind.ENGINEER, draw(st.sampled_from(OWNERS)), int(number) + 100, now=world.now))
        return replace(world, balances={**balances, made.allowance.id: made})
    known = balances[name]
    kind = draw(st.sampled_from(["gone", "frozen", "spent", "spent", "given back"]))
    if kind == "gone":
        return replace(world, balances=_without(balances, name))
    if kind == "frozen":
        changed = replace(known, is_frozen=not known.is_frozen)
    else:
        changed = replace(known, available=known.available // 2 if kind == "spent" else known.allowance.amount)
    return replace(world, balances={**balances, name: changed})


def _prices_change(draw: st.DrawFn, world: Snapshot, _: str) -> Snapshot:
    found = draw(prices())
    return replace(world, prices=found) if found is not None else world


def _use_is_counted(draw: st.DrawFn, world: Snapshot, _: str) -> Snapshot:
    """What ended of late weighs in the order, and in the windows of guards."""
    owner, team = draw(st.sampled_from(OWNERS)), draw(st.sampled_from(TEAMS))
    holder = draw(st.sampled_from([Holder(HolderKind.ENGINEER, owner), Holder(HolderKind.TEAM, team)]))
    windows = [(kind, window_at(kind, world.now, world.policy.time_zone)) for kind in GuardWindow]
    hours = draw(st.integers(0, 10)) * MS_PER_HOUR
    past = PastSpend(tuple((kind, period.starts_at, hours) for kind, period in windows if period is not None))
    used = DecayedUse(StandardGpuMs(draw(st.integers(0, 60)) * MS_PER_HOUR), world.now)
    return replace(world, spent={**world.spent, holder: past}, usage={**world.usage, EngineerId(owner): used})


def _a_tier_changes(draw: st.DrawFn, world: Snapshot, _: str) -> Snapshot:
    owner = EngineerId(draw(st.sampled_from(OWNERS)))
    tiers = _without(world.tiers, owner)
    return replace(world, tiers={**tiers, owner: TierName("small")} if owner not in world.tiers else tiers)


# --- policy and brakes -------------------------------------------------------------------------------------------------


def _policy_changes(draw: st.DrawFn, world: Snapshot, _: str) -> Snapshot:
    change = draw(st.sampled_from(_CHANGES_OF_POLICY))
    return replace(world, policy=replace(world.policy, **change(draw, world.policy)))


def _a_pool_goes_or_comes(draw: st.DrawFn, known: Policy) -> Mapping[str, object]:
    """With its team, or leaving that to another pool."""
    team = draw(st.sampled_from(TEAMS))
    pools: dict[PoolName, Pool] = _without(known.pools, team)
    if team not in known.pools:
        return {"pools": {**pools, PoolName(team): draw(pools_of(team))}}
    if draw(st.booleans()) and pools:
        heir = pools[PoolName(draw(st.sampled_from(sorted(pools))))]
        pools[heir.name] = replace(heir, teams=(*heir.teams, TeamName(team)))
    return {"pools": pools}


def _a_pools_terms_change(draw: st.DrawFn, known: Policy) -> Mapping[str, object]:
    """Its quota, mostly below what it uses; what it may take of others; its cohort and its order."""
    if not known.pools:
        return {}
    pool = known.pools[draw(st.sampled_from(sorted(known.pools)))]
    return {"pools": {**known.pools, pool.name: replace(draw(pools_of(pool.name)), teams=pool.teams)}}


def _quota_shrinks(draw: st.DrawFn, known: Policy) -> Mapping[str, object]:
    pools = {
        name: replace(each, quotas={key: replace(q, nominal=q.nominal // 2) for key, q in each.quotas.items()})
        for name, each in known.pools.items()
    }
    return {"pools": pools}


def _classes_change(draw: st.DrawFn, known: Policy) -> Mapping[str, object]:
    """One goes, or all have other terms."""
    classes = {each.name: each for each in draw(classes_of())}
    return {"priority_classes": _without(classes, draw(mostly(None, *sorted(classes))))}


def _gpu_classes_change(draw: st.DrawFn, known: Policy) -> Mapping[str, object]:
    """One goes and its quotas stay, or it comes back; or it weighs something else."""
    name = draw(st.sampled_from(sorted(known.gpu_classes)))
    if draw(st.booleans()) and len(known.gpu_classes) > 1:
        return {"gpu_classes": _without(known.gpu_classes, name)}
    changed = replace(known.gpu_classes[name], weight=PerMille(draw(st.sampled_from([100, 1000, 3000]))))
    return {"gpu_classes": {**known.gpu_classes, name: changed}}


def _cohorts_change(draw: st.DrawFn, _: Policy) -> Mapping[str, object]:
    """The tree stands otherwise: a cohort goes, lies in another, or lends no more."""
    kept = [each for each in draw(cohorts_of()) if draw(mostly(True, False))]
    return {"cohorts": {each.name: replace(each, parent=draw(mostly(each.parent, None))) for each in kept}}


def _limits_change(draw: st.DrawFn, _: Policy) -> Mapping[str, object]:
    return {"limits": draw(limits_of()), "spend_guards": draw(mostly((), draw(guards_of())))}


def _clocks_and_racks_change(draw: st.DrawFn, _: Policy) -> Mapping[str, object]:
    return {"time_zone": draw(st.sampled_from(ZONES)), "topology": draw(mostly(TOPOLOGY, TOPOLOGY[1:], ()))}


def _brakes_change(draw: st.DrawFn, world: Snapshot, _: str) -> Snapshot:
    brake = draw(mostly(None, *Brake))
    return replace(world, pauses=(Pause(brake, "ops", "test", world.now),) if brake is not None else ())


def _some_were_stopped(draw: st.DrawFn, world: Snapshot, _: str) -> Snapshot:
    """So many GPUs just now, which the rate counts for ten minutes."""
    return replace(world, stops=(*world.stops, Stop(Brake.PREEMPT, world.now, draw(st.integers(1, 8)))))


def _without(known: Mapping[Any, Any], key: object) -> dict[Any, Any]:
    return {each: value for each, value in known.items() if each != key}


_EVENTS = (
    _time_passes,
    _time_passes,
    _a_node_changes,
    an_attempt_goes_on,
    all_start,
    what_stops_has_ended,
    _somebody_comes,
    _somebody_comes,
    _somebody_goes,
    _what_they_follow_is_over,
    _gpus_are_booked,
    _a_booking_changes,
    _hours_change,
    _hours_change,
    _prices_change,
    _use_is_counted,
    _policy_changes,
    _policy_changes,
    _brakes_change,
    _some_were_stopped,
    _a_tier_changes,
)
_CHANGES_OF_POLICY: tuple[Callable[[Any, Policy], Mapping[str, object]], ...] = (
    _a_pool_goes_or_comes,
    _a_pools_terms_change,
    _quota_shrinks,
    _classes_change,
    _gpu_classes_change,
    _cohorts_change,
    _limits_change,
    _clocks_and_racks_change,
)
