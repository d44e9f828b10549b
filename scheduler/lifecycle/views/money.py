"""Money as finance reads it: prices, exports, the general ledger, what goes a day, and how use is spread."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from scheduler.domain.errors import Conflict, InvalidInput, NotFound, NotPermitted, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.periods import YEARS, Period, period_named
from scheduler.domain.records import PriceBookVersion
from scheduler.domain.units import AllowanceId, GpuClassName, Instant, PoolName
from scheduler.finance.general_ledger import GlJournal
from scheduler.finance.prices.hour_cost import HourCost
from scheduler.finance.prices.price_book import PriceBook
from scheduler.lifecycle.accounting.export_focus import FocusExport, focus_export
from scheduler.lifecycle.awarding.compensate import Package
from scheduler.lifecycle.memory.named import named
from scheduler.lifecycle.memory.period_names import period_of
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.burn import BurnView, burn_view
from scheduler.lifecycle.views.cost import CostView, ReadPolicy, cost_view
from scheduler.lifecycle.views.efficiency import EfficiencyView, efficiency_view
from scheduler.lifecycle.views.fringe import FringeView, fringe_view
from scheduler.lifecycle.views.general_ledger import gl_view
from scheduler.lifecycle.views.leaderboards import BoardAsked, BoardView, board_view
from scheduler.lifecycle.views.months import SEES_MONTH, month_view
from scheduler.lifecycle.views.offers import OfferView, offer_view
from scheduler.lifecycle.views.owners import SEES_MONEY, OwnerKind, owner_for
from scheduler.lifecycle.views.prices import hour_cost_view
from scheduler.lifecycle.views.spread import SpreadView, spread_views
from scheduler.lifecycle.views.statement_shapes import MonthView
from scheduler.lifecycle.views.vesting import VestingView, vesting_view, vesting_views
from scheduler.ports import Store

SEES_ALL = (Role.OPERATOR, Role.AUDITOR)


class MoneyViews:
    """Each read asks first who may see it."""

    def __init__(self, store: Store, world: World, read_policy: ReadPolicy | None = None) -> None:
        """`read_policy` reads the text of a policy that was in force once."""
        self._store = store
        self._world = world
        self._read_policy = read_policy

    def require_price_book(self) -> PriceBook:
        """Raises Conflict (`no-prices`)."""
        book = self._world.price_book
        if book is None:
            raise Conflict("there is no price book yet", code=RefusalCode.NO_PRICES)
        return book

    def price_books(self, caller: Caller, limit: int = 50) -> list[PriceBookVersion]:
        """As they were applied, newest first."""
        del caller
        with self._store.reading() as books:
            found = books.prices.versions(limit)
        return [replace(version, applied_by=named(self._world, version.applied_by)) for version in found]

    def hour_cost(self, caller: Caller, gpu_class: str, pool: str, at: Instant) -> HourCost:
        """What a GPU-hour costs then, in its parts: for those who see money, and those who run the platform."""
        caller.require(*SEES_MONEY, *SEES_ALL)
        with self._store.reading() as books:
            return hour_cost_view(books, self.require_price_book(), GpuClassName(gpu_class), PoolName(pool), at)

    @contextmanager
    def focus(self, caller: Caller, period: str | None, now: Instant) -> Iterator[FocusExport]:
        """A period's rows of FOCUS. Raises before the first: `price-missing`, `no-prices`."""
        caller.require(Role.FINANCE, Role.AUDITOR)
        book, found = self.require_price_book(), period_of(self._world, period, now)
        with self._store.reading() as books:
            yield focus_export(books, book, found, self._world.require_policy().time_zone, now)

    def general_ledger(self, caller: Caller, period: str | None, now: Instant) -> GlJournal:
        """A period as lines of a general ledger. Raises `price-missing`, `no-prices`."""
        caller.require(Role.FINANCE, Role.AUDITOR)
        book = self.require_price_book()
        with self._store.reading() as books:
            return gl_view(books, self._world, book, period_of(self._world, period, now), now)

    def cost(self, caller: Caller, period: str | None, now: Instant) -> CostView:
        """What a period cost beside what it recovered. Raises `price-missing`, `no-prices`."""
        caller.require(Role.FINANCE, Role.AUDITOR)
        book = self.require_price_book()
        with self._store.reading() as books:
            found = period_of(self._world, period, now)
            return cost_view(books, self._world, book, found, now, self._read_policy)

    def month(self, caller: Caller, period: str | None, now: Instant) -> tuple[MonthView, CostView | None]:
        """A period, and for finance and auditors what it cost where everything has a price: both of one look at the books,
        so that they agree while charges come in."""
        caller.require(*SEES_MONTH)
        world = self._world
        with self._store.reading() as books:
            found = period_of(world, period, now)
            month = month_view(books, world, found, now)
            if world.price_book is None or month.cost_micro is None or not caller.has(Role.FINANCE, Role.AUDITOR):
                return month, None
            return month, cost_view(books, world, world.price_book, found, now, self._read_policy)

    def fringe(self, caller: Caller, year: str, owner: str | None = None) -> FringeView:
        """A person's benefits of a tax year: for themselves, people operations, finance and auditors."""
        whose = owner_for(self._world, caller, owner)
        if whose.kind is not OwnerKind.ENGINEER:
            raise InvalidInput("benefits are a person's", where="owner", expected="an engineer")
        found = _tax_year(year, self._world.require_policy().time_zone)
        with self._store.reading() as books:
            return fringe_view(books, self.require_price_book(), whose, found)

    def vesting(self, caller: Caller, now: Instant, owner: str | None = None) -> list[VestingView]:
        """Packages of a person, for themselves; of anybody, a team or the company for people, finance and auditors."""
        whose = owner_for(self._world, caller, owner)
        if not whose.sees_lines:
            raise NotPermitted("this is somebody else's pay data", code=RefusalCode.NOT_YOURS, where="owner")
        with self._store.reading() as books:
            return vesting_views(books, self._world, whose, now)

    def package(self, caller: Caller, allowance_id: str, now: Instant) -> VestingView:
        """One package with its parts."""
        with self._store.reading() as books:
            balance = books.allowances.get(AllowanceId(allowance_id))
            is_seen = balance is not None and (
                caller.has(*SEES_MONEY) or balance.allowance.holder.id == caller.engineer
            )
            if balance is None or not is_seen or balance.allowance.vesting is None:
                raise NotFound(f"there is no package {allowance_id!r}", code=RefusalCode.UNKNOWN_ALLOWANCE)
            return vesting_view(books, self._world, balance, now)

    def offer(self, caller: Caller, asked: Package, tier: str, now: Instant) -> OfferView:
        """What an offer letter says of a package that nobody has been granted yet."""
        caller.require(Role.PEOPLE, Role.FINANCE)
        with self._store.reading() as books:
            return offer_view(books, self._world, asked, tier, now)

    def burn(self, caller: Caller, now: Instant, owner: str | None = None) -> BurnView:
        """What goes a day, and until when it lasts; of a team for its lead, too."""
        whose = owner_for(self._world, caller, owner)
        with self._store.reading() as books:
            return burn_view(books, self._world.price_book, whose, now, self._world.require_policy().burn)

    def efficiency(
        self, caller: Caller, period: str | None, now: Instant, owner: str | None = None
    ) -> EfficiencyView:
        """How well GPUs were used: of a person for themselves, of a team in sums for its lead."""
        whose = owner_for(self._world, caller, owner)
        with self._store.reading() as books:
            return efficiency_view(books, self._world, whose, period_of(self._world, period, now), now)

    def leaderboard(self, caller: Caller, asked: BoardAsked, period: str | None, now: Instant) -> BoardView:
        """Of a team or a tier, those who joined."""
        with self._store.reading() as books:
            return board_view(books, self._world, caller, asked, period_of(self._world, period, now))

    def spread(self, caller: Caller, now: Instant, months: int) -> tuple[SpreadView, ...]:
        """How evenly use is spread over people: sums alone, of groups."""
        caller.require(*SEES_MONEY, *SEES_ALL)
        with self._store.reading() as books:
            return spread_views(books, self._world, now, months)


def _tax_year(name: str, time_zone: str) -> Period:
    """Raises InvalidInput for what is no calendar year."""
    if re.fullmatch(r"[0-9]{4}", name) is None or int(name) not in YEARS:
        raise InvalidInput(
            f"{name[:60]!r} is no tax year",
            where="year",
            expected=f"a year from {YEARS.start} to {YEARS.stop - 1}, such as 2026",
        )
    return period_named(name, time_zone)
