"""A price book in euros, and the desk at which two persons grant, for tests of what is counted in other units."""

from dataclasses import replace

from scheduler.domain.approvals import ApprovalRules, Persons
from scheduler.domain.money import Currency, Micro
from scheduler.domain.quantities import money_unit
from scheduler.domain.units import Instant
from scheduler.entrypoints.file_readers import READERS
from scheduler.finance.prices.price_book import OffPeak, PriceBook, Rate, UnitPrice
from scheduler.lifecycle.accounting.price import Pricing
from scheduler.lifecycle.approvals.approve import Approvals
from scheduler.lifecycle.approvals.propose import Proposals
from tests.finance.build import BILLING
from tests.lifecycle.build import H100, Company

EUR = money_unit("EUR")


def euros() -> PriceBook:
    """H100 at 6.00 list, 4.00 contracted and 2.00 effective; a quarter of it between 14 and 15 o'clock."""
    peak, cheap = (UnitPrice(Micro(3 * p), Micro(2 * p), Micro(p)) for p in (2_000_000, 500_000))
    return PriceBook(
        name="prices",
        hash="1" * 64,
        currency=Currency("EUR"),
        time_zone="UTC",
        rates=(Rate(H100, None, Instant(0), None, peak, cheap),),
        billing=BILLING,
        off_peak=OffPeak(hours=frozenset({14})),
    )


class Desk:
    """Where grants are proposed and approved, under a policy that wants two persons."""

    def __init__(self, company: Company) -> None:
        known = company.world.require_policy()
        company.world.policy = replace(known, approvals=ApprovalRules(grants=Persons.TWO))
        parts = (company.store, company.world, company.ids)
        pricing = Pricing(company.store, company.world)
        self.proposals = Proposals(*parts, company.commands, company.administration, pricing)
        self.approvals = Approvals(*parts, READERS, wake=lambda: None)
