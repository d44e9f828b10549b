"""Countable: whether an award is counted in, and may be spent on, what the company has."""

from collections.abc import Iterable

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.policy import Policy
from scheduler.domain.quantities import UnitKind, measure
from scheduler.domain.units import GpuClassName, Unit
from scheduler.lifecycle.memory.world import World


def require_countable(world: World, unit: Unit, gpu_classes: Iterable[GpuClassName] | None = None) -> None:
    """Raises InvalidInput: `unknown-unit`, `unknown-gpu-class`, `unknown-currency`; `unit-mismatch` where hours of one
    class could be spent on others alone, or tokens on a GPU class."""
    found = measure(unit)
    known = world.require_policy().gpu_classes
    allowed = None if gpu_classes is None else frozenset(gpu_classes)
    for name in sorted((allowed or frozenset()) - known.keys()):
        raise InvalidInput(f"there is no GPU class {name!r}", where="gpu_classes", code=RefusalCode.UNKNOWN_GPU_CLASS)
    if found.kind is UnitKind.GPU_CLASS:
        if found.of not in known:
            raise InvalidInput(
                f"there is no GPU class {found.of!r}", where="unit", code=RefusalCode.UNKNOWN_GPU_CLASS
            )
        if allowed is not None and GpuClassName(found.of) not in allowed:
            raise InvalidInput(
                f"hours of {found.of} cannot be spent on {', '.join(sorted(allowed))}",
                where="gpu_classes",
                code=RefusalCode.UNIT_MISMATCH,
                expected=f"{found.of}, or none named",
            )
    if found.kind is UnitKind.TOKENS and allowed is not None:
        raise InvalidInput(
            "tokens are spent on no GPU class",
            where="gpu_classes",
            code=RefusalCode.UNIT_MISMATCH,
            expected="none for tokens",
        )
    if found.kind is UnitKind.MONEY:
        _require_currency(world, found.of)


def _require_currency(world: World, currency: str) -> None:
    book = world.price_book
    if book is None or currency != book.currency:
        raise InvalidInput(
            f"{currency} is not the currency of the price book",
            where="unit",
            code=RefusalCode.UNKNOWN_CURRENCY,
            expected="no money without prices" if book is None else book.currency,
        )


def require_policy_countable(world: World, policy: Policy) -> None:
    """What a policy grants in money is in the currency of the price book, where there is one: before, it waits for prices.

    Raises InvalidInput (`unknown-currency`).
    """
    of_tiers = [item for tier in policy.tiers.values() for item in tier.beside]
    of_projects = [item for project in policy.projects.values() for item in project.beside]
    for item in (*of_tiers, *of_projects):
        counted = measure(item.unit)
        if counted.kind is UnitKind.MONEY and world.price_book is not None:
            _require_currency(world, counted.of)
