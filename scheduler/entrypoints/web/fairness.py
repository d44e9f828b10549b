"""Fairness: how evenly use is spread over people, by tier and team, month by month, so that a widening gap is seen."""

from collections import defaultdict
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from scheduler.entrypoints.web.pages import Pages
from scheduler.entrypoints.web.visitors import signed_in
from scheduler.lifecycle.views.spread import SpreadView

MONTHS = 6
WIDENED_PERMILLE = 100
"""So much more unequal than in the first month shown is said to be wider."""


@dataclass(frozen=True, slots=True)
class GroupOverTime:
    """A group's months, the oldest first. `is_wider`: where the last is clearly less even than the first that is known."""

    by: str
    group: str
    people: int
    months: tuple[SpreadView, ...]
    is_wider: bool


def add_routes(router: APIRouter, pages: Pages) -> None:
    service = pages.service

    @router.get("/fairness")
    def fairness(request: Request) -> Response:
        visitor = signed_in(request, service)
        moments = pages.moments()
        found = service.money.spread(visitor.caller, moments.now, MONTHS)
        groups = over_time(found)
        return pages.render(
            request,
            "fairness.html",
            visitor,
            moments=moments,
            title="Fairness",
            months=sorted({view.period for view in found}),
            groups={by: [group for group in groups if group.by == by] for by in ("company", "team", "tier")},
        )


def over_time(found: tuple[SpreadView, ...]) -> list[GroupOverTime]:
    """By group, in the order of their names."""
    of: dict[tuple[str, str], list[SpreadView]] = defaultdict(list)
    for view in sorted(found, key=lambda view: view.period):
        of[view.by, view.group].append(view)
    return [
        GroupOverTime(by, group, views[-1].used.people, tuple(views), _is_wider(views))
        for (by, group), views in sorted(of.items())
    ]


def _is_wider(views: list[SpreadView]) -> bool:
    known = [view.used.gini_permille for view in views if view.used.gini_permille is not None]
    return len(known) > 1 and known[-1] >= known[0] + WIDENED_PERMILLE
