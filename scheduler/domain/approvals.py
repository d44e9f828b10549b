"""What takes effect only when a second person agrees: proposals, change requests, and every step that became of them.

A *proposal* is a grant, a policy or a price book that somebody with the right to it wants in force. A *change request*
is an engineer's: more hours, a later expiry, another GPU class. Both are kept for good, with who moved them when.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from hashlib import sha256

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.awards import Award
from scheduler.domain.errors import Conflict, InvalidInput, NotPermitted, RefusalCode
from scheduler.domain.people import Caller
from scheduler.domain.periods import iso
from scheduler.domain.quantities import exact_text
from scheduler.domain.units import STANDARD_GPU, AllowanceId, GpuClassName, Instant, ProjectName, TeamName, Unit


class Persons(StrEnum):
    """How many persons it takes."""

    ONE = "one-person"
    TWO = "two-persons"


@dataclass(frozen=True, slots=True)
class ApprovalRules:
    """Of what takes effect by one person's word, and what waits for a second. `policy` speaks of policies that raise
    somebody's allowance, price or right, and of those that loosen these rules, `access` of people files and tokens that
    give somebody more; all others need one person."""

    grants: Persons = Persons.TWO
    policy: Persons = Persons.TWO
    prices: Persons = Persons.TWO
    access: Persons = Persons.TWO


class ProposalKind(StrEnum):
    HOURS = "hours"
    EXTENSION = "extension"
    GPU_CLASS = "class"
    GRANT = "grant"
    PACKAGE = "package"
    POLICY = "policy"
    PRICES = "prices"
    PAYMENT = "payment"
    PEOPLE = "people"
    TOKEN = "token"  # noqa: S105 - a kind of proposal, no secret

    @property
    def is_request(self) -> bool:
        """Whether it is an engineer's change request."""
        return self in {ProposalKind.HOURS, ProposalKind.EXTENSION, ProposalKind.GPU_CLASS}


class ProposalState(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Change:
    """What a request asks for. `amount` in the smallest part of `unit`, or of that of the `allowance`.

    Hours: `amount`, until `until` (None: the end of the running period), on `gpu_class` (None: any). An extension: what
    is left of `allowance`, or `amount` of it, may be spent until `until`. Another class: it may be spent on
    `gpu_class`, too.
    """

    holder: Holder
    amount: int | None = None
    allowance: AllowanceId | None = None
    gpu_class: GpuClassName | None = None
    until: Instant | None = None
    unit: Unit = STANDARD_GPU


@dataclass(frozen=True, slots=True)
class Proposal:
    """What was asked, by whom and why. Never changed. `text` is a file as it is, or the terms of a package, of people or
    of a token as JSON, without a name; `name` that file's name; `base` the hash of what was in force when it was made,
    which is what its difference was judged against.

    `hash` names it to whoever approves: of a file, the SHA-256 of its bytes; else that of its content.
    """

    id: str
    hash: str
    kind: ProposalKind
    asked_at: Instant
    asked_by: str
    role: str
    reason: str
    request_id: str = ""
    award: Award | None = None
    change: Change | None = None
    name: str = ""
    text: str = ""
    base: str = ""
    corrects: bool = False
    seq: int = 0

    @property
    def holder(self) -> Holder | None:
        """Whom it would benefit, where it is somebody in particular."""
        if self.change is not None:
            return self.change.holder
        return None if self.award is None else self.award.holder


@dataclass(frozen=True, slots=True)
class Move:
    """One step of a proposal. `change` is what was approved, where that is less than was asked; `made` what came of
    it: the id of an allowance, the hash of a file."""

    proposal_id: str
    state: ProposalState
    at: Instant
    by: str
    role: str
    reason: str = ""
    request_id: str = ""
    change: Change | None = None
    made: str = ""
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Approval:
    """A proposal with its steps, oldest first."""

    proposal: Proposal
    moves: tuple[Move, ...] = ()

    @property
    def state(self) -> ProposalState:
        return self.moves[-1].state if self.moves else ProposalState.WAITING

    @property
    def is_waiting(self) -> bool:
        return self.state is ProposalState.WAITING


def content_hash(proposal_id: str, kind: ProposalKind, content: Award | Change) -> str:
    """SHA-256 of its canonical JSON. Its id is part of it: the same wish twice is two proposals."""
    body = {"id": proposal_id, "kind": kind.value, "content": asdict(content)}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), default=sorted)
    return sha256(text.encode()).hexdigest()


def require_second_person(proposal: Proposal, caller: Caller, *, gains: bool, applied_policy: bool) -> None:
    """Whoever decides neither asked for it nor gains by it; and no request is decided by the operator who applied the
    policy that it goes beyond. Raises NotPermitted: `own-request`, `self-benefit`.
    """
    if caller.is_called(proposal.asked_by):
        raise NotPermitted(
            "nobody approves what they asked for themselves",
            code=RefusalCode.OWN_REQUEST,
            expected="another person with the right to",
        )
    if gains:
        raise NotPermitted(
            "nobody approves what benefits themselves",
            code=RefusalCode.SELF_BENEFIT,
            expected="another person with the right to",
        )
    if proposal.kind.is_request and applied_policy:
        raise NotPermitted(
            "who applied the policy in force does not decide requests to go beyond it",
            code=RefusalCode.SELF_BENEFIT,
            expected="another person with the right to",
        )


def benefits(holder: Holder, caller: Caller, teams: Mapping[ProjectName, TeamName]) -> bool:
    """Whether hours of the holder are the caller's to spend. `teams` are those of the projects."""
    match holder.kind:
        case HolderKind.ENGINEER:
            return holder.id == caller.engineer
        case HolderKind.TEAM:
            return holder.id == caller.team
        case HolderKind.PROJECT:
            return caller.team is not None and teams.get(ProjectName(holder.id)) == caller.team


def approval_needed(what: str) -> Conflict:
    """The refusal of a command that goes round the second person."""
    return Conflict(f"{what} needs a second person", code=RefusalCode.APPROVAL_NEEDED)


def require_waiting(approval: Approval, named: Callable[[str], str]) -> None:
    """Raises Conflict (`wrong-state`) where it was decided or withdrawn already; `named` tells by whom."""
    if not approval.is_waiting:
        last = approval.moves[-1]
        raise Conflict(
            f"{approval.proposal.id} was {last.state.value} by {named(last.by)} already",
            remedy="`allot approvals list` says what waits, and `allot request list` what became of your own",
        )


def lowered(
    asked: Change,
    amount: int | None,
    until: Instant | None,
    unit: Unit = STANDARD_GPU,
    ends: tuple[Instant, Instant] | None = None,
) -> Change:
    """What is approved of a request: at most what was asked, in `unit`.

    `ends` are the instant that its end has to be after, and the end that it would have as it was asked; None: its end is
    not what is asked. Raises InvalidInput where it is more, or would take something from its holder.
    """
    if amount is not None:
        if amount <= 0 or (asked.amount is not None and amount > asked.amount):
            raise InvalidInput(
                f"{exact_text(amount, unit)} is not within what was asked",
                where="quantity",
                code=RefusalCode.INVALID_AMOUNT,
                expected="more than 0" if asked.amount is None else f"at most {exact_text(asked.amount, unit)}",
            )
        asked = replace(asked, amount=amount)
    if until is not None:
        if ends is None:
            raise InvalidInput("no other end was asked", where="until", expected="neither sooner nor later")
        earliest, latest = ends
        if until > latest:
            raise InvalidInput("that is later than was asked", where="until", expected=f"at most {iso(latest)}")
        if until <= earliest:
            raise InvalidInput(
                "that would be over, or end sooner than it does already",
                where="until",
                expected=f"later than {iso(earliest)}",
            )
        asked = replace(asked, until=until)
    return asked
