"""Propose: what takes a second person is kept as a proposal and waits; what does not takes effect at once."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256

from scheduler.domain.allowances import Allowance, AllowanceBalance, Holder, HolderKind
from scheduler.domain.approvals import Change, Persons, Proposal, ProposalKind, content_hash
from scheduler.domain.awards import Award
from scheduler.domain.errors import Exhausted, InvalidInput, NotFound, NotPermitted, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.periods import period_at
from scheduler.domain.policy import Policy
from scheduler.domain.quantities import UnitKind, exact_text, measure, unit_label
from scheduler.domain.records import PolicyVersion, PriceBookVersion
from scheduler.domain.units import AMOUNT_MAX, STANDARD_GPU, AllowanceId, Instant, ProjectName
from scheduler.finance.prices.price_book import PriceBook
from scheduler.lifecycle.accounting.price import Pricing, prices_wait, require_prices
from scheduler.lifecycle.administration import Administration
from scheduler.lifecycle.awarding.awards import Awards, require_compensator
from scheduler.lifecycle.awarding.compensate import Package
from scheduler.lifecycle.awarding.countable import require_countable
from scheduler.lifecycle.awarding.cover import require_coverage, require_grantable, require_package
from scheduler.lifecycle.awarding.grant import require_awardable, require_granter, told
from scheduler.lifecycle.awarding.outlook import committed_by
from scheduler.lifecycle.commands import Commands
from scheduler.lifecycle.governance.governing import needing_approval
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.answered import Command, answer, earlier_answer
from scheduler.lifecycle.writing.batch import Batch, changing
from scheduler.ports import Ids, Store

REASON_MAX = 512


@dataclass(frozen=True, slots=True)
class Proposals:
    """The verbs of asking. Each returns what took effect, or the proposal that waits for a second person."""

    store: Store
    world: World
    ids: Ids
    commands: Commands
    administration: Administration
    pricing: Pricing

    def grant(
        self, caller: Caller, asked: Award, *, now: Instant, command: Command | None = None, request_id: str = ""
    ) -> Allowance | Proposal:
        if self.world.require_policy().approvals.grants is Persons.ONE:
            return self.commands.grant(caller, asked, now=now, command=command, request_id=request_id)
        caller = require_granter(caller, asked)

        def judge(batch: Batch) -> None:
            require_awardable(batch, asked)
            require_coverage(batch, [committed_by(asked, self.world.require_policy(), now)])

        with changing(self.store, self.world, now) as batch:
            return self._keep(batch, caller, ProposalKind.GRANT, asked, (asked.reason, request_id, command), judge)

    def compensate(
        self, caller: Caller, asked: Package, *, now: Instant, command: Command | None = None, request_id: str = ""
    ) -> Allowance | Proposal:
        """A package of pay. What could not be granted as things are is refused before it waits."""
        policy = self.world.require_policy()
        if policy.approvals.grants is Persons.ONE:
            awards = Awards(self.store, self.world, self.ids)
            return awards.compensate(caller, asked, now=now, command=command, request_id=request_id)
        caller = require_compensator(caller, asked.holder)
        with changing(self.store, self.world, now) as batch:
            earlier = _earlier(batch, caller, command)
            if earlier is not None:
                return earlier
            described = require_package(batch, asked, caller.actor)
            proposal_id = self.ids.new("p")
            text = json.dumps(asdict(asked), sort_keys=True, separators=(",", ":"), default=sorted)
            answer(batch, caller, command, proposal_id)
            return keep_proposal(
                batch,
                Proposal(
                    proposal_id,
                    sha256(f"{proposal_id}\n{text}".encode()).hexdigest(),
                    ProposalKind.PACKAGE,
                    now,
                    caller.actor,
                    caller.role,
                    asked.reason,
                    request_id,
                    award=Award(
                        described.holder,
                        described.amount,
                        described.source,
                        described.expires_at,
                        described.gpu_classes,
                        described.purposes,
                        asked.reason,
                        described.unit,
                    ),
                    name=f"{asked.kind.value}, {unit_label(asked.unit)}",
                    text=text,
                ),
                caller,
            )

    def apply_policy(
        self, caller: Caller, text: str, policy: Policy, *, now: Instant, request_id: str = ""
    ) -> PolicyVersion | Proposal:
        current = self.world.policy
        changes = needing_approval(current, policy)
        if current is None or not changes:
            return self.administration.apply_policy(caller, text, policy, now=now, request_id=request_id)
        caller = caller.require(Role.OPERATOR)
        reason = "raises " + ", ".join(change.path for change in changes)
        with changing(self.store, self.world, now) as batch:
            require_grantable(batch, policy)
            return keep_proposal(
                batch,
                Proposal(
                    self.ids.new("p"),
                    policy.hash,
                    ProposalKind.POLICY,
                    now,
                    caller.actor,
                    caller.role,
                    reason if len(reason) <= REASON_MAX else reason[: REASON_MAX - 1] + "…",
                    request_id,
                    name=policy.name,
                    text=text,
                    base=current.hash,
                ),
                caller,
            )

    def apply_prices(
        self,
        caller: Caller,
        text: str,
        book: PriceBook,
        *,
        now: Instant,
        request_id: str = "",
        corrects: bool = False,
    ) -> PriceBookVersion | Proposal:
        current = self.world.price_book
        if current is None or not prices_wait(self.world, book, corrects=corrects):
            return self.pricing.apply(caller, text, book, now=now, request_id=request_id, corrects=corrects)
        caller = caller.require(Role.FINANCE)
        with changing(self.store, self.world, now) as batch:
            require_prices(batch, book, corrects=corrects)
            return keep_proposal(
                batch,
                Proposal(
                    self.ids.new("p"),
                    book.hash,
                    ProposalKind.PRICES,
                    now,
                    caller.actor,
                    caller.role,
                    "prices, correcting closed periods" if corrects else "prices",
                    request_id,
                    name=book.name,
                    text=text,
                    base=current.hash,
                    corrects=corrects,
                ),
                caller,
            )

    def request(
        self,
        caller: Caller,
        kind: ProposalKind,
        change: Change,
        reason: str,
        *,
        now: Instant,
        command: Command | None = None,
        request_id: str = "",
    ) -> Proposal:
        """An engineer's wish, for themselves; a lead's, for the team or its projects. Raises InvalidInput where it
        could never be granted, NotPermitted (`not-yours`) for somebody else's hours."""
        assert kind.is_request, "everything else is proposed by those who may do it"
        if not reason.strip():
            raise InvalidInput("a request needs a reason", where="reason", expected="a sentence")
        caller = _as_who_may_ask(self.world.require_policy(), caller, change.holder)
        judge = partial(_require_possible, kind=kind, change=change)
        with changing(self.store, self.world, now) as batch:
            return self._keep(batch, caller, kind, change, (reason.strip(), request_id, command), judge)

    def _keep(
        self,
        batch: Batch,
        caller: Caller,
        kind: ProposalKind,
        content: Award | Change,
        asked: tuple[str, str, Command | None],
        judge: Callable[[Batch], None],
    ) -> Proposal:
        """`asked` are the reason, the request's id and the command: sent twice, it is judged and proposed once."""
        reason, request_id, command = asked
        earlier = _earlier(batch, caller, command)
        if earlier is not None:
            return earlier
        judge(batch)
        proposal_id = self.ids.new("p")
        proposal = Proposal(
            proposal_id,
            content_hash(proposal_id, kind, content),
            kind,
            batch.now,
            caller.actor,
            caller.role,
            reason,
            request_id,
            award=content if isinstance(content, Award) else None,
            change=content if isinstance(content, Change) else None,
        )
        answer(batch, caller, command, proposal_id)
        return keep_proposal(batch, proposal, caller)


def _earlier(batch: Batch, caller: Caller, command: Command | None) -> Proposal | None:
    """What the same command was answered before, whatever has become of it."""
    answered = earlier_answer(batch, caller, command)
    known = batch.books.approvals.get(answered) if answered is not None else None
    return None if known is None else known.proposal


def allowance_of(batch: Batch, change: Change) -> AllowanceBalance:
    """The allowance that a change is of, while its holder may still spend it. Raises NotFound, Exhausted."""
    known = batch.books.allowances.get(change.allowance or AllowanceId(""))
    if known is None or known.allowance.holder != change.holder:
        raise NotFound(
            f"there is no allowance {change.allowance!r} of that holder",
            code=RefusalCode.ALLOWANCE_FOREIGN,
            where="allowance",
            remedy="`allot balance --json` has their ids",
        )
    if not known.allowance.is_open_at(batch.now):
        raise Exhausted(f"{change.allowance} is over", code=RefusalCode.ALLOWANCE_EXPIRED, where="allowance")
    return known


def keep_proposal(batch: Batch, proposal: Proposal, caller: Caller) -> Proposal:
    """Keep it; one that waits already, with the same content and of the same base, is that one."""
    known = next(
        (
            each.proposal
            for each in batch.books.approvals.waiting()
            if (each.proposal.hash, each.proposal.base, each.proposal.corrects)
            == (proposal.hash, proposal.base, proposal.corrects)
        ),
        None,
    )
    if known is not None:
        return known
    batch.books.approvals.add(proposal)
    content = proposal.award or proposal.change
    after = told(content) if content is not None else f"{proposal.name} {proposal.hash}"
    batch.audit(
        caller,
        f"propose {proposal.kind.value}" if not proposal.kind.is_request else f"request {proposal.kind.value}",
        proposal.id,
        request_id=proposal.request_id,
        before=proposal.base,
        after=after,
    )
    return proposal


def _as_who_may_ask(policy: Policy, caller: Caller, holder: Holder) -> Caller:
    """Oneself, or the lead of the team. Raises NotPermitted (`not-yours`)."""
    match holder.kind:
        case HolderKind.ENGINEER:
            is_own = holder.id == caller.engineer
        case HolderKind.TEAM:
            is_own = caller.has(Role.LEAD) and holder.id == caller.team
        case HolderKind.PROJECT:
            project = policy.projects.get(ProjectName(holder.id))
            is_own = caller.has(Role.LEAD) and project is not None and project.team == caller.team
    if not is_own:
        raise NotPermitted(
            "that belongs to somebody else",
            code=RefusalCode.NOT_YOURS,
            where="holder",
            expected="yourself; a lead also asks for the team and its projects",
        )
    return caller if holder.kind is HolderKind.ENGINEER else caller.require(Role.LEAD)


_NOT_ASKED: dict[ProposalKind, dict[str, Callable[[Change], object]]] = {
    ProposalKind.HOURS: {"allowance": lambda change: change.allowance},
    ProposalKind.EXTENSION: {"gpu_class": lambda change: change.gpu_class},
    ProposalKind.GPU_CLASS: {"until": lambda change: change.until},
}
"""What a request of each kind does not ask for. With it, whoever decides would be shown one thing and grant another: more
hours that name an allowance would be shown in its unit."""


def _require_possible(batch: Batch, kind: ProposalKind, change: Change) -> None:
    policy, now = batch.world.require_policy(), batch.now
    for where, of in _NOT_ASKED[kind].items():
        if of(change) is not None:
            raise InvalidInput(f"a request for {kind.value} has none", where=where, expected="nothing")
    if change.amount is not None and not 0 < change.amount < AMOUNT_MAX:
        raise InvalidInput(
            f"{exact_text(change.amount, change.unit)} cannot be asked for",
            where="quantity",
            code=RefusalCode.INVALID_AMOUNT,
            expected="an amount above zero",
        )
    if change.gpu_class is not None and change.gpu_class not in policy.gpu_classes:
        raise NotFound(
            f"there is no GPU class {change.gpu_class!r}",
            code=RefusalCode.UNKNOWN_GPU_CLASS,
            where="gpu_class",
            expected="one of " + ", ".join(sorted(policy.gpu_classes)),
        )
    if change.until is not None and change.until <= now:
        raise InvalidInput("that is over", where="until", expected="an instant in the future")
    if kind is ProposalKind.HOURS:
        require_countable(batch.world, change.unit, None if change.gpu_class is None else {change.gpu_class})
        if change.amount is None:
            raise InvalidInput(
                "how much?",
                where="quantity",
                code=RefusalCode.INVALID_AMOUNT,
                expected="an amount above zero",
            )
        ends = change.until or period_at(now, policy.period, policy.time_zone).ends_at
        require_awardable(batch, Award(change.holder, change.amount, expires_at=ends, unit=change.unit))
        return
    known = allowance_of(batch, change)
    allowance = known.allowance
    if change.unit not in {STANDARD_GPU, allowance.unit}:
        raise InvalidInput(
            f"{allowance.id} is in {unit_label(allowance.unit)}, and not in {unit_label(change.unit)}",
            where="unit",
            code=RefusalCode.UNIT_MISMATCH,
            expected=unit_label(allowance.unit),
        )
    _require_change(kind, change, allowance)
    if known.is_frozen or known.available <= 0:
        raise Exhausted(
            f"nothing of {allowance.id} is left that could go on",
            where="allowance",
            code=RefusalCode.ALLOWANCE_SHORT,
            expected="hours that are neither spent, held nor frozen",
        )


def _require_change(kind: ProposalKind, change: Change, allowance: Allowance) -> None:
    """That it would change the allowance."""
    if kind is ProposalKind.EXTENSION:
        expires_at = allowance.expires_at
        if expires_at is None or change.until is None or change.until <= expires_at:
            raise InvalidInput("that extends nothing", where="until", expected="later than it ends now")
    elif measure(allowance.unit).kind in {UnitKind.GPU_CLASS, UnitKind.TOKENS}:
        raise InvalidInput(
            f"{allowance.id} is in {unit_label(allowance.unit)}, and stays so",
            where="allowance",
            code=RefusalCode.UNIT_MISMATCH,
            expected="an allowance in standard hours or money",
            remedy=f"ask for hours of it: `allot request hours 40h --unit gpu/{change.gpu_class}`",
        )
    elif change.gpu_class is None or allowance.gpu_classes is None or change.gpu_class in allowance.gpu_classes:
        raise InvalidInput(
            f"{allowance.id} may be spent on it already", where="gpu_class", expected="a class that it excludes"
        )
