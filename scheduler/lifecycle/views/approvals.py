"""Proposals and requests as people read them: what waits for whom, and what became of the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from scheduler.domain.allowances import HolderKind
from scheduler.domain.approvals import Approval, Change, Move, Proposal, ProposalKind, ProposalState
from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.periods import iso
from scheduler.domain.policy_changes import PolicyChange
from scheduler.domain.quantities import quantity_text, unit_label
from scheduler.domain.raising import raises
from scheduler.domain.units import MS_PER_MINUTE, STANDARD_GPU, Instant, Unit
from scheduler.finance.prices.price_changes import price_changes
from scheduler.lifecycle.approvals.approve import Readers, deciders, may_see
from scheduler.lifecycle.approvals.rights import is_of_rights, rights_shown
from scheduler.lifecycle.approvals.staleness import why_stale
from scheduler.lifecycle.awarding.cover import SEES_COVERAGE, Brought, fullest_brought
from scheduler.lifecycle.memory.named import named
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.offers import schedule_told
from scheduler.lifecycle.views.proposed_coverage import AwardedCoverage, is_of_hours, proposed_coverage
from scheduler.ports import Books, Store

LISTED_MAX = 500
COVERED_MAX = 50
"""So many of a list say what they would bring coverage to; any does where it is asked for alone."""

COVERED_FOR_MS = MS_PER_MINUTE
REMEMBERED_MAX = 8


@dataclass(frozen=True, slots=True)
class MoveView:
    """One step. `quantity`, in words `shown`, and `until` are what was approved, where that is less than was asked;
    `amount_ms` is the quantity where it is standard time."""

    state: ProposalState
    at: Instant
    by: str
    role: str
    reason: str
    amount_ms: int | None
    until: Instant | None
    made: str
    quantity: int | None = None
    shown: str = ""


PARTS_TOLD_MAX = 12
"""So many parts of a schedule are told one by one; all of them stand in the text."""


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """A proposal or request with its steps. `deciders` are the roles with the right to decide it, `raises` the keys of
    a policy, the prices that change, or the people, that need the second person. `text` is a file's, where one was asked
    for alone. `quantity` is in the smallest part of `unit`, `shown` the same in words, and `amount_ms` the quantity
    where it is standard time."""

    id: str
    hash: str
    kind: ProposalKind
    state: ProposalState
    asked_at: Instant
    asked_by: str
    role: str
    reason: str
    holder_kind: HolderKind | None
    holder: str | None
    source: str | None
    amount_ms: int | None
    allowance: str | None
    gpu_classes: tuple[str, ...] | None
    until: Instant | None
    file: str | None
    deciders: tuple[Role, ...]
    raises: tuple[PolicyChange, ...]
    moves: tuple[MoveView, ...]
    text: str | None = None
    unit: str = ""
    quantity: int | None = None
    shown: str = ""
    terms: tuple[str, ...] = ()
    """Of a grant and a package, what stands nowhere else: when it vests, from when on, and what work it pays."""
    coverage: tuple[Brought, ...] = ()
    """Of one that waits, what it would bring each GPU class to, for who may see coverage. In lists it is the fullest
    class alone, of the first fifty that wait for hours; of a policy and of people where it was asked for alone."""
    stale: str = ""
    """Of one that waits, why nobody can approve it any more, whatever they say: it is proposed again, or let be."""


@dataclass(frozen=True, slots=True)
class _Covered:
    """What those that waited would have brought coverage to, by id, and as of when."""

    at: Instant
    found: dict[str, tuple[Brought, ...]]


@dataclass(frozen=True, slots=True)
class ApprovalViews:
    """Each read shows what the caller may decide, or asked for themselves."""

    store: Store
    world: World
    readers: Readers
    remembered: dict[tuple[str, ...], _Covered] = field(default_factory=dict)

    def listed(self, caller: Caller, now: Instant, *, waiting_only: bool = False) -> list[ApprovalView]:
        """Newest first; those that wait, oldest first."""
        with self.store.reading() as books:
            book = books.approvals
            found = book.waiting() if waiting_only else book.latest(limit=LISTED_MAX)
            seen = [each for each in found if may_see(books, caller, each.proposal)]
            views = [self._as_of(books, each, now) for each in seen]
            covered = self._covered(books, seen, now) if caller.has(*SEES_COVERAGE) else {}
        return [replace(view, coverage=covered.get(view.id, ())) for view in views]

    def own(self, caller: Caller, now: Instant) -> list[ApprovalView]:
        """What the caller asked for, newest first."""
        with self.store.reading() as books:
            found = books.approvals.latest(asked_by=caller.actor, limit=LISTED_MAX)
            return [self._as_of(books, each, now) for each in found]

    def one(self, caller: Caller, name: str, now: Instant) -> ApprovalView:
        """By its id, or by the beginning of its hash: the newest that has it. Raises NotFound (`unknown-proposal`)."""
        with self.store.reading() as books:
            known = books.approvals.get(name)
            latest = [known] if known is not None else books.approvals.latest(limit=LISTED_MAX)
            named_so = [e for e in latest if e is known or (name and e.proposal.hash.startswith(name))]
            found = [each for each in named_so if may_see(books, caller, each.proposal)]
            if not found:
                raise NotFound(f"there is no proposal {name!r}", code=RefusalCode.UNKNOWN_PROPOSAL)
            covered: tuple[Brought, ...] = ()
            if found[0].is_waiting and caller.has(*SEES_COVERAGE):
                covered = proposed_coverage(books, self.world, self.readers, found[0].proposal, now)
            view = self._as_of(books, found[0], now, with_text=True)
        return replace(view, coverage=covered)

    def _covered(self, books: Books, listed: Sequence[Approval], now: Instant) -> dict[str, tuple[Brought, ...]]:
        """Of those that wait for hours of one allowance, by id. As it was up to a minute ago, where the same wait and the
        policy is the same: a page that is open asks each second, and of thousands of people it is half a second's work."""
        waiting = [each.proposal for each in listed if each.is_waiting and is_of_hours(each.proposal)][:COVERED_MAX]
        policy = self.world.policy
        if policy is None or not waiting:
            return {}
        key = (policy.hash, *(each.id for each in waiting))
        known = self.remembered.get(key)
        if known is None or not known.at <= now < known.at + COVERED_FOR_MS:
            coverage = AwardedCoverage(books, self.world, self.readers, now)
            found = {proposal.id: fullest_brought(coverage.of(proposal)) for proposal in waiting}
            if len(self.remembered) >= REMEMBERED_MAX:
                self.remembered.clear()
            known = self.remembered[key] = _Covered(now, found)
        return known.found

    def _as_of(self, books: Books, approval: Approval, now: Instant, *, with_text: bool = False) -> ApprovalView:
        stale = why_stale(books, self.world, approval.proposal, now) if approval.is_waiting else ""
        return replace(self.view(approval, with_text=with_text), stale=stale)

    def view(self, approval: Approval, *, with_text: bool = False) -> ApprovalView:
        proposal = approval.proposal
        holder = proposal.holder
        terms = replace(_terms(proposal), unit=self._unit(proposal))
        return ApprovalView(
            id=proposal.id,
            hash=proposal.hash,
            kind=proposal.kind,
            state=approval.state,
            asked_at=proposal.asked_at,
            asked_by=named(self.world, proposal.asked_by),
            role=proposal.role,
            reason=proposal.reason,
            holder_kind=None if holder is None else holder.kind,
            holder=None if holder is None else named(self.world, holder.id),
            source=None if proposal.award is None else proposal.award.source.value,
            amount_ms=_standard(terms.amount, terms.unit),
            allowance=terms.allowance,
            gpu_classes=terms.gpu_classes,
            until=terms.until,
            file=proposal.name or None,
            deciders=self._deciders(proposal),
            raises=self._raises(approval),
            moves=tuple(_move(move, self.world, terms.unit) for move in approval.moves),
            text=proposal.text if with_text and proposal.text else None,
            unit="" if proposal.holder is None else unit_label(terms.unit),
            quantity=terms.amount,
            shown=_shown(terms.amount, terms.unit),
            terms=self._terms_told(proposal),
        )

    def _terms_told(self, proposal: Proposal) -> tuple[str, ...]:
        award = proposal.award
        if award is None or proposal.kind is ProposalKind.PAYMENT:
            return ()
        pays = "" if award.purposes is None else f"pays {' and '.join(sorted(award.purposes))} work"
        if proposal.kind is not ProposalKind.PACKAGE:
            return (pays,) if pays else ()
        package = self.readers.package(proposal.text)
        begins = "when it is approved" if package.starts_at is None else f"on {iso(package.starts_at)}"
        vests = f"vests {schedule_told(package, len(package.parts or ()))}"
        parts = package.parts or ()
        told = [f"{quantity_text(part.amount, package.unit)} at {iso(part.at)}" for part in parts[:PARTS_TOLD_MAX]]
        if len(parts) > PARTS_TOLD_MAX:
            told.append(f"and {len(parts) - PARTS_TOLD_MAX} more")
        return (f"{vests}: {', '.join(told)}" if told else vests, f"begins {begins}", pays)

    def _deciders(self, proposal: Proposal) -> tuple[Role, ...]:
        with self.store.reading() as books:
            return deciders(books, proposal)

    def _unit(self, proposal: Proposal) -> Unit:
        """What is asked of an allowance is in that allowance's unit."""
        if proposal.change is None:
            return STANDARD_GPU if proposal.award is None else proposal.award.unit
        allowance_id = proposal.change.allowance
        if allowance_id is None or proposal.kind is ProposalKind.HOURS:
            return proposal.change.unit
        known = self.world.balances.get(allowance_id)
        if known is not None:
            return known.allowance.unit
        with self.store.reading() as books:
            found = books.allowances.get(allowance_id)
        return STANDARD_GPU if found is None else found.allowance.unit

    def _raises(self, approval: Approval) -> tuple[PolicyChange, ...]:
        """Against the policy or the prices in force: of what waits alone, for it was judged against these."""
        proposal, policy = approval.proposal, self.world.policy
        if is_of_rights(proposal) and approval.is_waiting:
            with self.store.reading() as books:
                return rights_shown(books, self.world, proposal)
        book = self.world.price_book
        if proposal.kind is ProposalKind.PRICES and approval.is_waiting and book is not None:
            return price_changes(book, self.readers.prices(proposal.text, proposal.name))
        if proposal.kind is not ProposalKind.POLICY or not approval.is_waiting or policy is None:
            return ()
        return raises(policy, self.readers.policy(proposal.text, proposal.name))


@dataclass(frozen=True, slots=True)
class _Terms:
    amount: int | None = None
    allowance: str | None = None
    gpu_classes: tuple[str, ...] | None = None
    until: Instant | None = None
    unit: Unit = STANDARD_GPU


def _terms(proposal: Proposal) -> _Terms:
    award, change = proposal.award, proposal.change
    if award is not None:
        classes = None if award.gpu_classes is None else tuple(sorted(award.gpu_classes))
        return _Terms(award.amount, None, classes, award.expires_at)
    return _Terms() if change is None else _changed(change)


def _changed(change: Change) -> _Terms:
    classes = None if change.gpu_class is None else (change.gpu_class,)
    return _Terms(change.amount, change.allowance, classes, change.until)


def _move(move: Move, world: World, unit: Unit) -> MoveView:
    change = move.change
    amount = None if change is None else change.amount
    return MoveView(
        move.state,
        move.at,
        named(world, move.by),
        move.role,
        move.reason,
        _standard(amount, unit),
        None if change is None else change.until,
        move.made,
        amount,
        _shown(amount, unit),
    )


def _standard(amount: int | None, unit: Unit) -> int | None:
    return amount if unit == STANDARD_GPU else None


def _shown(amount: int | None, unit: Unit) -> str:
    return "" if amount is None else quantity_text(amount, unit)
