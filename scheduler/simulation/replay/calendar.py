"""The policy's periods and the book's prices as a replay asks for them: again and again, mostly for the same."""

from scheduler.domain.money import Currency
from scheduler.domain.periods import Period, PeriodLength, period_at
from scheduler.domain.policy import Policy
from scheduler.domain.terms import Prices
from scheduler.domain.units import MS_PER_DAY, Instant
from scheduler.domain.workloads import Attempt
from scheduler.finance.prices.price_book import PriceBook
from scheduler.lifecycle.memory.prices_ahead import PricesAhead


class Calendar:
    """Without a book nothing has a price, and no money is granted: as in the service."""

    def __init__(self, policy: Policy, book: PriceBook | None = None) -> None:
        self._policy = policy
        self._book = book
        self._ahead = PricesAhead()
        self._last = period_at(Instant(0), policy.period, policy.time_zone)
        self._days: dict[int, Period] = {}
        """By the day of UTC that was asked for in them last."""

    @property
    def currency(self) -> Currency | None:
        return self._book.currency if self._book is not None else None

    @property
    def prices(self) -> Prices | None:
        """The highest for the time ahead, as of the last `look_ahead`: money is held at these."""
        return self._ahead.prices

    def look_ahead(self, now: Instant) -> bool:
        """Whether a price ahead is another than before."""
        return self._ahead.renew(self._book, self._policy, now)

    def at(self, instant: Instant) -> Period:
        if not self._last.contains(instant):
            self._last = period_at(instant, self._policy.period, self._policy.time_zone)
        return self._last

    def _day_at(self, instant: Instant) -> Period:
        number = instant // MS_PER_DAY
        day = self._days.get(number)
        if day is None or not day.contains(instant):
            day = self._days[number] = period_at(instant, PeriodLength.DAY, self._policy.time_zone)
        return day

    def price_at(self, attempt: Attempt, at: Instant) -> int | None:
        """In force then, in micro-units a GPU-hour; None where the book has none."""
        if self._book is None:
            return None
        found = self._ahead.rating(self._book).price_at(attempt.gpu_class, attempt.pool, at)
        return found.unit.effective if found is not None else None

    def cuts(self, attempt: Attempt, ended_at: Instant, *, is_money: bool) -> list[Instant]:
        """Where its charges are cut: the ends of days that it ran across, with which periods of every length end, price
        changes where money pays, its end."""
        cuts: list[Instant] = []
        since = attempt.started_at
        while since is not None and since < ended_at:
            until = min(self._day_at(since).ends_at, ended_at)
            if is_money and self._book is not None:
                rating = self._ahead.rating(self._book)
                until = rating.same_until(attempt.gpu_class, attempt.pool, since, until)
            if until < ended_at:
                cuts.append(until)
            since = until
        return [*cuts, ended_at]
