"""What a resized attempt used, in money and on paper: every hour has what its pods ran in it, at the price of that hour."""

import random
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.periods import iso
from scheduler.domain.units import MS_PER_HOUR, AttemptId, Instant
from scheduler.finance.prices.price_book import OffPeak
from scheduler.ledger.journal import AccountKind
from scheduler.lifecycle.views.reader import Views
from scheduler.lifecycle.views.workloads import attempt_view
from tests.finance.build import at, book, rate
from tests.finance.focus_rules import violations
from tests.lifecycle.booked import Booked
from tests.lifecycle.october import OCTOBER, Cells, research_world, rows_of, total
from tests.lifecycle.test_statements import of
from tests.plugins.migrated import open_migrated

EVERY_OTHER_HOUR = OffPeak(hours=frozenset(range(0, 24, 2)))
PRICES = book(rate("2026-01-01", None, "3.00", off_peak="1.00"), off_peak=EVERY_OTHER_HOUR)
START = at("2026-10-05T09:00")


@pytest.fixture
def booked() -> Iterator[Booked]:
    opened = open_migrated()
    yield Booked(opened)
    opened.close()


def hour(number: float) -> Instant:
    return Instant(START + round(number * MS_PER_HOUR))


def by_hour(rows: list[Cells]) -> dict[str, Decimal]:
    """GPU-milliseconds by the hour in which they were used."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        if row["ChargeCategory"] == "Usage":
            sums[(row["ChargePeriodStart"] or "")[:13]] += Decimal(row["ConsumedQuantity"] or 0) * 1000
    return dict(sums)


def posted_by_hour(store: SqlStore) -> dict[str, Decimal]:
    """The ledger's, where every hour is posted by itself."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    with store.reading() as books:
        for entry in books.journal.entries(kinds=[AccountKind.CHARGED], starts_at=START, ends_at=OCTOBER.ends_at):
            sums[iso(entry.at)[:13]] += entry.gpu_ms
    return dict(sums)


def elastic(booked: Booked) -> AttemptId:
    ada = booked.allowance("e-ada", 1000, START)
    return booked.start("train", "e-ada", START, (ada, 500), gpus=1)


def test_an_hour_of_eight_and_an_hour_of_two_are_rows_of_eight_and_of_two_gpu_hours(booked: Booked) -> None:
    """By the size that it has at the end it would have begun three hours before it was launched."""
    attempt = elastic(booked)
    booked.resize(attempt, START, 8)
    booked.resize(attempt, hour(1), 2)
    booked.run(attempt, hour(2))
    rows = [row for row in rows_of(booked.store, PRICES) if row["ChargeCategory"] == "Usage"]
    assert [(row["ChargePeriodStart"], row["PricingQuantity"], row["x_EffectiveUnitPrice"]) for row in rows] == [
        ("2026-10-05T09:00:00Z", "8", "3"),
        ("2026-10-05T10:00:00Z", "2", "1"),
    ]


def test_a_gpu_that_rested_before_it_was_given_back_is_shown_with_the_hour_in_which_it_was_had(
    booked: Booked,
) -> None:
    attempt = elastic(booked)
    booked.resize(attempt, START, 2)
    booked.resize(attempt, hour(1), 1)
    booked.run(attempt, hour(2))
    booked.read(attempt, hour(0), "GPU-a")
    booked.read(attempt, hour(0), "GPU-b", resting_minutes=60)
    booked.read(attempt, hour(1), "GPU-a")
    usage = [row for row in rows_of(booked.store, PRICES) if row["ChargeCategory"] == "Usage"]
    found = [(r["ChargePeriodStart"], r["ResourceId"], r["CapacityReservationStatus"]) for r in usage]
    assert found == [
        ("2026-10-05T09:00:00Z", "GPU-a", "Used"),
        ("2026-10-05T09:00:00Z", "GPU-b", "Unused"),
        ("2026-10-05T10:00:00Z", "GPU-a", "Used"),
    ]


def test_statements_and_explanations_say_which_sizes_it_had(booked: Booked) -> None:
    attempt = elastic(booked)
    booked.resize(attempt, hour(1), 8)
    booked.resize(attempt, hour(2), 5)
    booked.run(attempt, hour(3))
    booked.resize(attempt, hour(4), 2)
    lines = of(Views(booked.store, research_world()), "ada").lines
    assert [(line.text, line.gpus) for line in lines if line.attempt_id] == [
        ("Charged: train, attempt 1, 1, 8, 5 of 8 pods", 5)
    ]
    assert attempt_view(booked.attempts[attempt], (), (), hour(5), sees_pay=True).sizes == "1, 8, 5, 2 of 8 pods"


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_however_it_is_resized_every_hour_has_what_the_ledger_has_of_it(seed: int) -> None:
    chance = random.Random(seed)
    opened = open_migrated()
    booked = Booked(opened)
    attempt = elastic(booked)
    hours = chance.randrange(2, 7)
    for number in range(hours):
        for share in sorted(chance.sample(range(60), chance.randrange(3))):
            booked.resize(attempt, hour(number + share / 60), chance.randrange(1, 9))
        booked.run(attempt, hour(number + 1))
    rows, posted = rows_of(opened, PRICES), posted_by_hour(opened)
    assert violations(rows) == []
    assert by_hour(rows) == posted
    assert total(rows, "x_GpuMs") == sum(posted.values())

    booked.resize(attempt, hour(hours), chance.randrange(1, 9))
    assert rows_of(opened, PRICES) == rows, "what was used does not depend on what comes"

    at_once = open_migrated()
    other = Booked(at_once)
    again = elastic(other)
    for past, size in zip(
        booked.attempts[attempt].past_sizes[:-1], booked.attempts[attempt].past_sizes[1:], strict=True
    ):
        other.resize(again, past.until, size.pods)
    other.run(again, hour(hours))
    costs = [round(total(found, "BilledCost"), 4) for found in (rows, rows_of(at_once, PRICES))]
    assert costs[0] == costs[1], "one posting of all of it is worth what its hours are"
    opened.close()
    at_once.close()
