"""What a replay's books keep of an allowance that is over while some of it is held."""

from scheduler.domain.allowances import Allowance, AllowanceSource, Holder, HolderKind
from scheduler.domain.funding import FundingShare
from scheduler.domain.periods import Period
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, AllowanceId, AttemptId, HoldId, Instant, WorkloadId
from scheduler.ledger.holding import hold, holds_for, release
from scheduler.ledger.journal import AccountKind
from scheduler.simulation.replay.books import ReplayBooks
from tests.simulation.replay.build import START

WEEK_MS = 7 * MS_PER_DAY
NOW = Instant(START + WEEK_MS)
FOLLOWING = Period("next", NOW, Instant(NOW + WEEK_MS))
ANN = Holder(HolderKind.ENGINEER, "ann")


def test_what_is_still_held_at_the_expiry_stays_open_until_it_comes_back_and_expires_then() -> None:
    books, own = ReplayBooks(), AllowanceId("own")
    books.open(Allowance(own, ANN, AllowanceSource.AD_HOC, 10 * MS_PER_HOUR, START, NOW, START), "test")
    shares = [FundingShare(own, 4 * MS_PER_HOUR)]
    holds = holds_for(shares, [HoldId("h")], WorkloadId("w"), AttemptId("w/1"), START)
    books.post(*hold(holds))

    assert books.expire_due(NOW, FOLLOWING) == []
    (still_open,) = books.of([books.purse(ANN)])
    assert (still_open.available, still_open.held) == (0, 4 * MS_PER_HOUR)
    assert books.totals[AccountKind.EXPIRED] == 6 * MS_PER_HOUR

    books.post(*release(holds, NOW))
    assert books.expire_again([own], NOW) == [own]
    assert books.of([books.purse(ANN)]) == []
    assert books.totals[AccountKind.EXPIRED] == 10 * MS_PER_HOUR
