"""Grant: what an allowance is given by a person's decision. What tiers and projects are given is in `periodic`."""

import json
from collections.abc import Iterable
from dataclasses import asdict

from scheduler.domain.allowances import Allowance, AllowanceSource, Holder, HolderKind, Purpose
from scheduler.domain.approvals import Change
from scheduler.domain.awards import Award
from scheduler.domain.errors import InvalidInput, NotFound, NotPermitted, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.quantities import UnitKind, exact_text, measure
from scheduler.domain.terms import KeptTerms
from scheduler.domain.units import AMOUNT_MAX, AllowanceId, EngineerId
from scheduler.ledger.grants import grant
from scheduler.lifecycle.awarding.countable import require_countable
from scheduler.lifecycle.writing.batch import Batch

_PURPOSES = {
    AllowanceSource.COMPENSATION: frozenset({Purpose.PERSONAL}),
    AllowanceSource.AD_HOC: frozenset({Purpose.PROJECT, Purpose.PERSONAL}),
}
"""What a person grants. Tiers and projects are granted to by policy alone; rollovers and transfers are made of awards."""


def require_granter(caller: Caller, asked: Award) -> Caller:
    """Finance and operators grant ad hoc, people operations grant compensation; nobody to themselves."""
    granter = caller.require(
        *((Role.PEOPLE,) if asked.source is AllowanceSource.COMPENSATION else (Role.FINANCE, Role.OPERATOR))
    )
    if caller.engineer is not None and asked.holder.id == caller.engineer:
        raise NotPermitted(
            "nobody grants hours to themselves",
            code=RefusalCode.SELF_BENEFIT,
            expected="another person with the right to",
        )
    return granter


def told(asked: Award | Change) -> str:
    """What was asked, as the audit keeps it: canonical JSON, people by their opaque ids."""
    said = {name: value for name, value in asdict(asked).items() if value is not None}
    return json.dumps(said, sort_keys=True, separators=(",", ":"), default=sorted, ensure_ascii=False)


def require_awardable(batch: Batch, asked: Award) -> None:
    """Raises InvalidInput or NotFound for what cannot be granted."""
    _require_holder(batch, asked.holder)
    if asked.source not in _PURPOSES:
        raise InvalidInput(
            f"{asked.source.value} is granted by nobody", where="source", expected="ad-hoc or compensation"
        )
    if asked.source is AllowanceSource.COMPENSATION and asked.holder.kind is not HolderKind.ENGINEER:
        raise InvalidInput("compensation is somebody's pay", where="holder_kind", expected="engineer")
    if asked.expires_at is not None and asked.expires_at <= batch.now:
        raise InvalidInput(
            "it would have expired already",
            where="expires_at",
            code=RefusalCode.EXPIRY_BEFORE_GRANT,
            expected="an instant in the future",
        )
    if not 0 < asked.amount < AMOUNT_MAX:
        raise InvalidInput(
            f"a grant of {exact_text(asked.amount, asked.unit)} cannot be made",
            where="amount",
            code=RefusalCode.INVALID_AMOUNT,
            expected="an amount above zero",
        )
    require_countable(batch.world, asked.unit, asked.gpu_classes)


def award(batch: Batch, asked: Award, allowance_id: AllowanceId, actor: str) -> Allowance:
    """Record the award and post its grant. Raises InvalidInput or NotFound for what cannot be granted."""
    require_awardable(batch, asked)
    allowance = Allowance(
        id=allowance_id,
        holder=asked.holder,
        source=asked.source,
        amount=asked.amount,
        starts_at=batch.now,
        expires_at=asked.expires_at,
        granted_at=batch.now,
        unit=asked.unit,
        gpu_classes=asked.gpu_classes,
        purposes=asked.purposes if asked.purposes is not None else _PURPOSES[asked.source],
        kept_terms=_kept_terms(batch, asked),
    )
    batch.add_allowance(allowance)
    batch.post(grant(allowance, actor=actor, memo=asked.reason))
    return allowance


def _kept_terms(batch: Batch, asked: Award) -> KeptTerms | None:
    """Of hours that are pay: money buys at the price of the day, and tokens have no terms."""
    is_pay = asked.source is AllowanceSource.COMPENSATION
    is_time = measure(asked.unit).kind in {UnitKind.STANDARD, UnitKind.GPU_CLASS}
    return batch.world.require_policy().pay_terms if is_pay and is_time else None


def _require_holder(batch: Batch, holder: Holder) -> None:
    policy = batch.world.require_policy()
    known: Iterable[str]
    match holder.kind:
        case HolderKind.ENGINEER:
            if EngineerId(holder.id) in batch.world.people:
                return
            raise NotFound(f"there is no engineer {holder.id!r}", where="holder", code=RefusalCode.UNKNOWN_ENGINEER)
        case HolderKind.TEAM:
            known, code = policy.pool_of_team, RefusalCode.UNKNOWN_TEAM
        case HolderKind.PROJECT:
            known, code = policy.projects, RefusalCode.UNKNOWN_PROJECT
    if holder.id not in known:
        raise NotFound(
            f"there is no {holder.kind.value} {holder.id!r}",
            where="holder",
            code=code,
            expected="one of " + ", ".join(sorted(known)),
        )
