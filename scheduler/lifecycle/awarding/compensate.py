"""Compensation: a package is promised, vests part by part, and what has not vested is clawed back at a departure."""

from dataclasses import dataclass

from scheduler.domain.allowances import Allowance, AllowanceBalance, AllowanceSource, Holder, HolderKind, Purpose
from scheduler.domain.errors import InvalidInput, NotFound, RefusalCode
from scheduler.domain.policy import Policy
from scheduler.domain.quantities import UnitKind, exact_text, measure
from scheduler.domain.units import STANDARD_GPU, AllowanceId, EngineerId, GpuClassName, Instant, Unit
from scheduler.domain.vesting import PackageKind, Vesting, VestingPart, VestingTerms, vesting_parts
from scheduler.ledger.journal import Transaction
from scheduler.ledger.vesting import claw_back, promise, vest
from scheduler.lifecycle.awarding.countable import require_countable
from scheduler.lifecycle.writing.batch import Batch

_MONTHS_A_YEAR = 12
_HOURS = {UnitKind.STANDARD, UnitKind.GPU_CLASS}


@dataclass(frozen=True, slots=True)
class Package:
    """What is to be promised. `amount` in the unit's smallest part: a year's where `is_annual`, else in all.

    `parts` given: that is the schedule, and months and cliff are not asked. `starts_at` None: now.
    """

    holder: EngineerId
    amount: int
    kind: PackageKind = PackageKind.ANNUAL
    unit: Unit = STANDARD_GPU
    is_annual: bool = False
    starts_at: Instant | None = None
    months: int = 48
    cliff_months: int = 12
    every_months: int = 1
    parts: tuple[VestingPart, ...] | None = None
    expires_at: Instant | None = None
    gpu_classes: frozenset[GpuClassName] | None = None
    purposes: frozenset[Purpose] = frozenset({Purpose.PERSONAL})
    reason: str = ""


def grant_package(batch: Batch, asked: Package, allowance_id: AllowanceId, actor: str) -> Allowance:
    """Record a package, promise its amount, and vest what is due already.

    This is the whole grant: a command and the approval of a request both call it. Raises InvalidInput for what cannot
    be granted, NotFound for who or what is not there; then nothing is recorded.
    """
    allowance, promised = judged_package(batch, asked, allowance_id, actor)
    batch.add_allowance(allowance)
    batch.post(promised, *_vest(allowance, 0, batch.now))
    return allowance


def judged_package(
    batch: Batch, asked: Package, allowance_id: AllowanceId, actor: str
) -> tuple[Allowance, Transaction]:
    """What a package comes to and the transaction that promises it. Raises what `grant_package` does."""
    if asked.holder not in batch.world.people:
        raise NotFound(f"there is no engineer {asked.holder!r}", where="holder", code=RefusalCode.UNKNOWN_ENGINEER)
    require_countable(batch.world, asked.unit, asked.gpu_classes)
    allowance = package_allowance(asked, batch.world.require_policy(), batch.now, allowance_id)
    return allowance, promise(allowance, actor=actor, memo=asked.reason)


def package_allowance(asked: Package, policy: Policy, now: Instant, allowance_id: AllowanceId) -> Allowance:
    """The award that a package comes to: what an offer describes, and what a grant records. Hours keep the terms of the
    policy in force wherever later ones would buy less."""
    starts_at = now if asked.starts_at is None else asked.starts_at
    terms = VestingTerms(starts_at, policy.time_zone, asked.months, asked.cliff_months, asked.every_months)
    amount = _whole_amount(asked)
    parts = asked.parts if asked.parts is not None else vesting_parts(amount, terms)
    return Allowance(
        id=allowance_id,
        holder=Holder(HolderKind.ENGINEER, asked.holder),
        source=AllowanceSource.COMPENSATION,
        amount=amount,
        starts_at=starts_at,
        expires_at=asked.expires_at,
        granted_at=now,
        unit=asked.unit,
        gpu_classes=asked.gpu_classes,
        purposes=asked.purposes,
        vesting=Vesting(asked.kind, policy.time_zone, parts),
        kept_terms=policy.pay_terms if measure(asked.unit).kind in _HOURS else None,
    )


def vest_due(batch: Batch) -> int:
    """Vest every part whose time has come, dated when it did. Done twice, it is done once. Returns how many."""
    made = 0
    for balance in list(batch.world.balances.values()):
        if balance.promised > 0:
            transactions = _vest(balance.allowance, balance.allowance.amount - balance.promised, batch.now)
            batch.post(*transactions)
            made += len(transactions)
    return made


def claw_back_unvested(batch: Batch, balance: AllowanceBalance, actor: str, reason: str) -> int:
    """Take back what has not vested by now; what is due vests first. Returns the amount: 0 where nothing was left."""
    allowance = balance.allowance
    if allowance.vesting is None:
        raise NotFound(f"{allowance.id} does not vest", code=RefusalCode.UNKNOWN_ALLOWANCE, expected="a package")
    if balance.promised == 0:
        return 0
    due = _vest(allowance, allowance.amount - balance.promised, batch.now)
    batch.post(*due)
    left = balance.promised - sum(entry.amount for each in due for entry in each.entries if entry.amount > 0)
    if left > 0:
        batch.post(claw_back(allowance, left, batch.now, actor=actor, memo=reason))
    return left


def _vest(allowance: Allowance, vested: int, now: Instant) -> list[Transaction]:
    assert allowance.vesting is not None, "only what vests was promised"
    return vest(allowance, allowance.vesting.due(vested, now))


def _whole_amount(asked: Package) -> int:
    """What a year's amount comes to over the months of the schedule. Exactly, or it is refused."""
    if not asked.is_annual or asked.months == 0 or asked.parts is not None:
        return asked.amount
    whole, rest = divmod(asked.amount * asked.months, _MONTHS_A_YEAR)
    if rest:
        raise InvalidInput(
            f"{exact_text(asked.amount, asked.unit)} a year over {asked.months} months is no whole amount",
            where="amount",
            code=RefusalCode.INVALID_SCHEDULE,
            expected="whole years, or an amount that twelve divides",
        )
    return whole
