"""My hours: what runs comes first, then what waits in the order in which it will be tried, an array as one."""

from dataclasses import replace

from scheduler.domain.units import MS_PER_HOUR
from scheduler.entrypoints.web.waiting import in_line
from scheduler.lifecycle.views.shapes import WorkloadView
from tests.entrypoints.web.conftest import SignIn
from tests.entrypoints.web.reading import read
from tests.entrypoints.web.sample_people import MARA
from tests.entrypoints.web.sample_values import my_workloads
from tests.entrypoints.web.sample_views import SampleService


def waiting(id_: str, rank: int | None, submitted_at: int = 0) -> WorkloadView:
    _, _, queued, _ = my_workloads()
    told = replace(queued.verdict, workload_id=id_)
    later = type(queued.submitted_at)(queued.submitted_at + submitted_at)
    return replace(queued, id=id_, name=id_, rank=rank, verdict=told, submitted_at=later, asked=2 * MS_PER_HOUR)


def test_by_rank_and_what_has_none_last_the_latest_submitted_first() -> None:
    works = [waiting("w-4", None, 1), waiting("w-3", None, 2), waiting("w-2", 7), waiting("w-1", 3)]
    assert [each.work.id for each in in_line(works)] == ["w-1", "w-2", "w-3", "w-4"]


def test_the_indexes_of_an_array_are_one_with_what_they_ask_for_together() -> None:
    works = [waiting(f"w-1-i{index}", 9 - index) for index in range(3)] + [waiting("w-2", 8)]
    assert [(each.work.id, each.others, each.asked) for each in in_line(works)] == [
        ("w-1-i2", 2, 6 * MS_PER_HOUR),
        ("w-2", 0, 2 * MS_PER_HOUR),
    ]


async def test_the_page_has_them_after_what_runs_and_before_what_is_stopped(
    service: SampleService, sign_in: SignIn
) -> None:
    sandbox, job, _, _ = my_workloads()
    stopped = replace(sandbox, id="w-stopped", state="stopped")
    service.views.current = (waiting("w-9-i1", 2), stopped, waiting("w-9-i2", 1), sandbox, job)
    async with sign_in(MARA) as client:
        page = read(await client.get("/hours"))
    shown = [id_ for id_ in page.ids if id_ in {work.id for work in service.views.current}]
    assert shown == [sandbox.id, job.id, "w-9-i2", "w-stopped"]
    assert "and 1 more of its array" in page.text
    assert "4.0 h asked" in page.text
    assert "/workloads?state=queued" not in page.links


async def test_a_long_line_is_cut_and_says_where_the_rest_is(service: SampleService, sign_in: SignIn) -> None:
    service.views.current = tuple(waiting(f"w-{number:02}", number) for number in range(1, 14))
    async with sign_in(MARA) as client:
        page = read(await client.get("/hours"))
    assert [id_ for id_ in page.ids if id_.startswith(("w-0", "w-1"))] == [
        f"w-{number:02}" for number in range(1, 13)
    ]
    assert "/workloads?state=queued" in page.links
