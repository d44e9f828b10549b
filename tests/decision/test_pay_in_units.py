"""Pay in hours of a GPU class and in money beside standard hours: who has enough of it, and what its overdraft is for."""

from dataclasses import replace

import pytest

from scheduler.decision.decide import decide
from scheduler.decision.plan import Plan
from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.money import MICRO_PER_UNIT
from scheduler.domain.quantities import class_unit, money_unit
from scheduler.domain.reasons import Reason
from scheduler.domain.terms import Prices
from scheduler.domain.units import MS_PER_HOUR, PoolName, Unit
from tests.decision.builders import (
    H100,
    SPARE,
    STANDARD,
    balance,
    node,
    nodes,
    placements,
    reasons,
    snapshot,
    workload,
)

EUR = money_unit("EUR")
TWO_EUROS = Prices(EUR, {(H100, PoolName("red")): 2 * MICRO_PER_UNIT})
A_WORKLOAD_COSTS = {class_unit(H100): 4 * MS_PER_HOUR, EUR: 8 * MICRO_PER_UNIT}
"""An hour of four GPUs."""

each_unit = pytest.mark.parametrize("unit", A_WORKLOAD_COSTS)


def decided(*paid_by: AllowanceBalance, is_spare: bool = False) -> Plan:
    wish = workload("w", gpus=4, priority_class=SPARE if is_spare else STANDARD)
    return decide(snapshot(nodes(node("n")), [wish], balances=paid_by, prices=TWO_EUROS))


def left(unit: Unit, amount: int, overdraft: int = 0) -> AllowanceBalance:
    made = balance("ada", 0, unit=unit, overdraft=overdraft)
    return replace(made, available=amount)


@each_unit
def test_who_has_just_enough_starts_and_who_lacks_the_last_part_is_told_so(unit: Unit) -> None:
    enough = A_WORKLOAD_COSTS[unit]

    paid = decided(left(unit, enough))
    (share,) = paid.launches[0].funding
    assert (placements(paid), share.amount) == ({"w": {"n": 1}}, enough)

    short = decided(left(unit, enough - 1))
    assert (placements(short), reasons(short)) == ({}, {"w": Reason.ALLOWANCE_SHORT})


@each_unit
def test_who_is_short_of_it_runs_unfunded_where_the_class_allows_that(unit: Unit) -> None:
    plan = decided(left(unit, A_WORKLOAD_COSTS[unit] - 1), is_spare=True)

    assert placements(plan) == {"w": {"n": 1}}
    assert not plan.launches[0].is_funded


@each_unit
def test_the_overdraft_of_such_pay_may_be_used_and_no_more_than_that(unit: Unit) -> None:
    half = A_WORKLOAD_COSTS[unit] // 2

    assert placements(decided(left(unit, half, overdraft=half))) == {"w": {"n": 1}}
    assert reasons(decided(left(unit, half, overdraft=half - 1))) == {"w": Reason.ALLOWANCE_SHORT}
    beyond = left(unit, -2 * half, overdraft=half)  # policy allowed more when it was used
    overdrawn = decided(beyond, balance("ada", 4, name="standard"))
    assert [share.allowance_id for share in overdrawn.launches[0].funding] == ["standard"]
