"""What rolls over together: one holder's rests of a period and unit, and nothing that is no rest."""

from dataclasses import replace

import pytest

from scheduler.domain.allowances import AllowanceSource
from scheduler.domain.periods import Period
from scheduler.domain.rollover import Rollover, RolloverRule
from scheduler.domain.units import Instant
from scheduler.ledger.rolling_over import Rest, carry_on, rests_together
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


def test_one_of_which_nothing_is_left_still_counts_with_what_went_of_it() -> None:
    """What of it has gone on already is part of what the cap lets go on."""
    spent, nothing = replace(rest("tier", 0), gone=60, carried=60), rest("nothing", 0)
    rolled = rest("rolled", 30, AllowanceSource.ROLLOVER)
    assert rests_together([rolled, spent, nothing]) == [[spent, rolled]]


def test_what_goes_on_later_is_a_transaction_of_its_own_and_goes_on_without_the_overdraft() -> None:
    known = rest("tier", 30)
    first, later = replace(known, allowance=replace(known.allowance, overdraft=500)), replace(known, carried=20)
    made = [carry_on([each], Period("2026-11", ENDS, Instant(18_000))) for each in (first, later)]
    assert [each and each.target.overdraft for each in made] == [0, 0]
    assert [each and each.transactions[0].id for each in made] == ["rollover:tier", "rollover:tier:20"]


@pytest.mark.parametrize(
    ("tier", "rolled", "parts"),
    [
        ((70, 0, 0), (30, 0, 0), {"tier": 60}),
        ((30, 0, 0), (90, 0, 0), {"tier": 30, "rolled": 30}),
        ((70, 40, 40), (30, 0, 0), {"tier": 20}),
        ((5, 50, 0), (10, 0, 0), {"tier": 5, "rolled": 10}),
        ((0, 0, 0), (10, 0, 0), {"rolled": 10}),
        ((70, 40, 40), (30, 20, 20), None),
    ],
    ids=["the tier's first", "what each has", "beside what went on", "what is left", "nothing of it", "all went on"],
)
def test_as_much_goes_on_as_the_cap_lets_and_as_is_left(
    tier: tuple[int, int, int], rolled: tuple[int, int, int], parts: dict[str, int] | None
) -> None:
    """Each is what is left, what is gone, and how much of that has gone on; the cap is 60."""
    together = [
        Rest(replace(rest(name, 0).allowance, source=source, rollover=Rollover(RolloverRule.CAPPED, 60)), ENDS, *had)
        for name, source, had in (("tier", AllowanceSource.TIER, tier), ("rolled", AllowanceSource.ROLLOVER, rolled))
    ]
    going_on = carry_on(together, Period("2026-11", ENDS, Instant(18_000)))
    if parts is None:
        assert going_on is None
    else:
        assert going_on is not None
        assert (going_on.parts, going_on.target.amount) == (parts, sum(parts.values()))
        assert len(going_on.transactions) == len(parts)
