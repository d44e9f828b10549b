"""Generated pay: allowances in standard hours, in hours of a GPU class and in money, and what money buys."""

from dataclasses import replace

from hypothesis import strategies as st

from scheduler.domain.allowances import AllowanceBalance, AllowanceSource, HolderKind, Purpose
from scheduler.domain.money import MICRO_PER_UNIT
from scheduler.domain.quantities import class_unit, money_unit
from scheduler.domain.terms import KeptTerms, Prices
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    MS_PER_MINUTE,
    STANDARD_GPU,
    GpuClassName,
    Instant,
    PerMille,
    PoolName,
    Unit,
)
from tests.decision.builders import A100, H100, NOW, STANDARD, balance
from tests.decision.stretched import APOLLO
from tests.decision.worlds import OWNERS, TEAMS, mostly

MIG = GpuClassName("a100-1g")
CLASSES = (H100, A100, MIG)
EUR = money_unit("EUR")
SOON = (0, 1, 30_000, 5 * MS_PER_MINUTE, MS_PER_HOUR)
"""Milliseconds until what is to come in a moment, or within the cycles that follow."""


@st.composite
def prices(draw: st.DrawFn) -> Prices | None:
    """Of most classes and pools; some have none, and some cost nothing."""
    micro = mostly(2 * MICRO_PER_UNIT, 333_333, 0, None)
    found = {(name, PoolName(team)): draw(micro) for name in CLASSES for team in TEAMS}
    known = Prices(EUR, {key: price for key, price in found.items() if price is not None})
    return known if draw(mostly(True, False)) else None


@st.composite
def balances_of(draw: st.DrawFn) -> list[AllowanceBalance]:
    """Most have plenty of standard hours, all one to three other allowances, teams and the project some."""
    plenty = [balance(owner, 1000) for owner in OWNERS if draw(mostly(True, False))]
    holders = [(HolderKind.ENGINEER, owner, draw(mostly(2, 1, 3))) for owner in OWNERS]
    holders += [(HolderKind.TEAM, team, draw(mostly(0, 1))) for team in TEAMS]
    holders += [(HolderKind.PROJECT, APOLLO, draw(mostly(0, 1, 2)))]
    return plenty + [draw(balance_of(kind, name, number)) for kind, name, count in holders for number in range(count)]


@st.composite
def balance_of(
    draw: st.DrawFn, kind: HolderKind, holder: str, number: int, *, now: Instant = NOW
) -> AllowanceBalance:
    """In standard hours, in hours of one class or in money; open already, opening or expiring soon; and at times frozen,
    overdrawn, or pay that keeps its terms."""
    unit = draw(mostly(STANDARD_GPU, *map(class_unit, CLASSES), EUR))
    soon = st.sampled_from(SOON)
    made = balance(
        holder,
        0,
        kind=kind,
        name=f"{kind.value}-{holder}-{number}",
        unit=unit,
        starts_at=draw(mostly(Instant(0), Instant(0), Instant(now + draw(soon)))),
        expires_at=draw(mostly(Instant(now + MS_PER_DAY), None, Instant(now + draw(soon)))),
        gpu_classes=draw(mostly(None, None, frozenset({A100, MIG}))),
        overdraft=draw(mostly(0, 0, _whole(unit) // 2)),
        source=AllowanceSource.COMPENSATION if draw(mostly(False, True)) else AllowanceSource.TIER,
        purposes=draw(mostly(frozenset(Purpose), frozenset({Purpose.PERSONAL}))),
        kept_terms=draw(mostly(None, None, KeptTerms(((H100, PerMille(500)),), ((STANDARD.name, PerMille(700)),)))),
    )
    amount = draw(mostly(3, 0, 1, 12, 100)) * _whole(unit)
    spent = draw(mostly(0, amount, 2 * amount))
    return replace(
        made,
        allowance=replace(made.allowance, amount=amount),
        available=amount - spent,
        held=spent,
        is_frozen=draw(mostly(False, False, False, True)),
    )


def _whole(unit: Unit) -> int:
    return MICRO_PER_UNIT if unit == EUR else MS_PER_HOUR
