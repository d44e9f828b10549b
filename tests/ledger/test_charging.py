from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.units import Instant, PerMille, standard_total
from scheduler.domain.workloads import Attempt
from scheduler.ledger.charging import Charge, charge
from scheduler.ledger.holds import Hold, HoldState
from scheduler.ledger.journal import Account, AccountKind, Entry, TransactionKind
from tests.ledger.build import ADA, ATTEMPT, attempt, hold

NOON = Instant(43_200_000)


def charged_by_account(made: Charge) -> dict[str, tuple[int, int]]:
    """Amount and physical time that came to each account of kind charged."""
    found: dict[str, tuple[int, int]] = {}
    for entry in made.transactions[0].entries if made.transactions else ():
        if entry.account.kind is AccountKind.CHARGED:
            amount, gpu_ms = found.get(entry.account.owner, (0, 0))
            found[entry.account.owner] = (amount + entry.amount, gpu_ms + entry.gpu_ms)
    return found


def test_a_charge_moves_what_was_used_from_held_to_charged() -> None:
    made = charge(attempt(weight=1500), [hold(10_000)], 1_001, NOON)
    assert made.transactions
    assert made.transactions[0].id == "charge:w-1.1:1001"
    assert (made.transactions[0].kind, made.transactions[0].at, made.transactions[0].attempt_id) == (
        TransactionKind.CHARGE,
        NOON,
        ATTEMPT,
    )
    assert made.transactions[0].entries == (
        Entry(Account(AccountKind.HELD, "a-1"), -1_501, gpu_ms=-1_001),
        Entry(Account(AccountKind.CHARGED, "a-1"), 1_501, gpu_ms=1_001),
    )
    assert (made.gpu_ms, made.total, made.from_holds, made.overrun, made.unfunded) == (
        1_001,
        1_501,
        {"h-1": 1_501},
        0,
        0,
    )


def test_holds_are_used_up_in_funding_order_and_the_physical_time_is_split_like_the_amounts() -> None:
    holds = [hold(100, name="1"), hold(500, name="2", allowance="a-2")]
    made = charge(attempt(weight=2000), holds, 150, NOON)
    assert made.from_holds == {"h-1": 100, "h-2": 200}
    assert charged_by_account(made) == {"a-1": (100, 50), "a-2": (200, 100)}


def test_what_no_hold_covers_is_the_owners_overrun() -> None:
    made = charge(attempt(), [hold(100)], 130, NOON)
    assert (made.from_holds, made.overrun, made.unfunded) == ({"h-1": 100}, 30, 0)
    assert charged_by_account(made) == {"a-1": (100, 100), f"overrun/{ADA}": (30, 30)}
    assert made.transactions
    assert Entry(Account(AccountKind.OVERRUN, ADA), -30, gpu_ms=-30) in made.transactions[0].entries


def test_one_millisecond_that_no_hold_covers_is_overrun() -> None:
    made = charge(attempt(), [hold(100)], 101, NOON)
    assert made.overrun == 1
    assert charged_by_account(made) == {"a-1": (100, 100), f"overrun/{ADA}": (1, 1)}


def test_an_unfunded_attempt_is_posted_as_unfunded() -> None:
    made = charge(attempt(is_funded=False), [], 130, NOON)
    assert (made.overrun, made.unfunded) == (0, 130)
    assert charged_by_account(made) == {f"unfunded/{ADA}": (130, 130)}


def test_an_attempt_that_goes_on_unfunded_uses_up_what_it_holds_first() -> None:
    made = charge(attempt(is_funded=False), [hold(50)], 130, NOON)
    assert charged_by_account(made) == {"a-1": (50, 50), f"unfunded/{ADA}": (80, 80)}


def test_a_resolved_hold_pays_nothing() -> None:
    resolved = replace(hold(500), state=HoldState.RESOLVED, resolved_at=NOON)
    assert charge(attempt(), [resolved], 10, NOON).overrun == 10


def test_time_worth_less_than_one_unit_stands_beside_a_charge_of_zero() -> None:
    made = charge(attempt(weight=1), [hold(5), hold(5, name="2", allowance="a-2")], 400, NOON)
    assert (made.total, made.gpu_ms, made.from_holds) == (0, 400, {"h-1": 0})
    assert charged_by_account(made) == {"a-1": (0, 400)}


def test_a_total_at_or_below_what_was_charged_posts_nothing() -> None:
    charged = attempt(charged_gpu_ms=500, charged=500)
    for total in (500, 499, 0):
        assert charge(charged, [hold(1_000)], total, NOON) == Charge((), 500, 500)


Slices = st.lists(st.integers(0, 10_000_000), min_size=1, max_size=30)
Factor = st.integers(0, 5_000)


def run(slices: list[int], start: Attempt, holds: list[Hold]) -> tuple[Attempt, list[Hold], list[Charge]]:
    """Charge slice after slice, as the lifecycle does."""
    made: list[Charge] = []
    gpu_ms = 0
    for used in slices:
        gpu_ms += used
        one = charge(start, holds, gpu_ms, Instant(gpu_ms))
        made.append(one)
        start = replace(start, charged_gpu_ms=one.gpu_ms, charged=one.total)
        holds = [replace(item, charged=item.charged + one.from_holds.get(item.id, 0)) for item in holds]
    return start, holds, made


@given(Slices, Factor, Factor, st.lists(st.integers(1, 50_000_000), max_size=4), st.booleans())
def test_slices_never_drift_and_never_charge_a_hold_beyond_itself(
    slices: list[int], weight: int, class_factor: int, amounts: list[int], is_funded: bool
) -> None:
    holds = [hold(amount, name=str(n), allowance=f"a-{n % 2}", order=n) for n, amount in enumerate(amounts)]
    start = attempt(weight=weight, class_factor=class_factor, is_funded=is_funded)
    ended, holds, made = run(slices, start, holds)
    total = standard_total(sum(slices), PerMille(weight), PerMille(class_factor))
    posted = [sums for one in made for sums in charged_by_account(one).values()]
    assert (sum(amount for amount, _ in posted), sum(gpu_ms for _, gpu_ms in posted)) == (total, sum(slices))
    assert (ended.charged, ended.charged_gpu_ms) == (total, sum(slices))
    assert all(0 <= item.charged <= item.amount for item in holds)
    beyond = sum(one.overrun + one.unfunded for one in made)
    assert sum(item.charged for item in holds) + beyond == total
    assert beyond == max(0, total - sum(amounts))
    assert all(one.overrun == 0 or is_funded for one in made)
    assert all(one.unfunded == 0 or not is_funded for one in made)


@given(Slices, Factor, Factor)
def test_however_it_is_sliced_the_sum_is_the_same(slices: list[int], weight: int, class_factor: int) -> None:
    start = attempt(weight=weight, class_factor=class_factor)
    in_slices, _, _ = run(slices, start, [hold(10**12)])
    at_once, _, _ = run([sum(slices)], start, [hold(10**12)])
    assert in_slices.charged == at_once.charged


@given(Slices)
def test_every_charge_has_an_id_of_its_own(slices: list[int]) -> None:
    _, _, made = run(slices, attempt(), [hold(10**12)])
    ids = [each.id for one in made for each in one.transactions]
    assert len(set(ids)) == len(ids)
