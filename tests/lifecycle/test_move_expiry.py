"""Pay that ends while its owner's work waited for capacity: it goes on for as long, and the statement says why."""

from dataclasses import replace

import pytest

from scheduler.domain.allowances import AllowanceSource, Freeze
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, Instant
from scheduler.domain.workloads import Workload
from scheduler.lifecycle.awarding.expire import expire_due
from scheduler.lifecycle.views.reader import Views
from tests.adapters.sql.invariants import violations
from tests.lifecycle.build import NOON, OPERATOR, Company

HOUR = MS_PER_HOUR
END = Instant(NOON + 100 * HOUR)


@pytest.fixture
def pay(company: Company) -> AllowanceId:
    return company.grant("ada", 10, source=AllowanceSource.COMPENSATION, expires_at=END)


def tell(company: Company, workload: Workload, hours: int, reason: Reason) -> None:
    company.now = Instant(NOON + hours * HOUR)
    with company.changing() as batch:
        batch.say(workload.id, reason, {})


def turn(company: Company, now: Instant) -> int:
    company.now = now
    with company.changing() as batch:
        return expire_due(batch)


def extended(pay: AllowanceId) -> AllowanceId:
    return AllowanceId(f"extended/{pay}")


def test_pay_goes_on_for_as_long_as_its_owners_work_waited_and_the_statement_says_which(
    company: Company, pay: AllowanceId
) -> None:
    first, second = company.submit(project=None), company.submit(project=None)
    tell(company, first, 10, Reason.RESOURCES)
    tell(company, second, 12, Reason.QUOTA)
    tell(company, second, 13, Reason.ENGINEER_GPU_LIMIT)
    tell(company, first, 14, Reason.LAUNCHING)
    tell(company, second, 98, Reason.RESOURCES)  # and it waits still when the pay ends
    assert turn(company, END) == 0
    assert turn(company, END) == 0, "done twice, it is done once"
    moved = company.world.balances[extended(pay)]
    assert (moved.available, moved.allowance.starts_at) == (10 * HOUR, END)
    assert moved.allowance.expires_at == END + 6 * HOUR, "4 h of the first, with 1 h of the second in them, and 2 h"
    assert moved.allowance.kept_terms is not None
    assert company.available(pay) == 0
    view = Views(company.store, company.world).statement(OPERATOR, "2026-11", company.now, "ada")
    assert (view.closing, view.expired, view.transferred) == (10 * HOUR, 0, 0)
    assert [line.text for line in view.lines if line.kind == "transfer"] == [
        "Transferred: expiry moved by 6 h 00 min: funded work waited for capacity "
        f"({first.id} 4 h 00 min, {second.id} 3 h 00 min)"
    ]
    # The wait goes on, and so does the pay; when it ends, what is left expires.
    tell(company, second, 101, Reason.CANCELLED)
    assert turn(company, Instant(END + 6 * HOUR)) == 0
    again = company.world.balances[extended(extended(pay))]
    assert again.allowance.expires_at == END + 7 * HOUR
    assert turn(company, Instant(END + 7 * HOUR)) == 1
    with company.store._write() as connection:
        assert violations(connection) == {}


@pytest.mark.parametrize("is_project_work", [True, False], ids=["project work", "nothing waited"])
def test_pay_expires_where_nothing_that_it_may_pay_for_waited(
    company: Company, pay: AllowanceId, *, is_project_work: bool
) -> None:
    company.grant("ada", 10)
    workload = company.submit() if is_project_work else company.submit(project=None)
    tell(company, workload, 10, Reason.RESOURCES if is_project_work else Reason.ALLOWANCE_SHORT)
    assert turn(company, END) == 1
    assert extended(pay) not in company.world.balances


def test_work_of_somebody_else_moves_nothing(company: Company, pay: AllowanceId) -> None:
    company.grant("bob", 10, source=AllowanceSource.COMPENSATION)
    tell(company, company.submit("bob", project=None), 10, Reason.RESOURCES)
    assert turn(company, END) == 1
    assert extended(pay) not in company.world.balances


def test_frozen_pay_and_other_hours_expire_as_they_were_to(company: Company, pay: AllowanceId) -> None:
    other = company.grant("ada", 5, expires_at=END)
    workload = replace(company.submit(project=None))
    tell(company, workload, 10, Reason.RESOURCES)
    with company.changing() as batch:
        batch.freeze(Freeze(pay, is_frozen=True, at=company.now, by="pat", reason="asked"))
    assert turn(company, END) == 2
    assert {extended(pay), extended(other)}.isdisjoint(company.world.balances)
