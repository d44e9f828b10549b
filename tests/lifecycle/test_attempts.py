"""An attempt from launch to settlement: what is held, charged, released and refunded."""

from dataclasses import replace

from scheduler.decision.plan import Launch, Plan, Preemption, Verdict, Victim
from scheduler.domain.cluster import Placement
from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import PodPhase
from scheduler.domain.policy import AtExhaustion
from scheduler.domain.reasons import Reason, sentence
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, NodeName, PerMille, PoolName
from scheduler.domain.workloads import AttemptState, WorkloadState
from scheduler.ledger.journal import Account, AccountKind
from scheduler.lifecycle.running.keep import keep_funded
from scheduler.lifecycle.running.limits import enforce_limits, limits_are_due
from scheduler.lifecycle.running.record import record
from tests.lifecycle.build import H100, OPERATOR, ROLLING, SPOT, Company, changes, job_seen, later, pod_seen, policy


def test_a_job_that_fits_is_held_charged_and_released_to_the_second(company: Company) -> None:
    grant = company.grant("ada", 10)
    workload = company.submit()
    refused = company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR))
    company.give_job(workload)
    assert refused == []
    assert company.available(grant) == 6 * MS_PER_HOUR
    start, end = later(company.now, 10), later(company.now, 610)
    company.see(changes(job_seen(workload, is_suspended=False), pod_seen(workload, started_at=start)))
    assert company.workload(workload.id).state is WorkloadState.RUNNING
    company.now = later(company.now, 620)
    company.see(
        changes(
            pod_seen(workload, started_at=start, finished_at=end, phase=PodPhase.SUCCEEDED, exit_code=0),
            job_seen(workload, is_suspended=False, is_complete=True),
        )
    )
    assert company.workload(workload.id).state is WorkloadState.COMPLETED
    assert company.available(grant) == 10 * MS_PER_HOUR - 2 * 600_000
    assert company.world.attempts == {}
    with company.store.reading() as books:
        assert books.journal.balance(Account(AccountKind.CHARGED, grant)) == 2 * 600_000
        assert books.journal.balance(Account(AccountKind.HELD, grant)) == 0
        assert books.journal.differences() == []
        assert books.holds.open_ones() == []


def test_an_attempt_keeps_the_terms_it_was_launched_with_though_the_policy_changes_under_it(company: Company) -> None:
    grant = company.grant("ada", 10)
    workload = company.submit()
    company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR))
    company.give_job(workload)
    start = later(company.now, 10)
    company.see(changes(job_seen(workload, is_suspended=False), pod_seen(workload, started_at=start)))
    known = company.world.require_policy()
    dearer = {name: replace(each, weight=PerMille(9000)) for name, each in known.gpu_classes.items()}
    factors = {name: replace(each, class_factor=PerMille(9000)) for name, each in known.priority_classes.items()}
    company.world.put_policy(replace(known, gpu_classes=dearer, priority_classes=factors))
    company.now = later(start, 620)
    ended = pod_seen(workload, started_at=start, finished_at=later(start, 600), phase=PodPhase.SUCCEEDED, exit_code=0)
    company.see(changes(ended, job_seen(workload, is_suspended=False, is_complete=True)))
    assert company.available(grant) == 10 * MS_PER_HOUR - 2 * 600_000


def test_a_launch_whose_hours_are_gone_meanwhile_is_refused_alone(company: Company) -> None:
    grant = company.grant("ada", 5)
    first, second = company.submit(), company.submit()
    assert company.launch(first, FundingShare(grant, 4 * MS_PER_HOUR)) == []
    assert company.launch(second, FundingShare(grant, 4 * MS_PER_HOUR)) == [second.id]
    assert company.workload(second.id).state is WorkloadState.QUEUED


def test_why_work_waits_is_not_said_of_what_was_cancelled_while_it_was_decided(company: Company) -> None:
    company.grant("ada", 10)
    waits, cancelled = company.submit(), company.submit()
    plan = Plan(company.now, verdicts=tuple(Verdict(each.id, Reason.QUOTA, {}) for each in (waits, cancelled)))
    company.commands.cancel(company.caller("ada"), cancelled.id, now=company.now)
    with company.changing() as batch:
        record(batch, plan, company.ids.new)
    with company.store.reading() as books:
        latest = books.verdicts.latest([waits.id, cancelled.id])
    assert [latest[each.id].reason for each in (waits, cancelled)] == [Reason.QUOTA, Reason.CANCELLED]


def test_a_cancelled_job_keeps_its_gpus_until_its_pods_have_ended(company: Company) -> None:
    grant = company.grant("ada", 10)
    workload = company.submit()
    company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR))
    company.give_job(workload)
    start = later(company.now, 5)
    company.see(changes(job_seen(workload, is_suspended=False, active=1), pod_seen(workload, started_at=start)))
    company.commands.cancel(company.caller("ada"), workload.id, now=company.now)
    assert company.workload(workload.id).state is WorkloadState.STOPPING
    assert [a.state for a in company.world.attempts.values()] == [AttemptState.STOPPING]
    company.now = later(company.now, 65)
    asked = later(start, 40)
    gone = pod_seen(
        workload, started_at=start, deleted_at=asked, grace_seconds=10, finished_at=later(start, 60), is_gone=True
    )
    company.see(changes(gone, job_seen(workload, is_confirmed_suspended=True)))
    assert company.workload(workload.id).state is WorkloadState.CANCELLED
    # Terminating beyond the grace is the platform's: 40 s and the 10 s that were asked for are charged.
    assert company.available(grant) == 10 * MS_PER_HOUR - 2 * 50_000


def test_a_checkpoint_is_kept_in_the_log_with_the_one_before_it(company: Company) -> None:
    grant = company.grant("ada", 10)
    workload = company.submit()
    company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR))
    company.give_job(workload)
    company.see(changes(job_seen(workload, is_suspended=False, active=1), pod_seen(workload, started_at=company.now)))
    first, overtaken, second = (later(company.now, seconds) for seconds in (60, 50, 90))
    for at in (first, overtaken, second):
        company.commands.record_checkpoint(company.caller("ada"), workload.id, now=at, request_id=f"r-{at}")
    with company.store.reading() as books:
        kept = [event for event in books.control.events() if event.verb == "checkpoint"]
    told = [f'{{"checkpointed_at":{at}}}' for at in (first, second)]
    said = sorted((event.request_id, event.before, event.after) for event in kept)
    assert said == [(f"r-{first}", "", told[0]), (f"r-{second}", told[0], told[1])]


def test_a_preempted_job_is_queued_again_and_refunded_what_was_lost_since_its_checkpoint(company: Company) -> None:
    grant, other = company.grant("ada", 10), company.grant("bob", 10)
    victim, preemptor = company.submit(), company.submit("bob")
    company.launch(victim, FundingShare(grant, 4 * MS_PER_HOUR))
    company.give_job(victim)
    start = later(company.now, 0)
    company.see(changes(job_seen(victim, is_suspended=False, active=1), pod_seen(victim, started_at=start)))
    company.now = later(company.now, 600)
    company.commands.record_checkpoint(company.caller("ada"), victim.id, now=later(start, 300))
    company.commands.record_checkpoint(company.caller("ada"), victim.id, now=later(start, 200))  # it was overtaken
    attempt = next(iter(company.world.attempts.values()))
    launch = Launch(
        preemptor.id,
        H100,
        Placement(((NodeName("n0"), 1),)),
        PoolName("research"),
        (FundingShare(other, 4 * MS_PER_HOUR),),
    )
    preemption = Preemption(
        launch, (Victim(attempt.id, victim.id, "InPool", "urgent over standard"),), later(company.now, 300)
    )
    with company.changing() as batch:
        assert record(batch, Plan(company.now, preemptions=(preemption,)), company.ids.new) == []
    assert company.available(other) == 6 * MS_PER_HOUR
    assert set(company.world.reservations) == {preemptor.id}
    company.see(
        changes(
            pod_seen(victim, started_at=start, finished_at=later(start, 600), is_gone=True),
            job_seen(victim, is_confirmed_suspended=True),
        )
    )
    assert company.workload(victim.id).state is WorkloadState.QUEUED
    assert company.world.verdicts[victim.id].reason is Reason.PREEMPTED
    # 600 s × 2 GPUs were charged; 300 s × 2 GPUs since the checkpoint came back.
    assert company.available(grant) == 10 * MS_PER_HOUR - 2 * 600_000 + 2 * 300_000
    reserved = replace(launch, funding=(), is_reserved=True)
    with company.changing() as batch:
        assert record(batch, Plan(company.now, launches=(reserved,)), company.ids.new) == []
    assert company.workload(preemptor.id).state is WorkloadState.LAUNCHING
    assert company.world.reservations == {}
    assert company.available(other) == 6 * MS_PER_HOUR


def test_what_runs_for_its_time_limit_is_stopped(company: Company) -> None:
    grant = company.grant("ada", 10)
    workload = company.submit()
    company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR))
    company.give_job(workload)
    company.see(changes(job_seen(workload, is_suspended=False, active=1), pod_seen(workload, started_at=company.now)))
    company.now = later(company.now, 2 * 3600)
    assert limits_are_due(company.world, company.now)
    with company.changing() as batch:
        enforce_limits(batch)
    assert company.world.verdicts[workload.id].reason is Reason.TIME_LIMIT
    assert not limits_are_due(company.world, company.now)


def test_a_rolling_hold_is_renewed_before_its_slice_is_over(company: Company) -> None:
    grant = company.grant("ada", 10)
    workload = company.submit(priority_class=ROLLING)
    one_slice = 2 * 15 * MS_PER_MINUTE * 3 // 2
    company.launch(workload, FundingShare(grant, one_slice))
    company.give_job(workload)
    company.see(changes(job_seen(workload, is_suspended=False, active=1), pod_seen(workload, started_at=company.now)))
    company.now = later(company.now, 14 * 60)
    with company.changing() as batch:
        kept = keep_funded(batch)
    assert (kept.charged, kept.renewed, kept.exhausted) == (1, 1, 0)
    assert company.available(grant) == 10 * MS_PER_HOUR - 2 * one_slice


def test_a_rolling_hold_that_cannot_be_renewed_stops_the_attempt_at_the_end_of_its_slice(company: Company) -> None:
    grant = company.grant("ada", 1)
    workload = company.submit(priority_class=ROLLING)
    one_slice = 2 * 15 * MS_PER_MINUTE * 3 // 2
    company.launch(workload, FundingShare(grant, one_slice))
    company.give_job(workload)
    company.see(changes(job_seen(workload, is_suspended=False, active=1), pod_seen(workload, started_at=company.now)))
    start = company.now
    company.now = later(start, 14 * 60)
    with company.changing() as batch:
        assert keep_funded(batch).exhausted == 0
    warned = company.world.verdicts[workload.id]
    assert (warned.reason, warned.evidence["minutes"]) == (Reason.ALLOWANCE_LOW, 1)
    company.now = later(start, 15 * 60)
    with company.changing() as batch:
        assert keep_funded(batch).exhausted == 1
    stopped = company.world.verdicts[workload.id]
    assert stopped.reason is Reason.ALLOWANCE_EXHAUSTED
    assert sentence(stopped.reason, stopped.evidence) == "Stopped: the allowance could not renew its hold of 0.8 h."


def test_where_policy_says_so_an_exhausted_attempt_goes_on_unfunded() -> None:
    rules = policy()
    assert rules.priority_classes[SPOT].at_exhaustion is AtExhaustion.UNFUNDED
    company = Company(rules)
    grant = company.grant("ada", 1)
    workload = company.submit(priority_class=SPOT)
    one_slice = 2 * 15 * MS_PER_MINUTE
    company.launch(workload, FundingShare(grant, one_slice))
    company.give_job(workload)
    start = company.now
    company.see(changes(job_seen(workload, is_suspended=False, active=1), pod_seen(workload, started_at=start)))
    for minutes in (14, 29, 30):
        company.now = later(start, minutes * 60)
        with company.changing() as batch:
            keep_funded(batch)
    assert not next(iter(company.world.attempts.values())).is_funded
    company.now = later(start, 45 * 60)
    company.see(
        changes(
            pod_seen(workload, started_at=start, finished_at=company.now, phase=PodPhase.SUCCEEDED),
            job_seen(workload, is_suspended=False, is_complete=True),
        )
    )
    with company.store.reading() as books:
        owner = company.engineer("ada").id
        assert books.journal.balance(Account(AccountKind.CHARGED, grant)) == 2 * 30 * MS_PER_MINUTE
        assert books.journal.balance(Account(AccountKind.CHARGED, f"unfunded/{owner}")) == 2 * 15 * MS_PER_MINUTE
    company.close()


def test_a_charge_is_cut_where_the_month_ends(company: Company) -> None:
    grant = company.grant("ada", 1000)
    company.now = later(company.now, 10 * 86_400 + 11 * 3600)  # 30 November, 23:00
    workload = company.submit(time_limit_ms=4 * MS_PER_HOUR)
    company.launch(workload, FundingShare(grant, 8 * MS_PER_HOUR))
    company.give_job(workload)
    start = company.now
    company.see(changes(job_seen(workload, is_suspended=False, active=1), pod_seen(workload, started_at=start)))
    company.now = later(start, 3 * 3600)
    company.see(
        changes(
            pod_seen(workload, started_at=start, finished_at=company.now, phase=PodPhase.SUCCEEDED),
            job_seen(workload, is_suspended=False, is_complete=True),
        )
    )
    account = Account(AccountKind.CHARGED, grant)
    with company.store.reading() as books:
        november = sum(e.amount for e in books.journal.entries(accounts=[account], ends_at=later(start, 3600)))
        december = sum(e.amount for e in books.journal.entries(accounts=[account], starts_at=later(start, 3600)))
    assert (november, december) == (2 * MS_PER_HOUR, 4 * MS_PER_HOUR)


def test_a_pod_that_went_while_nobody_watched_is_charged_to_the_last_evidence(company: Company) -> None:
    grant = company.grant("ada", 10)
    workload = company.submit()
    company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR))
    company.give_job(workload)
    start = company.now
    running = pod_seen(workload, started_at=start, evidence_at=later(start, 120))
    company.see(changes(job_seen(workload, is_suspended=False, active=1), running))
    company.now = later(start, 3600)
    company.see(changes(is_relist=True))
    assert company.workload(workload.id).state is WorkloadState.CANCELLED
    assert company.available(grant) == 10 * MS_PER_HOUR - 2 * 120_000


def test_an_operator_may_end_what_is_not_theirs(company: Company) -> None:
    company.grant("ada", 10)
    workload = company.submit()
    company.commands.cancel(OPERATOR, workload.id, now=company.now)
    assert company.workload(workload.id).state is WorkloadState.CANCELLED
