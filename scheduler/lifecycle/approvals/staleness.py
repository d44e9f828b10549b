"""Staleness: why what waits can never be approved any more. Shown where it is listed, and why its approval is refused."""

from scheduler.domain.approvals import Proposal, ProposalKind
from scheduler.domain.errors import Conflict, RefusalCode
from scheduler.domain.periods import iso
from scheduler.domain.units import Instant
from scheduler.lifecycle.approvals.rights import is_of_rights, rights_stale
from scheduler.lifecycle.memory.world import World
from scheduler.ports import Books

HASH_SHOWN = 12


def why_stale(books: Books, world: World, proposal: Proposal, now: Instant) -> str:
    """Why nobody can approve it as it is; empty where somebody may."""
    return judged_stale(books, world, proposal, now) or _over(books, proposal, now)


def judged_stale(books: Books, world: World, proposal: Proposal, now: Instant) -> str:
    """Where what it was judged against is so no longer."""
    if is_of_rights(proposal):
        return rights_stale(books, world, proposal, now)
    if proposal.kind is ProposalKind.POLICY:
        in_force = world.require_policy().hash
    elif proposal.kind is ProposalKind.PRICES:
        in_force = "" if world.price_book is None else world.price_book.hash
    else:
        return ""
    if proposal.base == in_force:
        return ""
    below = f"on top of {proposal.base[:HASH_SHOWN]}" if proposal.base else "where none was in force"
    return f"it was proposed {below}, and {in_force[:HASH_SHOWN] or 'none'} is in force"


def require_judged(books: Books, world: World, proposal: Proposal, now: Instant) -> None:
    """Raises Conflict (`stale`)."""
    why = judged_stale(books, world, proposal, now)
    if why:
        raise Conflict(f"{proposal.id}: {why}", code=RefusalCode.STALE, remedy="propose it again")


def _over(books: Books, proposal: Proposal, now: Instant) -> str:
    """Where what is asked would be over, or what it is asked of is: approving it is refused by what it comes to."""
    change, award = proposal.change, proposal.award
    until = change.until if change is not None else award.expires_at if award is not None else None
    if until is not None and until <= now:
        return f"it would have ended {iso(until)}"
    if change is None or change.allowance is None or proposal.kind is ProposalKind.HOURS:
        return ""
    known = books.allowances.get(change.allowance)
    if known is None or known.allowance.is_open_at(now):
        return ""
    ended_at = known.allowance.expires_at
    return f"{change.allowance} ended {iso(ended_at)}" if ended_at is not None else f"{change.allowance} is over"
