"""How well GPUs were used in a period, by whoever may know."""

import pytest

from scheduler.domain.errors import NotPermitted
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, GpuUuid, Instant, NodeName, TeamName
from scheduler.lifecycle.views.advice import AdviceKind, advice_for
from scheduler.lifecycle.views.efficiency import EfficiencyView
from scheduler.lifecycle.views.money import MoneyViews
from scheduler.metering.efficiency import Measure
from scheduler.metering.use import HourOfUse, Use
from tests.lifecycle.build import Company
from tests.lifecycle.platform import Platform

FINANCE = Caller("fin", frozenset({Role.FINANCE}))
GIB = 1 << 30
SPAN = (Instant(0), Instant(2**62))


def asked(company: Company, caller: Caller, owner: str | None = None, period: str | None = None) -> EfficiencyView:
    return MoneyViews(company.store, company.world).efficiency(caller, period, company.now, owner)


@pytest.fixture
def worked(company: Company) -> Company:
    """Two GPUs of ada's for 80 minutes: one at work, the other never."""
    platform = Platform(company)
    workload, _ = platform.sandbox()
    platform.minutes(80, 0, pods=platform.agents.pod_of(workload))
    return company


def test_an_engineer_sees_their_own_with_what_it_is_the_mean_of(worked: Company) -> None:
    view = asked(worked, worked.caller("ada"))
    assert view.total is not None
    assert (view.owner_kind, view.attempts_read, view.engineers, view.teams) == ("engineer", 1, (), ())
    assert (view.total.measure, view.total.mean_permille, view.total.idle_permille) == (Measure.UTILIZATION, 350, 500)
    assert (view.total.gpu_ms, view.total.memory_bytes_max) == (160 * 60_000, 10 * GIB)
    assert view.total.joules_per_active_gpu_hour == (400 + 70) * 3600


def test_what_was_never_used_is_advised_of_with_its_evidence(worked: Company) -> None:
    (attempt,) = asked(worked, worked.caller("ada")).attempts
    (advice,) = attempt.advice
    assert (attempt.gpus, advice.kind) == (2, AdviceKind.UNUSED_GPUS)
    assert (advice.evidence["gpus"], advice.evidence["unused"]) == (2, 1)


@pytest.mark.parametrize(("unread_ms", "advised"), [(MS_PER_MINUTE, ["unused-gpus"]), (2 * MS_PER_MINUTE, [])])
def test_a_minute_unread_of_two_hours_does_not_silence_the_advice_and_two_do(
    worked: Company, unread_ms: int, advised: list[str]
) -> None:
    (attempt,) = worked.world.attempts.values()
    rested = Use(idle_held_ms=2 * MS_PER_HOUR - unread_ms, unknown_ms=unread_ms)
    uses = {"GPU-0": rested, "GPU-1": Use(active_ms=2 * MS_PER_HOUR)}
    hours = [HourOfUse(GpuUuid(uuid), NodeName("n"), worked.now, attempt.id, use) for uuid, use in uses.items()]
    assert [advice.kind for advice in advice_for(worked.world, attempt, hours, SPAN)] == advised


def test_a_team_and_the_company_are_sums_by_engineer_and_team(worked: Company) -> None:
    team, company = asked(worked, FINANCE, "team:research"), asked(worked, FINANCE, "company")
    own = asked(worked, worked.caller("ada")).total
    assert [each.name for each in team.engineers] == ["Ada"]
    assert [each.id for each in company.teams] == ["research"]
    assert team.total == company.total == own
    assert company.teams[0].use == own


def test_a_project_has_its_own_work_alone(worked: Company) -> None:
    assert asked(worked, FINANCE, "project:aurora").total is None


def test_a_lead_sees_the_sums_and_nobodys_own(worked: Company) -> None:
    lead = Caller("lea", frozenset({Role.ENGINEER, Role.LEAD}), None, TeamName("research"))
    view = asked(worked, lead, "team:research")
    assert view.total is not None
    assert (view.engineers, view.attempts) == ((), ())


def test_nobody_sees_anothers(worked: Company) -> None:
    with pytest.raises(NotPermitted):
        asked(worked, worked.caller("bob"), "ada")


def test_a_period_without_readings_has_none(worked: Company) -> None:
    view = asked(worked, worked.caller("ada"), period="2026-10")
    assert (view.total, view.attempts, view.attempts_read) == (None, (), 0)
