"""Access: who holds which role, since when and by whom; tokens taken back; people forgotten."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from scheduler.domain.access import DIRECTORY, RoleChange, TokenRecord
from scheduler.domain.errors import Conflict, NotFound, RefusalCode
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.units import EngineerId, Instant
from scheduler.lifecycle.memory.named import named
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import Batch, changing
from scheduler.ports import Store

SEES_ACCESS = (Role.AUDITOR, Role.OPERATOR)


@dataclass(frozen=True, slots=True)
class RoleHeld:
    """One role that somebody holds now. `since` and `by` are None where it was given before this was kept."""

    principal: str
    subject: str
    credential: str
    role: str
    since: Instant | None
    by: str | None
    expires_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """The verbs of access. Operators revoke and forget; auditors look on."""

    store: Store
    world: World

    def tokens(self, caller: Caller, now: Instant) -> list[TokenRecord]:
        """Those that are good now."""
        caller.require(*SEES_ACCESS)
        with self.store.reading() as books:
            return [each for each in books.people.tokens() if each.is_good_at(now)]

    def revoke(self, caller: Caller, token_id: str, *, now: Instant, request_id: str = "") -> TokenRecord:
        """Take a token back, by its id or an unambiguous beginning of it."""
        caller = caller.require(Role.OPERATOR)
        with changing(self.store, self.world, now) as batch:
            found = [each for each in batch.books.people.tokens() if each.id.startswith(token_id)]
            if len(found) > 1:
                raise Conflict(f"{len(found)} tokens begin with {token_id!r}", expected="more of the id")
            if not found or not token_id:
                raise NotFound(f"there is no token {token_id!r}", code=RefusalCode.UNKNOWN_TOKEN)
            batch.books.people.revoke_token(found[0].token_hash)
            principal = _principal(self.world, found[0].subject)
            note_roles(batch, caller, principal, found[0].id, given=(), taken=found[0].roles, request_id=request_id)
            batch.audit(caller, "revoke token", principal, request_id=request_id, before=found[0].id)
        return found[0]

    def forget(self, caller: Caller, name: str, *, now: Instant, request_id: str = "") -> EngineerId:
        """Erase the name and the subject of a person; what the books say of their opaque id stays, and stays provable.

        Their tokens go, and with them their roles.
        """
        caller = caller.require(Role.PEOPLE, Role.OPERATOR)
        with changing(self.store, self.world, now) as batch:
            people = batch.books.people
            person = next((each for each in people.all() if name and name in {each.id, each.subject}), None)
            if person is None:
                raise NotFound(f"there is no engineer {name!r}", code=RefusalCode.UNKNOWN_ENGINEER)
            for token in people.tokens():
                if token.subject == person.subject:
                    note_roles(batch, caller, person.id, token.id, given=(), taken=token.roles, request_id=request_id)
            note_roles(batch, caller, person.id, DIRECTORY, given=(), taken=person.roles, request_id=request_id)
            people.forget(person.id)
            batch.audit(caller, "forget", person.id, request_id=request_id, before="known", after="forgotten")
            batch.then(lambda: self._forget(person))
        return person.id

    def _forget(self, person: Engineer) -> None:
        self.world.by_subject.pop(person.subject, None)
        self.world.put_people([replace(person, name="", subject="", roles=frozenset())])

    def review(self, caller: Caller, now: Instant) -> list[RoleHeld]:
        """Every role that is held now: in the directory, and by a token; by person."""
        caller.require(*SEES_ACCESS)
        with self.store.reading() as books:
            engineers, tokens = books.people.all(), books.people.tokens()
            granted = {(c.principal, c.credential, c.role): c for c in books.people.role_changes() if c.is_granted}
        held = [
            _held(granted, engineer.id, engineer.subject, DIRECTORY, role.value)
            for engineer in engineers
            for role in sorted(engineer.roles)
        ]
        for token in tokens:
            if token.is_good_at(now):
                principal = _principal(self.world, token.subject)
                held += [
                    replace(
                        _held(granted, principal, token.subject, token.id, role.value), expires_at=token.expires_at
                    )
                    for role in sorted(token.roles)
                ]
        named_by = [replace(each, by=each.by and named(self.world, each.by)) for each in held]
        return sorted(named_by, key=_in_order)


def _in_order(held: RoleHeld) -> tuple[str, bool, str, str]:
    """By person; what the directory gives comes first."""
    return held.subject or held.principal, held.credential != DIRECTORY, held.credential, held.role


def note_roles(
    batch: Batch,
    caller: Caller,
    principal: str,
    credential: str,
    *,
    given: Iterable[Role],
    taken: Iterable[Role],
    request_id: str = "",
) -> None:
    """Keep who gave and took which roles."""
    batch.books.people.add_role_changes(
        [
            RoleChange(batch.now, principal, credential, role.value, is_granted, caller.actor, request_id)
            for roles, is_granted in ((taken, False), (given, True))
            for role in sorted(roles)
        ]
    )


def note_directory(
    batch: Batch, caller: Caller, known: Mapping[str, Engineer], placed: Iterable[Engineer], request_id: str
) -> None:
    """The same for a directory as it is applied: one event for each person whose roles, team or tier change."""
    for engineer in placed:
        before = known.get(engineer.subject)
        had = before.roles if before is not None else frozenset()
        given, taken = engineer.roles - had, had - engineer.roles
        note_roles(batch, caller, engineer.id, DIRECTORY, given=given, taken=taken, request_id=request_id)
        if before is None or _terms(before) != _terms(engineer):
            was = "" if before is None else _terms(before)
            batch.audit(
                caller, "change person", engineer.id, request_id=request_id, before=was, after=_terms(engineer)
            )


def note_token(batch: Batch, caller: Caller, token: TokenRecord, request_id: str = "") -> None:
    """The same for a token: whom it is for, by their opaque id, and what it may do."""
    principal = _principal(batch.world, token.subject)
    note_roles(batch, caller, principal, token.id, given=token.roles, taken=(), request_id=request_id)
    after = f"{token.id}: {','.join(sorted(token.roles))}"
    batch.audit(caller, "issue token", principal, request_id=request_id, after=after)


def _terms(engineer: Engineer) -> str:
    return f"{engineer.team}/{engineer.tier}: {','.join(sorted(engineer.roles))}"


def _principal(world: World, subject: str) -> str:
    """A person's opaque id; a service or a node by its subject."""
    engineer = world.by_subject.get(subject)
    return subject if engineer is None else engineer.id


def _held(
    granted: Mapping[tuple[str, str, str], RoleChange], principal: str, subject: str, credential: str, role: str
) -> RoleHeld:
    change = granted.get((principal, credential, role))
    since, by = (None, None) if change is None else (change.at, change.by)
    return RoleHeld(principal, subject, credential, role, since, by)
