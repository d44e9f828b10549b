"""Who stands on leaderboards: only those who said so themselves, and for as long as they want it."""

import json

from scheduler.domain.errors import InvalidInput
from scheduler.domain.people import Caller
from scheduler.domain.units import EngineerId, Instant
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import changing
from scheduler.ports import Books, Store

_MEMBERS = "leaderboard"
"""The setting with the opaque ids of those who joined."""


def members(books: Books) -> frozenset[EngineerId]:
    known = books.control.setting(_MEMBERS)
    return frozenset(json.loads(known)) if known else frozenset()


def join(store: Store, world: World, caller: Caller, *, joins: bool, now: Instant, request_id: str = "") -> bool:
    """Stand on the boards of one's team and tier from now on, or no longer. Whether that changed anything."""
    if caller.engineer is None:
        raise InvalidInput("who would stand on it?", where="caller", expected="an engineer of the directory")
    with changing(store, world, now) as batch:
        known = members(batch.books)
        wanted = known | {caller.engineer} if joins else known - {caller.engineer}
        if wanted != known:
            batch.books.control.put_setting(_MEMBERS, json.dumps(sorted(wanted)))
            verb, before, after = ("join", "", "joined") if joins else ("leave", "joined", "")
            what = f"{verb} leaderboard"
            batch.audit(caller, what, caller.engineer, request_id=request_id, before=before, after=after)
    return wanted != known
