"""Rights that wait: people files and tokens that give somebody more, proposed by one person and approved by another.

A proposal is in a Merkle tree for good, so it has opaque ids alone. The names of a file that waits stand in a table of
their own, which is emptied when it is decided; a token's subject is joined when it takes effect.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from scheduler.domain.access import TokenRecord
from scheduler.domain.approvals import Proposal, ProposalKind
from scheduler.domain.errors import InvalidInput
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.periods import iso
from scheduler.domain.policy_changes import PolicyChange
from scheduler.domain.rights import directory_hash, raised_rights
from scheduler.domain.units import EngineerId, Instant, TeamName, TierName
from scheduler.lifecycle.administration import Administration
from scheduler.lifecycle.approvals.propose import keep_proposal
from scheduler.lifecycle.awarding.cover import require_people_covered
from scheduler.lifecycle.governance.entering import (
    placed_people,
    put_people,
    put_token,
    require_not_out,
    rights_that_wait,
    token_waits,
)
from scheduler.lifecycle.memory.named import named
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.answered import Command, answer, earlier_answer
from scheduler.lifecycle.writing.batch import Batch, changing
from scheduler.ports import Books, Ids, Store


@dataclass(frozen=True, slots=True)
class PeopleFile:
    """A file as its name and the SHA-256 of its bytes."""

    name: str
    hash: str


@dataclass(frozen=True, slots=True)
class Issued:
    """A token by its id, and the proposal that it waits for where it takes two. `is_new` is False where the same command
    issued it before."""

    token_id: str
    waits_for: str | None
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class RightsProposals:
    """The verbs of asking. Each returns what took effect, or what waits."""

    store: Store
    world: World
    ids: Ids
    administration: Administration

    def apply_people(
        self, caller: Caller, asked: Sequence[Engineer], file: PeopleFile, *, now: Instant, request_id: str = ""
    ) -> int | Proposal:
        """How many people of the file were new; the proposal where it gives somebody more and takes two."""
        caller = caller.require(Role.OPERATOR, Role.PEOPLE)
        with changing(self.store, self.world, now) as batch:
            placed = placed_people(batch, asked, self.ids.new)
            raised = rights_that_wait(batch, placed)
            if raised:
                require_people_covered(batch, placed)
                proposal = Proposal(
                    self.ids.new("p"),
                    file.hash,
                    ProposalKind.PEOPLE,
                    now,
                    caller.actor,
                    caller.role,
                    f"gives {len(raised)} of {len(placed)} people more",
                    request_id,
                    name=file.name,
                    text=_people_text(placed),
                    base=directory_hash(batch.books.people.all()),
                )
                kept = keep_proposal(batch, proposal, caller)
                if kept is proposal:
                    batch.books.approvals.name_people(proposal.id, placed)
                return kept
        return self.administration.apply_people(caller, asked, now=now, request_id=request_id)

    def issue_token(
        self,
        caller: Caller,
        asked: TokenRecord,
        *,
        now: Instant,
        command: Command | None = None,
        request_id: str = "",
        by_host: bool = False,
    ) -> Issued:
        """The same command again issues nothing: it is answered with the token that it made, by its id.

        `by_host`: it is asked with the token that the process was started with. Whoever starts the process could give it
        another such token; what this one issues stands in the access review as issued by its subject.
        """
        caller = caller.require(Role.OPERATOR)
        with changing(self.store, self.world, now) as batch:
            earlier = earlier_answer(batch, caller, command)
            if earlier is not None:
                return Issued(**json.loads(earlier), is_new=False)
            if not asked.is_good_at(now):
                raise InvalidInput(
                    "the token would have expired already", where="expires_at", expected="a time to come"
                )
            token = replace(asked, issued_at=now, issued_by=caller.actor)
            proposal = None
            if not by_host and token_waits(batch, token):
                require_not_out(batch, token)
                proposal = keep_proposal(
                    batch, _token_proposal(self.ids, self.world, caller, token, request_id), caller
                )
            else:
                put_token(batch, caller, token, request_id)
            issued = Issued(token.id, None if proposal is None else proposal.id)
            answer(batch, caller, command, json.dumps({"token_id": issued.token_id, "waits_for": issued.waits_for}))
        return issued


def rights_stale(books: Books, world: World, proposal: Proposal, now: Instant) -> str:
    """Why it can never take effect as it was judged; empty where it can. A people file was judged against a directory; a
    token may end, or its person be forgotten, before it is good."""
    if proposal.kind is ProposalKind.PEOPLE:
        is_as_judged = proposal.base == directory_hash(books.people.all())
        return "" if is_as_judged else "it was proposed for a directory that has changed since"
    token = _token_of(world, proposal)
    if token is None:
        return "the person that it is for was forgotten"
    if token.expires_at is None or token.is_good_at(now):
        return ""
    return f"the token would have ended {iso(token.expires_at)}"


def gains_rights(batch: Batch, caller: Caller, proposal: Proposal) -> bool:
    """Whether it gives the caller something."""
    if proposal.kind is ProposalKind.TOKEN:
        return caller.is_called(json.loads(proposal.text)["principal"])
    return caller.engineer in _raised(batch.books, proposal)


def put_rights(batch: Batch, caller: Caller, proposal: Proposal) -> str:
    """Have it take effect: the hash of the file, or the token's id."""
    if proposal.kind is ProposalKind.TOKEN:
        token = _token_of(batch.world, proposal)
        assert token is not None, "it was judged not to be stale"
        put_token(batch, caller, token, proposal.request_id)
        return token.id
    placed = people_of(batch.books, proposal)
    require_people_covered(batch, placed)
    put_people(batch, caller, placed, proposal.request_id)
    return proposal.hash


def rights_shown(books: Books, world: World, proposal: Proposal) -> tuple[PolicyChange, ...]:
    """What it gives to whom, with their subjects, for whoever decides."""
    if proposal.kind is ProposalKind.TOKEN:
        asked = json.loads(proposal.text)
        whom = named(world, asked["principal"])
        return (PolicyChange(whom, None, ", ".join(asked["roles"]), "what a token lets its bearer do"),)
    subjects = {person.id: person.subject for person in people_of(books, proposal)}
    return tuple(
        PolicyChange(subjects[engineer] or engineer, change.before, change.after, change.affects)
        for engineer, change in _raised(books, proposal).items()
    )


def is_of_rights(proposal: Proposal) -> bool:
    return proposal.kind in {ProposalKind.PEOPLE, ProposalKind.TOKEN}


def _raised(books: Books, proposal: Proposal) -> dict[EngineerId, PolicyChange]:
    known = {engineer.id: engineer for engineer in books.people.all()}
    return raised_rights(known, people_of(books, proposal))


def _people_text(placed: Sequence[Engineer]) -> str:
    return json.dumps(
        [{"id": p.id, "team": p.team, "tier": p.tier, "roles": sorted(p.roles)} for p in placed],
        separators=(",", ":"),
    )


def people_of(books: Books, proposal: Proposal) -> list[Engineer]:
    """The people of the proposal; their names as far as they still stand beside it."""
    names = books.approvals.people_of(proposal.id)
    made = []
    for each in json.loads(proposal.text):
        subject, name = names.get(EngineerId(each["id"]), ("", ""))
        roles = frozenset(map(Role, each["roles"]))
        made.append(
            Engineer(EngineerId(each["id"]), subject, TeamName(each["team"]), TierName(each["tier"]), name, roles)
        )
    return made


def _token_proposal(ids: Ids, world: World, caller: Caller, token: TokenRecord, request_id: str) -> Proposal:
    person = world.by_subject.get(token.subject)
    text = json.dumps(
        {
            "principal": token.subject if person is None else person.id,
            "roles": sorted(token.roles),
            "expires_at": token.expires_at,
            "token_hash": token.token_hash,
        },
        sort_keys=True,
        separators=(",", ":"),
    )
    assert token.issued_at is not None, "it is issued now"
    return Proposal(
        ids.new("p"),
        sha256(text.encode()).hexdigest(),
        ProposalKind.TOKEN,
        token.issued_at,
        caller.actor,
        caller.role,
        f"a token with the roles {', '.join(sorted(token.roles))}",
        request_id,
        name=f"token {token.id}",
        text=text,
    )


def _token_of(world: World, proposal: Proposal) -> TokenRecord | None:
    """The token that was asked for, its subject as the directory has it today; None where the person was forgotten."""
    asked = json.loads(proposal.text)
    person = world.people.get(EngineerId(asked["principal"]))
    if person is not None and not person.subject:
        return None
    return TokenRecord(
        asked["token_hash"],
        asked["principal"] if person is None else person.subject,
        frozenset(map(Role, asked["roles"])),
        asked["expires_at"],
        proposal.asked_at,
        proposal.asked_by,
    )
