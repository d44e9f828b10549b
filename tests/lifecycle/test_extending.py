"""Extending what runs: a spend guard bounds it as it bounds a start, and nobody else is told what its owner has left."""

from dataclasses import replace

import pytest

from scheduler.decision.plan import Launch, Plan, Preemption, Victim
from scheduler.domain.errors import Conflict, Exhausted, InvalidInput, RefusalCode
from scheduler.domain.funding import FundingShare
from scheduler.domain.guards import GuardOf, GuardWindow, SpendGuard, window_at
from scheduler.domain.observations import PodPhase
from scheduler.domain.people import Role
from scheduler.domain.periods import iso
from scheduler.domain.reasons import Evidence, Reason
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, Instant, PoolName, WorkloadId
from scheduler.domain.usage import ages_at
from scheduler.lifecycle.asking.booking import BookingWish
from scheduler.lifecycle.running.record import grow_old, record, stop_attempt
from tests.lifecycle.build import FULL, H100, Company, changes, job_seen, later, pod_seen, policy

A_DAY = SpendGuard("a day", GuardOf.ENGINEER, GuardWindow.DAY, soft=2 * MS_PER_HOUR, hard=9 * MS_PER_HOUR)


def guarded(company: Company, guard: SpendGuard) -> None:
    company.world.put_policy(replace(policy(), spend_guards=(guard,)))


def two_hours_of_two(company: Company, subject: str = "ada", hours: int = 100) -> WorkloadId:
    grant = company.grant(subject, hours)
    workload = company.submit(subject, time_limit_ms=2 * MS_PER_HOUR, grace_seconds=0)
    assert company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR)) == []
    return workload.id


def extend(company: Company, workload_id: WorkloadId, hours: int, subject: str = "ada") -> None:
    company.commands.extend(company.caller(subject), workload_id, hours * MS_PER_HOUR, now=company.now)


def stop(company: Company, job: WorkloadId, reason: Reason) -> None:
    attempt = company.world.live_attempt(job)
    assert attempt is not None
    with company.changing() as batch:
        stop_attempt(batch, attempt, reason, {"limit": "2 h", "by": "ada", "preemptor": "x", "rule": "x"})


def test_a_job_is_not_extended_beyond_what_a_guard_lets_its_owner_use(company: Company) -> None:
    """Of 9 hours it plans 4: two more of two GPUs are 8, three more 10."""
    guarded(company, A_DAY)
    job = two_hours_of_two(company)
    with pytest.raises(Exhausted) as refused:
        extend(company, job, 3)
    assert refused.value.code is RefusalCode.SPEND_GUARD
    assert str(refused.value).startswith("it would use 6.0 h more of this day, of which the guard a day lets the")
    assert company.workload(job).spec.time_limit_ms == 2 * MS_PER_HOUR
    extend(company, job, 2)
    with pytest.raises(Exhausted):
        extend(company, job, 1)


def test_what_else_its_owner_or_its_team_runs_counts_for_the_guard(company: Company) -> None:
    guarded(company, replace(A_DAY, of=GuardOf.TEAM))
    job = two_hours_of_two(company)
    extend(company, job, 1)
    two_hours_of_two(company, "bob")
    with pytest.raises(Exhausted):
        extend(company, job, 1)


@pytest.mark.parametrize(
    "guard",
    [replace(A_DAY, hard=None), replace(A_DAY, window=GuardWindow.WEEKEND)],
    ids=["a soft limit alone", "a window that it does not reach"],
)
def test_what_no_hard_limit_holds_now_is_extended(company: Company, guard: SpendGuard) -> None:
    guarded(company, guard)
    job = two_hours_of_two(company)
    extend(company, job, 5)
    assert company.workload(job).spec.time_limit_ms == 7 * MS_PER_HOUR


def test_what_an_extension_uses_of_a_window_to_come_counts_there(company: Company) -> None:
    """Of the next day two GPUs for so long would be more than nine hours, however little of it is used of this one."""
    guarded(company, A_DAY)
    day = window_at(GuardWindow.DAY, company.now, "UTC")
    assert day is not None
    company.now = Instant(day.ends_at - 2 * MS_PER_HOUR)
    job = two_hours_of_two(company)
    with pytest.raises(Exhausted) as refused:
        extend(company, job, 5)
    assert str(refused.value).startswith(f"it would use 10.0 h more of the day from {iso(day.ends_at)}, of which")
    extend(company, job, 4)


def test_who_extends_or_books_for_somebody_else_is_not_told_what_they_have_left(company: Company) -> None:
    job = two_hours_of_two(company, hours=7)
    owner = company.caller("ada")
    operator = replace(company.caller("bob"), roles=frozenset({Role.OPERATOR}))
    wish = BookingWish(H100, 4, Instant(company.now + MS_PER_DAY), 2 * MS_PER_HOUR, None, priority_class=FULL)
    for caller, told in ((owner, "3.0 h are available"), (operator, "more than is available for it")):
        with pytest.raises(Exhausted) as refused:
            company.commands.extend(caller, job, 2 * MS_PER_HOUR, now=company.now)
        assert refused.value.message == f"an extension needs 4.0 h, {told}"
        with pytest.raises(Exhausted) as refused:
            company.commands.book(caller, wish, now=company.now, owner=owner.engineer)
        assert refused.value.message == f"the booking needs 8.0 h, {told}"


@pytest.mark.parametrize(
    ("reason", "evidence"),
    [
        (Reason.RESOURCES, {"gpu_class": H100}),
        (Reason.TOPOLOGY, {"gpu_class": H100}),
        (Reason.BOOKED, {"gpu_class": H100}),
        (Reason.PREEMPTION_DELAY, {"gpu_class": "h100 or a100"}),
        (Reason.PREEMPTION_PAUSED, {"victims": 1}),
        (Reason.STOP_RATE, {"limit": 8}),
    ],
)
def test_nothing_is_extended_while_somebody_has_room_kept_free_whatever_he_is_told(
    company: Company, reason: Reason, evidence: Evidence
) -> None:
    job = two_hours_of_two(company)
    company.grant("bob", 100)
    waiting = company.submit("bob", name="gang")
    with company.changing() as batch:
        batch.say(waiting.id, reason, evidence)
    with pytest.raises(Conflict) as refused:
        extend(company, job, 1)
    assert refused.value.code is RefusalCode.RESERVED_AHEAD
    assert f"gang ({waiting.id}) waits first for h100" in str(refused.value)


def test_who_lacks_quota_has_it_kept_once_he_has_aged(company: Company) -> None:
    job = two_hours_of_two(company)
    company.grant("bob", 100)
    waiting = company.submit("bob")
    with company.changing() as batch:
        batch.say(waiting.id, Reason.QUOTA, {"gpu_class": H100})
        grow_old(batch, waiting.id, company.now)
    extend(company, job, 1)
    company.now = ages_at(company.now, policy().pools[PoolName("research")].ageing_ms)
    with pytest.raises(Conflict):
        extend(company, job, 1)


def test_a_job_is_not_extended_beyond_what_its_attempts_may_run_together(company: Company) -> None:
    """It may run for five hours in all."""
    grant = company.grant("ada", 100)
    job = company.submit(time_limit_ms=2 * MS_PER_HOUR, grace_seconds=0, runtime_max_ms=5 * MS_PER_HOUR)
    company.launch(job, FundingShare(grant, 4 * MS_PER_HOUR))
    extend(company, job.id, 3)
    with pytest.raises(InvalidInput) as refused:
        extend(company, job.id, 1)
    assert refused.value.code is RefusalCode.TIME_LIMIT_TOO_LONG
    assert str(refused.value).startswith(
        "extra: this attempt would then run for 6 h; expected at most 5 h: all its attempts together may run for 5 h;"
    )
    (attempt,) = company.world.attempts.values()
    assert attempt.time_limit_ms == company.workload(job.id).spec.time_limit_ms == 5 * MS_PER_HOUR


def test_what_earlier_attempts_ran_is_not_there_to_extend(company: Company) -> None:
    grant = company.grant("ada", 100)
    job = company.submit(time_limit_ms=2 * MS_PER_HOUR, grace_seconds=0, runtime_max_ms=5 * MS_PER_HOUR)
    company.launch(job, FundingShare(grant, 4 * MS_PER_HOUR))
    uid = company.give_job(job)
    running = job_seen(job, uid=uid, is_suspended=False, active=1)
    company.see(changes(running, pod_seen(job, job_uid=uid, started_at=company.now)))
    ended = later(company.now, 3600)
    company.now = ended
    with company.changing() as batch:
        attempt = batch.world.live_attempt(job.id)
        assert attempt is not None
        stop_attempt(batch, attempt, Reason.PREEMPTED, {})
    suspended = job_seen(job, uid=uid, is_confirmed_suspended=True, generation=3)
    pod = pod_seen(job, job_uid=uid, phase=PodPhase.FAILED, started_at=later(ended, -3600), finished_at=ended)
    company.see(changes(suspended, pod))
    assert company.launch(company.workload(job.id), FundingShare(grant, 4 * MS_PER_HOUR)) == []
    extend(company, job.id, 2)
    with pytest.raises(InvalidInput, match="at most 4 h: all its attempts together may run for 5 h"):
        extend(company, job.id, 1)


def test_what_waits_is_not_extended_beyond_its_deadline(company: Company) -> None:
    company.grant("ada", 100)
    job = company.submit(time_limit_ms=2 * MS_PER_HOUR, finish_by=Instant(company.now + 4 * MS_PER_HOUR))
    extend(company, job.id, 2)
    with pytest.raises(InvalidInput) as refused:
        extend(company, job.id, 1)
    assert refused.value.code is RefusalCode.INVALID_TIME_LIMIT
    assert company.workload(job.id).spec.time_limit_ms == 4 * MS_PER_HOUR


def stopped_for(company: Company, victim: WorkloadId, hours: int) -> WorkloadId:
    """A job of ada's for which the victim is being stopped, and whose two GPUs and hours are kept for it meanwhile."""
    running = company.world.live_attempt(victim)
    assert running is not None
    share = FundingShare(company.grant("ada", 100), hours * 2 * MS_PER_HOUR)
    waiting = company.submit(time_limit_ms=hours * MS_PER_HOUR, grace_seconds=0)
    launch = Launch(waiting.id, H100, running.placement, PoolName("research"), (share,))
    fallen = Victim(running.id, victim, "within_pool", "urgent over standard")
    preemption = Preemption(launch, (fallen,), later(company.now, 330))
    with company.changing() as batch:
        assert record(batch, Plan(company.now, preemptions=(preemption,)), company.ids.new) == []
    return waiting.id


def test_what_waits_for_its_victims_to_end_is_extended_when_it_runs(company: Company) -> None:
    """Its place was chosen, and its hours are held, for the time limit that it has: a booking may begin right after it."""
    waiting = stopped_for(company, two_hours_of_two(company, "bob"), hours=2)
    with pytest.raises(Conflict) as refused:
        extend(company, waiting, 3)
    assert refused.value.code is RefusalCode.WRONG_STATE
    assert refused.value.remedy == "extend it when it runs"
    assert company.workload(waiting).spec.time_limit_ms == 2 * MS_PER_HOUR


def test_what_its_owner_will_run_when_victims_have_ended_counts_for_the_guard(company: Company) -> None:
    """Of 9 hours what runs plans 4 and what waits 4; what falls for it is somebody else's."""
    guarded(company, A_DAY)
    job = two_hours_of_two(company)
    stopped_for(company, two_hours_of_two(company, "bob"), hours=2)
    with pytest.raises(Exhausted) as refused:
        extend(company, job, 1)
    assert refused.value.code is RefusalCode.SPEND_GUARD


@pytest.mark.parametrize("reason", [Reason.TIME_LIMIT, Reason.CANCELLED])
def test_what_is_being_stopped_for_good_is_not_extended(company: Company, reason: Reason) -> None:
    job = two_hours_of_two(company)
    stop(company, job, reason)

    with pytest.raises(Conflict) as refused:
        extend(company, job, 1)

    assert refused.value.code is RefusalCode.WRONG_STATE
    assert reason.value in refused.value.message
    assert company.workload(job).spec.time_limit_ms == 2 * MS_PER_HOUR


def test_what_is_being_preempted_has_its_next_attempt_extended(company: Company) -> None:
    job = two_hours_of_two(company)
    stop(company, job, Reason.PREEMPTED)

    extend(company, job, 1)

    assert company.workload(job).spec.time_limit_ms == 3 * MS_PER_HOUR
