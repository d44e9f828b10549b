"""Books: what did the month cost. By team and tier, where every GPU-hour went, and the checks before it is closed."""

import re

from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import Response

from scheduler.domain.errors import InvalidInput
from scheduler.domain.periods import Period, PeriodLength, period_at
from scheduler.domain.units import Instant
from scheduler.entrypoints.web.charts import segments, sparkline, stacked_bar
from scheduler.entrypoints.web.folds import folds_of
from scheduler.entrypoints.web.pages import Pages
from scheduler.entrypoints.web.visitors import signed_in
from scheduler.lifecycle.views.statement_shapes import StatementView

_PERIOD = re.compile(r"[0-9TZQW:.+/-]{4,70}")


def add_routes(router: APIRouter, pages: Pages) -> None:
    service = pages.service

    @router.get("/books")
    def books(request: Request, period: str = "") -> Response:
        visitor = signed_in(request, service)
        moments = pages.moments()
        month, cost = service.money.month(visitor.caller, period_name(period) or None, moments.now)
        before, after = neighbours(pages, month.starts_at, month.ends_at)
        parts = segments(month.buckets, month.capacity)
        return pages.render(
            request,
            "books.html",
            visitor,
            moments=moments,
            title="Books",
            month=month,
            before=before,
            after=after if month.ends_at <= moments.now else None,
            parts=parts,
            stack=stacked_bar(parts, month.capacity),
            unattributed=dict(month.buckets).get("unattributed"),
            cost=cost,
        )

    @router.get("/statement")
    def statement(request: Request, period: str = "", owner: str = "") -> Response:
        visitor = signed_in(request, service)
        moments = pages.moments()
        current = period_name(period) or _period_at(pages, moments.now).name
        view = service.views.statement(visitor.caller, current, moments.now, owner or None)
        before, after = neighbours(pages, view.starts_at, view.ends_at)
        return pages.render(
            request,
            "statement.html",
            visitor,
            moments=moments,
            title=f"Statement {view.period}",
            statement=view,
            folds=folds_of(view, moments),
            course=_drawn(view, moments.now),
            owner=owner,
            efficiency=service.money.efficiency(visitor.caller, current, moments.now, owner or None),
            before=before,
            after=after if view.ends_at <= moments.now else None,
        )


def _drawn(statement: StatementView, now: Instant) -> Markup | None:
    """The course of the balance. None where lines are missing: it would go past what they moved."""
    if statement.lines_left_out:
        return None
    return sparkline(course_of(statement, now), statement.starts_at, statement.ends_at)


def course_of(statement: StatementView, now: Instant) -> list[tuple[Instant, int]]:
    """The balance after each line, from the opening one until now, or until the period's end."""
    left = statement.opening
    course = [(statement.starts_at, left)]
    for line in sorted(statement.lines, key=lambda line: line.at):
        course.append((line.at, left))
        left += line.amount
        course.append((line.at, left))
    course.append((max(course[-1][0], min(now, statement.ends_at)), left))
    return course


def period_name(text: str) -> str:
    """The name of a period as it was asked for, or nothing."""
    if text and not _PERIOD.fullmatch(text):
        raise InvalidInput(f"{text!r} names no period", where="period", expected="a period such as 2026-11")
    return text


def neighbours(pages: Pages, starts_at: Instant, ends_at: Instant) -> tuple[Period, Period]:
    """The periods before and after, as long as this one; of another stretch those of the policy."""
    policy = pages.service.views.policy()
    zone = policy.time_zone
    here = ((length, period_at(starts_at, length, zone)) for length in PeriodLength)
    length = next((each for each, at in here if (at.starts_at, at.ends_at) == (starts_at, ends_at)), policy.period)
    return period_at(Instant(starts_at - 1), length, zone), period_at(ends_at, length, zone)


def _period_at(pages: Pages, instant: Instant) -> Period:
    policy = pages.service.views.policy()
    return period_at(instant, policy.period, policy.time_zone)
