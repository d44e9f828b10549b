"""What owners see of how their work uses its GPUs, and what others do not."""

from dataclasses import replace

import pytest

from scheduler.domain.cluster import GpuClass
from scheduler.domain.errors import NotPermitted
from scheduler.domain.idleness import IdleAction, IdlePolicy
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import AttemptId, GpuClassName, Instant, NodeName, PerMille, WorkloadId
from scheduler.lifecycle.views.advice import AdviceKind, advice_for
from scheduler.lifecycle.views.reader import Views
from scheduler.lifecycle.views.shapes import ExplainView, WorkloadView
from scheduler.lifecycle.views.statement_rows import HEADER, statement_rows
from scheduler.metering.devices import Device
from scheduler.metering.use import HourOfUse, Use
from tests.lifecycle.agents import gpu
from tests.lifecycle.build import NOON, OPERATOR, Company, changes, job_seen, later, pod_seen
from tests.lifecycle.platform import JOBS, SANDBOXES, Platform

GIB = 1 << 30


@pytest.fixture
def platform(company: Company) -> Platform:
    return Platform(company, SANDBOXES, JOBS)


def explained(company: Company, workload_id: WorkloadId, subject: str = "ada") -> ExplainView:
    return Views(company.store, company.world).explain(company.caller(subject), workload_id, company.now)


def shown(company: Company, caller: Caller, workload_id: WorkloadId) -> WorkloadView:
    return Views(company.store, company.world).workload(caller, workload_id, company.now)


def test_a_workload_shows_what_its_gpus_do_now(company: Company, platform: Platform) -> None:
    workload, _ = platform.sandbox()
    platform.minutes(5, 0, pods=platform.agents.pod_of(workload))
    view = shown(company, company.caller("ada"), workload.id)
    assert (view.utilization_percent, view.power_watts, view.memory_used_bytes) == (35, 470, 20 * GIB)


def test_readings_that_are_overdue_are_absent(company: Company, platform: Platform) -> None:
    workload, _ = platform.sandbox()
    platform.minutes(5, 0, pods=platform.agents.pod_of(workload))
    company.now = later(company.now, 600)
    view = shown(company, company.caller("ada"), workload.id)
    assert (view.utilization_percent, view.power_watts, view.memory_used_bytes) == (None, None, None)


def test_a_sum_of_which_a_gpu_is_missing_is_absent(company: Company, platform: Platform) -> None:
    workload, _ = platform.sandbox()
    platform.minutes(5, 0, silent=(1,), pods=platform.agents.pod_of(workload))
    view = shown(company, company.caller("ada"), workload.id)
    assert (view.utilization_percent, view.power_watts) == (70, None)


def test_what_rests_says_since_when_and_what_comes_of_it(company: Company, platform: Platform) -> None:
    workload, _ = platform.sandbox()
    platform.minutes(30, pods=platform.agents.pod_of(workload))
    assert shown(company, company.caller("ada"), workload.id).idle_since == later(NOON, 600)
    idle = explained(company, workload.id).idle
    assert idle is not None
    assert (idle.rule, idle.action, idle.is_dry_run, idle.since) == ("sandboxes", "suspend", False, later(NOON, 600))
    assert (idle.rested_ms, idle.due_at, len(idle.warned_at)) == (20 * 60_000, later(company.now, 600), 1)
    assert (idle.keep_alives_left, idle.exemption, idle.decisions) == (3, None, ())


def test_what_waits_for_a_class_that_a_policy_dropped_is_explained_without_a_forecast(company: Company) -> None:
    company.grant("ada", 10)
    workload = company.submit()
    assert explained(company, workload.id).forecast is not None
    policy = company.world.require_policy()
    kept = {name: each for name, each in policy.gpu_classes.items() if name not in workload.spec.gpu_classes}
    company.world.put_policy(replace(policy, gpu_classes=kept))
    assert explained(company, workload.id).forecast is None


def test_a_decision_is_explained_with_the_curve_it_rests_on(company: Company, platform: Platform) -> None:
    workload, attempt_id = platform.sandbox()
    platform.minutes(41, pods=platform.agents.pod_of(workload))
    view = explained(company, workload.id)
    assert view.idle is not None
    (decision,) = view.idle.decisions
    assert (decision.attempt_id, decision.is_taken, decision.hindrance) == (attempt_id, True, "")
    assert decision.hours_back_ms > 0
    assert {point.state for point in decision.curve} == {"idle-held"}


def test_an_attempts_use_is_told_with_its_measure(company: Company, platform: Platform) -> None:
    workload, attempt_id = platform.sandbox()
    pods = platform.agents.pod_of(workload)
    platform.minutes(10, 0, 1, pods=pods)
    platform.minutes(10, pods=pods)
    (use,) = explained(company, workload.id).usage
    assert (use.attempt_id, use.number, use.measure, use.mean_permille) == (attempt_id, 1, "utilization", 350)
    assert (use.idle_permille, use.percent_max, use.memory_bytes_max) == (500, 70, 10 * GIB)
    assert use.energy_joules == 2 * (400 + 70) * 600
    assert use.joules_per_active_gpu_hour == (400 + 70) * 3600
    assert (use.covered_permille, use.advice) == (1000, ())
    assert len(explained(company, workload.id).curve) > 1


def test_gpus_that_were_never_used_are_named_as_advice(company: Company, platform: Platform) -> None:
    workload, _ = platform.sandbox()
    platform.minutes(70, 0, pods=platform.agents.pod_of(workload))
    (use,) = explained(company, workload.id).usage
    (advice,) = use.advice
    assert advice.sentence == "It asked for 2 GPUs; 1 was never used, in 1.2 h of readings each."
    assert (advice.evidence["gpus"], advice.evidence["unused"]) == (2, 1)
    assert advice.evidence["unused_gpus"] == gpu("n0", 1)


def offer_l4(company: Company) -> None:
    """A class of a quarter of the weight, with 24 GiB."""
    small = GpuClassName("l4")
    rules = company.world.require_policy()
    classes = {**rules.gpu_classes, small: GpuClass(small, PerMille(250), (("gpu", "l4"),))}
    company.world.put_policy(replace(rules, gpu_classes=classes))
    name = NodeName("n9")
    company.world.put_node(name, replace(company.world.nodes[NodeName("n0")], name=name, gpu_class=small))
    told = replace(company.world.readings.inventories[NodeName("n0")], node=name)
    company.world.readings.put_inventory(replace(told, devices=(Device(gpu("n9", 0), 0, "L4", 24 * GIB),)))


def test_a_smaller_gpu_that_would_have_held_it_is_named_with_its_evidence(
    company: Company, platform: Platform
) -> None:
    offer_l4(company)
    workload, _ = platform.sandbox()
    platform.minutes(70, 0, 1, pods=platform.agents.pod_of(workload))
    (use,) = explained(company, workload.id).usage
    (advice,) = use.advice
    assert advice.sentence == (
        "It held at most 10 GiB per GPU, in 2.3 GPU-hours of readings: l4 (24 GiB, weight 0.25 instead of 1) would "
        "have held it."
    )
    assert (advice.evidence["memory_bytes_max"], advice.evidence["gpu_class"]) == (10 * GIB, "l4")


def seen(hour: int, gpus: int, memory: int | None = 10 * GIB, minutes: int = 60) -> list[HourOfUse]:
    """An hour of each GPU from `NOON` on, of which `minutes` were read."""
    use = Use(covered_ms=minutes * 60_000, active_ms=3_600_000, memory_bytes_max=memory)
    return [
        HourOfUse(gpu("n0", n), NodeName("n0"), later(NOON, hour * 3_600), AttemptId("a-1"), use) for n in range(gpus)
    ]


MEMORY_READ: dict[str, tuple[list[HourOfUse], bool]] = {
    "all of it": ([*seen(0, 2), *seen(1, 2), *seen(2, 2), *seen(3, 2)], True),
    "all but two minutes of an hour": ([*seen(0, 2), *seen(1, 2, minutes=58), *seen(2, 2), *seen(3, 2)], True),
    "none of an hour": ([*seen(0, 2), *seen(1, 2, memory=None), *seen(2, 2), *seen(3, 2)], False),
    "half of each hour": ([each for hour in range(4) for each in seen(hour, 2, minutes=30)], False),
    "one of its GPUs alone": ([each for hour in range(4) for each in seen(hour, 1)], False),
    "the last hour alone": (seen(3, 2), False),
    "the first hour alone": (seen(0, 2), False),
}


@pytest.mark.parametrize(("hours", "is_advised"), MEMORY_READ.values(), ids=MEMORY_READ)
def test_a_smaller_gpu_is_named_only_where_memory_was_read_all_but_throughout(
    company: Company, platform: Platform, hours: list[HourOfUse], is_advised: bool
) -> None:
    offer_l4(company)
    platform.sandbox()
    (attempt,) = company.world.attempts.values()
    ended = replace(attempt, started_at=NOON, ended_at=later(NOON, 4 * 3_600))
    for span in ((Instant(0), Instant(2**62)), (NOON, later(NOON, 4 * 3_600))):
        found = advice_for(company.world, ended, hours, span)
        assert [advice.kind for advice in found] == [AdviceKind.SMALLER_GPU] * is_advised


@pytest.mark.parametrize(
    ("caller", "is_shown"),
    [
        pytest.param(OPERATOR, True, id="an operator"),
        pytest.param(Caller("aud", frozenset({Role.AUDITOR})), True, id="an auditor"),
        pytest.param(Caller("fin", frozenset({Role.FINANCE})), True, id="finance"),
        pytest.param(Caller("lea", frozenset({Role.LEAD}), team=None), False, id="a lead"),
    ],
)
def test_efficiency_is_pay_data(company: Company, platform: Platform, caller: Caller, is_shown: bool) -> None:
    workload, _ = platform.sandbox()
    platform.minutes(30, pods=platform.agents.pod_of(workload))
    view = Views(company.store, company.world).explain(replace(caller, team=workload.team), workload.id, company.now)
    assert (view.workload.utilization_percent is not None) is is_shown
    assert (view.workload.idle_since is not None) is is_shown
    assert bool(view.usage) is is_shown
    assert bool(view.curve) is is_shown
    assert (view.idle is not None) is is_shown


def test_the_statement_says_how_many_hours_came_back_and_why(company: Company, platform: Platform) -> None:
    workload, attempt_id = platform.sandbox()
    platform.minutes(40, pods=platform.agents.pod_of(workload))
    pod = pod_seen(workload, started_at=NOON, finished_at=company.now, is_gone=True)
    company.see(
        changes(job_seen(workload, is_suspended=True, is_confirmed_suspended=True, attempt_id=attempt_id), pod)
    )
    statement = Views(company.store, company.world).statement(company.caller("ada"), "2026-11", company.now)
    (returned,) = statement.returned
    assert (returned.attempt_id, returned.workload_name, returned.reason) == (attempt_id, "train", "Idle")
    assert returned.hours_back_ms == returned.quantity == 2 * (8 * 60 - 40) * 60_000 * 3 // 2
    assert (returned.unit, returned.shown) == ("standard", "22.0 h")
    (reclaim,) = Views(company.store, company.world).reclaims(OPERATOR)
    assert (reclaim.came_back_ms, reclaim.came_back) == (returned.hours_back_ms, ()), "as the list of reclaims says"
    assert statement.opening + statement.granted - statement.charged == statement.closing + statement.held
    rows = [dict(zip(HEADER, row, strict=True)) for row in statement_rows(statement)]
    (row,) = [row for row in rows if row["kind"] == "returned"]
    assert row["text"] == "22.0 h of train came back: suspended while its GPUs were idle"
    assert (row["attempt_id"], row["unit"], row["returned_quantity"]) == (
        attempt_id,
        "standard",
        str(returned.quantity),
    )
    assert sum(int(each["in_ms"] or 0) - int(each["out_ms"] or 0) for each in rows) == 0


def test_operators_read_what_was_due_and_engineers_do_not(company: Company, platform: Platform) -> None:
    workload, attempt_id = platform.sandbox()
    platform.minutes(40, pods=platform.agents.pod_of(workload))
    views = Views(company.store, company.world)
    (reclaim,) = views.reclaims(OPERATOR)
    assert (reclaim.attempt_id, reclaim.is_taken, reclaim.workload_name) == (attempt_id, True, workload.spec.name)
    assert (reclaim.owner, reclaim.owner_name) == (workload.owner, company.world.people[workload.owner].name)
    del company.world.workloads[workload.id]
    assert views.reclaims(OPERATOR) == (reclaim,)
    with pytest.raises(NotPermitted):
        views.reclaims(company.caller("ada"))


def test_a_rest_that_was_left_alone_says_why_and_not_that_it_is_due(company: Company) -> None:
    platform = Platform(company, replace(SANDBOXES, policy=IdlePolicy(is_dry_run=False, action=IdleAction.REPORT)))
    workload, _ = platform.sandbox()
    platform.minutes(45, pods=platform.agents.pod_of(workload))
    found = Views(company.store, company.world).resting(OPERATOR, company.now)
    ((rest,), (decision,)) = found.rests, found.decisions
    assert (rest.left_ms, rest.hindrance) == (0, "report")
    assert (decision.is_taken, decision.came_back_ms) == (False, None)


def test_operators_see_who_rests_and_what_was_done_and_nobody_else_does(company: Company, platform: Platform) -> None:
    workload, attempt_id = platform.sandbox()
    platform.minutes(30, pods=platform.agents.pod_of(workload))
    views = Views(company.store, company.world)
    found = views.resting(OPERATOR, company.now)
    (rest,) = found.rests
    assert (rest.workload_id, rest.gpus, rest.since, rest.warnings) == (workload.id, 2, later(NOON, 600), 1)
    assert (rest.rested_ms, rest.left_ms, rest.action) == (20 * 60_000, 10 * 60_000, "suspend")
    assert (found.count, found.decisions) == (1, ())
    platform.minutes(11, pods=platform.agents.pod_of(workload))
    found = views.resting(OPERATOR, company.now)
    (decision,) = found.decisions
    assert (decision.workload_name, decision.attempt_id, decision.is_taken) == (workload.spec.name, attempt_id, True)
    assert decision.came_back_ms is None, "it has its grace yet"
    with pytest.raises(NotPermitted):
        views.resting(company.caller("ada"), company.now)
