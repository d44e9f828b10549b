"""Whatever agents send after a charge was made and its month closed: not one entry of the books changes."""

import random
from collections.abc import Iterable
from dataclasses import replace

import pytest

from scheduler.domain.errors import Refusal
from scheduler.domain.people import Caller, Role
from scheduler.domain.periods import period_named
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, Instant, NodeName
from scheduler.domain.workloads import Workload
from scheduler.finance.reconciling.reconciliation import SettlementKind
from scheduler.ledger.journal import PostedEntry
from scheduler.lifecycle.accounting.close_period import Decision, Periods
from scheduler.metering.windows import Window
from tests.lifecycle.agents import Agents, agent_of, body_of, window
from tests.lifecycle.build import NOON, Company
from tests.lifecycle.test_meter_bad_input import BAD_BODIES, BAD_CALLERS, BAD_WINDOWS

FINANCE = Caller("fin", frozenset({Role.FINANCE}))
NOVEMBER = period_named("2026-11", "UTC")
RAN_MS = 30 * MS_PER_MINUTE
N0 = NodeName("n0")


def entries(company: Company) -> list[PostedEntry]:
    with company.store.reading() as books:
        return list(books.journal.entries())


def refused(company: Company) -> int:
    with company.store.reading() as books:
        return sum(each.count for each in books.samples.refusals())


@pytest.fixture
def closed(company: Company) -> tuple[Agents, Workload]:
    """A company whose agent told of a job of half an hour, which was charged and whose month was closed since."""
    made = Agents(company)
    made.register()
    made.register("n1")
    workload, _ = made.start(gpus=2)
    company.now = Instant(NOON + RAN_MS)
    assert made.post(*told(workload, range(1, 100))).taken == 99
    made.end(workload, Instant(NOON), company.now)
    company.now = Instant(NOVEMBER.ends_at + MS_PER_HOUR)
    periods = Periods(company.store, company.world)
    left = periods.reconciliation(FINANCE, "2026-11", company.now).unresolved
    periods.settle(FINANCE, [each.id for each in left], Decision(SettlementKind.WRITE_OFF, "known"), now=company.now)
    periods.close(FINANCE, "2026-11", now=company.now)
    return made, workload


def told(workload: Workload, numbers: Iterable[int]) -> list[Window]:
    """Windows in which its process was seen, one after the other from its start on: the latter ones after its end."""
    return [
        window("n0", 0, number, Instant(NOON + (number - 1) * 15_000), pods=(f"pod-{workload.id}-0",))
        for number in numbers
    ]


def test_no_bad_window_changes_a_closed_charge_and_each_is_answered_and_counted(
    company: Company, closed: tuple[Agents, Workload]
) -> None:
    agents, _ = closed
    before, counted = entries(company), refused(company)
    for bad, _ in BAD_WINDOWS.values():
        accepted = agents.post(bad)
        counted += len(accepted.refused)
        assert accepted.taken + accepted.duplicates + len(accepted.refused) == 1
        assert refused(company) == counted
    assert entries(company) == before


def test_no_bad_body_and_no_stranger_changes_a_closed_charge(
    company: Company, closed: tuple[Agents, Workload]
) -> None:
    agents, workload = closed
    before = entries(company)
    for body in BAD_BODIES.values():
        with pytest.raises(Refusal):
            agents.meter.accept_windows(agent_of("n0"), N0, body(), now=company.now)
    for caller, _ in BAD_CALLERS.values():
        with pytest.raises(Refusal):
            agents.meter.accept_windows(caller, N0, body_of(*told(workload, [200])), now=company.now)
    assert entries(company) == before


def test_windows_of_a_closed_attempt_that_come_late_twice_or_in_disorder_change_no_charge(
    company: Company, closed: tuple[Agents, Workload]
) -> None:
    """They say that its process went on for hours after its end; some under another boot, some of another GPU."""
    agents, workload = closed
    before = entries(company)
    late = told(workload, range(50, 300, 7))
    random.Random(7).shuffle(late)
    taken = 0
    for number, each in enumerate([*late, *late[::3]]):
        moved = replace(each, gpu_uuid=window("n0", number % 4, 1, Instant(NOON)).gpu_uuid)
        taken += agents.post(moved, boot_id=f"boot-{number % 3}").taken
    assert taken > 0
    assert entries(company) == before
    with company.store.reading() as books:
        assert books.journal.differences() == []
