"""Rules of retries: which end is tried again, how often, and after how long."""

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.reasons import Reason
from scheduler.domain.retries import RetriedEnd, Retry, RetryRule, next_try
from scheduler.domain.units import Instant, PerMille, WorkloadId

NOW = Instant(1_000_000)
JOB = WorkloadId("j-1")
STEADY = RetryRule("any", retries_max=2, jitter=PerMille(0))
NEVER = RetryRule("usage", exit_codes=frozenset({2}), retries_max=0)


def tries(*ends: Reason, code: int = 1, rules: tuple[RetryRule, ...] = (NEVER, STEADY)) -> Retry | None:
    return next_try(rules, JOB, ends, code, NOW)


def test_the_wait_doubles_with_each_retry_until_there_are_no_more() -> None:
    assert tries(Reason.FAILED) == Retry(1, 2, Instant(NOW + 10_000))
    assert tries(Reason.FAILED, Reason.FAILED) == Retry(2, 2, Instant(NOW + 20_000))
    assert tries(Reason.FAILED, Reason.FAILED, Reason.FAILED) is None


def test_preemptions_and_lost_nodes_use_up_no_retry() -> None:
    lost = (Reason.PREEMPTED,) * 20 + (Reason.NODE_LOST, Reason.BACKOFF)
    assert tries(*lost, Reason.FAILED) == Retry(1, 2, Instant(NOW + 10_000))


def test_the_fault_of_a_gpu_uses_up_a_retry_as_the_failure_did_that_it_was_taken_for() -> None:
    assert tries(Reason.GPU_FAULT, Reason.FAILED) == tries(Reason.FAILED, Reason.FAILED)
    assert tries(Reason.GPU_FAULT, Reason.GPU_FAULT, Reason.FAILED) is None


def test_the_first_rule_that_covers_the_exit_code_decides() -> None:
    assert tries(Reason.FAILED, code=2) is None
    assert tries(Reason.FAILED, code=2, rules=(STEADY, NEVER)) is not None


def test_an_end_that_no_rule_names_is_final() -> None:
    assert tries(Reason.TIME_LIMIT) is None
    patient = RetryRule("patient", ends=frozenset({RetriedEnd.TIME_LIMIT}))
    assert tries(Reason.TIME_LIMIT, rules=(patient,)) is not None
    assert tries(Reason.BOOKING_ENDED, rules=(patient,)) is None
    later = RetryRule("later", ends=frozenset({RetriedEnd.BOOKING_ENDED}))
    assert tries(Reason.BOOKING_ENDED, rules=(patient, later)) == Retry(1, 3, Instant(NOW + later.wait_ms(1, JOB)))
    assert tries(Reason.FAILED, rules=()) is None


@given(st.integers(1, 100), st.integers(0, 1000), st.text(min_size=1, max_size=8))
def test_a_wait_is_between_the_doubling_and_that_with_all_of_its_jitter(retry: int, jitter: int, name: str) -> None:
    rule = RetryRule("any", first_wait_ms=1000, longest_wait_ms=60_000, jitter=PerMille(jitter))
    least = min(60_000, 1000 * 2 ** (retry - 1))
    assert least <= rule.wait_ms(retry, WorkloadId(name)) <= least + least * jitter // 1000
    assert rule.wait_ms(retry, WorkloadId(name)) == rule.wait_ms(retry, WorkloadId(name))


def test_what_failed_together_is_not_tried_together() -> None:
    rule = RetryRule("any", jitter=PerMille(1000))
    waits = {rule.wait_ms(1, WorkloadId(f"j-{number}")) for number in range(100)}
    assert len(waits) > 90
    assert max(waits) - min(waits) > 8_000
