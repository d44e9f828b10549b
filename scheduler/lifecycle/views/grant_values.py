"""What grants on a statement are worth: packages of pay and ad-hoc grants, at the price of their day and now."""

from scheduler.domain.allowances import AllowanceSource, HolderKind
from scheduler.domain.periods import Period
from scheduler.domain.quantities import quantity_text, unit_label
from scheduler.domain.units import Instant
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.owners import Owner, OwnerKind
from scheduler.lifecycle.views.unit_shapes import GrantValueView, PackageValueView
from scheduler.lifecycle.views.vesting import value_of, vesting_views
from scheduler.ports import Books


def package_values(
    books: Books, world: World, owner: Owner, period: Period, now: Instant
) -> tuple[PackageValueView, ...]:
    """A person's packages as their statement has them: none that was granted after its period."""
    if owner.kind is not OwnerKind.ENGINEER:
        return ()
    return tuple(
        PackageValueView(
            allowance_id=each.allowance_id,
            kind=each.kind,
            total=each.total_text,
            vested=each.vested_text,
            promised=each.promised_text,
            clawed_back=each.forfeited_text,
            next_at=each.next_at,
            value_at_grant=each.value_at_grant,
            value_now=each.value_now,
        )
        for each in vesting_views(books, world, owner, now)
        if each.value_at_grant.at < period.ends_at
    )


def grant_values(
    books: Books, world: World, owner: Owner, period: Period, now: Instant
) -> tuple[GrantValueView, ...]:
    """The owner's ad-hoc grants that could be spent in the period, the oldest first. A team's and a project's statement
    has their own, not those of their people."""
    if owner.holders is None or not owner.sees_lines:
        return ()
    of_person = owner.kind is OwnerKind.ENGINEER
    holders = sorted(each for each in owner.holders if of_person or each.kind is not HolderKind.ENGINEER)
    found = [
        balance
        for balance in books.allowances.balances(holders=holders)
        if (allowance := balance.allowance).source is AllowanceSource.AD_HOC
        and allowance.starts_at < period.ends_at
        and (allowance.expires_at is None or period.starts_at < allowance.expires_at)
    ]
    found.sort(key=lambda balance: (balance.allowance.granted_at, balance.allowance.id))
    return tuple(
        GrantValueView(
            allowance_id=each.allowance.id,
            unit=unit_label(each.allowance.unit),
            total=each.allowance.shown,
            left=quantity_text(each.available, each.allowance.unit),
            granted_at=each.allowance.granted_at,
            expires_at=each.allowance.expires_at,
            value_at_grant=value_of(world, each.allowance, each.allowance.granted_at),
            value_now=value_of(world, each.allowance, now),
        )
        for each in found
    )
