"""Approve: a second person decides what waits. What is approved takes effect in the transaction that says so."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from scheduler.domain.allowances import Allowance, AllowanceSource
from scheduler.domain.approvals import (
    Approval,
    Change,
    Move,
    Proposal,
    ProposalKind,
    ProposalState,
    lowered,
    require_second_person,
    require_waiting,
)
from scheduler.domain.errors import Conflict, InvalidInput, NotFound, NotPermitted, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.periods import period_at
from scheduler.domain.policy import Policy
from scheduler.domain.quantities import exact_text
from scheduler.domain.raising import raised_for, raises
from scheduler.domain.records import PolicyVersion
from scheduler.domain.rights import DECIDES_ACCESS
from scheduler.domain.units import AllowanceId, Instant
from scheduler.finance.prices.price_book import PriceBook
from scheduler.ledger.reissue import reissue
from scheduler.lifecycle.accounting.pay import RECORDS_PAYMENTS
from scheduler.lifecycle.accounting.price import put_prices
from scheduler.lifecycle.approvals.changed import award_asked, changed_allowance
from scheduler.lifecycle.approvals.paying import put_payment
from scheduler.lifecycle.approvals.propose import allowance_of
from scheduler.lifecycle.approvals.rights import gains_rights, is_of_rights, put_rights
from scheduler.lifecycle.approvals.staleness import require_judged
from scheduler.lifecycle.awarding.compensate import Package, grant_package
from scheduler.lifecycle.awarding.cover import require_coverage, require_grantable
from scheduler.lifecycle.awarding.grant import award, told
from scheduler.lifecycle.awarding.outlook import committed_by, moved, packaged
from scheduler.lifecycle.awarding.own_gain import is_own_gain
from scheduler.lifecycle.governance.governing import put_policy, record_policy
from scheduler.lifecycle.memory.named import named
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import Batch, changing
from scheduler.ports import Books, Ids, Store


@dataclass(frozen=True, slots=True)
class Readers:
    """A file's text and name as values; refused where it is none. Reading files is an adapter's work."""

    policy: Callable[[str, str], Policy]
    prices: Callable[[str, str], PriceBook]
    package: Callable[[str], Package]


@dataclass(frozen=True, slots=True)
class Lower:
    """At most so much of what was asked; None: as it was asked."""

    amount: int | None = None
    until: Instant | None = None


@dataclass(frozen=True, slots=True)
class Approvals:
    """The verbs of deciding. Each is one step of one proposal, kept with who took it, when and why.

    `wake` is called after what the cycle should look at.
    """

    store: Store
    world: World
    ids: Ids
    readers: Readers
    wake: Callable[[], None]

    def approve(
        self,
        caller: Caller,
        name: str,
        lower: Lower = Lower(),  # an immutable value
        *,
        reason: str = "",
        now: Instant,
        request_id: str = "",
    ) -> Approval:
        """Let it take effect. `name` is its id, or the beginning of the hash of one that waits.

        Raises NotPermitted: `own-request`, `self-benefit`; NotFound `unknown-proposal`; Conflict: `wrong-state` where it
        was decided, `stale` where what it was judged against is no longer in force.
        """
        with changing(self.store, self.world, now) as batch:
            approval = self._waiting(batch, caller, name)
            proposal = approval.proposal
            caller = caller.require(*deciders(batch.books, proposal))
            policy = self._judged(batch, caller, proposal)
            change = None
            if proposal.change is not None:
                change = _approved_of(batch, proposal.kind, proposal.change, lower)
            elif lower != Lower():
                raise InvalidInput("only a request can be approved in part", where="amount_ms", expected="neither")
            made = self._made(batch, caller, proposal, change, policy)
            is_less = change is not None and change != proposal.change
            move = Move(
                proposal.id,
                ProposalState.APPROVED,
                now,
                caller.actor,
                caller.role,
                reason,
                request_id,
                change=change if is_less else None,
                made=made,
            )
            _take(batch, caller, approval, move)
            if policy is not None:
                batch.then(partial(put_policy, self.store, self.world, policy, now))
            if proposal.kind is ProposalKind.PEOPLE:
                batch.then(partial(self.world.put_people, batch.books.people.all()))
        self.wake()
        return replace(approval, moves=(move,))

    def reject(self, caller: Caller, name: str, reason: str, *, now: Instant, request_id: str = "") -> Approval:
        """Say no, and why. The one who asked cannot: they withdraw it."""
        if not reason.strip():
            raise InvalidInput("a rejection needs a reason", where="reason", expected="a sentence")
        with changing(self.store, self.world, now) as batch:
            approval = self._waiting(batch, caller, name)
            caller = caller.require(*deciders(batch.books, approval.proposal))
            if caller.is_called(approval.proposal.asked_by):
                raise NotPermitted(
                    "that is your own",
                    code=RefusalCode.OWN_REQUEST,
                    remedy="withdraw it with `allot request withdraw`",
                )
            move = Move(
                approval.proposal.id, ProposalState.REJECTED, now, caller.actor, caller.role, reason, request_id
            )
            _take(batch, caller, approval, move)
        return replace(approval, moves=(move,))

    def withdraw(self, caller: Caller, name: str, *, now: Instant, request_id: str = "") -> Approval:
        """Take back what one asked for oneself."""
        with changing(self.store, self.world, now) as batch:
            approval = self._waiting(batch, caller, name)
            if not caller.is_called(approval.proposal.asked_by):
                raise NotPermitted("somebody else asked for that", code=RefusalCode.NOT_YOURS)
            move = Move(approval.proposal.id, ProposalState.WITHDRAWN, now, caller.actor, caller.role, "", request_id)
            _take(batch, caller, approval, move)
        return replace(approval, moves=(move,))

    def _waiting(self, batch: Batch, caller: Caller, name: str) -> Approval:
        """The one that is meant. To who may not see it, it does not exist."""
        known = batch.books.approvals.get(name)
        found = (
            [known]
            if known is not None
            else [each for each in batch.books.approvals.waiting() if name and each.proposal.hash.startswith(name)]
        )
        found = [each for each in found if may_see(batch.books, caller, each.proposal)]
        if len(found) > 1:
            raise Conflict(f"{len(found)} that wait have a hash that begins with {name!r}", expected="more of it")
        if not found:
            raise NotFound(f"no proposal {name!r} waits", code=RefusalCode.UNKNOWN_PROPOSAL)
        require_waiting(found[0], lambda actor: named(self.world, actor))
        return found[0]

    def _judged(self, batch: Batch, caller: Caller, proposal: Proposal) -> Policy | None:
        """The policy that is proposed, if it is one, where the caller may approve it and it is still what was judged."""
        current = batch.books.control.current_policy()
        applied = current is not None and caller.is_called(current.applied_by)
        in_force = self.world.require_policy()
        proposed = None
        if proposal.kind is ProposalKind.POLICY:
            proposed = replace(self.readers.policy(proposal.text, proposal.name), hash=proposal.hash)
            gains = self._gains_by(caller, in_force, proposed)
        elif is_of_rights(proposal):
            gains = gains_rights(batch, caller, proposal)
        else:
            gains = proposal.holder is not None and is_own_gain(self.world, caller, proposal.holder)
        require_second_person(proposal, caller, gains=gains, applied_policy=applied)
        require_judged(batch.books, self.world, proposal, batch.now)
        return proposed

    def _gains_by(self, caller: Caller, old: Policy, new: Policy) -> bool:
        person = self.world.people.get(caller.engineer) if caller.engineer is not None else None
        if person is None:
            return False
        return raised_for(raises(old, new), tier=person.tier, team=person.team, old=old, new=new)

    def _made(
        self, batch: Batch, caller: Caller, proposal: Proposal, change: Change | None, policy: Policy | None
    ) -> str:
        """Have it take effect. What came of it: the id of an allowance, or the hash of a file."""
        if policy is not None:
            require_grantable(batch, policy)
            version = PolicyVersion(policy.hash, policy.name, proposal.text, batch.now, proposal.asked_by)
            record_policy(batch, caller, version, policy, proposal.request_id)
            return policy.hash
        if proposal.kind is ProposalKind.PRICES:
            book = replace(self.readers.prices(proposal.text, proposal.name), hash=proposal.hash)
            put_prices(batch, caller, proposal.text, book, request_id=proposal.request_id, corrects=proposal.corrects)
            return book.hash
        if is_of_rights(proposal):
            return put_rights(batch, caller, proposal)
        if proposal.kind is ProposalKind.PAYMENT:
            return put_payment(batch, caller, proposal)
        allowance_id = AllowanceId(self.ids.new("g"))
        if proposal.kind is ProposalKind.PACKAGE:
            made = grant_package(batch, self.readers.package(proposal.text), allowance_id, proposal.asked_by)
            require_coverage(batch, packaged(made, self.world.require_policy(), batch.now))
            after = exact_text(made.amount, made.unit)
        elif proposal.award is not None:
            require_coverage(batch, [committed_by(proposal.award, self.world.require_policy(), batch.now)])
            made = award(batch, proposal.award, allowance_id, proposal.asked_by)
            after = told(proposal.award)
        else:
            assert change is not None, "it is a request"
            made = self._changed(batch, proposal, change, allowance_id, caller)
            after = told(change)
        batch.audit(caller, "grant", made.id, request_id=proposal.request_id, after=after)
        return made.id

    def _changed(
        self, batch: Batch, proposal: Proposal, change: Change, allowance_id: AllowanceId, caller: Caller
    ) -> Allowance:
        policy = self.world.require_policy()
        if proposal.kind is ProposalKind.HOURS:
            asked = award_asked(change, proposal.reason, policy, batch.now)
            require_coverage(batch, [committed_by(asked, policy, batch.now)])
            return award(batch, asked, allowance_id, caller.actor)
        known = allowance_of(batch, change)
        old, new = known.allowance, changed_allowance(known, change, allowance_id, batch.now)
        require_coverage(batch, moved(old, new, policy, batch.now))
        batch.add_allowance(new)
        batch.post(
            reissue(
                old,
                new,
                0 if known.is_frozen else known.available,
                batch.now,
                actor=caller.actor,
                memo=proposal.reason,
            )
        )
        return new


def _approved_of(batch: Batch, kind: ProposalKind, asked: Change, lower: Lower) -> Change:
    """What is asked of an allowance is in that allowance's unit, and an extension lower than asked is one still."""
    known = None if asked.allowance is None else batch.books.allowances.get(asked.allowance)
    unit = asked.unit if known is None or kind is ProposalKind.HOURS else known.allowance.unit
    ends = None
    if kind is ProposalKind.HOURS:
        ends = (batch.now, asked.until or _period_end(batch))
    elif kind is ProposalKind.EXTENSION and asked.until is not None and known is not None:
        ends = (known.allowance.expires_at or batch.now, asked.until)
    return lowered(asked, lower.amount, lower.until, unit, ends)


def _period_end(batch: Batch) -> Instant:
    """Of the period that runs: when hours end for which nobody asked another end."""
    policy = batch.world.require_policy()
    return period_at(batch.now, policy.period, policy.time_zone).ends_at


def deciders(books: Books, proposal: Proposal) -> tuple[Role, ...]:
    """The roles that give the right to decide it: whatever changes pay is for people operations."""
    if is_of_rights(proposal):
        return DECIDES_ACCESS
    if proposal.kind is ProposalKind.PAYMENT:
        return RECORDS_PAYMENTS
    is_pay = _source(books, proposal) is AllowanceSource.COMPENSATION
    return (Role.PEOPLE,) if is_pay else (Role.FINANCE, Role.OPERATOR)


def _source(books: Books, proposal: Proposal) -> AllowanceSource | None:
    """Of the award, or of the allowance that is to change."""
    if proposal.award is not None:
        return proposal.award.source
    if proposal.change is None or proposal.change.allowance is None:
        return None
    known = books.allowances.get(proposal.change.allowance)
    return None if known is None else known.allowance.source


def may_see(books: Books, caller: Caller, proposal: Proposal) -> bool:
    return caller.is_called(proposal.asked_by) or caller.has(Role.AUDITOR, *deciders(books, proposal))


def _take(batch: Batch, caller: Caller, approval: Approval, move: Move) -> None:
    batch.books.approvals.move(move)
    batch.books.approvals.forget_people(move.proposal_id)
    verb = {
        ProposalState.APPROVED: "approve",
        ProposalState.REJECTED: "reject",
        ProposalState.WITHDRAWN: "withdraw",
    }[move.state]
    after = told(move.change) if move.change is not None else move.made or move.reason or move.state.value
    before = f"{ProposalState.WAITING.value} {approval.proposal.hash}"
    batch.audit(caller, verb, approval.proposal.id, request_id=move.request_id, before=before, after=after)
