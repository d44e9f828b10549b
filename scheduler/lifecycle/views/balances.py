"""What somebody has left, on which allowances, and until when at this pace."""

from collections.abc import Sequence

from scheduler.domain.allowances import (
    Allowance,
    AllowanceBalance,
    AllowanceSource,
    Holder,
    HolderKind,
    Purpose,
    holders_for,
)
from scheduler.domain.funding import funding_key, payers
from scheduler.domain.pace import pace_of
from scheduler.domain.people import Engineer
from scheduler.domain.periods import Period, iso, period_at
from scheduler.domain.quantities import quantity_text, unit_label
from scheduler.domain.units import MS_PER_DAY, STANDARD_GPU, Instant
from scheduler.domain.workloads import Workload
from scheduler.ledger.journal import Account, AccountKind, PostedEntry, TransactionKind
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.burn import jumps_of_person
from scheduler.lifecycle.views.shapes import AllowanceView, BalanceView
from scheduler.lifecycle.views.unit_burn import unit_burns
from scheduler.ports import Books

HISTORY_POINTS = 60
_COMING = (TransactionKind.GRANT, TransactionKind.VEST, TransactionKind.ROLLOVER, TransactionKind.TRANSFER)


def allowance_view(books: Books, balance: AllowanceBalance) -> AllowanceView:
    allowance = balance.allowance
    return AllowanceView(
        id=allowance.id,
        name=allowance_name(allowance),
        source=allowance.source.value,
        holder_kind=allowance.holder.kind.value,
        holder=allowance.holder.id,
        amount=_owned(books, balance),
        available=balance.available,
        held=balance.held,
        charged=books.journal.balance(Account(AccountKind.CHARGED, allowance.id), allowance.unit),
        expires_at=allowance.expires_at,
        note=_note(balance),
        unit=unit_label(allowance.unit),
        left=quantity_text(balance.available, allowance.unit),
        held_shown=quantity_text(balance.held, allowance.unit) if balance.held else "",
        promised_left=quantity_text(balance.promised, allowance.unit) if balance.promised else "",
        is_frozen=balance.is_frozen,
    )


def _owned(books: Books, balance: AllowanceBalance) -> int:
    """All of it, or what of a package has vested."""
    allowance = balance.allowance
    if allowance.vesting is None:
        return allowance.amount
    forfeited = books.journal.balance(Account(AccountKind.FORFEITED, allowance.id), allowance.unit)
    return allowance.amount - balance.promised - forfeited


def allowance_name(allowance: Allowance) -> str:
    """As its holder would call it."""
    match allowance.source:
        case AllowanceSource.TIER:
            return f"Tier, {allowance.period}"
        case AllowanceSource.PROJECT:
            return f"Project {allowance.holder.id}"
        case AllowanceSource.COMPENSATION:
            return "Compensation"
        case AllowanceSource.AD_HOC:
            whose = "" if allowance.holder.kind is HolderKind.ENGINEER else f" to {allowance.holder.id}"
            return f"Grant{whose}"
        case AllowanceSource.ROLLOVER:
            return f"Left over, {allowance.period}"
        case AllowanceSource.TRANSFER:
            return "Passed on"


def _note(balance: AllowanceBalance) -> str:
    allowance = balance.allowance
    work = {
        frozenset({Purpose.PROJECT}): "project work",
        frozenset({Purpose.PERSONAL}): "personal work",
        frozenset({Purpose.PROJECT, Purpose.PERSONAL}): "project and personal work",
    }.get(allowance.purposes, "no work")
    parts = [work]
    if allowance.gpu_classes is not None:
        parts.append(", ".join(sorted(allowance.gpu_classes)) + " only")
    if balance.promised:
        parts.append(f"{quantity_text(balance.promised, allowance.unit)} to vest")
    if balance.is_frozen:
        parts.append("frozen")
    parts.append(f"ends {iso(allowance.expires_at)}" if allowance.expires_at is not None else "does not expire")
    return "; ".join(parts)


def balance_view(books: Books, world: World, engineer: Engineer, now: Instant) -> BalanceView:
    """The engineer's own allowances: in standard hours, and unit by unit. What the project or the team pays beside them
    is listed and not summed."""
    policy = world.require_policy()
    period = period_at(now, policy.period, policy.time_zone)
    own = Holder(HolderKind.ENGINEER, engineer.id)
    holders = {own, Holder(HolderKind.TEAM, engineer.team)}
    holders |= {Holder(HolderKind.PROJECT, p.name) for p in policy.projects.values() if p.team == engineer.team}
    open_ones = [
        b for b in list(world.balances.values()) if b.allowance.holder in holders and b.allowance.is_open_at(now)
    ]
    views = tuple(allowance_view(books, balance) for balance in sorted(open_ones, key=funding_key))
    mine = [b for b in open_ones if b.allowance.holder == own and b.allowance.unit == STANDARD_GPU]
    my_views = [allowance_view(books, balance) for balance in mine]
    available = sum(balance.available for balance in mine)
    return BalanceView(
        owner=engineer.id,
        owner_name=engineer.name or engineer.subject,
        team=engineer.team,
        tier=engineer.tier,
        available=available,
        held=sum(balance.held for balance in mine),
        charged=sum(view.charged for view in my_views),
        granted=_came(books, mine),
        pace=pace_of(mine, period, now),
        period_name=period.name,
        period_starts_at=period.starts_at,
        period_ends_at=period.ends_at,
        runs_out=_runs_out(books, mine, available, period, now),
        history=_history(books, mine, available, period, now),
        allowances=views,
        jumps=jumps_of_person(books, own, now, policy.burn),
        units=unit_burns(books, books.allowances.balances(holders=[own]), now, policy.burn),
    )


def _accounts(mine: Sequence[AllowanceBalance]) -> list[Account]:
    return [Account(AccountKind.ALLOWANCE, balance.allowance.id) for balance in mine]


def _came(books: Books, mine: Sequence[AllowanceBalance]) -> int:
    """All that came into them, less what was passed on: hours whose end was moved are in another allowance, and count
    there alone."""
    accounts = _accounts(mine)
    if not accounts:
        return 0
    return sum(each.amount for each in books.journal.entries(accounts=accounts, transactions=_COMING))


def _entries(books: Books, mine: Sequence[AllowanceBalance], starts_at: Instant, now: Instant) -> list[PostedEntry]:
    accounts = _accounts(mine)
    if not accounts:
        return []
    return list(books.journal.entries(accounts=accounts, starts_at=starts_at, ends_at=Instant(now + 1)))


def _history(
    books: Books, mine: Sequence[AllowanceBalance], available: int, period: Period, now: Instant
) -> tuple[tuple[Instant, int], ...]:
    """Available at up to sixty instants of the period, read backwards from today's balance."""
    entries = _entries(books, mine, period.starts_at, now)
    step = max(1, (now - period.starts_at) // HISTORY_POINTS)
    points: list[tuple[Instant, int]] = []
    left = available
    position = len(entries)
    for instant in range(now, period.starts_at - 1, -step):
        while position > 0 and entries[position - 1].at > instant:
            position -= 1
            left -= entries[position].amount
        points.append((Instant(instant), left))
    return tuple(reversed(points))


def _runs_out(
    books: Books, mine: Sequence[AllowanceBalance], available: int, period: Period, now: Instant
) -> tuple[Instant, Instant] | None:
    """A band for the day on which the hours run out: at the pace of the period so far, and at that of its last third.

    None where nothing was used, or what is left would outlast a year.
    """
    accounts = [Account(AccountKind.CHARGED, balance.allowance.id) for balance in mine]
    elapsed = now - period.starts_at
    if not accounts or elapsed <= 0 or available <= 0:
        return None
    recently = Instant(now - elapsed // 3)
    charges = list(books.journal.entries(accounts=accounts, starts_at=period.starts_at, ends_at=Instant(now + 1)))
    whole = sum(entry.amount for entry in charges)
    recent = sum(entry.amount for entry in charges if entry.at >= recently)
    days = sorted(
        now + available * span // used for used, span in ((whole, elapsed), (recent, elapsed // 3)) if used > 0
    )
    if not days or days[0] - now > 366 * MS_PER_DAY:
        return None
    return Instant(days[0]), Instant(days[-1])


def payers_told(books: Books, world: World, workload: Workload, now: Instant) -> tuple[str, ...]:
    """The allowances that may pay for it, in the order in which they would, each as a sentence."""
    holders = set(holders_for(workload.owner, workload.team, workload.spec.project))
    known = [balance for balance in list(world.balances.values()) if balance.allowance.holder in holders]
    ordered = payers(known, workload.spec, workload.spec.gpu_classes[0], now)
    views = [allowance_view(books, balance) for balance in ordered]
    return tuple(f"{view.name}: {view.left} available; {view.note}" for view in views)
