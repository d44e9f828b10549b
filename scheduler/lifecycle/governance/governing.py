"""Governing: put a policy on record, and have the world go by it."""

import json

from scheduler.domain.approvals import Persons
from scheduler.domain.people import Caller
from scheduler.domain.policy import Policy
from scheduler.domain.policy_changes import PolicyChange, diff_policies
from scheduler.domain.raising import raises
from scheduler.domain.records import PolicyVersion
from scheduler.domain.units import Instant
from scheduler.lifecycle.memory.past_use import looks_otherwise, reaches_back
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import Batch
from scheduler.ports import Store

AUDITED_CHANGES_MAX = 200
"""Differences that one audit event tells; the two texts are on record by their hashes."""


def needing_approval(current: Policy | None, new: Policy) -> tuple[PolicyChange, ...]:
    """The differences that a second person must approve, by the rules of the policy in force."""
    if current is None or current.approvals.policy is Persons.ONE:
        return ()
    return raises(current, new)


def record_policy(batch: Batch, caller: Caller, version: PolicyVersion, policy: Policy, request_id: str) -> None:
    """Put it on record, with what it changes. `put_policy` follows once that is committed."""
    current = batch.books.control.current_policy()
    if current is None or current.hash != policy.hash:
        batch.books.control.add_policy(version)
    known = batch.world.policy
    changes = () if known is None else diff_policies(known, policy)[:AUDITED_CHANGES_MAX]
    batch.audit(
        caller,
        "apply policy",
        policy.hash,
        request_id=request_id,
        before=_terms(current.hash if current else "", {c.path: c.before for c in changes}),
        after=_terms(policy.hash, {c.path: c.after for c in changes}),
    )


def _terms(policy_hash: str, terms: dict[str, int | bool | str | None]) -> str:
    return json.dumps({"policy": policy_hash, **terms}, separators=(",", ":"), ensure_ascii=False)


def put_policy(store: Store, world: World, policy: Policy, now: Instant) -> None:
    """Put it in force. One that looks at past use otherwise has it counted anew."""
    known = world.policy
    world.put_policy(policy)
    if looks_otherwise(known, policy):
        reach = reaches_back(policy)
        with store.reading() as books:
            world.count_past_use(books.attempts.ended_since(Instant(now - reach)) if reach else [])
