"""Generated worlds in which work moves: those of `worlds.py` without what most often keeps everything waiting."""

from dataclasses import replace

from hypothesis import strategies as st

from scheduler.decision.snapshot import Snapshot
from scheduler.domain.consolidation import ConsolidationTerms
from scheduler.domain.policy import Limits, Policy, Quota
from scheduler.domain.units import MS_PER_HOUR, CohortName, Instant
from scheduler.domain.workloads import Attempt, ElasticTerms, Workload
from tests.decision.applying import workload_of
from tests.decision.builders import H100, SPARE, STANDARD, balance
from tests.decision.worlds import OWNERS, mostly, snapshots


@st.composite
def lively(draw: st.DrawFn, *, waiting: int = 8, running: int = 6) -> Snapshot:
    """Guards, limits, want of hours, dependencies and other classes are gone. Of 250 worlds something started in 61 % (24 %
    of the others), over several nodes in 13 % (none), borrowing in 26 % (7 %), preempting in 16 % (8 %)."""
    known = draw(snapshots(waiting=waiting, running=running))
    nodes = {name: replace(each, gpu_class=H100, gpus=8, accepts_work=True) for name, each in known.nodes.items()}
    attempts = {
        each.id: replace(each, gpu_class=H100, elastic=each.elastic or _elastic_of(draw, each))
        for each in known.attempts.values()
    }
    queued = {each.id: _unblocked(draw, each) for each in known.queued.values()}
    return replace(
        known,
        policy=_permissive(draw, known.policy),
        nodes=nodes,
        attempts=attempts,
        launched={each.workload_id: workload_of(each) for each in attempts.values()},
        queued=queued,
        balances={each.allowance.id: each for each in (balance(owner, 1000) for owner in OWNERS)},
        reservations={
            key: replace(each, gpu_class=H100)
            for key, each in known.reservations.items()
            if key not in queued or queued[key].spec.pods_at_least <= each.pods <= queued[key].spec.pods
        },
        spent={},
        pauses=(),
    )


def _permissive(draw: st.DrawFn, policy: Policy) -> Policy:
    """With quota for all and nothing that forbids a start at this hour."""
    quota = st.sampled_from([4, 8, 12])
    pools = [
        replace(pool, quotas={H100: Quota(H100, draw(quota))}, cohort=CohortName("all"))
        for pool in policy.pools.values()
    ]
    classes = [replace(each, off_peak=None, is_preemptible=True) for each in policy.priority_classes.values()]
    moves = ConsolidationTerms(frozenset({STANDARD.name, SPARE.name}), lost_max=4 * MS_PER_HOUR, moves_max=3)
    return replace(
        policy,
        pools={each.name: each for each in pools},
        priority_classes={each.name: each for each in classes},
        limits=Limits(unfunded_gpus_per_engineer=6),
        spend_guards=(),
        consolidation=draw(st.sampled_from([ConsolidationTerms(), moves])),
    )


def _unblocked(draw: st.DrawFn, made: Workload) -> Workload:
    """It may start now, on any node of the one class; with several pods it is often elastic."""
    pods = draw(mostly(made.spec.pods, 2, 3))
    spec = replace(
        made.spec,
        gpu_classes=(H100,),
        nodes_with=(),
        after=(),
        finish_by=None,
        pods=pods,
        min_pods=draw(st.integers(1, pods - 1)) if pods > 1 and draw(st.booleans()) else None,
    )
    return replace(made, spec=spec, not_before=Instant(0))


def _elastic_of(draw: st.DrawFn, each: Attempt) -> ElasticTerms | None:
    """Half of those with several pods may shrink, and grow again."""
    return ElasticTerms(1, 5) if each.placement.pods > 1 and draw(st.booleans()) else None
