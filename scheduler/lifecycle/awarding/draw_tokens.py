"""Draw tokens: what a gateway asks of the books around an answer. Hold, charge what it took, release the rest.

The gateway itself is no part of this: it is a caller with the role of one, and names the engineer it serves.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from scheduler.domain.allowances import AllowanceBalance, AllowanceSource, HolderKind, Purpose, holders_for
from scheduler.domain.errors import Exhausted, InvalidInput, NotFound, RefusalCode
from scheduler.domain.funding import funding_key
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.quantities import TOKENS, unit_named
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, EngineerId, Instant, ProjectName
from scheduler.ledger.grants import require_amount
from scheduler.ledger.journal import Transaction
from scheduler.ledger.token_holds import TokenHold, TokenShare, charge_tokens, hold_tokens, release_tokens
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.answered import Command, answer, earlier_answer
from scheduler.lifecycle.writing.audited import token_hold_told
from scheduler.lifecycle.writing.batch import Batch, changing
from scheduler.ports import Ids, Store

LASTS_MS, LASTS_MS_MAX = MS_PER_HOUR, MS_PER_DAY
"""How long a hold lasts that does not say, and any at most."""
RELEASED_AT_ONCE = 500
"""In one transaction: after a gateway's outage there may be very many, and commands wait for none longer than this."""


@dataclass(frozen=True, slots=True)
class TokensAsked:
    """The most that an answer of `model` may take. `owner` is an id or a subject; `project` None: personal work."""

    owner: str
    model: str
    tokens: int
    project: ProjectName | None = None
    uses_compensation: bool = False
    lasts_ms: int = LASTS_MS


@dataclass(frozen=True, slots=True)
class TokenDraws:
    """The verbs of a gateway. Each one transaction; done twice, it is done once."""

    store: Store
    world: World
    ids: Ids

    def hold(
        self,
        caller: Caller,
        asked: TokensAsked,
        *,
        now: Instant,
        command: Command | None = None,
        request_id: str = "",
    ) -> TokenHold:
        """Set tokens aside. Raises `unknown-engineer`, `unknown-project`, `invalid-amount`, `allowance-short`."""
        caller = caller.require(Role.GATEWAY)
        require_amount(asked.tokens)
        if not 0 < asked.lasts_ms <= LASTS_MS_MAX:
            raise InvalidInput("a hold lasts a day at most", where="lasts_ms", expected=f"1 to {LASTS_MS_MAX}")
        with self._changing(now) as batch:
            earlier = earlier_answer(batch, caller, command)
            if earlier is not None:
                return _known(batch, caller, earlier)
            owner = self._owner(asked.owner)
            projects = self.world.require_policy().projects
            if asked.project is not None and asked.project not in projects:
                raise NotFound(
                    f"there is no project {asked.project!r}",
                    where="project",
                    code=RefusalCode.UNKNOWN_PROJECT,
                    expected="one of " + ", ".join(sorted(projects)),
                )
            shares = _shares(self._payers(owner, asked, now), asked.tokens)
            until = Instant(now + asked.lasts_ms)
            hold = TokenHold(
                *(self.ids.new("t"), owner.id, asked.model, asked.project, shares, now, until, caller.actor),
                team=owner.team,
            )
            batch.books.token_holds.add(hold)
            batch.post(*hold_tokens(hold))
            batch.audit(caller, "hold tokens", hold.id, request_id=request_id, after=token_hold_told(hold))
            answer(batch, caller, command, hold.id)
        return hold

    def charge(self, caller: Caller, hold_id: str, total: int, *, now: Instant, request_id: str = "") -> TokenHold:
        """Charge up to the cumulative total of the hold. Raises `unknown-hold`, `hold-exceeded`, `wrong-state`."""
        caller = caller.require(Role.GATEWAY)
        require_amount(total)
        with self._changing(now) as batch:
            known = _known(batch, caller, hold_id)
            hold, made = charge_tokens(known, total, now)
            _note(batch, caller, "charge tokens", (known, hold), request_id)
            return _save(batch, known, hold, made)

    def release(self, caller: Caller, hold_id: str, *, now: Instant, request_id: str = "") -> TokenHold:
        """End it: what was not charged goes back. Raises `unknown-hold`."""
        caller = caller.require(Role.GATEWAY)
        with self._changing(now) as batch:
            known = _known(batch, caller, hold_id)
            released = _release(batch, known, now)
            _note(batch, caller, "release tokens", (known, released), request_id)
            return released

    def get(self, caller: Caller, hold_id: str) -> TokenHold:
        caller.require(Role.GATEWAY)
        with self.store.reading() as books:
            found = books.token_holds.get(hold_id)
        return _own(caller, hold_id, found)

    def _changing(self, now: Instant) -> AbstractContextManager[Batch]:
        return changing(self.store, self.world, now)

    def _owner(self, name: str) -> Engineer:
        found = self.world.people.get(EngineerId(name)) or self.world.by_subject.get(name)
        if found is None:
            raise NotFound(f"there is no engineer {name!r}", code=RefusalCode.UNKNOWN_ENGINEER, where="owner")
        return found

    def _payers(self, owner: Engineer, asked: TokensAsked, now: Instant) -> list[AllowanceBalance]:
        """In the funding order; of one holder, those of the model before those of any."""
        holders = frozenset(holders_for(owner.id, owner.team, asked.project))
        of_model = unit_named(f"tokens/{asked.model}")
        found = [
            balance
            for balance in list(self.world.balances.values())
            if balance.allowance.holder in holders
            and balance.allowance.unit in {of_model, TOKENS}
            and balance.allowance.is_open_at(now)
            and balance.spendable > 0
            and _pays(balance, asked)
        ]
        rank = {HolderKind.PROJECT: 0, HolderKind.TEAM: 1, HolderKind.ENGINEER: 2}
        return sorted(
            found,
            key=lambda b: (rank[b.allowance.holder.kind], b.allowance.unit != of_model, funding_key(b)),
        )


def release_overdue(batch: Batch) -> int:
    """Release what no gateway resolved in time, as of when it ran out, RELEASED_AT_ONCE at most. Returns how many."""
    overdue = batch.books.token_holds.overdue(batch.now, limit=RELEASED_AT_ONCE)
    for hold in overdue:
        _release(batch, hold, hold.expires_at)
    return len(overdue)


def _pays(balance: AllowanceBalance, asked: TokensAsked) -> bool:
    """By its purposes; pay pays project work only where its owner said so for it."""
    allowance = balance.allowance
    if asked.project is None:
        return Purpose.PERSONAL in allowance.purposes
    if allowance.source is AllowanceSource.COMPENSATION:
        return asked.uses_compensation
    return Purpose.PROJECT in allowance.purposes


def _shares(payers: Sequence[AllowanceBalance], tokens: int) -> tuple[TokenShare, ...]:
    """Split over allowances in their order. How much there is belongs to nobody but their holders."""
    shares, missing = [], tokens
    for balance in payers:
        taken = min(balance.spendable, missing)
        if taken > 0:
            shares.append(TokenShare(balance.allowance.id, balance.allowance.unit, taken))
            missing -= taken
    if missing:
        raise Exhausted(
            f"no allowance covers {tokens} tokens",
            code=RefusalCode.ALLOWANCE_SHORT,
            remedy="hold fewer, or ask for more",
        )
    return tuple(shares)


def _release(batch: Batch, hold: TokenHold, at: Instant) -> TokenHold:
    released, made = release_tokens(hold, at)
    return _save(batch, hold, released, made)


def _save(batch: Batch, known: TokenHold, hold: TokenHold, made: Sequence[Transaction]) -> TokenHold:
    """What is repeated changes nothing, and is not sealed again."""
    if hold != known:
        batch.books.token_holds.save(hold)
        batch.post(*made)
    return hold


def _note(batch: Batch, caller: Caller, verb: str, change: tuple[TokenHold, TokenHold], request_id: str) -> None:
    before, after = change
    if before != after:
        told = {"before": token_hold_told(before), "after": token_hold_told(after)}
        batch.audit(caller, verb, after.id, request_id=request_id, **told)


def _known(batch: Batch, caller: Caller, hold_id: str) -> TokenHold:
    return _own(caller, hold_id, batch.books.token_holds.get(hold_id))


def _own(caller: Caller, hold_id: str, found: TokenHold | None) -> TokenHold:
    """A gateway's own. Raises NotFound (`unknown-hold`)."""
    if found is None or found.by != caller.actor:
        raise NotFound(f"there is no hold {hold_id!r}", code=RefusalCode.UNKNOWN_HOLD)
    return found
