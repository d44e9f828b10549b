"""Bookings over the days on which clocks change: each hour is charged on the day in which it was had."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.periods import to_instant
from scheduler.domain.units import MS_PER_HOUR
from tests.lifecycle.build import Company, later, policy
from tests.lifecycle.test_beyond_bookings import BOOKED_GPUS, booked, cycle
from tests.lifecycle.test_bookings import shown

HOUR = 3600
HEARD_HOURS = 131
BERLIN = ZoneInfo("Europe/Berlin")
EVES = {"25 hours": datetime(2026, 10, 24, tzinfo=BERLIN), "23 hours": datetime(2027, 3, 27, tzinfo=BERLIN)}


@pytest.mark.parametrize("eve", EVES.values(), ids=EVES)
@given(
    start=st.integers(0, 60 * HOUR),
    length=st.integers(1, 60 * HOUR),
    cycles=st.lists(st.integers(0, 130 * HOUR), max_size=8),
    given_back=st.none() | st.integers(0, 130 * HOUR),
)
def test_whenever_it_is_seen_to_and_given_back_each_day_has_its_hours_and_the_fee_is_of_the_time_ahead(
    eve: datetime, start: int, length: int, cycles: list[int], given_back: int | None
) -> None:
    company = Company(replace(policy(), time_zone="Europe/Berlin"))
    try:
        midnight = company.now = to_instant(eve)
        grant = company.grant("ada", 1000)
        booking = booked(company, start, length, since=midnight)
        begun, ends, fee_s = HEARD_HOURS * HOUR, start + length, 0
        for at in sorted({*cycles, HEARD_HOURS * HOUR, *([given_back] if given_back is not None else [])}):
            company.now = later(midnight, at)
            if at == given_back and company.world.live_attempt(booking.id) is not None:
                is_late = at > start - 24 * HOUR
                fee_s = max(0, ends - max(start, at)) // 2 if is_late else 0
                assert shown(company, booking).late_fee // (1000 * BOOKED_GPUS) == fee_s
                company.commands.cancel(company.caller("ada"), booking.id, now=company.now)
                ends = min(ends, at)
            cycle(company, company.now)
            begun = min(begun, at) if start <= at < ends else begun

        days = [to_instant(eve + timedelta(days=each)) for each in range(-1, 7)]
        with company.store.reading() as books:
            charged = [sum(books.periods.charged(*day).values()) for day in pairwise(days)]
        had = (later(midnight, begun), later(midnight, ends))
        each = [max(0, min(had[1], until) - max(had[0], since)) for since, until in pairwise(days)]
        assert charged == [BOOKED_GPUS * ms for ms in each]
        left = 1000 * MS_PER_HOUR - company.available(grant) - sum(charged)
        assert left // (1000 * BOOKED_GPUS) == fee_s
    finally:
        company.close()
