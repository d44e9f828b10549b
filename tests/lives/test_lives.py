"""Whatever befalls a service in its life, and whatever people ask of it meanwhile, its books come out right.

A life is hours or days of submissions, bookings, grants and policies, of nodes, clusters and databases that fail, and of
deaths between any two commits. In the end everything has ended, and what the cluster really did is what was charged.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.periods import to_instant
from scheduler.domain.units import MS_PER_MINUTE, Instant
from tests.lives import company
from tests.lives.acts import ACTS, TROUBLES, Act
from tests.lives.books import wrong_at_the_end, wrong_now
from tests.lives.company import Terms
from tests.lives.life import Life
from tests.lives.months import wrong_in_months, wrong_on_devices
from tests.lives.site import Site

EXAMPLES = settings().max_examples // 10
LOOKED_AT_EVERY = 5
"""Acts: to look at all books after each would take most of the time."""

BEGINNINGS = tuple(
    to_instant(datetime.fromisoformat(said))
    for said in (
        "2026-11-02T09:00:00+00:00",
        "2026-10-31T21:00:00+00:00",
        "2026-10-31T22:30:00.123+00:00",
        "2026-10-31T21:57:03.999+00:00",
        "2026-03-28T20:00:00+00:00",
    )
)
"""On an ordinary day; before a month's turn; before a night that is an hour shorter."""

terms = st.builds(
    Terms,
    period=st.sampled_from(company.PERIODS),
    zone=st.sampled_from(company.ZONES),
    weight=st.sampled_from(company.WEIGHTS),
    off_peak_factor=st.sampled_from(company.FACTORS),
    hours=st.sampled_from(company.HOURS),
    overdraft=st.sampled_from((0, 0, 2)),
    unit=st.sampled_from(company.UNITS),
    price=st.sampled_from(company.PRICES),
    night_price=st.sampled_from(company.NIGHT_PRICES),
)


def acts_of(often: Mapping[Callable[[Life], None], int]) -> st.SearchStrategy[list[Act]]:
    act = st.builds(
        Act,
        does=st.sampled_from([act for act, times in often.items() for _ in range(times)]),
        seed=st.integers(0, 9_999),
        then_ms=st.sampled_from((0, MS_PER_MINUTE, 5 * MS_PER_MINUTE, 20 * MS_PER_MINUTE)),
    )
    return st.lists(act, min_size=20, max_size=30)


begins_at, seeds = st.sampled_from(BEGINNINGS), st.integers(0, 9_999)


@settings(max_examples=EXAMPLES)
@given(begins_at=begins_at, terms=terms, seed=seeds, happens=acts_of({**ACTS, **TROUBLES}))
def test_whatever_befalls_a_life_each_gpu_second_is_charged_once_and_nothing_is_left_over(
    begins_at: Instant, terms: Terms, seed: int, happens: list[Act]
) -> None:
    with lived_through(Life(Site(begins_at, seed), terms, Random(seed)), happens) as life:
        assert wrong_in_months(life) == []


@settings(max_examples=EXAMPLES)
@given(begins_at=begins_at, terms=terms, seed=seeds, happens=acts_of(ACTS))
def test_where_nothing_fails_charges_are_what_devices_saw_too(
    begins_at: Instant, terms: Terms, seed: int, happens: list[Act]
) -> None:
    with lived_through(Life(Site(begins_at, seed), terms, Random(seed)), happens) as life:
        assert wrong_in_months(life) + wrong_on_devices(life) == []


@contextmanager
def lived_through(life: Life, happens: list[Act]) -> Iterator[Life]:
    """The life at its end, its books looked at now and then."""
    for number, act in enumerate(happens):
        act.happen(life)
        if number % LOOKED_AT_EVERY == 0:
            assert wrong_now(life) == []
    life.come_to_rest()
    assert wrong_now(life) == []
    assert wrong_at_the_end(life) == []
    yield life
    life.site.store.close_for_good()
