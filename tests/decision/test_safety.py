"""What no plan may ever do, checked from the outside over generated worlds."""

from collections import Counter, defaultdict
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide
from scheduler.decision.keeping.bookings import is_active
from scheduler.decision.plan import Launch, Plan, Preemption, Victim
from scheduler.decision.preempting.rules import Rule
from scheduler.decision.snapshot import Snapshot
from scheduler.domain.brakes import StopRate
from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.policy import PriorityClass
from scheduler.domain.reasons import Reason
from scheduler.domain.units import AllowanceId, GpuClassName, NodeName, WorkloadId
from scheduler.domain.workloads import AttemptState, HoldMode
from tests.decision.ailing import ailing
from tests.decision.applying import ended, recorded
from tests.decision.beside import in_use, most_held
from tests.decision.changing import changed
from tests.decision.lively import lively
from tests.decision.manifold import manifold
from tests.decision.mingled import mingled
from tests.decision.paying import Paid, require_paid
from tests.decision.scattered import scattered
from tests.decision.stretched import note_reach, stretched
from tests.decision.trees import require_quota, require_rule, used
from tests.decision.worlds import EXAMPLES, snapshots

CYCLES_MAX = 60
MEANS = {
    Reason.ALLOWANCE_SHORT,
    Reason.ENGINEER_GPU_LIMIT,
    Reason.TEAM_GPU_LIMIT,
    Reason.ARRAY_LIMIT,
    Reason.SPEND_GUARD,
}
worlds = st.one_of(snapshots(), lively(), stretched(), scattered(), ailing(), mingled(), manifold(), changed())
crowded = st.one_of(
    snapshots(waiting=4, running=10),
    lively(waiting=4, running=10),
    stretched(waiting=4),
    scattered(),
    ailing(),
    mingled(waiting=4, running=10),
    manifold(waiting=4, running=10),
    changed(waiting=4, running=10),
)


@given(worlds)
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_node_is_asked_for_more_than_it_has(snapshot: Snapshot) -> None:
    plan = decide(snapshot)
    note_reach(plan, snapshot)
    taken: dict[NodeName, Counter[str]] = defaultdict(Counter)
    for attempt in snapshot.attempts.values():
        if attempt.is_booking and not is_active(attempt, snapshot.now):
            continue
        # What runs inside a booking is on GPUs that count as the booking's.
        _take(taken, attempt.placement, replace(attempt.pod, gpus=0) if attempt.is_inside else attempt.pod)
        if attempt.leaving is not None:
            _take(taken, attempt.leaving, attempt.pod)
    for growth in plan.growths:
        attempt = snapshot.attempts[growth.attempt_id]
        assert growth.placement.first(attempt.placement.pods) == attempt.placement, "those that run keep their places"
        _take(taken, growth.placement.beyond(attempt.placement.pods), attempt.pod)
        _require_room(taken, snapshot, growth.placement.beyond(attempt.placement.pods), attempt.gpu_class)
    for launch in plan.launches:
        spec = snapshot.queued[launch.workload_id].spec
        _take(taken, launch.placement, replace(spec.pod, gpus=0) if launch.booking_id is not None else spec.pod)
        # What should have ended before a booking began may still be on its GPUs: what starts inside looks at its own.
        is_inside = launch.booking_id is not None
        _require_room(taken, snapshot, launch.placement, launch.gpu_class, are_gpus_its_own=is_inside)
        for name, _ in launch.placement.pods_by_node:
            node = snapshot.nodes[name]
            if not launch.is_reserved:
                assert launch.gpu_class in spec.gpu_classes
                assert all(node.labels.get(key) == value for key, value in spec.nodes_with)
    _require_own_room_inside(snapshot, plan)


@given(st.one_of(stretched(), manifold()))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_booking_finds_its_gpus_whatever_starts_grows_shrinks_or_falls_before_it(snapshot: Snapshot) -> None:
    """If all that runs uses its time limit, cycle after cycle."""
    for _ in range(CYCLES_MAX):
        plan = decide(snapshot)
        if not (plan.launches or plan.preemptions or plan.lapsed or plan.growths):
            return
        recorded_as = recorded(snapshot, plan)
        for name, gpus in in_use(recorded_as.attempts.values()).items():
            assert gpus <= snapshot.nodes[name].gpus
        snapshot = ended(recorded_as)
        for name, gpus in most_held(snapshot.attempts.values(), snapshot.now).items():
            assert gpus <= snapshot.nodes[name].gpus


@given(worlds)
@settings(max_examples=EXAMPLES, deadline=None)
def test_gangs_are_whole_and_everybody_who_waits_is_told_once_why(snapshot: Snapshot) -> None:
    plan = decide(snapshot)

    starting = [*plan.launches, *(preemption.launch for preemption in plan.preemptions)]
    for launch in starting:
        spec = snapshot.queued[launch.workload_id].spec
        assert spec.pods_at_least <= launch.placement.pods <= spec.pods
    assert len({launch.workload_id for launch in starting}) == len(starting)
    assert [verdict.workload_id for verdict in plan.verdicts] == sorted(snapshot.queued)


@given(crowded)
@settings(max_examples=EXAMPLES, deadline=None)
def test_nobody_falls_whom_the_rules_protect(snapshot: Snapshot) -> None:
    plan = decide(snapshot)
    policy = snapshot.policy

    victims = [victim for preemption in plan.preemptions for victim in preemption.victims]
    fallen = [victim.attempt_id for victim in victims if victim.pods_left is None]
    assert len(set(fallen)) == len(fallen)
    for preemption in plan.preemptions:
        preemptor = snapshot.queued[preemption.launch.workload_id]
        assert preemption.victims
        for victim in preemption.victims:
            attempt = snapshot.attempts[victim.attempt_id]
            assert attempt.state is not AttemptState.STOPPING
            assert attempt.booking_id is None
            if not attempt.is_funded:
                continue
            terms = policy.priority_classes[attempt.priority_class]
            assert terms.is_preemptible
            if victim.pods_left is not None:
                assert attempt.elastic is not None
                assert attempt.elastic.pods_min <= victim.pods_left < attempt.placement.pods
            assert (
                victim.pods_left is not None
                or terms.minimum_runtime_ms == 0
                or snapshot.now - (attempt.started_at or attempt.launched_at) >= terms.minimum_runtime_ms
            )
            if victim.workload_id not in {move.workload_id for move in preemption.moves}:
                require_rule(snapshot, plan, preemptor, victim)


@given(crowded)
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_victim_falls_without_whom_the_preemptor_would_fit(snapshot: Snapshot) -> None:
    for workload in snapshot.queued.values():
        alone = replace(snapshot, queued={workload.id: workload}, reservations={}, pauses=())
        for preemption in decide(alone).preemptions:
            for victim in preemption.victims:
                without = dict(alone.attempts)
                for other in preemption.victims:
                    known = without.pop(other.attempt_id)
                    left = other.pods_left if other is not victim else victim.pods_left and victim.pods_left + 1
                    if other is victim and left is None:
                        without[known.id] = known
                    elif left is not None:
                        without[known.id] = replace(known, placement=known.placement.first(left))
                # Inside a booking of its own it may have room once somebody is gone who should have ended before.
                # And where its pool is owed what others have of its quota only with that victim gone, it could borrow
                # instead once those others are.
                launched = [
                    launch
                    for launch in decide(replace(alone, attempts=without)).launches
                    if not launch.booking_id and not (launch.is_borrowed and _gives_a_claim(preemption, victim))
                ]
                assert [launch for launch in launched if launch.gpu_class == preemption.launch.gpu_class] == []


@given(worlds)
@settings(max_examples=EXAMPLES, deadline=None)
def test_every_start_is_held_in_full_or_unfunded_by_policy(snapshot: Snapshot) -> None:
    plan = decide(snapshot)
    paid: list[Paid] = []
    for launch in [*plan.launches, *(preemption.launch for preemption in plan.preemptions)]:
        workload = snapshot.queued[launch.workload_id]
        terms = snapshot.policy.priority_classes[workload.spec.priority_class]
        if launch.is_reserved or launch.booking_id is not None or not launch.is_funded:
            assert launch.funding == ()
            assert launch.is_reserved or launch.booking_id is not None or terms.may_start_unfunded
            continue
        held_ms = _held_ms(terms, workload.spec.time_limit_ms) * launch.placement.pods * workload.spec.pod.gpus
        paid.append(Paid.of_work(workload, launch.pool, launch.gpu_class, held_ms, launch.funding))
    for growth in plan.growths:
        attempt = snapshot.attempts[growth.attempt_id]
        terms = snapshot.policy.priority_classes[attempt.priority_class]
        held_ms = _held_ms(terms, (attempt.started_at or snapshot.now) + attempt.time_limit_ms - snapshot.now)
        gpus = (growth.placement.pods - attempt.placement.pods) * attempt.pod.gpus
        paid.append(Paid.of_growth(attempt, held_ms * gpus, growth.funding))
    moves = [move for preemption in plan.preemptions for move in preemption.moves]
    shares = [
        share for funding in (*(each.shares for each in paid), *(m.funding for m in moves)) for share in funding
    ]
    spent: Counter[AllowanceId] = Counter()
    for share in shares:
        spent[share.allowance_id] += share.amount
    for known in snapshot.balances.values():
        assert spent[known.allowance.id] <= max(0, known.spendable)
    for each in paid:
        require_paid(snapshot, each, spent)


def _held_ms(terms: PriorityClass, lasts_ms: int) -> int:
    return min(lasts_ms, terms.slice_ms) if terms.hold is HoldMode.ROLLING else lasts_ms


@given(worlds)
@settings(max_examples=EXAMPLES, deadline=None)
def test_quotas_and_limits_are_kept_by_whoever_starts(snapshot: Snapshot) -> None:
    plan = decide(snapshot)
    policy = snapshot.policy
    after = recorded(snapshot, plan)
    for launch in plan.launches:
        workload = snapshot.queued[launch.workload_id]
        if launch.is_reserved:
            continue
        limit = policy.limits.gpus_per_engineer
        assert limit is None or _gpus(after, owner=workload.owner) <= limit
        limit = policy.limits.gpus_per_team
        assert limit is None or _gpus(after, team=workload.team) <= limit
        if not launch.is_funded:
            unfunded = [a for a in after.attempts.values() if not a.is_funded and a.owner == workload.owner]
            assert sum(attempt.gpus for attempt in unfunded) <= policy.limits.unfunded_gpus_per_engineer
            continue
        if launch.booking_id is not None:
            continue  # its booking has the quota
        pool = policy.pools[launch.pool]
        require_quota(snapshot, after, pool, launch.gpu_class)
    for growth in plan.growths:
        grown = after.attempts[growth.attempt_id]
        limit = policy.limits.gpus_per_engineer
        assert limit is None or _gpus(after, owner=grown.owner) <= limit
        require_quota(snapshot, after, policy.pools[grown.pool], grown.gpu_class)


@given(worlds)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_cycle_after_a_plan_was_recorded_plans_nothing_new(snapshot: Snapshot) -> None:
    """But for who stood behind room that somebody ahead has kept, or lacks hours for by now, or counted on what is coming
    free; and who takes what the plan lent or started."""
    still = {key: each for key, each in snapshot.attempts.items() if each.state is not AttemptState.STOPPING}
    snapshot = replace(_at_rest(snapshot), attempts=still)
    plan = decide(snapshot)
    after = recorded(snapshot, plan)
    again = decide(after)

    # Victims give back more quota than was needed, at times: what is left over serves somebody in the next cycle.
    assert not (plan.growths and plan.preemptions) or {
        snapshot.attempts[growth.attempt_id].gpu_class for growth in plan.growths
    }.isdisjoint(preemption.launch.gpu_class for preemption in plan.preemptions)
    if _spent_anothers_means(plan, again) or _takes_what_was_given(snapshot, after, again):
        return
    assert again.growths == ()
    # Beside what a cycle's victims leave over, fewer more may be enough for somebody whom it had judged before.
    preempting = again.preemptions if not plan.preemptions else ()
    for launch in (*again.launches, *(preemption.launch for preemption in preempting)):
        assert not launch.is_funded or launch.is_reserved or _was_behind(snapshot, launch)


@given(st.one_of(snapshots(waiting=6, running=6), stretched(), ailing(), mingled(), changed()), st.booleans())
@settings(max_examples=EXAMPLES, deadline=None)
def test_nobody_goes_on_preempting_each_other(snapshot: Snapshot, are_slow: bool) -> None:
    """Without arrivals and ends, launches and preemptions come to rest."""
    snapshot = _at_rest(snapshot)
    for _ in range(CYCLES_MAX):
        plan = decide(snapshot)
        if not (plan.launches or plan.preemptions or plan.lapsed or plan.growths):
            return
        snapshot = recorded(snapshot, plan)
        if are_slow:
            again = {preemption.launch.workload_id for preemption in decide(snapshot).preemptions}
            assert again.isdisjoint(snapshot.reservations), "slow victims never lead to a second set"
        snapshot = ended(snapshot)
    raise AssertionError(f"still preempting after {CYCLES_MAX} cycles")


def _gives_a_claim(preemption: Preemption, victim: Victim) -> bool:
    """Whether others fall because the pool stays within its nominal quota with this one of its own gone."""
    rules = {each.rule for each in preemption.victims}
    return victim.rule == Rule.WITHIN_POOL and Rule.RECLAIM_WITHIN_COHORT in rules


def _was_behind(snapshot: Snapshot, launch: Launch) -> bool:
    """Whether it could have started, had nobody been ahead of it, at once or when what is ending has ended."""
    alone = replace(ended(snapshot), queued={launch.workload_id: snapshot.queued[launch.workload_id]})
    return launch.workload_id in {known.workload_id for known in decide(alone).launches}


def _spent_anothers_means(plan: Plan, again: Plan) -> bool:
    """Whether somebody who waited for room or quota waits now for hours, or a limit, that what started has used up."""
    told = {verdict.workload_id: verdict.reason for verdict in plan.verdicts}
    return any(each.reason in MEANS and told[each.workload_id] not in MEANS for each in again.verdicts)


def _takes_what_was_given(before: Snapshot, after: Snapshot, again: Plan) -> bool:
    """Whether somebody takes of a pool that has borrowed more since, or what has only just started."""
    for preemption in again.preemptions:
        taken = [after.attempts[victim.attempt_id] for victim in preemption.victims]
        of = {(each.pool, each.gpu_class) for each in taken if each.pool != preemption.launch.pool}
        if any(used(after, *pool) > used(before, *pool) for pool in of):
            return True
        if any(each.id not in before.attempts for each in taken):
            return True
    return False


def _at_rest(snapshot: Snapshot) -> Snapshot:
    """Each launch raises what a share of the running GPUs amounts to: that alone may let a second plan do more. And
    generated reservations fit no history: what they launch may be a victim at once."""
    return replace(snapshot, policy=replace(snapshot.policy, preempt_rate=StopRate(None)), reservations={})


def _require_room(
    taken: dict[NodeName, Counter[str]],
    snapshot: Snapshot,
    placement: Placement,
    gpu_class: GpuClassName,
    *,
    are_gpus_its_own: bool = False,
) -> None:
    for name, _ in placement.pods_by_node:
        node = snapshot.nodes[name]
        assert node.accepts_work
        assert node.gpu_class == gpu_class
        assert are_gpus_its_own or taken[name]["gpus"] <= node.gpus
        assert taken[name]["cpu"] <= node.cpu_milli
        assert taken[name]["memory"] <= node.memory_mib


def _take(taken: dict[NodeName, Counter[str]], placement: Placement, pod: PodRequest) -> None:
    for name, pods in placement.pods_by_node:
        taken[name].update(gpus=pods * pod.gpus, cpu=pods * pod.cpu_milli, memory=pods * pod.memory_mib)


def _require_own_room_inside(snapshot: Snapshot, plan: Plan) -> None:
    """What starts inside a booking takes no more of a node than is booked there, and only while it lasts."""
    inside: dict[WorkloadId, Counter[NodeName]] = {}
    for launch in plan.launches:
        if launch.booking_id is not None:
            used = inside.setdefault(launch.booking_id, Counter())
            gpus = snapshot.queued[launch.workload_id].spec.pod.gpus
            used.update({name: pods * gpus for name, pods in launch.placement.pods_by_node})
    booked = {each.workload_id: each for each in snapshot.attempts.values() if each.is_booking}
    for name, used in inside.items():
        booking = booked[name]
        assert booking.launched_at <= snapshot.now < booking.launched_at + booking.time_limit_ms
        kept = {on: pods * booking.pod.gpus for on, pods in booking.placement.pods_by_node}
        assert all(gpus <= kept.get(on, 0) for on, gpus in used.items())


def _gpus(snapshot: Snapshot, *, owner: str | None = None, team: str | None = None) -> int:
    running = sum(
        a.gpus + a.leaving_gpus
        for a in snapshot.attempts.values()
        if not a.is_booking and owner in (None, a.owner) and team in (None, a.team)
    )
    reserved = [snapshot.queued[name] for name in snapshot.reservations if name in snapshot.queued]
    return running + sum(
        w.spec.at_minimum.gpus for w in reserved if owner in (None, w.owner) and team in (None, w.team)
    )
