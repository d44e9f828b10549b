"""What is left at a period's end: expired, carried over up to a cap, or carried over and decaying; and what comes late."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.allowances import Freeze
from scheduler.domain.funding import FundingShare
from scheduler.domain.periods import Period, to_instant
from scheduler.domain.rollover import Rollover, RolloverRule
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, HoldId, Instant, PerMille
from scheduler.ledger.holding import hold, holds_for, release
from scheduler.lifecycle.awarding.expire import expire_due
from scheduler.lifecycle.awarding.periodic import grant_period
from scheduler.lifecycle.views.reader import Views
from tests.lifecycle.build import NOON, OPERATOR, Company, month, policy

HOUR = MS_PER_HOUR

CAPPED = Rollover(RolloverRule.CAPPED, 30 * HOUR)
DECAYING = Rollover(RolloverRule.DECAYING, keep=PerMille(250))


def company_with(rollover: Rollover | None, time_zone: str = "UTC") -> Company:
    base = policy()
    tiers = {name: replace(tier, rollover=rollover) for name, tier in base.tiers.items()}
    return Company(replace(base, tiers=tiers, time_zone=time_zone))


@pytest.fixture
def made(request: pytest.FixtureRequest) -> Iterator[Company]:
    company = company_with(request.param)
    yield company
    company.close_in_balance()


def grant(company: Company, period: Period) -> None:
    with company.changing() as batch:
        grant_period(batch, period)


def turn(company: Company, now: Instant) -> int:
    company.now = now
    with company.changing() as batch:
        return expire_due(batch)


def left(company: Company, allowance_id: str) -> int | None:
    balance = company.world.balances.get(AllowanceId(allowance_id))
    return None if balance is None else balance.available


@pytest.mark.parametrize(
    ("made", "carried"),
    [
        (None, None),
        (CAPPED, 30 * HOUR),
        (DECAYING, 25 * HOUR),
        (Rollover(RolloverRule.CAPPED, 500 * HOUR), 100 * HOUR),
    ],
    indirect=["made"],
    ids=["none", "capped", "decaying", "under the cap"],
)
def test_a_rest_goes_on_by_its_rule_and_the_remainder_expires(made: Company, carried: int | None) -> None:
    november = month(NOON)
    grant(made, november)
    ada = made.engineer("ada").id
    expired = turn(made, november.ends_at)
    assert expired == (0 if carried == 100 * HOUR else 2)
    assert turn(made, Instant(november.ends_at + 1)) == 0
    assert left(made, f"rollover/{ada}/2026-12") == carried
    views = Views(made.store, made.world)
    view = views.statement(OPERATOR, "2026-11", made.now, "ada")
    assert (view.closing, view.expired) == (carried or 0, 100 * HOUR - (carried or 0))
    assert view.opening + view.granted - view.expired + view.transferred == view.closing
    assert views.statement(OPERATOR, "2026-12", made.now, "ada").opening == (carried or 0)


@pytest.mark.parametrize("made", [CAPPED], indirect=True, ids=["capped"])
def test_a_statement_says_what_expired_and_how_much_of_what_rolled_over(made: Company) -> None:
    november = month(NOON)
    grant(made, november)
    turn(made, november.ends_at)
    view = Views(made.store, made.world).statement(OPERATOR, "2026-11", made.now, "ada")
    tier = f"tier/{made.engineer('ada').id}/2026-11"
    told = {line.kind: (line.text, line.amount) for line in view.lines}
    assert told["expiry"] == (f"Expired: {tier}", -70 * HOUR)
    assert told["rollover"] == (f"Rolled over: 30.0 h of {tier} into 2026-12", 0)


@pytest.mark.parametrize("made", [CAPPED], indirect=True, ids=["capped"])
def test_the_cap_is_for_all_that_rolls_over_together(made: Company) -> None:
    ada = made.engineer("ada").id
    november = month(NOON)
    december = month(november.ends_at)
    grant(made, november)
    turn(made, november.ends_at)
    grant(made, december)
    turn(made, december.ends_at)
    assert left(made, f"rollover/{ada}/2027-01") == 30 * HOUR
    assert left(made, f"rollover/{ada}/2026-12") is None
    assert left(made, f"tier/{ada}/2026-12") is None


@pytest.mark.parametrize("made", [DECAYING], indirect=True, ids=["decaying"])
def test_what_decays_decays_again(made: Company) -> None:
    ada = made.engineer("ada").id
    november = month(NOON)
    grant(made, november)
    turn(made, november.ends_at)
    turn(made, month(november.ends_at).ends_at)
    assert left(made, f"rollover/{ada}/2027-01") == 25 * HOUR // 4


@pytest.mark.parametrize("made", [CAPPED], indirect=True, ids=["capped"])
def test_hours_that_were_held_at_the_end_expire_when_they_come_back(made: Company) -> None:
    ada = made.engineer("ada").id
    november = month(NOON)
    grant(made, november)
    workload = made.submit("ada")
    share = FundingShare(AllowanceId(f"tier/{ada}/2026-11"), 100 * HOUR)
    holds = holds_for([share], [HoldId("h-1")], workload.id, None, made.now)
    with made.changing() as batch:
        batch.open_holds(holds)
        batch.post(*hold(holds))
    assert turn(made, november.ends_at) == 1, "bob's alone"
    made.now = Instant(november.ends_at + 5)
    with made.changing() as batch:
        batch.resolve_holds(["h-1"])  # type: ignore[list-item]  # an id is text
        batch.post(*release(holds, made.now))
    assert turn(made, Instant(november.ends_at + 10)) == 1
    assert left(made, f"rollover/{ada}/2026-12") is None
    view = Views(made.store, made.world).statement(OPERATOR, "2026-12", made.now, "ada")
    assert (view.opening, view.expired, view.closing) == (100 * HOUR, 100 * HOUR, 0)


@pytest.mark.parametrize("made", [CAPPED], indirect=True, ids=["capped"])
def test_what_is_frozen_does_not_slip_into_the_next_period(made: Company) -> None:
    ada = made.engineer("ada").id
    november = month(NOON)
    grant(made, november)
    frozen = AllowanceId(f"tier/{ada}/2026-11")
    with made.changing() as batch:
        batch.freeze(Freeze(frozen, is_frozen=True, at=made.now, by="pat", reason="a dispute"))
    turn(made, november.ends_at)
    assert left(made, f"rollover/{ada}/2026-12") is None


def test_periods_end_at_the_midnight_of_the_policys_time_zone() -> None:
    company = company_with(CAPPED, "Europe/Berlin")
    march = month(to_instant(datetime(2027, 3, 20, tzinfo=UTC)), "Europe/Berlin")
    company.now = march.starts_at
    grant(company, march)
    assert turn(company, to_instant(datetime(2027, 3, 31, 21, 59, 59, tzinfo=UTC))) == 0
    assert turn(company, to_instant(datetime(2027, 3, 31, 22, tzinfo=UTC))) == 2, "summer time began in between"
    balance = company.world.balances[AllowanceId(f"rollover/{company.engineer('ada').id}/2027-04")]
    assert balance.allowance.expires_at == to_instant(datetime(2027, 4, 30, 22, tzinfo=UTC))
    company.close()


@given(
    left_over=st.integers(0, 10**15),
    rule=st.sampled_from(RolloverRule),
    cap=st.none() | st.integers(0, 10**15),
    keep=st.integers(0, 1000),
)
def test_never_more_goes_on_than_was_left_or_than_the_cap(
    left_over: int, rule: RolloverRule, cap: int | None, keep: int
) -> None:
    carried = Rollover(rule, cap, PerMille(keep)).carried(left_over)
    assert 0 <= carried <= left_over
    assert cap is None or carried <= cap
    assert rule is not RolloverRule.NONE or carried == 0
