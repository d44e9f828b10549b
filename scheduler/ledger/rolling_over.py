"""Rollover at a period's end: what is left of one holder's allowances goes on into one of the next period, by the rule that
was stated when it was granted. What does not go on is left to expire.

What is heard of late was there at the end all the same: as much more goes on as would have gone on then.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from scheduler.domain.allowances import Allowance, AllowanceSource
from scheduler.domain.periods import Period
from scheduler.domain.units import AllowanceId, Instant, Unit
from scheduler.ledger.grants import rollover_allowance_id
from scheduler.ledger.journal import Transaction
from scheduler.ledger.transfers import roll_over


@dataclass(frozen=True, slots=True)
class Rest:
    """What an allowance had at its end, `expires_at`, in its unit, and still has: `left`. `gone` is what it had then beside
    that and has no more, of which `carried` went on."""

    allowance: Allowance
    expires_at: Instant
    left: int
    gone: int = 0
    carried: int = 0


@dataclass(frozen=True, slots=True)
class CarriedOn:
    """The allowance of the next period, the transactions that fill it, and how much of each rest they take."""

    target: Allowance
    transactions: tuple[Transaction, ...]
    parts: dict[AllowanceId, int]


def rests_together(rests: Iterable[Rest]) -> list[list[Rest]]:
    """Those that may roll over, by what is one rest: a holder's tier allowance and what had rolled into the same period,
    unit by unit. The tier's comes first: its rule is the one that holds."""
    together: dict[tuple[str, str, Unit], list[Rest]] = {}
    for rest in rests:
        allowance = rest.allowance
        if allowance.rollover is not None and allowance.period and rest.left + rest.gone > 0:
            together.setdefault((allowance.holder.id, allowance.period, allowance.unit), []).append(rest)
    return [sorted(alike, key=_tier_first) for _, alike in sorted(together.items())]


def carry_on(together: Sequence[Rest], following: Period) -> CarriedOn | None:
    """Into the period that follows; None where nothing goes on, or nothing more."""
    first, source = together[0], together[0].allowance
    assert source.rollover is not None, "only those are asked"
    in_all = source.rollover.carried(sum(rest.left + rest.gone for rest in together))
    amount = min(in_all - sum(rest.carried for rest in together), sum(rest.left for rest in together))
    if amount <= 0:
        return None
    target = replace(
        source,
        id=rollover_allowance_id(source.holder, following.name, source.unit),
        source=AllowanceSource.ROLLOVER,
        amount=amount,
        starts_at=first.expires_at,
        expires_at=following.ends_at,
        granted_at=first.expires_at,
        period=following.name,
        overdraft=0,
    )
    transactions: list[Transaction] = []
    parts: dict[AllowanceId, int] = {}
    for rest in together:
        part = min(rest.left, amount)
        if part > 0:
            before = rest.carried
            transactions.append(roll_over(rest.allowance, target, part, Instant(rest.expires_at - 1), before=before))
            parts[rest.allowance.id] = part
            amount -= part
    return CarriedOn(target, tuple(transactions), parts)


def _tier_first(rest: Rest) -> tuple[bool, str]:
    return rest.allowance.source is not AllowanceSource.TIER, rest.allowance.id
