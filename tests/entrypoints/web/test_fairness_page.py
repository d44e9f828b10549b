"""The page of fairness: groups over months, and a gap that widens."""

from scheduler.entrypoints.web.fairness import over_time
from scheduler.finance.fairness import Fairness
from scheduler.lifecycle.views.spread import SpreadView
from tests.entrypoints.company import small_company
from tests.entrypoints.web.signed_in import client_of


def spread(period: str, gini: int | None, group: str = "research") -> SpreadView:
    return SpreadView(period, "team", group, Fairness(5, gini, None, None))


def test_a_gap_that_widened_is_said() -> None:
    found = over_time((spread("2026-11", 420), spread("2026-10", 300), spread("2026-09", None)))
    assert [view.period for view in found[0].months] == ["2026-09", "2026-10", "2026-11"]
    assert found[0].is_wider
    assert not over_time((spread("2026-11", 399), spread("2026-10", 300)))[0].is_wider
    assert not over_time((spread("2026-11", 900),))[0].is_wider


async def test_the_page_shows_company_teams_and_tiers_to_who_sees_money() -> None:
    company = small_company()
    try:
        async with client_of(company, "fin") as client:
            shown = await client.get("/fairness")
        async with client_of(company, "ada") as client:
            refused = await client.get("/fairness")
    finally:
        company.store.close()
    assert (shown.status_code, refused.status_code) == (200, 403)
    assert all(word in shown.text for word in ("research", "intern", "Gini"))
