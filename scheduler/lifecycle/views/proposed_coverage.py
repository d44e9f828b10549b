"""What a proposal would bring coverage to, for whoever decides it: as things are, before anything takes effect."""

from scheduler.domain.approvals import Change, Proposal, ProposalKind
from scheduler.domain.policy import Policy
from scheduler.domain.units import AllowanceId, Instant
from scheduler.finance.coverage import Commitment
from scheduler.lifecycle.approvals.approve import Readers
from scheduler.lifecycle.approvals.changed import award_asked, changed_allowance
from scheduler.lifecycle.approvals.rights import people_of
from scheduler.lifecycle.awarding.compensate import package_allowance
from scheduler.lifecycle.awarding.cover import Brought, brought
from scheduler.lifecycle.awarding.outlook import Outlook, committed_by, moved, packaged
from scheduler.lifecycle.memory.world import World
from scheduler.ports import Books

_PROPOSED = AllowanceId("proposed")


def proposed_coverage(
    books: Books, world: World, readers: Readers, proposal: Proposal, now: Instant
) -> tuple[Brought, ...]:
    """By GPU class that it would change. Nothing where no hours are promised."""
    if not is_of_hours(proposal):
        return _of_everybody(books, world, readers, proposal, now)
    return AwardedCoverage(books, world, readers, now).of(proposal)


def is_of_hours(proposal: Proposal) -> bool:
    """Whether it is of one allowance, and not of a file."""
    is_file = proposal.kind in {ProposalKind.POLICY, ProposalKind.PRICES, ProposalKind.PEOPLE}
    return not is_file and proposal.kind not in {ProposalKind.PAYMENT, ProposalKind.TOKEN}


class AwardedCoverage:
    """What each of several proposals of one allowance would bring coverage to, by itself: what is promised without them is
    looked at once."""

    def __init__(self, books: Books, world: World, readers: Readers, now: Instant) -> None:
        self._books = books
        self._world = world
        self._readers = readers
        self._now = now
        self._before: Outlook | None = None

    def of(self, proposal: Proposal) -> tuple[Brought, ...]:
        policy, now = self._world.policy, self._now
        extra = [] if policy is None else _committed(self._books, self._readers, proposal, policy, now)
        if policy is None or not any(each.amount for each in extra):
            return ()
        before = self._before = self._before or Outlook(self._books, self._world, policy, now)
        after = before.with_extra(extra)
        return brought(before, after, policy, now, after.extra.ends_at)


def _of_everybody(
    books: Books, world: World, readers: Readers, proposal: Proposal, now: Instant
) -> tuple[Brought, ...]:
    """Of a policy, or of people."""
    policy = world.policy
    if policy is None:
        return ()
    if proposal.kind is ProposalKind.POLICY:
        proposed = readers.policy(proposal.text, proposal.name)
        before, after = Outlook(books, world, policy, now), Outlook(books, world, proposed, now)
        return brought(before, after, proposed, now, max(before.ends_at, after.ends_at))
    if proposal.kind is ProposalKind.PEOPLE:
        before = Outlook(books, world, policy, now)
        placed = {person.id: person for person in people_of(books, proposal)}
        return brought(before, before.with_people({**world.people, **placed}.values()), policy, now, before.ends_at)
    return ()


def _committed(books: Books, readers: Readers, proposal: Proposal, policy: Policy, now: Instant) -> list[Commitment]:
    """What would be promised: as approving it counts it."""
    if proposal.kind is ProposalKind.PACKAGE:
        return packaged(package_allowance(readers.package(proposal.text), policy, now, _PROPOSED), policy, now)
    if proposal.award is not None:
        return [committed_by(proposal.award, policy, now)]
    assert proposal.change is not None, "it is a request"
    if proposal.kind is ProposalKind.HOURS:
        return [committed_by(award_asked(proposal.change, proposal.reason, policy, now), policy, now)]
    return _moved(books, proposal.change, policy, now)


def _moved(books: Books, change: Change, policy: Policy, now: Instant) -> list[Commitment]:
    known = None if change.allowance is None else books.allowances.get(change.allowance)
    if known is None or not known.allowance.is_open_at(now):
        return []
    return [*moved(known.allowance, changed_allowance(known, change, _PROPOSED, now), policy, now)]
