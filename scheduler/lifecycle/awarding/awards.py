"""The verbs of awards: promise compensation, claw back, freeze, pass on. Each one transaction, judged by who asks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from scheduler.domain.allowances import Allowance, AllowanceBalance, AllowanceSource, Freeze, Holder, HolderKind
from scheduler.domain.approvals import Persons, approval_needed
from scheduler.domain.errors import Conflict, NotFound, NotPermitted, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.quantities import exact_text
from scheduler.domain.units import AllowanceId, EngineerId, Instant
from scheduler.lifecycle.awarding.compensate import Package, claw_back_unvested, grant_package
from scheduler.lifecycle.awarding.cover import require_coverage
from scheduler.lifecycle.awarding.outlook import packaged
from scheduler.lifecycle.awarding.own_gain import require_no_own_gain
from scheduler.lifecycle.awarding.transfer import Passing, holder_of_pool, known_allowance, pass_hours
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.answered import Command, answer, earlier_answer
from scheduler.lifecycle.writing.batch import Batch, changing
from scheduler.ports import Ids, Store


@dataclass(frozen=True, slots=True)
class ClawedBack:
    """What was taken back of one package, in its unit."""

    allowance_id: AllowanceId
    taken: int


@dataclass(frozen=True, slots=True)
class Awards:
    store: Store
    world: World
    ids: Ids

    def compensate(
        self, caller: Caller, asked: Package, *, now: Instant, command: Command | None = None, request_id: str = ""
    ) -> Allowance:
        """Promise a package of compensation (people operations). Nobody promises it to themselves.

        Raises Conflict (`approval-needed`) where it takes a second person: see `Proposals.compensate`.
        """
        caller = require_compensator(caller, asked.holder)
        if self.world.require_policy().approvals.grants is Persons.TWO:
            raise approval_needed("a package of compensation")
        with self._changing(now) as batch:
            earlier = earlier_answer(batch, caller, command)
            if earlier is not None:
                return known_allowance(batch, AllowanceId(earlier)).allowance
            allowance = grant_package(batch, asked, AllowanceId(self.ids.new("g")), caller.actor)
            require_coverage(batch, packaged(allowance, self.world.require_policy(), now))
            answer(batch, caller, command, allowance.id)
            after = exact_text(allowance.amount, allowance.unit)
            batch.audit(caller, "grant compensation", allowance.id, request_id=request_id, after=after)
        return allowance

    def claw_back(
        self, caller: Caller, owner: EngineerId, reason: str, *, now: Instant, request_id: str = ""
    ) -> list[ClawedBack]:
        """Take back what has not vested of all of a person's packages: what leaving means. Twice is once."""
        caller = caller.require(Role.PEOPLE)
        _require_other(caller, owner)
        if owner not in self.world.people:
            raise NotFound(f"there is no engineer {owner!r}", where="holder", code=RefusalCode.UNKNOWN_ENGINEER)
        taken = []
        with self._changing(now) as batch:
            for balance in self._packages(owner):
                amount = claw_back_unvested(batch, balance, caller.actor, reason)
                if amount:
                    taken.append(ClawedBack(balance.allowance.id, amount))
                    taken_back = exact_text(amount, balance.allowance.unit)
                    before, after = f"{taken_back} promised", f"{taken_back}: {reason}"
                    target = balance.allowance.id
                    batch.audit(caller, "claw back", target, request_id=request_id, before=before, after=after)
        return taken

    def freeze(
        self,
        caller: Caller,
        allowance_id: AllowanceId,
        reason: str,
        *,
        is_frozen: bool,
        now: Instant,
        request_id: str = "",
    ) -> Freeze:
        """Let nobody spend an allowance, or end that. What is held stays held. Twice is once: the first is returned."""
        caller = caller.require(Role.PEOPLE, Role.FINANCE, Role.OPERATOR)
        with self._changing(now) as batch:
            balance = known_allowance(batch, allowance_id)
            _require_other(caller, EngineerId(balance.allowance.holder.id))
            if not is_frozen:
                require_no_own_gain(self.world, caller, balance.allowance.holder, "ends a freeze")
            if balance.allowance.source is AllowanceSource.COMPENSATION:
                caller = caller.require(Role.PEOPLE)
            known = batch.books.allowances.freezes(allowance_id)
            if (bool(known) and known[-1].is_frozen) == is_frozen and known:
                return known[-1]
            made = Freeze(allowance_id, is_frozen, now, caller.actor, reason, request_id)
            if is_frozen or known:
                batch.freeze(made)
                verb = "freeze" if is_frozen else "unfreeze"
                before = known[-1].reason if known else ""
                batch.audit(caller, verb, allowance_id, request_id=request_id, before=before, after=reason)
        return made

    def transfer(
        self, caller: Caller, asked: Passing, *, now: Instant, command: Command | None = None, request_id: str = ""
    ) -> Allowance:
        """Pass hours of one's own on to another holder; an operator may for somebody else, where one
        person is enough to grant, and not to themselves."""
        with self._changing(now) as batch:
            earlier = earlier_answer(batch, caller, command)
            if earlier is not None:
                return known_allowance(batch, AllowanceId(earlier)).allowance
            known = batch.books.allowances.get(asked.source)
            is_own = (
                known is not None and caller.engineer is not None and known.allowance.holder.id == caller.engineer
            )
            if not is_own:
                caller = caller.require(Role.OPERATOR)
                require_no_own_gain(self.world, caller, asked.target, "passes on somebody else's hours")
                self._require_one_person_enough()
            target = pass_hours(batch, asked, self.ids.new("x"), caller.actor)
            answer(batch, caller, command, target.id)
            after = f"{exact_text(asked.amount, target.unit)} to {target.id}"
            batch.audit(caller, "transfer", asked.source, request_id=request_id, after=after)
        return target

    def _require_one_person_enough(self) -> None:
        """What somebody is given at another's cost is a grant to them. Raises Conflict (`approval-needed`)."""
        if self.world.require_policy().approvals.grants is Persons.TWO:
            raise Conflict(
                "passing on somebody else's hours takes more than one person",
                code=RefusalCode.APPROVAL_NEEDED,
                expected="their holder, who passes on their own",
                remedy="ask the holder to, or propose a grant to whoever needs them: `allot grant`",
            )

    def donee(self, name: str) -> Holder:
        """Whose a donation to a pool or team of this name is."""
        return holder_of_pool(self.world.require_policy(), name)

    def colleague(self, caller: Caller, name: str) -> Holder:
        """The engineer of the caller's team who goes by this id or subject; an operator may name anybody.

        Who is not there and who is in another team are refused alike: nobody learns who there is.
        """
        found = self.world.people.get(EngineerId(name)) or self.world.by_subject.get(name)
        if found is None or (found.team != caller.team and not caller.has(Role.OPERATOR)):
            raise NotPermitted(
                "there is no such engineer in the team", code=RefusalCode.TRANSFER_NOT_ALLOWED, where="to"
            )
        return Holder(HolderKind.ENGINEER, found.id)

    @contextmanager
    def _changing(self, now: Instant) -> Iterator[Batch]:
        with changing(self.store, self.world, now) as batch:
            yield batch

    def _packages(self, owner: EngineerId) -> list[AllowanceBalance]:
        return sorted(
            (b for b in list(self.world.balances.values()) if b.allowance.holder.id == owner and b.promised > 0),
            key=lambda balance: balance.allowance.id,
        )


def require_compensator(caller: Caller, holder: EngineerId) -> Caller:
    """Raises NotPermitted unless it is people operations, on somebody else's pay."""
    compensator = caller.require(Role.PEOPLE)
    _require_other(caller, holder)
    return compensator


def _require_other(caller: Caller, holder: EngineerId) -> None:
    if caller.engineer is not None and holder == caller.engineer:
        raise NotPermitted(
            "nobody decides on their own pay",
            code=RefusalCode.SELF_BENEFIT,
            expected="another person with the right to",
        )
