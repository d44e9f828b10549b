"""Hours passed on into an allowance that is there already: they buy no more there than they did before."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from scheduler.domain.allowances import Allowance, AllowanceSource, Holder, HolderKind, Purpose
from scheduler.domain.approvals import ApprovalRules, Persons
from scheduler.domain.errors import Refusal, RefusalCode
from scheduler.domain.people import Caller, Role
from scheduler.domain.rollover import Rollover, RolloverRule
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, GpuClassName, Instant
from scheduler.ledger.grants import grant
from scheduler.lifecycle.awarding.awards import Awards
from scheduler.lifecycle.awarding.compensate import Package
from scheduler.lifecycle.awarding.transfer import Passing
from tests.entrypoints.written import rows
from tests.lifecycle.build import NOON, Company, policy

HOUR = MS_PER_HOUR
END = Instant(NOON + 7 * 24 * HOUR)
A100 = frozenset({GpuClassName("A100")})


@pytest.fixture
def company() -> Iterator[Company]:
    base = policy()
    made = Company(replace(base, tiers={n: replace(t, may_transfer=True) for n, t in base.tiers.items()}))
    yield made
    made.close()


@pytest.fixture
def awards(company: Company) -> Awards:
    return Awards(company.store, company.world, company.ids)


def given(company: Company, name: str, owner: str, **terms: object) -> Allowance:
    """100 h of a plain sort, with what is said of it."""
    plain = Allowance(
        AllowanceId(name),
        Holder(HolderKind.ENGINEER, company.engineer(owner).id),
        AllowanceSource.AD_HOC,
        100 * HOUR,
        NOON,
        END,
        NOON,
        gpu_classes=A100,
    )
    made = replace(plain, **terms)  # type: ignore[arg-type]
    with company.changing() as batch:
        batch.add_allowance(made)
        batch.post(grant(made, actor="test"))
    return made


def passing(company: Company, into: AllowanceId) -> Passing:
    return Passing(AllowanceId("from"), Holder(HolderKind.ENGINEER, company.engineer("bob").id), HOUR, "x", into)


@pytest.mark.parametrize(
    "terms",
    [{}, {"expires_at": Instant(END - HOUR)}, {"gpu_classes": frozenset[GpuClassName]()}],
    ids=["the same terms", "a sooner end", "fewer classes"],
)
def test_hours_go_into_what_buys_no_more(company: Company, awards: Awards, terms: dict[str, object]) -> None:
    given(company, "from", "ada")
    into = given(company, "into", "bob", **terms)
    assert awards.transfer(company.caller("ada"), passing(company, into.id), now=NOON) == into
    assert company.world.balances[into.id].available == 101 * HOUR


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"expires_at": Instant(END + 1)}, "ends later"),
        ({"expires_at": None}, "ends later"),
        ({"gpu_classes": A100 | {GpuClassName("H100")}}, "other GPU classes"),
        ({"gpu_classes": None}, "other GPU classes"),
        ({"purposes": frozenset({Purpose.PROJECT, Purpose.PERSONAL})}, "other work"),
        ({"rollover": Rollover(RolloverRule.CAPPED, cap=HOUR)}, "rolls over"),
    ],
    ids=["a later end", "no end", "another class", "any class", "other work", "a rollover"],
)
def test_hours_do_not_go_into_what_buys_more_and_nothing_is_written(
    company: Company, awards: Awards, terms: dict[str, object], said: str
) -> None:
    given(company, "from", "ada")
    into = given(company, "into", "bob", **terms)
    before = rows(company.store)
    with pytest.raises(Refusal, match=said) as refused:
        awards.transfer(company.caller("ada"), passing(company, into.id), now=NOON)
    assert refused.value.code is RefusalCode.TRANSFER_NOT_ALLOWED
    assert rows(company.store) == before


def test_hours_become_nobodys_pay(company: Company, awards: Awards) -> None:
    given(company, "from", "ada", gpu_classes=None)
    people = Caller("pat", frozenset({Role.PEOPLE}))
    pay = awards.compensate(
        people, Package(company.engineer("bob").id, HOUR, months=0, cliff_months=0, expires_at=END), now=NOON
    )
    with pytest.raises(Refusal, match="is pay") as refused:
        awards.transfer(company.caller("ada"), passing(company, pay.id), now=NOON)
    assert refused.value.code is RefusalCode.TRANSFER_NOT_ALLOWED


def test_hours_do_not_go_into_what_is_over(company: Company, awards: Awards) -> None:
    given(company, "from", "ada")
    into = given(company, "into", "bob", expires_at=Instant(NOON + 1))
    with pytest.raises(Refusal) as refused:
        awards.transfer(company.caller("ada"), passing(company, into.id), now=Instant(NOON + 1))
    assert refused.value.code is RefusalCode.ALLOWANCE_EXPIRED


def test_hours_that_never_end_go_into_what_never_ends(company: Company, awards: Awards) -> None:
    given(company, "from", "ada", expires_at=None)
    into = given(company, "into", "bob", expires_at=None)
    assert awards.transfer(company.caller("ada"), passing(company, into.id), now=NOON) == into


def test_an_operator_passes_nobodys_hours_on_to_themselves(company: Company, awards: Awards) -> None:
    given(company, "from", "ada")
    bob = replace(company.caller("bob"), roles=frozenset({Role.ENGINEER, Role.OPERATOR}))
    before = rows(company.store)
    asked = replace(passing(company, AllowanceId("")), into=None)
    for target in (asked.target, Holder(HolderKind.TEAM, "research"), Holder(HolderKind.PROJECT, "aurora")):
        with pytest.raises(Refusal) as refused:
            awards.transfer(bob, replace(asked, target=target), now=NOON)
        assert refused.value.code is RefusalCode.SELF_BENEFIT
    assert rows(company.store) == before
    other = Caller("ops", frozenset({Role.OPERATOR}))
    assert awards.transfer(other, asked, now=NOON).holder == asked.target


def test_an_operator_alone_takes_nobodys_hours_for_another_where_grants_take_two(
    company: Company, awards: Awards
) -> None:
    given(company, "from", "ada")
    known = company.world.require_policy()
    company.world.policy = replace(known, approvals=ApprovalRules(grants=Persons.TWO))
    asked = replace(passing(company, AllowanceId("")), into=None)
    before = rows(company.store)
    with pytest.raises(Refusal) as refused:
        awards.transfer(Caller("ops", frozenset({Role.OPERATOR})), asked, now=NOON)
    assert refused.value.code is RefusalCode.APPROVAL_NEEDED
    assert rows(company.store) == before
    assert awards.transfer(company.caller("ada"), asked, now=NOON).holder == asked.target, "her own she may"


def test_nobody_ends_the_freeze_of_what_is_their_teams(company: Company, awards: Awards) -> None:
    team = given(company, "from", "ada", holder=Holder(HolderKind.TEAM, "research"))
    bob = replace(company.caller("bob"), roles=frozenset({Role.FINANCE}))
    awards.freeze(bob, team.id, "a dispute", is_frozen=True, now=NOON)
    with pytest.raises(Refusal) as refused:
        awards.freeze(bob, team.id, "it is over", is_frozen=False, now=NOON)
    assert refused.value.code is RefusalCode.SELF_BENEFIT
    other = Caller("fin", frozenset({Role.FINANCE}))
    assert not awards.freeze(other, team.id, "it is over", is_frozen=False, now=NOON).is_frozen
