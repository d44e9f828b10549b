"""Who pays for what, and in which order: DESIGN.md's funding order, rule by rule."""

from dataclasses import replace
from itertools import permutations

import pytest

from scheduler.domain.allowances import (
    Allowance,
    AllowanceBalance,
    AllowanceSource,
    Holder,
    HolderKind,
    Purpose,
)
from scheduler.domain.funding import FundingShare, Shortfall, fund, payers, spendable_standard
from scheduler.domain.quantities import class_unit
from scheduler.domain.terms import Need, Terms
from scheduler.domain.units import AllowanceId, GpuClassName, Instant, PerMille, PriorityClassName, ProjectName
from scheduler.domain.workloads import WorkloadKind, WorkloadSpec

H100 = GpuClassName("H100")
NOW = Instant(1_000)
PROJECT_WORK = WorkloadSpec(
    name="train",
    kind=WorkloadKind.JOB,
    project=ProjectName("atlas"),
    gpu_classes=(H100,),
    priority_class=PriorityClassName("standard"),
    time_limit_ms=3_600_000,
)
PERSONAL_WORK = replace(PROJECT_WORK, project=None)
TERMS = Terms(H100, PROJECT_WORK.priority_class, PerMille(1000), PerMille(1000))
WITH_COMPENSATION = replace(PROJECT_WORK, uses_compensation=True)


def balance(
    name: str, kind: HolderKind = HolderKind.ENGINEER, amount: int = 100, **fields: object
) -> AllowanceBalance:
    allowance = Allowance(
        AllowanceId(name),
        Holder(kind, "x"),
        AllowanceSource.TIER,
        amount,
        starts_at=Instant(0),
        expires_at=None,
        granted_at=Instant(0),
    )
    return AllowanceBalance(replace(allowance, **fields), amount)  # type: ignore[arg-type]  # by name


def order(*balances: AllowanceBalance, spec: WorkloadSpec = PROJECT_WORK) -> list[str]:
    return [each.allowance.id for each in payers(balances, spec, H100, NOW)]


def test_the_most_specific_pays_first_then_what_expires_soonest_then_the_oldest() -> None:
    ordered = (
        balance("project", HolderKind.PROJECT),
        balance("team", HolderKind.TEAM, expires_at=Instant(9_000)),
        balance("soon", expires_at=Instant(5_000), granted_at=Instant(9)),
        balance("later", expires_at=Instant(6_000)),
        balance("old", granted_at=Instant(1)),
        balance("young", granted_at=Instant(2)),
    )
    names = [each.allowance.id for each in ordered]
    for each in permutations(ordered, 6):
        assert order(*each) == names


PAY = {"source": AllowanceSource.COMPENSATION, "purposes": frozenset({Purpose.PERSONAL})}
PAYS = {
    "a tier's hours, project work": ({}, PROJECT_WORK, True),
    "a tier's hours, personal work": ({}, PERSONAL_WORK, False),
    "hours for both, personal work": ({"purposes": frozenset(Purpose)}, PERSONAL_WORK, True),
    "personal hours, project work": ({"purposes": frozenset({Purpose.PERSONAL})}, PROJECT_WORK, False),
    "pay, personal work": (PAY, PERSONAL_WORK, True),
    "pay, project work": ({**PAY, "purposes": frozenset(Purpose)}, PROJECT_WORK, False),
    "pay, project work by its owner's word": (PAY, WITH_COMPENSATION, True),
    "hours of another GPU class": ({"gpu_classes": frozenset({GpuClassName("A100")})}, PROJECT_WORK, False),
    "hours for sandboxes alone": ({"kinds": frozenset({WorkloadKind.SANDBOX})}, PROJECT_WORK, False),
    "hours that begin later": ({"starts_at": Instant(1_001)}, PROJECT_WORK, False),
    "hours that expire now": ({"expires_at": NOW}, PROJECT_WORK, False),
}


@pytest.mark.parametrize(("fields", "spec", "pays"), PAYS.values(), ids=PAYS.keys())
def test_an_allowance_pays_for_what_it_is_for(fields: dict[str, object], spec: WorkloadSpec, pays: bool) -> None:
    assert order(balance("a", **fields), spec=spec) == (["a"] if pays else [])  # type: ignore[arg-type]  # by name


def test_what_is_frozen_pays_nothing() -> None:
    assert order(replace(balance("a"), is_frozen=True)) == []


def test_several_pay_for_one_each_up_to_what_it_has() -> None:
    ordered = [balance("first", amount=30), balance("empty", amount=0), balance("second", amount=100)]
    assert fund(ordered, Need(100, TERMS)) == (
        FundingShare(AllowanceId("first"), 30),
        FundingShare(AllowanceId("second"), 70),
    )
    assert fund(ordered, Need(131, TERMS)) == Shortfall(needed=131, available=130)


def test_what_others_pay_in_their_own_unit_counts_as_what_it_comes_to_in_standard_time() -> None:
    """At twice the factor 100 hours of the class pay for 50, and those weigh half."""
    need = Need(400, replace(TERMS, weight=PerMille(250), class_factor=PerMille(2000)))
    own = balance("own", unit=class_unit(H100))
    assert spendable_standard([own], need) == 25
    assert spendable_standard([own, balance("plain")], need) == 125
