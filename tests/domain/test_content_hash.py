"""The hash that a second person approves: stored with every proposal, so that it may never come out otherwise."""

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.approvals import ProposalKind, content_hash
from scheduler.domain.awards import Award

AWARD = Award(Holder(HolderKind.ENGINEER, "e-1"), 5)


def test_the_hash_of_a_proposal_stays_what_it_was_when_it_was_stored() -> None:
    hashed = content_hash("p-1", ProposalKind.GRANT, AWARD)
    assert hashed == "4a97b43d09cb89e898a78f992dba13dd3637aa9d6f301c90d972174a101bbd26"


def test_the_same_wish_twice_is_two_proposals() -> None:
    assert content_hash("p-1", ProposalKind.GRANT, AWARD) != content_hash("p-2", ProposalKind.GRANT, AWARD)


def test_holders_of_two_kinds_under_one_name_are_two() -> None:
    holders = {Holder(kind, "atlas") for kind in HolderKind}
    assert len(holders) == len(HolderKind)
