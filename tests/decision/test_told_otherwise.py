"""The same world told otherwise: with other names, twice the GPUs of everything, single jobs in place of an array, without
who stands last, submitted long before it may start. Nobody starts, falls or is told otherwise for it.

A new node is no such thing: what it lets start at once may be what shorter work behind it went before meanwhile.
"""

import re
from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import decide, step
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.decision.state import State
from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.guards import PastSpend
from scheduler.domain.policy import Policy, Quota
from scheduler.domain.units import (
    MS_PER_HOUR,
    AttemptId,
    GpuClassName,
    Instant,
    NodeName,
    PoolName,
    StandardGpuMs,
    TeamName,
    WorkloadId,
)
from scheduler.domain.workloads import Attempt, Workload
from tests.decision.builders import attempt, node, nodes, placements, snapshot, workload
from tests.decision.changing import changed
from tests.decision.worlds import EXAMPLES, TEAMS, snapshots


def told(plan: Plan) -> tuple[object, ...]:
    """All that a plan says but for amounts."""
    return (
        {each.workload_id: (each.gpu_class, each.placement, each.pool, each.is_borrowed) for each in plan.launches},
        {each.launch.workload_id: (each.launch.placement, each.victims) for each in plan.preemptions},
        {each.workload_id: each.reason for each in plan.verdicts},
        [(each.workload_id, each.placement) for each in plan.growths],
        plan.lapsed,
    )


@given(st.one_of(snapshots(), changed()))
@settings(max_examples=EXAMPLES, deadline=None)
def test_names_that_sort_alike_change_nothing(world: Snapshot) -> None:
    assert re.sub(r"'z(\w)", r"'\1", repr(told(decide(_renamed(world))))) == repr(told(decide(world)))


@given(snapshots())
@settings(max_examples=EXAMPLES, deadline=None)
def test_twice_the_gpus_of_everything_change_nothing(world: Snapshot) -> None:
    assert told(decide(_doubled(world))) == told(decide(world))


@given(snapshots())
@settings(max_examples=EXAMPLES, deadline=None)
def test_an_array_without_a_limit_starts_as_as_many_single_jobs_would(world: Snapshot) -> None:
    def as_array(work: Workload) -> Workload:
        place = work.spec.array
        return replace(work, spec=replace(work.spec, array=replace(place, at_once=None) if place else None))

    arrays = {name: as_array(work) for name, work in world.queued.items()}
    singles = {name: replace(work, spec=replace(work.spec, array=None)) for name, work in world.queued.items()}
    assert told(decide(replace(world, queued=arrays))) == told(decide(replace(world, queued=singles)))


@given(st.one_of(snapshots(), changed()))
@settings(max_examples=EXAMPLES, deadline=None)
def test_who_submits_early_what_may_start_later_stands_as_if_it_were_submitted_then(world: Snapshot) -> None:
    """However long ago: a begin time, or a sandbox that was stopped for a month and resumed, makes nobody older."""

    def long_ago(work: Workload) -> Workload:
        return replace(work, submitted_at=Instant(0), eligible_at=work.waits_since)

    early = replace(world, queued={name: long_ago(work) for name, work in world.queued.items()})
    assert told(decide(early)) == told(decide(world))


@given(snapshots())
@settings(max_examples=EXAMPLES, deadline=None)
def test_without_who_stands_last_in_the_only_pool_everybody_else_starts_as_before(world: Snapshot) -> None:
    """Elastic work takes less where somebody else's minimum fits, whoever that is: here everybody is of a fixed size."""
    world = _in_one_pool(world)
    state, plan = step(State(), _everything(world), world.now)
    order = state.queue()
    if not order:
        return
    others = {name: work for name, work in world.queued.items() if name != order[-1]}
    kept = {name: each for name, each in world.reservations.items() if name != order[-1]}
    without = decide(replace(world, queued=others, reservations=kept))
    starts = {each.workload_id: each for each in plan.launches if each.workload_id in others}
    assert starts == {each.workload_id: each for each in without.launches}


def test_a_new_node_may_make_shorter_work_behind_a_gang_start_later() -> None:
    """No promise is made of that: the gang is first, and has what it waited for."""
    gang, short = workload("gang", gpus=8, pods=2, age=9), workload("short", gpus=8)
    busy = replace(attempt("r", "n2", gpus=8, running_for=0), time_limit_ms=2 * MS_PER_HOUR)
    two = snapshot(nodes(node("n1"), node("n2")), [gang, short], attempts=[busy])
    assert placements(decide(two)) == {"short": {"n1": 1}}

    three = replace(two, nodes=nodes(node("n1"), node("n2"), node("n3")))
    assert placements(decide(three)) == {"gang": {"n1": 1, "n3": 1}}


def _everything(world: Snapshot) -> Changes:
    fields = {each.name for each in dataclass_fields(Changes)}
    return Changes(**{name: getattr(world, name) for name in fields})


def _renamed(world: Snapshot) -> Snapshot:
    """A letter before each name of work, attempts and nodes."""

    def placed(placement: Placement) -> Placement:
        return Placement(tuple((NodeName(f"z{name}"), pods) for name, pods in placement.pods_by_node))

    def work(known: Workload) -> Workload:
        after = tuple(WorkloadId(f"z{each}") for each in known.spec.after)
        spec = replace(known.spec, name=f"z{known.spec.name}", after=after)
        return replace(known, id=WorkloadId(f"z{known.id}"), spec=spec)

    def run(known: Attempt) -> Attempt:
        leaving = placed(known.leaving) if known.leaving is not None else None
        of = WorkloadId(f"z{known.workload_id}")
        inside = WorkloadId(f"z{known.booking_id}") if known.booking_id is not None else None
        moved = replace(known, placement=placed(known.placement), leaving=leaving)
        return replace(moved, id=AttemptId(f"z{known.id}"), workload_id=of, booking_id=inside)

    reservations = [
        replace(each, workload_id=WorkloadId(f"z{each.workload_id}"), placement=placed(each.placement))
        for each in world.reservations.values()
    ]
    known_nodes = [replace(each, name=NodeName(f"z{each.name}")) for each in world.nodes.values()]
    return replace(
        world,
        nodes={each.name: each for each in known_nodes},
        queued={each.id: each for each in map(work, world.queued.values())},
        launched={each.id: each for each in map(work, world.launched.values())},
        attempts={each.id: each for each in map(run, world.attempts.values())},
        reservations={each.workload_id: each for each in reservations},
    )


def _doubled(world: Snapshot) -> Snapshot:
    """Twice the GPUs on each node, in each request, quota and limit, and twice the hours."""

    def work(known: Workload) -> Workload:
        return replace(known, spec=replace(known.spec, pod=_double_pod(known.spec.pod)))

    def hours(known: AllowanceBalance) -> AllowanceBalance:
        allowance = replace(known.allowance, amount=2 * known.allowance.amount)
        held, promised = 2 * known.held, 2 * known.promised
        return replace(known, allowance=allowance, available=2 * known.available, held=held, promised=promised)

    return replace(
        world,
        policy=_doubled_policy(world.policy),
        nodes={name: replace(each, gpus=2 * each.gpus) for name, each in world.nodes.items()},
        queued={name: work(each) for name, each in world.queued.items()},
        launched={name: work(each) for name, each in world.launched.items()},
        attempts={name: replace(each, pod=_double_pod(each.pod)) for name, each in world.attempts.items()},
        balances={name: hours(each) for name, each in world.balances.items()},
        usage={name: replace(each, amount=StandardGpuMs(2 * each.amount)) for name, each in world.usage.items()},
        spent={
            name: PastSpend(tuple((window, at, 2 * amount) for window, at, amount in each.windows))
            for name, each in world.spent.items()
        },
    )


def _double_pod(pod: PodRequest) -> PodRequest:
    return replace(pod, gpus=2 * pod.gpus)


def _double(amount: int | None) -> int | None:
    return None if amount is None else 2 * amount


def _double_quotas(quotas: Mapping[GpuClassName, Quota]) -> dict[GpuClassName, Quota]:
    return {
        name: Quota(name, 2 * each.nominal, _double(each.borrowing_limit), _double(each.lending_limit))
        for name, each in quotas.items()
    }


def _doubled_policy(known: Policy) -> Policy:
    limits = replace(
        known.limits,
        gpus_per_engineer=_double(known.limits.gpus_per_engineer),
        gpus_per_team=_double(known.limits.gpus_per_team),
        unfunded_gpus_per_engineer=2 * known.limits.unfunded_gpus_per_engineer,
    )
    pools, cohorts = known.pools.items(), known.cohorts.items()
    return replace(
        known,
        pools={name: replace(each, quotas=_double_quotas(each.quotas)) for name, each in pools},
        cohorts={name: replace(each, quotas=_double_quotas(each.quotas)) for name, each in cohorts},
        limits=limits,
        spend_guards=tuple(
            replace(each, soft=_double(each.soft), hard=_double(each.hard)) for each in known.spend_guards
        ),
        preempt_rate=replace(known.preempt_rate, floor=2 * known.preempt_rate.floor),
        consolidation=replace(known.consolidation, lost_max=2 * known.consolidation.lost_max),
    )


def _in_one_pool(world: Snapshot) -> Snapshot:
    """All teams in the red pool, and nothing elastic among what waits."""
    red = replace(world.policy.pools[PoolName("red")], teams=tuple(map(TeamName, TEAMS)), cohort=None)
    queued = {name: replace(each, spec=replace(each.spec, min_pods=None)) for name, each in world.queued.items()}
    attempts = {name: replace(each, pool=red.name, is_borrowed=False) for name, each in world.attempts.items()}
    return replace(world, policy=replace(world.policy, pools={red.name: red}), queued=queued, attempts=attempts)
