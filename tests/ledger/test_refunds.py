from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.quantities import money_unit
from scheduler.domain.terms import Draw
from scheduler.domain.units import MS_PER_HOUR, Instant, PerMille, standard_total
from scheduler.ledger.holds import Hold
from scheduler.ledger.journal import Account, AccountKind, Entry, Transaction, TransactionKind
from scheduler.ledger.refunds import lost_gpu_ms, refund
from tests.ledger.build import ADA, ATTEMPT, attempt, hold

HOUR = 3_600_000


def test_work_since_the_last_checkpoint_is_lost_up_to_the_cap() -> None:
    running = attempt(gpus=4, checkpointed_at=1_000)
    assert lost_gpu_ms(running, HOUR, Instant(3_000)) == 8_000
    assert lost_gpu_ms(running, 500, Instant(3_000)) == 2_000
    assert lost_gpu_ms(running, HOUR, Instant(500)) == 0


def test_without_checkpoints_or_before_the_start_nothing_is_lost() -> None:
    assert lost_gpu_ms(attempt(checkpointed_at=None), HOUR, Instant(3_000)) == 0
    assert lost_gpu_ms(attempt(checkpointed_at=10, started_at=None), HOUR, Instant(3_000)) == 0


def test_a_checkpoint_of_an_earlier_attempt_counts_from_the_start() -> None:
    assert lost_gpu_ms(attempt(checkpointed_at=10, started_at=1_000), HOUR, Instant(3_000)) == 2_000


def test_those_who_paid_last_get_it_back_first() -> None:
    holds = [hold(100, charged=100), hold(100, name="2", allowance="a-2", charged=50)]
    [made] = refund(attempt(charged_gpu_ms=150, charged=150), holds, 80, Instant(9), "work lost: Preempted")
    assert (made.id, made.kind, made.attempt_id, made.memo) == (
        "refund:w-1.1",
        TransactionKind.REFUND,
        ATTEMPT,
        "work lost: Preempted",
    )
    assert made.entries == (
        Entry(Account(AccountKind.REFUNDS, "a-2"), -50, gpu_ms=-50),
        Entry(Account(AccountKind.ALLOWANCE, "a-2"), 50, gpu_ms=50),
        Entry(Account(AccountKind.REFUNDS, "a-1"), -30, gpu_ms=-30),
        Entry(Account(AccountKind.ALLOWANCE, "a-1"), 30, gpu_ms=30),
    )


def test_an_overrun_is_forgiven_before_a_hold_is_paid_back() -> None:
    [made] = refund(attempt(charged_gpu_ms=130, charged=130), [hold(100, charged=100)], 40, Instant(9), "")
    assert [(str(e.account), e.amount) for e in made.entries if e.amount > 0] == [
        (f"overrun:{ADA}", 30),
        ("allowance:a-1", 10),
    ]
    assert [(str(e.account), e.amount) for e in made.entries if e.amount < 0] == [
        (f"refunds:overrun/{ADA}", -30),
        ("refunds:a-1", -10),
    ]


def test_what_ran_unfunded_is_not_paid_back() -> None:
    assert refund(attempt(charged_gpu_ms=130, charged=130, is_funded=False), [], 40, Instant(9), "") == []


def test_nothing_charged_is_nothing_to_give_back() -> None:
    assert refund(attempt(), [hold(100)], 40, Instant(9), "") == []
    assert refund(attempt(weight=1, charged_gpu_ms=400), [hold(100)], 40, Instant(9), "") == []


def in_euros(amount: int, gpu_ms: int) -> Hold:
    """A hold of an allowance of money that has paid all of it, for so much physical time."""
    return replace(
        hold(amount, name="money", allowance="a-money", charged=amount),
        draw=Draw(money_unit("EUR"), MS_PER_HOUR, gpu_ms=gpu_ms),
    )


def given_back(made: list[Transaction]) -> list[tuple[str, int, int]]:
    return [(str(e.account), e.amount, e.gpu_ms) for each in made for e in each.entries if e.amount > 0]


@pytest.mark.parametrize("covered", [50, 199], ids=["much of it overrun", "one millisecond of it overrun"])
def test_beside_money_an_overrun_in_standard_time_is_forgiven_first(covered: int) -> None:
    ran = attempt(charged_gpu_ms=300, charged=300)
    holds = [in_euros(100, gpu_ms=100), hold(covered, name="2", allowance="a-2", charged=covered)]
    overrun = 200 - covered
    assert given_back(refund(ran, holds, overrun + 20, Instant(9), "")) == [
        (f"overrun:{ADA}", overrun, overrun),
        ("allowance:a-2", 20, 20),
    ]


def test_beside_money_what_ran_unfunded_is_not_paid_back() -> None:
    ran = attempt(charged_gpu_ms=300, charged=300, is_funded=False)
    holds = [in_euros(100, gpu_ms=100), hold(50, name="2", allowance="a-2", charged=50)]
    assert given_back(refund(ran, holds, 300, Instant(9), "")) == [
        ("allowance:a-2", 50, 50),
        ("allowance:a-money", 100, 100),
    ]


def test_beside_money_each_hold_in_standard_time_gives_back_by_its_own_time() -> None:
    holds = [
        in_euros(100, gpu_ms=100),
        hold(80, name="1", charged=80),
        hold(120, name="2", allowance="a-2", charged=120),
    ]
    assert given_back(refund(attempt(charged_gpu_ms=300, charged=300), holds, 150, Instant(9), "")) == [
        ("allowance:a-2", 120, 120),
        ("allowance:a-1", 30, 30),
    ]


def test_money_that_cannot_be_divided_is_rounded_up_for_who_paid_it() -> None:
    ran = attempt(charged_gpu_ms=3, charged=3)
    assert given_back(refund(ran, [in_euros(10, gpu_ms=3)], 1, Instant(9), "")) == [("allowance:a-money", 4, 1)]


def test_the_least_sum_of_money_comes_back() -> None:
    ran = attempt(charged_gpu_ms=100, charged=100)
    assert given_back(refund(ran, [in_euros(1, gpu_ms=100)], 100, Instant(9), "")) == [("allowance:a-money", 1, 100)]


@given(
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.integers(0, 3_000),
    st.lists(st.integers(1, 10**9), max_size=3),
)
def test_a_refund_is_what_the_lost_time_cost_and_never_more_than_was_paid(
    used: int, lost: int, weight: int, amounts: list[int]
) -> None:
    total = standard_total(used, PerMille(weight), PerMille(1000))
    rest: int = total
    holds = []
    for n, amount in enumerate(amounts):
        holds.append(hold(amount, name=str(n), allowance=f"a-{n}", charged=min(amount, rest)))
        rest -= holds[-1].charged
    made = refund(attempt(weight=weight, charged_gpu_ms=used, charged=total), holds, lost, Instant(9), "")
    kept = standard_total(max(0, used - lost), PerMille(weight), PerMille(1000))
    given_back = sum(e.amount for each in made for e in each.entries if e.amount > 0)
    physical = sum(e.gpu_ms for each in made for e in each.entries if e.amount > 0)
    assert given_back == total - kept
    assert physical == (min(lost, used) if made else 0)
