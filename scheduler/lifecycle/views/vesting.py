"""Packages as their holders and the people role see them: what was promised, what vested, and when the rest will."""

from dataclasses import dataclass

from scheduler.domain.allowances import Allowance, AllowanceBalance
from scheduler.domain.quantities import quantity_text, unit_label
from scheduler.domain.units import AllowanceId, EngineerId, Instant
from scheduler.finance.prices.fair_value import FairValue, fair_value
from scheduler.ledger.journal import Account, AccountKind
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.owners import Owner
from scheduler.ports import Books


@dataclass(frozen=True, slots=True)
class PartView:
    """One part of a schedule. `quantity` in the package's unit; `state`: vested, promised or forfeited."""

    number: int
    at: Instant
    quantity: int
    text: str
    state: str


@dataclass(frozen=True, slots=True)
class VestingView:
    """A package. Of its quantities, in its unit: total = vested + promised + forfeited."""

    allowance_id: AllowanceId
    holder: str
    holder_name: str
    kind: str
    unit: str
    total_quantity: int
    vested_quantity: int
    promised_quantity: int
    forfeited_quantity: int
    total_text: str
    vested_text: str
    promised_text: str
    forfeited_text: str
    """Empty where nothing was clawed back."""
    left_text: str
    """What may be spent now."""
    is_frozen: bool
    granted_at: Instant
    starts_at: Instant
    expires_at: Instant | None
    time_zone: str
    next_at: Instant | None
    gpu_classes: tuple[str, ...] | None
    value_at_grant: FairValue
    value_now: FairValue
    """Of all of it, promised or vested, at list price; what was clawed back is worth nothing."""
    parts: tuple[PartView, ...]


def vesting_views(books: Books, world: World, owner: Owner, now: Instant) -> list[VestingView]:
    """The packages of an owner's people, the oldest first."""
    holders = None if owner.holders is None else sorted(owner.holders)
    packages = [b for b in books.allowances.balances(holders=holders) if b.allowance.vesting is not None]
    packages.sort(key=lambda balance: (balance.allowance.granted_at, balance.allowance.id))
    return [vesting_view(books, world, balance, now) for balance in packages]


def vesting_view(books: Books, world: World, balance: AllowanceBalance, now: Instant) -> VestingView:
    allowance = balance.allowance
    assert allowance.vesting is not None, "only what vests is shown so"
    forfeited = books.journal.balance(Account(AccountKind.FORFEITED, allowance.id), allowance.unit)
    vested = allowance.amount - balance.promised - forfeited
    person = world.people.get(EngineerId(allowance.holder.id))
    parts: list[PartView] = []
    until = 0
    for number, part in enumerate(allowance.vesting.parts, start=1):
        until += part.amount
        state = "vested" if until <= vested else "promised" if balance.promised else "forfeited"
        parts.append(PartView(number, part.at, part.amount, quantity_text(part.amount, allowance.unit), state))
    return VestingView(
        allowance_id=allowance.id,
        holder=allowance.holder.id,
        holder_name="" if person is None else person.name or person.subject,
        kind=allowance.vesting.kind.value,
        unit=unit_label(allowance.unit),
        total_quantity=allowance.amount,
        vested_quantity=vested,
        promised_quantity=balance.promised,
        forfeited_quantity=forfeited,
        total_text=quantity_text(allowance.amount, allowance.unit),
        vested_text=quantity_text(vested, allowance.unit),
        promised_text=quantity_text(balance.promised, allowance.unit),
        forfeited_text=quantity_text(forfeited, allowance.unit) if forfeited else "",
        left_text=quantity_text(balance.available, allowance.unit),
        is_frozen=balance.is_frozen,
        granted_at=allowance.granted_at,
        starts_at=allowance.starts_at,
        expires_at=allowance.expires_at,
        time_zone=allowance.vesting.time_zone,
        next_at=next((part.at for part in parts if part.state == "promised"), None),
        gpu_classes=None if allowance.gpu_classes is None else tuple(sorted(allowance.gpu_classes)),
        value_at_grant=value_of(world, allowance, allowance.granted_at),
        value_now=value_of(world, allowance, now, less=forfeited),
        parts=tuple(parts),
    )


def value_of(world: World, allowance: Allowance, at: Instant, *, less: int = 0) -> FairValue:
    """What the whole award, `less` so much of it, would cost at the list price of an instant, at the weights that it
    keeps."""
    classes = world.policy.gpu_classes if world.policy is not None else {}
    kept = dict(allowance.kept_terms.weights) if allowance.kept_terms is not None else {}
    weights = {name: min(each.weight, kept.get(name, each.weight)) for name, each in classes.items()}
    left = allowance.amount - less
    return fair_value(world.price_book, allowance.unit, left, weights, at, only=allowance.gpu_classes)
