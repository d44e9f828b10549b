"""Transfer: hours of one holder become another's: between engineers of a team, or as a donation to a team or project."""

import math
from dataclasses import dataclass, replace

from scheduler.domain.allowances import Allowance, AllowanceBalance, AllowanceSource, Holder, HolderKind
from scheduler.domain.errors import Conflict, Exhausted, InvalidInput, NotFound, NotPermitted, RefusalCode
from scheduler.domain.policy import Policy, Tier
from scheduler.domain.quantities import quantity_text
from scheduler.domain.units import AllowanceId, EngineerId, Instant, PoolName, ProjectName, TeamName
from scheduler.ledger.grants import require_amount
from scheduler.ledger.transfers import transfer
from scheduler.lifecycle.writing.batch import Batch


@dataclass(frozen=True, slots=True)
class Passing:
    """What is to be passed on. `target` is a holder; `into` an allowance of theirs, None: one is made for it."""

    source: AllowanceId
    target: Holder
    amount: int
    reason: str
    into: AllowanceId | None = None


def pass_hours(batch: Batch, asked: Passing, transfer_id: str, actor: str) -> Allowance:
    """Post the transfer. Returns the allowance that it went to; nothing is recorded where it is refused.

    Raises `unknown-allowance`, `transfer-to-self`, `transfer-not-allowed`, `unit-mismatch`, `allowance-short`.
    """
    require_amount(asked.amount)
    source = known_allowance(batch, asked.source)
    if source.allowance.holder == asked.target:
        raise InvalidInput(
            "it would go from its holder to the same", code=RefusalCode.TRANSFER_TO_SELF, expected="another holder"
        )
    _require_allowed(batch, source.allowance, asked.target)
    target = _target(batch, asked, source.allowance, transfer_id)
    made = transfer(
        source.allowance,
        target,
        asked.amount,
        batch.now,
        transfer_id=transfer_id,
        actor=actor,
        memo=asked.reason,
    )
    _require_there(batch, source, asked.amount)
    if asked.into is None:
        batch.add_allowance(target)
    batch.post(made)
    return target


def holder_of_pool(policy: Policy, name: str) -> Holder:
    """The team that a donation to a pool goes to: the pool's only one, or the team of that name."""
    if TeamName(name) in policy.pool_of_team:
        return Holder(HolderKind.TEAM, name)
    pool = policy.pools.get(PoolName(name))
    if pool is None:
        raise NotFound(
            f"there is no pool or team {name!r}",
            where="to",
            code=RefusalCode.UNKNOWN_TEAM,
            expected="one of " + ", ".join(sorted({*policy.pools, *policy.pool_of_team})),
        )
    if len(pool.teams) != 1:
        raise Conflict(
            f"the pool {name} has several teams", where="to", expected="one of " + ", ".join(sorted(pool.teams))
        )
    return Holder(HolderKind.TEAM, pool.teams[0])


def known_allowance(batch: Batch, allowance_id: AllowanceId) -> AllowanceBalance:
    """Raises NotFound `unknown-allowance`."""
    balance = batch.books.allowances.get(allowance_id)
    if balance is None:
        raise NotFound(f"there is no allowance {allowance_id!r}", code=RefusalCode.UNKNOWN_ALLOWANCE)
    return balance


def _target(batch: Batch, asked: Passing, source: Allowance, transfer_id: str) -> Allowance:
    if asked.into is not None:
        into = known_allowance(batch, asked.into).allowance
        if into.holder != asked.target:
            raise NotFound(f"{asked.into} is not theirs", code=RefusalCode.UNKNOWN_ALLOWANCE)
        if into.unit == source.unit:  # of two units `transfer` says so
            _require_no_better(source, into, batch.now)
        return into
    return replace(
        source,
        id=AllowanceId(f"transfer/{transfer_id}"),
        holder=asked.target,
        source=AllowanceSource.TRANSFER,
        amount=asked.amount,
        starts_at=batch.now,
        granted_at=batch.now,
        period="",
        overdraft=0,
        vesting=None,
        rollover=None,
    )


def _require_allowed(batch: Batch, source: Allowance, target: Holder) -> None:
    """By the giver's tier, within the giver's team, and never of pay."""
    giver = batch.world.people.get(EngineerId(source.holder.id))
    if giver is None or source.holder.kind is not HolderKind.ENGINEER:
        raise _not_allowed("only engineers pass hours on")
    if source.source is AllowanceSource.COMPENSATION:
        raise _not_allowed("compensation is its holder's pay, and is not passed on")
    policy = batch.world.require_policy()
    tier: Tier | None = policy.tiers.get(giver.tier)
    match target.kind:
        case HolderKind.ENGINEER:
            taker = batch.world.people.get(EngineerId(target.id))
            if tier is None or not tier.may_transfer:
                raise _not_allowed(f"the tier {giver.tier} may not transfer hours")
            if taker is None or taker.team != giver.team:
                raise _not_allowed("there is no such engineer in the team")
        case HolderKind.TEAM | HolderKind.PROJECT:
            if tier is None or not tier.may_donate:
                raise _not_allowed(f"the tier {giver.tier} may not donate hours")
            if target.kind is HolderKind.PROJECT and ProjectName(target.id) not in policy.projects:
                raise NotFound(
                    f"there is no project {target.id!r}",
                    where="to",
                    code=RefusalCode.UNKNOWN_PROJECT,
                    expected="one of " + ", ".join(sorted(policy.projects)),
                )


def _require_no_better(source: Allowance, into: Allowance, now: Instant) -> None:
    """What is passed on may be spent as it could be before, or on less: what buys more, for longer, takes a request.

    Raises NotPermitted (`transfer-not-allowed`), Exhausted (`allowance-expired`).
    """
    if not into.is_open_at(now):
        raise Exhausted(f"{into.id} is not open", code=RefusalCode.ALLOWANCE_EXPIRED, where="into")
    gains = {
        "is pay": into.source is AllowanceSource.COMPENSATION,
        "ends later": source.expires_at is not None and (into.expires_at or math.inf) > source.expires_at,
        "may be spent on other GPU classes": not _is_within(into.gpu_classes, source.gpu_classes),
        "pays for other work": not (_is_within(into.kinds, source.kinds) and into.purposes <= source.purposes),
        "rolls over otherwise": into.rollover not in {None, source.rollover},
    }
    better = [how for how, is_so in gains.items() if is_so]
    if better:
        raise NotPermitted(
            f"{into.id} {' and '.join(better)}",
            code=RefusalCode.TRANSFER_NOT_ALLOWED,
            where="into",
            expected="an allowance on terms that are no better",
            remedy="leave it out: then one is made, on the same terms",
        )


def _is_within(inner: frozenset[object] | None, outer: frozenset[object] | None) -> bool:
    """None is all of them."""
    return outer is None or (inner is not None and inner <= outer)


def _require_there(batch: Batch, source: AllowanceBalance, amount: int) -> None:
    """A transfer takes what is there: no overdraft, nothing that is frozen, over or not yet begun."""
    if source.is_frozen:
        raise Exhausted(
            f"{source.allowance.id} is frozen: nothing of it is passed on",
            code=RefusalCode.ALLOWANCE_SHORT,
            where="allowance",
            expected="one that is not frozen",
            remedy="ask people operations, finance or an operator, who can end the freeze",
        )
    available = source.available if source.allowance.is_open_at(batch.now) else 0
    if amount > available:
        shown = quantity_text(available, source.allowance.unit)
        raise Exhausted(
            f"{source.allowance.id} has {shown} to pass on",
            code=RefusalCode.ALLOWANCE_SHORT,
            expected="no more than that",
        )


def _not_allowed(why: str) -> NotPermitted:
    return NotPermitted(why, code=RefusalCode.TRANSFER_NOT_ALLOWED)
