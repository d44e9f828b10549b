"""What rolls over together: one holder's rests of a period and unit, and nothing that is no rest."""

from dataclasses import replace

from scheduler.domain.allowances import AllowanceSource
from scheduler.domain.rollover import Rollover, RolloverRule
from scheduler.domain.units import Instant
from scheduler.ledger.rolling_over import Rest, rests_together
from tests.ledger.build import allowance

ENDS = Instant(9_000)
ALL = Rollover(RolloverRule.CAPPED, 1_000)


def rest(name: str, left: int, source: AllowanceSource = AllowanceSource.TIER) -> Rest:
    return Rest(replace(allowance(100, name=name), source=source, period="2026-10", rollover=ALL), ENDS, left)


def test_the_tier_s_own_rest_comes_before_what_had_rolled_into_its_period() -> None:
    rolled, tier = rest("a-rolled", 30, AllowanceSource.ROLLOVER), rest("b-tier", 70)
    assert rests_together([rolled, tier]) == [[tier, rolled]]


def test_what_is_used_up_or_overdrawn_takes_nothing_from_what_goes_on() -> None:
    rolled = rest("rolled", 30, AllowanceSource.ROLLOVER)
    assert rests_together([rest("tier", -10), rest("other", 0), rolled]) == [[rolled]]
