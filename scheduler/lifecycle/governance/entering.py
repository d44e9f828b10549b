"""Entering: people into the directory, and tokens into the hands of whom they are for."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from scheduler.domain.access import DIRECTORY, TokenRecord
from scheduler.domain.approvals import Persons
from scheduler.domain.errors import Conflict, NotPermitted, RefusalCode
from scheduler.domain.people import Caller, Engineer
from scheduler.domain.policy_changes import PolicyChange
from scheduler.domain.rights import OF_MACHINES, is_shared, raised_rights
from scheduler.domain.units import EngineerId
from scheduler.domain.wording import counted
from scheduler.lifecycle.governance.access import note_directory, note_token
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import Batch
from scheduler.ports import Books


def placed_people(batch: Batch, asked: Sequence[Engineer], new_id: Callable[[str], str]) -> list[Engineer]:
    """The people of a file with their ids: who is known by subject keeps theirs."""
    known = {engineer.subject: engineer.id for engineer in batch.books.people.all()}
    return [replace(e, id=known[e.subject] if e.subject in known else EngineerId(new_id("e"))) for e in asked]


def rights_that_wait(batch: Batch, placed: Sequence[Engineer]) -> dict[EngineerId, PolicyChange]:
    """What of these people needs a second person, by the policy in force; nothing where one person is enough."""
    if not access_takes_two(batch.books, batch.world):
        return {}
    return raised_rights({engineer.id: engineer for engineer in batch.books.people.all()}, placed)


def token_waits(batch: Batch, token: TokenRecord) -> bool:
    """Whether it needs a second person: every token of a person or a program does, for it gives what it may do to
    whoever holds it. An agent's does not."""
    return not token.roles <= OF_MACHINES and access_takes_two(batch.books, batch.world)


def put_people(batch: Batch, caller: Caller, placed: Sequence[Engineer], request_id: str) -> int:
    """Put them in the directory; the world follows once that is committed. Returns how many were new.

    Raises NotPermitted (`self-benefit`) where it gives more to whoever lets it take effect.
    """
    _require_no_own_gain(caller, _gaining_by_file(batch, placed))
    known = {engineer.subject: engineer for engineer in batch.books.people.all()}
    batch.books.people.save(placed)
    note_directory(batch, caller, known, placed, request_id)
    new = sum(engineer.subject not in known for engineer in placed)
    what, before, after = counted(len(placed), "engineer"), f"{len(known)} known", f"{new} new"
    batch.audit(caller, "apply people", what, request_id=request_id, before=before, after=after)
    return new


def put_token(batch: Batch, caller: Caller, token: TokenRecord, request_id: str = "") -> None:
    """Let whoever bears it act as its subject. Put again as it is, it changes nothing.

    Raises NotPermitted (`self-benefit`) where it gives a role to whoever issues or approves it, Conflict
    (`idempotency-conflict`) where the same token is out with another subject, other roles or another end.
    """
    _require_no_own_gain(caller, _gaining_by_token(batch, caller, token))
    if require_not_out(batch, token):
        return
    batch.books.people.add_token(token)
    note_token(batch, caller, token, request_id)


def require_not_out(batch: Batch, token: TokenRecord) -> bool:
    """Whether it is out already, as it is. Raises what `put_token` does where it is out otherwise."""
    known = next((each for each in batch.books.people.tokens() if each.token_hash == token.token_hash), None)
    if known is not None:
        _require_same(known, token)
    return known is not None


def _require_same(known: TokenRecord, asked: TokenRecord) -> None:
    """Raises Conflict where a bearer of the token may do anything else by the one than by the other."""
    if (known.subject, known.roles, known.expires_at) != (asked.subject, asked.roles, asked.expires_at):
        raise Conflict(
            f"the token {known.id} is out already, for {known.subject}",
            code=RefusalCode.IDEMPOTENCY_CONFLICT,
            expected="a token that nobody was given yet",
            remedy=f"issue another, or take this one back first: `allot token revoke {known.id}`",
        )


def access_takes_two(books: Books, world: World) -> bool:
    """Whether a token or a people file that gives somebody more needs a second person, and there is one to ask."""
    if world.policy is None or world.policy.approvals.access is Persons.ONE:
        return False
    return is_shared(books.people.role_changes(), DIRECTORY)


def _require_no_own_gain(caller: Caller, gaining: Collection[str]) -> None:
    """`gaining` are subjects. Raises NotPermitted (`self-benefit`)."""
    if caller.subject in gaining:
        raise NotPermitted(
            "nobody gives themselves a role, another team or another tier",
            code=RefusalCode.SELF_BENEFIT,
            expected="another person with the right to",
        )


def _gaining_by_file(batch: Batch, placed: Sequence[Engineer]) -> set[str]:
    """The subjects of those to whom it gives more than they have."""
    raised = raised_rights({engineer.id: engineer for engineer in batch.books.people.all()}, placed)
    return {person.subject for person in placed if person.id in raised}


def _gaining_by_token(batch: Batch, caller: Caller, token: TokenRecord) -> set[str]:
    """Its subject, where it may do what neither the caller's own token nor the directory gives."""
    person = batch.world.by_subject.get(token.subject)
    held = caller.roles | (frozenset() if person is None else person.roles)
    return set() if token.roles <= held else {token.subject}
