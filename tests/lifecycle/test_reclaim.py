"""Reclaim: rest is warned of and then ended, work and the owner's word stop it, and nobody is stopped wrongly."""

from dataclasses import replace

import pytest

from scheduler.domain.brakes import Brake, StopRate
from scheduler.domain.errors import InvalidInput, NotFound
from scheduler.domain.idleness import IdleAction, IdlePolicy, IdleRule
from scheduler.domain.reasons import Reason, next_step
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, PerMille
from scheduler.domain.wording import counted
from scheduler.domain.workloads import AttemptState, Workload, WorkloadState
from scheduler.lifecycle.sensing.reclaim import IdleReclaim, came_back
from scheduler.lifecycle.views.reader import Views
from tests.lifecycle.build import NOON, OPERATOR, ROLLING, SPOT, Company, changes, job_seen, later, pod_seen
from tests.lifecycle.platform import JOBS, SANDBOXES, Platform

MINUTE = 60


@pytest.fixture
def platform(company: Company) -> Platform:
    return Platform(company, SANDBOXES, JOBS)


def test_a_sandbox_that_rests_is_warned_twice_and_then_suspended(company: Company, platform: Platform) -> None:
    workload, attempt_id = platform.sandbox()
    platform.minutes(24, pods=platform.agents.pod_of(workload))
    assert platform.verdicts(workload) == [Reason.RUNNING]
    platform.minutes(2, pods=platform.agents.pod_of(workload))
    assert platform.verdicts(workload) == [Reason.RUNNING, Reason.IDLE_WARNING]
    platform.minutes(13, pods=platform.agents.pod_of(workload))
    assert platform.verdicts(workload) == [Reason.RUNNING, Reason.IDLE_WARNING, Reason.IDLE_WARNING]
    platform.minutes(2, pods=platform.agents.pod_of(workload))
    assert platform.verdicts(workload)[-1] is Reason.IDLE
    stopping = company.world.attempts[attempt_id]
    assert (stopping.state, stopping.stop_reason) == (AttemptState.STOPPING, Reason.IDLE)
    assert [stop.gpus for stop in company.world.stops if stop.brake is Brake.RECLAIM] == [2]


def test_what_it_did_not_use_of_its_hold_comes_back_and_the_rest_stays_charged(
    company: Company, platform: Platform
) -> None:
    workload, attempt_id = platform.sandbox()
    before = sum(b.available + b.held for b in company.world.balances.values())
    platform.minutes(40, pods=platform.agents.pod_of(workload))
    ended_at = company.now
    pod = pod_seen(workload, started_at=NOON, deleted_at=ended_at, finished_at=ended_at, is_gone=True)
    job = job_seen(workload, is_suspended=True, is_confirmed_suspended=True, attempt_id=attempt_id)
    company.see(changes(job, pod))
    used = 2 * (ended_at - NOON) * 3 // 2
    assert company.workload(workload.id).state is WorkloadState.STOPPED
    balances = company.world.balances.values()
    assert (sum(b.available for b in balances), sum(b.held for b in balances)) == (before - used, 0)
    with company.store.reading() as books:
        (decision,) = books.idleness.decisions(workload_id=workload.id)
    assert decision.hours_back == 2 * 8 * MS_PER_HOUR * 3 // 2 - used
    assert decision.rested_ms == 30 * MS_PER_MINUTE
    assert {point.percent_max for point in decision.curve} == {0}
    company.commands.resume(company.caller("ada"), workload.id, now=company.now)
    assert company.workload(workload.id).state is WorkloadState.QUEUED


def test_a_sandbox_whose_cpus_prepare_data_is_waited_for_and_told_so(company: Company) -> None:
    waits = replace(SANDBOXES.policy, cpu_busy_millicores=500)
    platform = Platform(company, replace(SANDBOXES, policy=waits))
    workload, attempt_id = platform.sandbox()
    pods = platform.agents.pod_of(workload)
    platform.minutes(60, pods=pods, cpu={pods[0]: 3_200})
    assert platform.verdicts(workload) == [Reason.RUNNING, Reason.IDLE_CPU_BUSY]
    view = Views(company.store, company.world).explain(company.caller("ada"), workload.id, company.now)
    assert view.idle is not None
    assert (view.idle.cpu_waited_ms, view.idle.cpu_wait_ms_max) == (50 * MS_PER_MINUTE, 120 * MS_PER_MINUTE)
    assert {point.cpu_millicores_max for point in view.curve} == {3_200}
    platform.minutes(31, pods=pods, cpu={pods[0]: 300})
    assert platform.verdicts(workload)[2:] == [Reason.IDLE_WARNING, Reason.IDLE_WARNING, Reason.IDLE]
    assert company.world.attempts[attempt_id].state is AttemptState.STOPPING


def test_the_cpus_of_anothers_pod_are_not_waited_for(company: Company) -> None:
    waits = replace(SANDBOXES.policy, cpu_busy_millicores=500)
    platform = Platform(company, replace(SANDBOXES, policy=waits))
    workload, _ = platform.sandbox()
    platform.minutes(42, pods=platform.agents.pod_of(workload), cpu={"pod-of-somebody-else": 3_200})
    assert platform.verdicts(workload)[-1] is Reason.IDLE


def test_one_gpu_at_work_keeps_all_of_them(platform: Platform) -> None:
    workload, _ = platform.sandbox()
    platform.minutes(90, 1, pods=platform.agents.pod_of(workload))
    assert platform.verdicts(workload) == [Reason.RUNNING]


def test_work_after_a_warning_takes_it_back_and_the_clock_begins_anew(platform: Platform) -> None:
    workload, _ = platform.sandbox()
    pods = platform.agents.pod_of(workload)
    platform.minutes(38, pods=pods)
    platform.minutes(1, 0, pods=pods)
    assert platform.verdicts(workload) == [Reason.RUNNING, *[Reason.IDLE_WARNING] * 2, Reason.RUNNING]
    platform.minutes(24, pods=pods)
    assert platform.verdicts(workload).count(Reason.IDLE) == 0


def test_a_gpu_of_which_nothing_was_read_stops_the_clock(platform: Platform) -> None:
    workload, _ = platform.sandbox()
    pods = platform.agents.pod_of(workload)
    platform.minutes(12, pods=pods)
    platform.minutes(120, silent=(1,), pods=pods)
    assert platform.verdicts(workload) == [Reason.RUNNING]


def test_readings_of_fewer_gpus_than_it_has_say_nothing(platform: Platform) -> None:
    workload, _ = platform.sandbox()
    platform.minutes(120, silent=(1,), pods=platform.agents.pod_of(workload))
    assert platform.verdicts(workload) == [Reason.RUNNING]


def next_said(company: Company, workload: Workload) -> str:
    verdict = company.world.verdicts[workload.id]
    return next_step(verdict.reason, verdict.evidence)


def test_extending_it_sets_the_clock_back_a_limited_number_of_times(company: Company, platform: Platform) -> None:
    workload, _ = platform.sandbox()
    pods = platform.agents.pod_of(workload)
    platform.minutes(10, pods=pods)
    for left in (3, 2, 1):
        platform.minutes(26, pods=pods)
        assert platform.verdicts(workload)[-1] is Reason.IDLE_WARNING
        assert f"`allot extend` sets its clock back {counted(left, 'time')} more." in next_said(company, workload)
        for _ in range(2):  # the second finds nothing to set back
            company.commands.extend(company.caller("ada"), workload.id, MS_PER_HOUR, now=company.now)
        assert platform.verdicts(workload)[-1] is Reason.RUNNING
    platform.minutes(26, pods=pods)
    assert next_said(company, workload).endswith("sets its clock back 0 times more.")
    company.commands.extend(company.caller("ada"), workload.id, MS_PER_HOUR, now=company.now)
    platform.minutes(5, pods=pods)
    assert platform.verdicts(workload)[-1] is Reason.IDLE


HINDERED: dict[str, tuple[IdlePolicy, str]] = {
    "a dry run": (IdlePolicy(), "dry-run"),
    "a report": (IdlePolicy(is_dry_run=False, action=IdleAction.REPORT), "report"),
}


@pytest.mark.parametrize(("terms", "hindrance"), HINDERED.values(), ids=HINDERED)
def test_what_is_not_to_be_done_is_written_down_once(company: Company, terms: IdlePolicy, hindrance: str) -> None:
    platform = Platform(company, replace(SANDBOXES, policy=terms))
    workload, attempt_id = platform.sandbox()
    platform.minutes(60, pods=platform.agents.pod_of(workload))
    assert platform.hindrances(workload) == [(False, hindrance)]
    assert company.world.attempts[attempt_id].state is AttemptState.RUNNING
    told = [Reason.IDLE_REPORTED] * 2 if hindrance == "report" else []
    assert platform.verdicts(workload) == [Reason.RUNNING, *told]


def test_observing_decides_and_does_nothing(company: Company, platform: Platform) -> None:
    platform.reclaim = IdleReclaim(company.world, acts=False)
    workload, _ = platform.sandbox()
    platform.minutes(45, pods=platform.agents.pod_of(workload))
    assert platform.hindrances(workload) == [(False, "observing")]
    assert platform.verdicts(workload) == [Reason.RUNNING]


def test_a_job_without_a_checkpoint_is_only_reported(company: Company, platform: Platform) -> None:
    workload, _ = platform.agents.start()
    platform.minutes(45, pods=platform.agents.pod_of(workload))
    assert platform.hindrances(workload) == [(False, "no-checkpoint")]


def test_a_sandbox_that_keeps_no_state_is_reported_and_not_suspended(company: Company, platform: Platform) -> None:
    workload, attempt_id = platform.sandbox()
    company.see(changes(job_seen(workload, is_suspended=False, active=1, keeps_state=False)))
    platform.minutes(60, pods=platform.agents.pod_of(workload))
    assert platform.hindrances(workload) == [(False, "no-home")]
    assert platform.verdicts(workload) == [Reason.RUNNING, *[Reason.IDLE_REPORTED] * 2]
    assert company.world.attempts[attempt_id].state is AttemptState.RUNNING


def test_a_sandbox_that_keeps_no_state_is_suspended_where_policy_says_so(company: Company) -> None:
    platform = Platform(company, replace(SANDBOXES, policy=replace(SANDBOXES.policy, acts_without_checkpoint=True)))
    workload, attempt_id = platform.sandbox()
    company.see(changes(job_seen(workload, is_suspended=False, active=1, keeps_state=False)))
    platform.minutes(45, pods=platform.agents.pod_of(workload))
    assert platform.hindrances(workload) == [(True, "")]
    assert company.world.attempts[attempt_id].state is AttemptState.STOPPING


def test_a_first_checkpoint_after_the_last_warning_stops_nobody_without_another(
    company: Company, platform: Platform
) -> None:
    workload, _ = platform.agents.start()
    platform.minutes(37, pods=platform.agents.pod_of(workload))
    assert platform.verdicts(workload) == [Reason.RUNNING, *[Reason.IDLE_REPORTED] * 2]
    company.commands.record_checkpoint(company.caller("ada"), workload.id, now=company.now)
    platform.minutes(10, pods=platform.agents.pod_of(workload))
    assert platform.hindrances(workload) == [(False, "no-checkpoint")]


def test_a_job_with_a_checkpoint_is_suspended_and_may_be_resumed(company: Company, platform: Platform) -> None:
    workload, attempt_id = platform.agents.start()
    company.commands.record_checkpoint(company.caller("ada"), workload.id, now=later(company.now, 60))
    platform.minutes(45, pods=platform.agents.pod_of(workload))
    assert platform.hindrances(workload) == [(True, "")]
    pod = pod_seen(workload, started_at=NOON, finished_at=company.now, is_gone=True)
    job = job_seen(workload, is_suspended=True, is_confirmed_suspended=True, attempt_id=attempt_id)
    company.see(changes(job, pod))
    assert company.workload(workload.id).state is WorkloadState.STOPPED
    company.commands.resume(company.caller("ada"), workload.id, now=company.now)
    assert company.workload(workload.id).state is WorkloadState.QUEUED


def test_an_exemption_holds_it_until_it_expires(company: Company, platform: Platform) -> None:
    workload, _ = platform.sandbox()
    pods = platform.agents.pod_of(workload)
    until = later(company.now, 2 * 3600)
    platform.exemptions.exempt(company.caller("ada"), workload.id, "a demo at two", until, now=company.now)
    platform.minutes(119, pods=pods)
    assert (platform.verdicts(workload), platform.hindrances(workload)) == ([Reason.RUNNING], [])
    platform.minutes(27, pods=pods)
    assert platform.verdicts(workload) == [Reason.RUNNING, *[Reason.IDLE_WARNING] * 2]
    platform.minutes(5, pods=pods)
    assert platform.verdicts(workload)[-1] is Reason.IDLE


def test_an_exemption_takes_back_what_was_warned_of(company: Company, platform: Platform) -> None:
    workload, _ = platform.sandbox()
    pods = platform.agents.pod_of(workload)
    platform.minutes(38, pods=pods)
    until = later(company.now, 2 * 3600)
    platform.exemptions.exempt(company.caller("ada"), workload.id, "a demo at two", until, now=company.now)
    platform.minutes(3, pods=pods)
    assert platform.verdicts(workload) == [Reason.RUNNING, *[Reason.IDLE_WARNING] * 2, Reason.RUNNING]


def test_an_exemption_that_is_withdrawn_holds_no_longer(company: Company, platform: Platform) -> None:
    workload, _ = platform.sandbox()
    until = later(company.now, 6 * 3600)
    platform.exemptions.exempt(company.caller("ada"), workload.id, "a demo at two", until, now=company.now)
    platform.minutes(20, pods=platform.agents.pod_of(workload))
    platform.exemptions.withdraw(company.caller("ada"), workload.id, now=company.now)
    platform.minutes(31, pods=platform.agents.pod_of(workload))
    assert platform.verdicts(workload)[-1] is Reason.IDLE


@pytest.mark.parametrize(
    ("why", "seconds"), [("", 3600), (" ", 3600), ("x" * 301, 3600), ("why", 0), ("why", -1), ("why", 7 * 86_400 + 1)]
)
def test_an_exemption_needs_a_reason_and_an_end(company: Company, platform: Platform, why: str, seconds: int) -> None:
    workload, _ = platform.sandbox()
    with pytest.raises(InvalidInput):
        platform.exemptions.exempt(
            company.caller("ada"), workload.id, why, later(company.now, seconds), now=company.now
        )


def test_nobody_exempts_the_work_of_others(company: Company, platform: Platform) -> None:
    workload, _ = platform.sandbox()
    with pytest.raises(NotFound):
        platform.exemptions.exempt(
            company.caller("bob"), workload.id, "mine now", later(company.now, 60), now=company.now
        )


def test_the_brake_holds_it_and_letting_go_acts_on_what_still_rests(company: Company, platform: Platform) -> None:
    company.administration.pause(OPERATOR, Brake.RECLAIM, "a fire drill", now=company.now)
    workload, _ = platform.sandbox()
    pods = platform.agents.pod_of(workload)
    platform.minutes(50, pods=pods)
    assert platform.hindrances(workload) == []
    assert platform.run().waiting == 1
    company.administration.resume_brake(OPERATOR, Brake.RECLAIM, now=company.now)
    platform.minutes(1, pods=pods)
    assert platform.hindrances(workload) == [(True, "")]


def test_the_stop_rate_bounds_how_much_is_ended_in_ten_minutes(company: Company) -> None:
    platform = Platform(company, SANDBOXES, idle_rate=StopRate(PerMille(1), floor=1))
    workload, _ = platform.sandbox()
    platform.minutes(60, pods=platform.agents.pod_of(workload))
    assert platform.hindrances(workload) == []
    assert platform.run().waiting == 1


def test_a_restart_forgets_no_warning_and_counts_no_gap_as_rest(company: Company, platform: Platform) -> None:
    workload, _ = platform.sandbox()
    pods = platform.agents.pod_of(workload)
    platform.minutes(27, pods=pods)
    assert platform.verdicts(workload) == [Reason.RUNNING, Reason.IDLE_WARNING]
    platform.reclaim = IdleReclaim(company.world)
    company.now = later(company.now, 3600)
    platform.minutes(7, pods=pods)
    assert platform.verdicts(workload) == [Reason.RUNNING, Reason.IDLE_WARNING]
    platform.minutes(3, pods=pods)
    assert platform.verdicts(workload) == [Reason.RUNNING, *[Reason.IDLE_WARNING] * 2]


def test_work_that_no_rule_covers_is_left_alone(company: Company) -> None:
    platform = Platform(company, JOBS)
    workload, _ = platform.sandbox()
    platform.minutes(120, pods=platform.agents.pod_of(workload))
    assert platform.verdicts(workload) == [Reason.RUNNING]
    assert platform.hindrances(workload) == []


def test_each_priority_class_and_kind_has_the_first_rule_that_covers_it(company: Company) -> None:
    patient = replace(
        SANDBOXES.policy, window_ms=90 * MS_PER_MINUTE, warn_at_ms=(60 * MS_PER_MINUTE, 80 * MS_PER_MINUTE)
    )
    elsewhere = IdleRule("elsewhere", SANDBOXES.kinds, frozenset({SPOT}), policy=SANDBOXES.policy)
    rolling = IdleRule("rolling", SANDBOXES.kinds, frozenset({ROLLING}), policy=patient)
    platform = Platform(company, JOBS, elsewhere, rolling, SANDBOXES)
    workload, _ = platform.sandbox()
    pods = platform.agents.pod_of(workload)
    platform.minutes(69, pods=pods)
    assert platform.verdicts(workload) == [Reason.RUNNING]
    platform.minutes(33, pods=pods)
    assert platform.verdicts(workload) == [Reason.RUNNING, *[Reason.IDLE_WARNING] * 2, Reason.IDLE]


@pytest.mark.parametrize(
    ("gpu_ms", "told"),
    [
        (0, "nothing was held for it any more"),
        (59_999, "less than a minute of GPU time comes back"),
        (3 * MS_PER_MINUTE, "up to 3 min of GPU time comes back"),
        (2 * MS_PER_HOUR, "up to 2 h of GPU time comes back"),
        (1_351 * MS_PER_MINUTE, "up to 22 h 31 min of GPU time comes back"),
    ],
)
def test_what_comes_back_is_said_in_hours_and_minutes_and_never_as_no_hours(gpu_ms: int, told: str) -> None:
    assert came_back(gpu_ms) == told
