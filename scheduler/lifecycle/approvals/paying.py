"""Payments that wait: it takes something off what is taxed, so where grants take two persons, it does, too."""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.approvals import Persons, Proposal, ProposalKind
from scheduler.domain.awards import Award
from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.domain.money import Currency, decimal_text
from scheduler.domain.people import Caller
from scheduler.domain.quantities import money_unit
from scheduler.domain.units import EngineerId, Instant
from scheduler.lifecycle.accounting.pay import Payment, record_payment, require_payment
from scheduler.lifecycle.approvals.propose import keep_proposal
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.answered import Command, answer, earlier_answer
from scheduler.lifecycle.writing.batch import Batch, changing
from scheduler.ports import Ids, Store


@dataclass(frozen=True, slots=True)
class Payments:
    """The verb of recording: what was recorded, by its id, or the proposal that waits."""

    store: Store
    world: World
    ids: Ids

    def record(
        self, caller: Caller, asked: Payment, *, now: Instant, command: Command | None = None, request_id: str = ""
    ) -> str | Proposal:
        with changing(self.store, self.world, now) as batch:
            earlier = earlier_answer(batch, caller, command)
            if earlier is not None:
                return _answered(batch, earlier)
            caller = require_payment(batch.books, self.world, caller, asked, now)
            if self.world.require_policy().approvals.grants is Persons.TWO:
                kept = keep_proposal(batch, _proposal(self.ids.new("p"), caller, asked, now, request_id), caller)
                answer(batch, caller, command, kept.id)
                return kept
            payment_id = self.ids.new("y")
            record_payment(batch, caller, asked, payment_id, request_id)
            answer(batch, caller, command, payment_id)
        return payment_id


def put_payment(batch: Batch, caller: Caller, proposal: Proposal) -> str:
    """Have it take effect: the transaction's id is the proposal's, so that it is posted once."""
    asked = json.loads(proposal.text)
    holder = EngineerId(asked["engineer"])
    of = Payment(holder, asked["micro"], Currency(asked["currency"]), Instant(asked["paid_at"]), asked["reason"])
    record_payment(batch, caller, of, proposal.id, proposal.request_id)
    return f"payment:{proposal.id}"


def _answered(batch: Batch, earlier: str) -> str | Proposal:
    """What the same command was answered before."""
    if earlier.startswith("y-"):
        return earlier
    known = batch.books.approvals.get(earlier)
    if known is None:
        raise NotFound(f"no proposal {earlier!r} waits", code=RefusalCode.UNKNOWN_PROPOSAL)
    return known.proposal


def _proposal(proposal_id: str, caller: Caller, asked: Payment, now: Instant, request_id: str) -> Proposal:
    text = json.dumps(asdict(asked), sort_keys=True, separators=(",", ":"))
    return Proposal(
        proposal_id,
        sha256(f"{proposal_id}\n{text}".encode()).hexdigest(),
        ProposalKind.PAYMENT,
        now,
        caller.actor,
        caller.role,
        asked.reason,
        request_id,
        award=Award(
            Holder(HolderKind.ENGINEER, asked.engineer),
            asked.micro,
            unit=money_unit(asked.currency),
            reason=asked.reason,
        ),
        name=f"{decimal_text(asked.micro, least=2)} {asked.currency}",
        text=text,
    )
