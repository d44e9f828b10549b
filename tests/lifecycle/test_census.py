"""The census keeps what nodes offer as it changes, and the conservation report is made of it."""

from dataclasses import replace
from unittest.mock import patch

import pytest

from scheduler.domain.errors import InvalidInput, NotFound, Unavailable
from scheduler.domain.periods import Period
from scheduler.domain.units import MS_PER_HOUR, Instant, NodeName
from scheduler.lifecycle.sensing.census import Census
from scheduler.lifecycle.views.conservation import buckets_of, conservation_view, node_accounts
from scheduler.lifecycle.views.gpu_conservation import gpu_conservation_view
from tests.lifecycle.agents import WINDOW_MS, Agents, gpu
from tests.lifecycle.build import Company, later


def spans(company: Company, node: str) -> list[tuple[int, int | None, int, bool]]:
    """(seconds of start and end since the first, GPUs outside, whether it accepts work)"""
    with company.store.reading() as books:
        found = [s for s in books.capacity.spans(Instant(0), Instant(2**52)) if s.node == node]
    zero = found[0].starts_at
    return [
        (
            (s.starts_at - zero) // 1_000,
            None if s.ends_at is None else (s.ends_at - zero) // 1_000,
            s.outside_gpus,
            s.accepts_work,
        )
        for s in found
    ]


def test_a_round_without_changes_writes_nothing_and_a_restart_goes_on(company: Company) -> None:
    census = Census(company.store, company.world, company.now)
    nodes = len(company.world.nodes)
    assert census.run(later(company.now, 5)) == nodes
    assert census.run(later(company.now, 10)) == 0
    assert Census(company.store, company.world, later(company.now, 20)).run(later(company.now, 25)) == 0
    assert spans(company, "n0") == [(0, None, 0, True)]


def test_a_node_begins_no_later_than_what_kubernetes_stamps_in_that_second(company: Company) -> None:
    second = Instant(company.now - company.now % 1_000)
    Census(company.store, company.world, Instant(second + 218)).run(later(company.now, 5))
    with company.store.reading() as books:
        assert {span.starts_at for span in books.capacity.spans(Instant(0), Instant(2**52))} == {second}


def test_what_a_round_could_not_write_began_before_it(company: Company) -> None:
    """Else work that was launched meanwhile would be older than what it runs on."""
    census = Census(company.store, company.world, company.now)
    with patch.object(type(company.store), "writing", side_effect=Unavailable("the database does not answer")):
        for seconds in (10, 20):
            with pytest.raises(Unavailable):
                census.run(later(company.now, seconds))
    census.run(later(company.now, 30))
    with company.store.reading() as books:
        begun = {span.starts_at for span in books.capacity.spans(Instant(0), Instant(2**52))}
    assert begun == {company.now - company.now % 1_000}


def test_what_changes_ends_a_span_and_begins_another(company: Company) -> None:
    census = Census(company.store, company.world, company.now)
    census.run(later(company.now, 10))
    node = company.world.nodes[NodeName("n0")]
    company.world.put_node(node.name, replace(node, gpus=node.gpus - 1, outside_gpus=1, accepts_work=False))
    census.run(later(company.now, 20))
    company.world.put_node(node.name, None)
    census.run(later(company.now, 30))
    company.world.put_node(node.name, replace(node, gpus=8))
    census.run(later(company.now, 40))
    assert spans(company, "n0") == [(0, 20, 0, True), (20, 30, 1, False), (30, None, 0, True)]


def test_the_report_of_a_company_at_work_has_nothing_unexplained(company: Company) -> None:
    census = Census(company.store, company.world, company.now)
    agents = Agents(company)
    agents.register()
    begin = company.now
    census.run(company.now)
    agents.start()
    company.now = later(company.now, 600)
    census.run(company.now)
    with company.store.reading() as books:
        day = Period("a day", begin, Instant(begin + 24 * MS_PER_HOUR))
        view = conservation_view(books, day, company.now)
        accounts = node_accounts(books, begin, company.now)
    assert view.unexplained == ()
    assert view.total.charged_ms > 0
    assert view.total.capacity_ms == sum(node.gpus for node in company.world.nodes.values()) * (company.now - begin)
    assert sum(hour.capacity_ms for hour in view.hours) == view.total.capacity_ms
    buckets, capacity = buckets_of(accounts)
    assert (sum(ms for _, ms in buckets), capacity) == (view.total.capacity_ms, view.total.capacity_ms)


def test_a_gpu_at_work_for_nobody_is_unattributed(company: Company) -> None:
    census = Census(company.store, company.world, company.now)
    agents = Agents(company)
    agents.register()
    begin = company.now
    census.run(begin)
    company.now = later(company.now, 60)
    agents.post(agents.latest(1))
    with company.store.reading() as books:
        (account,) = [a for a in node_accounts(books, begin, company.now) if a.node == "n0"]
    assert (account.account.unattributed, account.account.unexplained) == (WINDOW_MS, 0)


def test_each_gpu_of_a_node_comes_to_its_time_and_is_whose_it_was_seen_to_be(company: Company) -> None:
    census = Census(company.store, company.world, company.now)
    agents = Agents(company)
    agents.register()
    begin = company.now
    census.run(begin)
    workload, _ = agents.start(gpus=1)
    for number in range(1, 9):
        company.now = later(company.now, 15)
        agents.post(
            agents.latest(2, number, pods=agents.pod_of(workload)), agents.latest(0, number, percent=0, watts=70)
        )
    census.run(company.now)
    with company.store.reading() as books:
        day = Period("a day", begin, Instant(begin + 24 * MS_PER_HOUR))
        view = gpu_conservation_view(books, NodeName("n0"), day, company.now)
        (node,) = [a for a in node_accounts(books, begin, company.now) if a.node == "n0"]
    lived = company.now - begin
    assert {each.unexplained_ms for each in (*view.gpus, *view.hours)} == {0}
    assert sum(each.capacity_ms for each in view.gpus) == node.account.capacity == 4 * lived
    by_uuid = {each.gpu_uuid: each for each in view.gpus}
    at_work, idle = by_uuid[gpu("n0", 2)], by_uuid[gpu("n0", 0)]
    assert (at_work.charged_ms, at_work.witnessed_ms, at_work.capacity_ms) == (lived, lived, lived)
    assert (idle.idle_ms, idle.charged_ms) == (lived, 0)
    assert by_uuid[""].capacity_ms == 2 * lived


def test_a_node_that_nobody_knows_has_no_account_of_its_gpus(company: Company) -> None:
    Census(company.store, company.world, company.now).run(company.now)
    day = Period("a day", company.now, later(company.now, 86_400))
    with company.store.reading() as books, pytest.raises(NotFound):
        gpu_conservation_view(books, NodeName("nowhere"), day, later(company.now, 60))


def test_single_gpus_of_a_month_are_too_many(company: Company) -> None:
    month = Period("a month", company.now, later(company.now, 30 * 86_400))
    with company.store.reading() as books, pytest.raises(InvalidInput):
        gpu_conservation_view(books, NodeName("n0"), month, later(company.now, 29 * 86_400))


def test_a_period_that_has_not_begun_is_refused(company: Company) -> None:
    tomorrow = Period("tomorrow", later(company.now, 86_400), later(company.now, 2 * 86_400))
    with company.store.reading() as books, pytest.raises(InvalidInput):
        conservation_view(books, tomorrow, company.now)
