"""Retries and a service that was away: what is tried again, how often, when, and what it is charged hang on how attempts
ended, and not on when that was heard of."""

from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.allowances import Allowance, AllowanceSource, HolderKind, holder_of
from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import PodPhase
from scheduler.domain.reasons import Reason
from scheduler.domain.retries import RetriedEnd, RetryRule
from scheduler.domain.units import MS_PER_HOUR, MS_PER_SECOND, AllowanceId, Instant, JobUid, PerMille, PodUid
from scheduler.domain.workloads import AttemptState, Workload, WorkloadState
from scheduler.ledger.grants import grant
from scheduler.ledger.journal import Account, AccountKind
from scheduler.lifecycle.awarding.expire import expire_due
from scheduler.lifecycle.running.keep import keep_funded
from scheduler.lifecycle.running.limits import enforce_limits
from scheduler.lifecycle.running.record import stop_attempt
from tests.lifecycle.build import NOON, Company, changes, job_seen, later, pod_seen, policy
from tests.lifecycle.test_bookings import book, pass_time
from tests.lifecycle.test_inside_bookings import run_inside

GPUS = 2
LIMIT_MS = 2 * MS_PER_HOUR
USAGE = RetryRule("usage", exit_codes=frozenset({2}), retries_max=0)
ANY = RetryRule("any", retries_max=2, first_wait_ms=1_800_000, longest_wait_ms=7_200_000, jitter=PerMille(100))
TURN = later(NOON, 5 * 3600)
"""A period ends, and the next begins."""


@dataclass(frozen=True)
class End:
    """How an attempt ended: of itself with a code, or (None) because it was preempted; after how many seconds, and how many
    later it is heard of."""

    code: int | None
    ran: int
    unheard: int


ends = st.lists(
    st.builds(
        End,
        st.sampled_from([1, 1, None, 2]),
        st.integers(1, LIMIT_MS // MS_PER_SECOND - 1),
        st.sampled_from([0, 1, 600, 4 * 3600]),
    ),
    min_size=1,
    max_size=6,
)


def period(company: Company, name: str, starts_at: Instant, expires_at: Instant | None) -> AllowanceId:
    holder = holder_of(HolderKind.ENGINEER, company.engineer("ada").id)
    hours = 100 * MS_PER_HOUR
    made = Allowance(AllowanceId(name), holder, AllowanceSource.TIER, hours, starts_at, expires_at, starts_at)
    with company.changing() as batch:
        batch.add_allowance(made)
        batch.post(grant(made, actor="policy", memo="a period"))
    return made.id


def attempt(company: Company, workload: Workload, end: End) -> Instant:
    """Launch it as soon as it may be, and let it end so. Returns when it ended."""
    company.now = max(company.now, workload.not_before)
    payer = AllowanceId("first" if company.now < TURN else "second")
    assert company.launch(workload, FundingShare(payer, GPUS * LIMIT_MS)) == []
    uid = JobUid(f"uid-{workload.job_name}")
    with company.changing() as batch:
        batch.change_workload(company.workload(workload.id), job_uid=uid)
    live = company.world.live_attempt(workload.id)
    assert live is not None
    job = replace(job_seen(workload), uid=uid, attempt_id=live.id, is_suspended=False)
    pod = replace(pod_seen(workload), uid=PodUid(f"pod-{live.id}"), job_uid=uid, started_at=company.now)
    company.see(changes(job, pod))
    ended_at = later(company.now, end.ran)
    if end.code is None:
        company.now = ended_at
        with company.changing() as batch:
            stop_attempt(batch, live, Reason.PREEMPTED, {})
    company.now = later(ended_at, end.unheard)
    over = replace(pod, phase=PodPhase.FAILED, finished_at=ended_at, exit_code=143 if end.code is None else end.code)
    company.see(changes(replace(job, is_failed=True, failure="BackoffLimitExceeded"), over))
    with company.changing() as batch:
        enforce_limits(batch)
        keep_funded(batch)
    with company.changing() as batch:
        expire_due(batch)
    return ended_at


@given(ends, st.sampled_from([None, MS_PER_HOUR, 3 * MS_PER_HOUR]))
def test_retries_hang_on_how_attempts_ended_and_not_on_when_that_was_heard_of(
    history: list[End], runtime_max_ms: int | None
) -> None:
    known = policy()
    limits = replace(known.limits, runtime_max_ms=runtime_max_ms)
    company = Company(replace(known, retry_rules=(USAGE, ANY), limits=limits))
    try:
        period(company, "first", NOON, TURN)
        period(company, "second", TURN, None)
        workload = company.submit(time_limit_ms=LIMIT_MS)
        failed = ran_ms = 0
        for end in history:
            ended_at = attempt(company, workload, end)
            workload = company.workload(workload.id)
            ran_ms += end.ran * MS_PER_SECOND
            failed += end.code is not None
            may_run = runtime_max_ms is None or ran_ms < runtime_max_ms
            is_tried = end.code is None or (end.code == 1 and failed <= ANY.retries_max)
            assert (workload.state is WorkloadState.QUEUED) == (is_tried and may_run)
            if workload.state is not WorkloadState.QUEUED:
                break
            if end.code is not None:
                assert workload.not_before == ended_at + ANY.wait_ms(failed, workload.id)
        with company.store.reading() as books:
            charged = [books.journal.balance(Account(AccountKind.CHARGED, name)) for name in ("first", "second")]
            owed = books.journal.balance(Account(AccountKind.OVERRUN, company.engineer("ada").id))
            assert books.journal.differences() == []
        assert (sum(charged), owed) == (GPUS * ran_ms, 0)
        assert not any(each.state is not AttemptState.ENDED for each in company.world.attempts.values())
    finally:
        company.close()


def test_a_rule_may_have_what_its_bookings_end_cut_off_tried_again() -> None:
    rule = replace(ANY, ends=frozenset({RetriedEnd.BOOKING_ENDED}))
    company = Company(replace(policy(), retry_rules=(rule,)))
    company.grant("ada", 20)
    booking = book(company, in_hours=0, hours=2)
    pass_time(company, 1)
    workload = run_inside(company, booking, 0, time_limit_ms=2 * MS_PER_HOUR)
    start = company.now
    pass_time(company, 1)
    assert company.workload(workload.id).state_reason is Reason.BOOKING_ENDED

    pod = pod_seen(workload, started_at=start, finished_at=company.now, phase=PodPhase.FAILED, exit_code=143)
    company.see(changes(pod, job_seen(workload, is_suspended=True, is_confirmed_suspended=True, generation=2)))

    tried = company.workload(workload.id)
    assert (tried.state, tried.not_before) == (WorkloadState.QUEUED, company.now + rule.wait_ms(1, workload.id))
    company.close()
