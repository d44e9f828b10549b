"""Administration: what operators ask of the platform itself: its policy, its people, their tokens, and its brakes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scheduler.domain.access import TokenRecord
from scheduler.domain.approvals import approval_needed
from scheduler.domain.brakes import Brake, Pause
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.policy import Policy
from scheduler.domain.records import PolicyVersion
from scheduler.domain.units import Instant
from scheduler.lifecycle.awarding.cover import require_grantable, require_people_covered
from scheduler.lifecycle.governance.entering import (
    placed_people,
    put_people,
    put_token,
    rights_that_wait,
    token_waits,
)
from scheduler.lifecycle.governance.governing import needing_approval, put_policy, record_policy
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.audited import pause_told
from scheduler.lifecycle.writing.batch import Batch, changing
from scheduler.ports import Ids, Store


@dataclass(frozen=True, slots=True)
class Administration:
    """Each takes effect at once, or is refused where it takes a second person: then it is proposed, see `approvals`.

    `wake` is called after what the cycle should look at.
    """

    store: Store
    world: World
    ids: Ids
    wake: Callable[[], None]

    def apply_policy(
        self, caller: Caller, text: str, policy: Policy, *, now: Instant, request_id: str = ""
    ) -> PolicyVersion:
        """Put a policy in force from now on; running attempts keep the terms that they were launched under.

        Raises Conflict (`approval-needed`) where it takes a second person: see `Proposals.apply_policy`.
        """
        caller = caller.require(Role.OPERATOR)
        if needing_approval(self.world.policy, policy):
            raise approval_needed("a policy that raises allowances, prices or rights")
        version = PolicyVersion(policy.hash, policy.name, text, now, caller.actor)
        with changing(self.store, self.world, now) as batch:
            require_grantable(batch, policy)
            record_policy(batch, caller, version, policy, request_id)
            batch.then(lambda: put_policy(self.store, self.world, policy, now))
        self.wake()
        return version

    def apply_people(
        self, caller: Caller, engineers: Sequence[Engineer], *, now: Instant, request_id: str = ""
    ) -> int:
        """Put people in the directory, matched by subject; who is known keeps their id. Returns how many were new.

        Raises Conflict (`approval-needed`) where it takes a second person: see `RightsProposals`.
        """
        caller = caller.require(Role.OPERATOR, Role.PEOPLE)
        with changing(self.store, self.world, now) as batch:
            placed = placed_people(batch, engineers, self.ids.new)
            if rights_that_wait(batch, placed):
                raise approval_needed("a people file that gives somebody more")
            require_people_covered(batch, placed)
            new = put_people(batch, caller, placed, request_id)
            batch.then(lambda: self.world.put_people(placed))
        self.wake()
        return new

    def pause(self, caller: Caller, brake: Brake, why: str, *, now: Instant, request_id: str = "") -> Pause:
        """Put a brake on, in place of one that is on: nothing more is launched, preempted or reclaimed by that loop."""
        caller = caller.require(Role.OPERATOR)
        pause = Pause(brake, caller.actor, why or "no reason given", now)
        with changing(self.store, self.world, now) as batch:
            before, after = _pause_of(batch, brake), pause_told(pause)
            batch.books.control.put_pause(pause)
            batch.audit(
                caller, f"pause {brake.value}", brake.value, request_id=request_id, before=before, after=after
            )
            pauses = batch.books.control.pauses()
            batch.then(lambda: self.world.put_brakes(pauses=pauses))
        self.wake()
        return pause

    def resume_brake(self, caller: Caller, brake: Brake, *, now: Instant, request_id: str = "") -> None:
        """Take the brake off, and let a loop that reached its stop rate go on."""
        caller = caller.require(Role.OPERATOR)
        with changing(self.store, self.world, now) as batch:
            before = _pause_of(batch, brake)
            batch.books.control.remove_pause(brake)
            batch.books.control.clear_stops(brake)
            batch.audit(caller, f"resume {brake.value}", brake.value, request_id=request_id, before=before)
            pauses = batch.books.control.pauses()
            stops = [stop for stop in self.world.stops if stop.brake is not brake]
            batch.then(lambda: self.world.put_brakes(pauses=pauses, stops=stops))
        self.wake()

    def issue_token(
        self,
        caller: Caller,
        subject: str,
        roles: frozenset[Role],
        token_hash: str,
        *,
        now: Instant,
        expires_at: Instant | None = None,
        by_host: bool = False,
    ) -> None:
        """Let a bearer of the token act as `subject`. Only its hash is kept.

        `by_host` is what the process does for whoever runs it: the token of its first start, what is asked with that, and
        the door of a demo. Raises Conflict (`approval-needed`) where it takes a second person: see `RightsProposals`.
        """
        caller = caller.require(Role.OPERATOR)
        with changing(self.store, self.world, now) as batch:
            token = TokenRecord(token_hash, subject, roles, expires_at, now, caller.actor)
            if not by_host and token_waits(batch, token):
                raise approval_needed("a token")
            put_token(batch, caller, token)


def _pause_of(batch: Batch, brake: Brake) -> str:
    return pause_told(next((each for each in batch.books.control.pauses() if each.brake is brake), None))
