"""The scripts of awards and of the books, each with what must be there before it: for processes that die in them.

A script is what one caller asks for, and asks for again, in the same words and under the same key, who got no answer.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from scheduler.adapters.policy_files import read_policy, read_prices
from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.approvals import Change, ProposalKind
from scheduler.domain.awards import Award
from scheduler.domain.errors import RefusalCode
from scheduler.domain.money import Currency
from scheduler.domain.people import Caller, Role
from scheduler.domain.periods import period_at, period_named
from scheduler.domain.records import PodRun
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    AllowanceId,
    CommandId,
    Instant,
    NodeName,
    PodUid,
)
from scheduler.entrypoints.running import Service
from scheduler.finance.reconciling.reconciliation import SettlementKind
from scheduler.lifecycle.accounting.close_period import Decision
from scheduler.lifecycle.accounting.pay import Payment
from scheduler.lifecycle.awarding.compensate import Package
from scheduler.lifecycle.awarding.transfer import Passing
from scheduler.lifecycle.writing.answered import Command
from scheduler.ports import Store
from tests.e2e.crashing import MortalStore, Reached
from tests.entrypoints.company import (
    NOON,
    POLICY,
    SYSTEM,
    CountedIds,
    engineer_id,
    opened,
    small_company,
)
from tests.entrypoints.two_persons import BASE, STRICT
from tests.lifecycle.booked import Booked
from tests.plugins.migrated import open_migrated

TIERS = BASE.replace(
    "  engineer:\n",
    "  engineer:\n    may_transfer: true\n    may_donate: true\n    rollover: capped\n    rollover_cap_gpu_hours: 100\n",
    1,
)
PRICES = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
DEARER = PRICES.replace("effective: 2.50", "effective: 2.75")
OCTOBER = period_named("2026-10", "Europe/Berlin")
SECOND = Caller("ruth", frozenset(Role))
LOGGED = frozenset({"audit_events"})
AGAIN = Command(CommandId("asked-once"), "the same words")


@dataclass(frozen=True)
class Script:
    """`answered` is how it is refused when it is asked for again after it was done; None: it gets the first answer.
    `told_again` are the tables that then have a row more: that it was asked for once more; `counted_again` those in which
    a row counts one more. Nothing else changes."""

    prepare: Callable[[Service], None]
    act: Callable[[Service], object]
    answered: RefusalCode | None = None
    told_again: frozenset[str] = frozenset()
    counted_again: frozenset[str] = frozenset()


def prepared(script: Script, file: Path) -> None:
    """A database as it is before the script."""
    service = small_company(f"sqlite:///{file}")
    script.prepare(service)
    service.store.close()


def live(file: Path, points: Reached | None = None) -> Service:
    """A process that has just started on this database; it may die at these points. Each makes the same ids: what it
    wrote is comparable to the byte, and an id that is used twice is refused."""
    url = f"sqlite:///{file}"
    whole = open_migrated(url)
    store: Store = whole if points is None else MortalStore(whole, points)
    return opened(store, url, CountedIds(itertools.count(1_000)))


# --- what there is before ------------------------------------------------------------------------------------------------


def nothing(service: Service) -> None:
    """The company as it is: the grants of the week."""


def lenient(service: Service) -> None:
    service.administration.apply_policy(SYSTEM, TIERS, read_policy(TIERS, "tiers.yaml"), now=NOON)


def two_persons(service: Service) -> None:
    prices(service)
    service.administration.apply_policy(SYSTEM, STRICT, read_policy(STRICT, "strict.yaml"), now=NOON)


def prices(service: Service) -> None:
    service.pricing.apply(SYSTEM, PRICES, read_prices(PRICES, "prices.yaml"), now=NOON)


def over_the_turn_of_october(service: Service) -> None:
    """Two GPUs of Ada's have run since an hour before October ended; nobody has charged anything yet."""
    prices(service)
    assert isinstance(service.store, SqlStore)
    booked, ada = Booked(service.store), engineer_id(service, "ada")
    start = Instant(OCTOBER.ends_at - MS_PER_HOUR)
    own = booked.allowance(ada, 500, start)
    attempt = booked.start("late", ada, start, (own, 400), gpus=2, gpu_class="H100", project="meridian")
    run = PodRun(PodUid("pod-late"), attempt, "late-0", NodeName("node-0"), 2, start, last_seen_at=NOON)
    with service.store.writing() as books:
        books.holds.open(booked.holds[attempt])
        books.attempts.save_pods([run])


def _closed_october(service: Service) -> None:
    over_the_turn_of_october(service)
    with service.store.reading() as books:
        service.world.load(books, NOON)
    _close(service)


def _rolling_over(service: Service) -> None:
    """A week of capped rollover, and pay that vests while it runs."""
    lenient(service)
    service.periodic._grant_now(Instant(NOON + 3 * MS_PER_DAY))
    since = Instant(NOON - 21 * MS_PER_DAY)
    pay = Package(engineer_id(service, "bob"), 48 * MS_PER_HOUR, starts_at=since, months=1, cliff_months=0)
    service.awards.compensate(SYSTEM, pay, now=NOON)


def _promised(service: Service) -> None:
    for kind_months in (4, 12):
        _compensate(service, Package(engineer_id(service, "ada"), 48 * MS_PER_HOUR, months=kind_months))


def waiting(kind: str) -> Callable[[Service], None]:
    def prepare(service: Service) -> None:
        two_persons(service)
        _PROPOSED[kind](service)

    return prepare


# --- what is asked for ---------------------------------------------------------------------------------------------------


def who(service: Service, subject: str) -> Caller:
    engineer = service.world.by_subject[subject]
    return Caller(subject, engineer.roles, engineer.id, engineer.team)


def _close(service: Service) -> None:
    """As finance does it: provisionally, then whatever differs is written off, then for good."""
    fin = who(service, "fin")
    service.world.rounds.heard_at = NOON
    service.periods.close(fin, "2026-10", now=NOON, provisionally=True)
    left = service.periods.reconciliation(fin, "2026-10", NOON).unresolved
    if left:
        known = Decision(SettlementKind.WRITE_OFF, "no agents yet")
        service.periods.settle(fin, [each.id for each in left], known, now=NOON)
    service.periods.close(fin, "2026-10", now=NOON)


def _transfer(service: Service) -> object:
    week = period_at(NOON, service.world.require_policy().period, "Europe/Berlin").name
    source = AllowanceId(f"tier/{engineer_id(service, 'ada')}/{week}")
    target = Holder(HolderKind.ENGINEER, engineer_id(service, "bob"))
    asked = Passing(source, target, 40 * MS_PER_HOUR, "a deadline")
    return service.awards.transfer(who(service, "ada"), asked, now=NOON, command=AGAIN)


def _compensate(service: Service, asked: Package | None = None) -> object:
    """What began a year ago vests in part in the transaction of its grant."""
    command = AGAIN if asked is None else None
    since = Instant(NOON - 366 * MS_PER_DAY)
    asked = asked or Package(engineer_id(service, "ada"), 480 * MS_PER_HOUR, starts_at=since)
    asked = replace(asked, cliff_months=min(asked.months, 12))
    return service.awards.compensate(who(service, "pam"), asked, now=NOON, command=command)


def _claw_back(service: Service) -> object:
    return service.awards.claw_back(who(service, "pam"), engineer_id(service, "ada"), "she leaves", now=NOON)


def _pay(service: Service) -> object:
    paid = Payment(engineer_id(service, "ada"), 120_000_000, Currency("EUR"), NOON, "payroll")
    return service.payments.record(who(service, "fin"), paid, now=NOON, command=AGAIN)


def _propose(service: Service) -> object:
    award = Award(Holder(HolderKind.ENGINEER, engineer_id(service, "ada")), 40 * MS_PER_HOUR, reason="a deadline")
    return service.proposals.grant(who(service, "fin"), award, now=NOON, command=AGAIN)


def _request(service: Service) -> object:
    change = Change(Holder(HolderKind.ENGINEER, engineer_id(service, "ada")), 40 * MS_PER_HOUR)
    ada = who(service, "ada")
    return service.proposals.request(ada, ProposalKind.HOURS, change, "a deadline", now=NOON, command=AGAIN)


def _propose_prices(service: Service) -> object:
    book = read_prices(DEARER, "prices.yaml")
    return service.proposals.apply_prices(who(service, "fin"), DEARER, book, now=NOON)


def _propose_policy(service: Service) -> object:
    text = STRICT.replace("allowance_gpu_hours: 2500", "allowance_gpu_hours: 2600")
    return service.proposals.apply_policy(who(service, "olga"), text, read_policy(text, "raised.yaml"), now=NOON)


_PROPOSED: dict[str, Callable[[Service], object]] = {
    "grant": _propose,
    "request": _request,
    "payment": _pay,
    "prices": _propose_prices,
    "policy": _propose_policy,
}


def _approve(service: Service) -> object:
    """By somebody with every right, who has asked for nothing and applied nothing."""
    with service.store.reading() as books:
        (found,) = books.approvals.latest()
    return service.approvals.approve(SECOND, found.proposal.id, now=NOON)


def _correct(service: Service) -> object:
    book = read_prices(DEARER, "prices.yaml")
    return service.pricing.apply(who(service, "fin"), DEARER, book, now=NOON, corrects=True)


def _roll_over(service: Service) -> None:
    """What the loop does in each of the two weeks after that one."""
    for days in (10, 17):
        service.periodic._grant_now(Instant(NOON + days * MS_PER_DAY))


SCRIPTS: dict[str, Script] = {
    "close": Script(over_the_turn_of_october, _close, RefusalCode.PERIOD_CLOSED),
    "transfer": Script(lenient, _transfer),
    "compensate": Script(nothing, _compensate),
    "claw back": Script(_promised, _claw_back),
    "pay": Script(prices, _pay),
    "correct": Script(_closed_october, _correct, told_again=LOGGED),
    "roll over": Script(_rolling_over, _roll_over),
    "propose": Script(two_persons, _propose),
    "request": Script(two_persons, _request),
    **{f"approve a {kind}": Script(waiting(kind), _approve, RefusalCode.WRONG_STATE) for kind in _PROPOSED},
}
