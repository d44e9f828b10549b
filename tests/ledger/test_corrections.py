import pytest

from scheduler.domain.units import Instant
from scheduler.ledger.canonical import body_hash
from scheduler.ledger.corrections import into_open_period
from scheduler.ledger.grants import grant
from tests.ledger.build import allowance

CLOSED = [(Instant(100), Instant(200)), (Instant(200), Instant(300))]
NOW = Instant(1_000)


@pytest.mark.parametrize("at", [100, 199, 200, 299], ids=["first", "last", "next period's first", "very last"])
def test_what_would_be_dated_inside_a_closed_period_counts_now_and_keeps_its_date_and_its_hash(at: int) -> None:
    late = grant(allowance(50, starts_at=at), actor="fin")
    posted = into_open_period(late, CLOSED, NOW)
    assert (posted.at, posted.corrects_at) == (NOW, Instant(at))
    assert (posted.id, posted.entries, body_hash(posted)) == (late.id, late.entries, body_hash(late))


@pytest.mark.parametrize("at", [99, 300], ids=["before the first", "where the last one ended"])
def test_what_is_dated_in_the_open_is_posted_as_it_is(at: int) -> None:
    made = grant(allowance(50, starts_at=at), actor="fin")
    assert into_open_period(made, CLOSED, NOW) is made
