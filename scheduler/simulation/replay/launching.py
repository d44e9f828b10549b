"""The attempt that a launch makes in a replay, with the terms of the policy."""

from scheduler.decision.plan import Launch
from scheduler.domain.policy import Policy
from scheduler.domain.units import AttemptId, Instant
from scheduler.domain.workloads import Attempt, AttemptState, ElasticTerms
from scheduler.simulation.replay.works import Work


def attempt_of(work: Work, launch: Launch, policy: Policy, now: Instant) -> Attempt:
    """It counts as running from its launch: its start is known to come."""
    workload = work.workload
    spec = workload.spec
    priority_class = policy.priority_classes[spec.priority_class]
    return Attempt(
        id=AttemptId(f"{workload.id}/{work.attempts + 1}"),
        workload_id=workload.id,
        number=work.attempts + 1,
        owner=workload.owner,
        team=workload.team,
        pool=launch.pool,
        gpu_class=launch.gpu_class,
        priority_class=spec.priority_class,
        placement=launch.placement,
        pod=spec.pod,
        weight=policy.gpu_classes[launch.gpu_class].weight,
        class_factor=priority_class.class_factor,
        hold_mode=priority_class.hold,
        time_limit_ms=_time_limit_ms(work, policy),
        launched_at=now,
        is_funded=launch.is_funded,
        is_borrowed=launch.is_borrowed,
        minimum_runtime_ms=None if launch.is_funded else 0,
        state=AttemptState.RUNNING,
        started_at=Instant(now + work.submission.start_ms),
        grace_seconds=spec.grace_seconds,
        submitted_at=workload.waits_since,
        elastic=ElasticTerms.of(spec),
    )


def _time_limit_ms(work: Work, policy: Policy) -> int:
    """Its own; less where its attempts together may not run for as long any more."""
    spec = work.workload.spec
    longest = spec.runtime_limit(policy.limits.runtime_max_ms)
    return spec.time_limit_ms if longest is None else min(spec.time_limit_ms, max(0, longest - work.ran_ms))
