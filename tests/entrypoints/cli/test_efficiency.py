"""`allot efficiency` on the command line."""

from dataclasses import replace

import pytest

from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import MS_PER_HOUR, AttemptId, GpuClassName, Instant, NodeName, PerMille, PoolName
from scheduler.domain.units import PriorityClassName as Class
from scheduler.domain.workloads import Attempt, HoldMode
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.views.efficiency import EfficiencyView
from scheduler.metering.devices import KnownGpu
from scheduler.metering.efficiency import Measure
from scheduler.metering.idle import IdleState
from scheduler.metering.use import Metered
from tests.entrypoints.cli.conftest import Allot
from tests.entrypoints.cli.test_work import IMAGE, SUBMIT
from tests.lifecycle.agents import gpu, window


def work(allot: Allot, service: Service) -> None:
    """An attempt of ada's that had two GPUs for an hour and a half, and used one."""
    assert allot(*SUBMIT, *IMAGE).code == 0
    workload = next(iter(service.world.workloads.values()))
    now = service.clock.now()
    attempt = Attempt(
        id=AttemptId("t-1"),
        workload_id=workload.id,
        number=1,
        owner=workload.owner,
        team=workload.team,
        pool=PoolName("research"),
        gpu_class=GpuClassName("h100"),
        priority_class=Class("standard"),
        placement=Placement(((NodeName("n0"), 1),)),
        pod=PodRequest(2, 1, 1),
        weight=PerMille(1000),
        class_factor=PerMille(1000),
        hold_mode=HoldMode.FULL,
        time_limit_ms=MS_PER_HOUR,
        launched_at=now,
    )
    start = Instant(now - 2 * MS_PER_HOUR)
    metered = [
        Metered(
            window(
                "n0", index, number, Instant(start + number * 900_000), percent=90 * (1 - index), length_ms=900_000
            ),
            IdleState.IDLE_HELD if index else IdleState.ACTIVE,
            attempt.id,
        )
        for index in range(2)
        for number in range(6)
    ]
    with service.store.writing() as books:
        books.attempts.add([attempt])
        books.samples.put_gpus([KnownGpu(gpu("n0", index), NodeName("n0")) for index in range(2)])
        books.samples.add(metered)


def test_how_well_gpus_were_used_is_shown_with_what_is_advised(allot: Allot, service: Service) -> None:
    work(allot, service)
    shown = allot("efficiency")
    assert shown.code == 0
    assert "45 %, the share of time in which any kernel ran" in " ".join(shown.out.split())
    assert "It asked for 2 GPUs; 1 was never used" in " ".join(shown.out.split())
    found = allot("efficiency", "--json").json
    assert (found["total"]["idle_permille"], found["attempts"][0]["advice"][0]["kind"]) == (500, "unused-gpus")


def test_a_team_is_shown_in_sums_by_engineer(allot: Allot, service: Service) -> None:
    work(allot, service)
    assert "ENGINEER" in allot("efficiency", "--team", "research", who="fin").out
    assert "TEAM" in allot("efficiency", "--owner", "company", who="fin").out
    found = allot("efficiency", "--team", "research", "--json", who="lea").json
    assert (found["attempts_read"], found["attempts"], found["engineers"]) == (1, [], [])


def test_a_company_is_shown_by_team_by_engineer_and_by_the_work_that_rested_most(
    allot: Allot, service: Service
) -> None:
    work(allot, service)
    assert allot("efficiency", "--owner", "company", who="fin").out.splitlines() == [
        "Company, 2026-W47",
        "mean       45 %, the share of time in which any kernel ran",
        "GPU-hours  3.0; at work 1.5, idle 1.5",
        "idle       50 % of what was read",
        "energy     0.80 kWh per useful GPU-hour",
        "memory     10 GiB at most",
        "read       100 % of the time",
        "",
        "TEAM      GPU-HOURS  MEAN OF      MEAN  IDLE  MEMORY  KWH/USEFUL H",
        "research        3.0  utilization  45 %  50 %  10 GiB          0.80",
        "",
        "ENGINEER  GPU-HOURS  MEAN OF      MEAN  IDLE  MEMORY  KWH/USEFUL H",
        "Ada             3.0  utilization  45 %  50 %  10 GiB          0.80",
        "",
        "WORKLOAD  GPUS  GPU-HOURS  MEAN OF      MEAN  IDLE  MEMORY  KWH/USEFUL H",
        "job          2        3.0  utilization  45 %  50 %  10 GiB          0.80",
        "  It asked for 2 GPUs; 1 was never used, in 1.5 h of readings each.",
    ]


def test_what_was_not_read_is_a_dash_and_what_is_left_out_is_counted(
    allot: Allot, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(allot, service)
    caller = Caller("fin", frozenset({Role.FINANCE}))
    found = service.money.efficiency(caller, None, service.clock.now(), "company")
    assert found.total is not None
    unread = dict.fromkeys(("mean_permille", "idle_permille", "joules_per_active_gpu_hour", "memory_bytes_max"))
    blank = replace(found.total, measure=Measure.SM_ACTIVITY, **unread)  # type: ignore[arg-type]  # by name
    (engineer,), (attempt,) = found.engineers, found.attempts
    many = replace(
        found,
        total=blank,
        teams=(),
        engineers=(replace(engineer, name="", use=blank), *(engineer,) * 10),
        attempts=(replace(attempt, advice=attempt.advice * 2), *(attempt,) * 11),
        attempts_read=75,
    )
    asked: list[object] = []

    def answered(*given: object) -> EfficiencyView:
        asked.extend(given)
        return many

    monkeypatch.setattr(service.money, "efficiency", answered)
    lines = allot("efficiency", "--team", "research", who="fin").out.splitlines()
    assert "team:research" in asked
    assert sum(line.startswith("  It asked for 2 GPUs") for line in lines) == 11
    assert lines[1] == "mean       –, the share of multiprocessors that were active"
    assert lines[3:6] == [
        "idle       – of what was read",
        "energy     – kWh per useful GPU-hour",
        "memory     – at most",
    ]
    assert lines[9].split() == [engineer.id, "3.0", "sm-activity", "–", "–", "–", "–"]
    assert [line for line in lines if line.startswith("and ")] == [
        "and 1 more, in --json",
        "and 65 more; the 12 that rested most are in --json",
    ]


def test_where_nothing_was_read_it_says_so(allot: Allot) -> None:
    out = allot("efficiency", "--period", "2026-10").out
    assert out == "Ada, 2026-10\nNothing was read of any GPU of theirs.\n"


def test_two_owners_are_one_too_many_and_others_are_not_told(allot: Allot) -> None:
    assert allot("efficiency", "--owner", "ada", "--team", "research").code == 2
    assert allot("efficiency", "--owner", "ada", who="bob").code == 4
