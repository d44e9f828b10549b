"""What goes a day and until when it lasts, of allowances that are not in standard hours: each unit by itself."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.burning import BurnTerms, terms_in
from scheduler.domain.quantities import quantity_text, unit_label
from scheduler.domain.units import MS_PER_DAY, STANDARD_GPU, Instant, Unit
from scheduler.finance.burn import (
    LONG_DAYS,
    SHORT_DAYS,
    RunOut,
    jumps,
    per_day,
    run_out,
    since_first_use,
    spread_over_days,
)
from scheduler.ledger.journal import Account, AccountKind
from scheduler.ports import Books


@dataclass(frozen=True, slots=True)
class UnitJump:
    """A day on which far more was used than is usual, in words."""

    day: Instant
    used: str
    usual: str


@dataclass(frozen=True, slots=True)
class UnitBurn:
    """What is left in one unit and what goes of it a day, exact (`…_quantity`, in its smallest part) and in words.

    `a_day` is the mean of the last seven whole days, `a_day_long` that of the last twenty-eight. `run_out` None: nothing
    was used, or nothing is left.
    """

    unit: str
    left_quantity: int
    left: str
    held_quantity: int
    held_shown: str
    charged_quantity: int
    charged_shown: str
    a_day_quantity: int
    a_day: str
    a_day_long_quantity: int
    a_day_long: str
    run_out: RunOut | None
    jumps: tuple[UnitJump, ...]


def unit_burns(
    books: Books, balances: Iterable[AllowanceBalance], now: Instant, terms: BurnTerms
) -> tuple[UnitBurn, ...]:
    """Of an owner's allowances, open ones and those of the last twenty-eight days. What is frozen is not left."""
    of_unit: dict[Unit, list[AllowanceBalance]] = defaultdict(list)
    for balance in balances:
        if balance.allowance.unit != STANDARD_GPU:
            of_unit[balance.allowance.unit].append(balance)
    return tuple(
        _burn(books, unit, mine, now, terms_in(unit, terms))
        for unit, mine in sorted(of_unit.items())
        if any(balance.allowance.is_open_at(now) for balance in mine)
    )


def _burn(books: Books, unit: Unit, mine: list[AllowanceBalance], now: Instant, terms: BurnTerms) -> UnitBurn:
    first_day = Instant(now - now % MS_PER_DAY - LONG_DAYS * MS_PER_DAY)
    accounts = [Account(AccountKind.CHARGED, balance.allowance.id) for balance in mine]
    charged = books.journal.charged_by_day(
        starts_at=first_day, ends_at=Instant(now + 1), accounts=accounts, unit=unit
    )
    used = spread_over_days(((day, amount) for _, day, amount in charged), first_day, LONG_DAYS + 1)
    begun = since_first_use(used)
    whole = used[begun:-1]
    open_ones = [balance for balance in mine if balance.allowance.is_open_at(now)]
    left = sum(balance.available for balance in open_ones if not balance.is_frozen)
    held = sum(balance.held for balance in mine)
    spent = sum(
        books.journal.balance(Account(AccountKind.CHARGED, balance.allowance.id), unit) for balance in open_ones
    )
    short, long = per_day(whole, SHORT_DAYS), per_day(whole, LONG_DAYS)
    found = jumps(used[begun:], Instant(first_day + begun * MS_PER_DAY), terms)
    return UnitBurn(
        unit=unit_label(unit),
        left_quantity=left,
        left=quantity_text(left, unit),
        held_quantity=held,
        held_shown=quantity_text(held, unit),
        charged_quantity=spent,
        charged_shown=quantity_text(spent, unit),
        a_day_quantity=short,
        a_day=quantity_text(short, unit),
        a_day_long_quantity=long,
        a_day_long=quantity_text(long, unit),
        run_out=run_out(left, whole, now),
        jumps=tuple(UnitJump(j.day, quantity_text(j.used, unit), quantity_text(j.usual, unit)) for j in found),
    )
