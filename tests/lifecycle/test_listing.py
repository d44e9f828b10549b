"""Lists of workloads: as many queries for fifty as for three, and unfinished work found without the finished."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, event

from scheduler.domain.funding import FundingShare
from scheduler.domain.people import Caller, Role
from scheduler.domain.units import MS_PER_HOUR, WorkloadId
from scheduler.domain.workloads import WorkloadState
from scheduler.lifecycle.views.reader import Views
from tests.lifecycle.build import Company, changes, job_seen, later, pod_seen

OPERATOR = Caller("olga", frozenset({Role.OPERATOR}))
UNFINISHED = [state for state in WorkloadState if not state.is_final]
FINAL = [state for state in WorkloadState if state.is_final]


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL of what is read meanwhile."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.startswith("SELECT"):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def busy(company: Company, count: int) -> None:
    """So many workloads, of which every third has run to its end and every third runs."""
    grant = company.grant("ada", 1000)
    for number in range(count):
        workload = company.submit(name=f"work-{number}")
        if number % 3 == 2:
            continue
        company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR))
        company.give_job(workload)
        company.see(
            changes(job_seen(workload, is_suspended=False, active=1), pod_seen(workload, started_at=company.now))
        )
        if number % 3 == 1:
            done = pod_seen(workload, started_at=company.now, finished_at=later(company.now, 60), is_gone=True)
            company.see(changes(job_seen(workload, is_complete=True, ended_at=later(company.now, 60)), done))
            company.world.drop_workload(workload.id)


@pytest.mark.parametrize("states", [None, UNFINISHED, FINAL], ids=["all", "unfinished", "final"])
def test_a_list_costs_as_many_queries_as_it_has_questions(
    company: Company, states: list[WorkloadState] | None
) -> None:
    busy(company, 48)
    views = Views(company.store, company.world)
    with statements() as few:
        page = views.workloads(OPERATOR, company.now, states=states, limit=3)
    with statements() as many:
        whole = views.workloads(OPERATOR, company.now, states=states, limit=48)
    assert len(page.items) == 3
    assert len(whole.items) == (48 if states is None else 32 if states is UNFINISHED else 16)
    assert len(many) == len(few) <= 4


def test_a_list_shows_what_each_of_its_workloads_shows_alone(company: Company) -> None:
    busy(company, 9)
    views = Views(company.store, company.world)
    for states in (None, UNFINISHED, FINAL):
        for item in views.workloads(OPERATOR, company.now, states=states).items:
            assert item == views.workload(OPERATOR, WorkloadId(item.id), company.now)


def test_unfinished_work_is_listed_as_the_books_would(company: Company) -> None:
    busy(company, 12)
    views = Views(company.store, company.world)
    owner = company.engineer("ada").id
    first = views.workloads(OPERATOR, company.now, owner=owner, states=UNFINISHED, limit=5)
    rest = views.workloads(OPERATOR, company.now, owner=owner, states=UNFINISHED, cursor=first.next_cursor)
    with company.store.reading() as books:
        expected = [workload.id for workload in books.workloads.page(owner=owner, states=UNFINISHED)]
    assert [item.id for item in (*first.items, *rest.items)] == expected
    nobody = replace(OPERATOR, team=None)
    assert views.workloads(nobody, company.now, owner=company.engineer("bob").id, states=UNFINISHED).items == ()
