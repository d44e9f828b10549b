"""A month for finance: by team, tier and GPU class, and where every GPU-hour of capacity went."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from scheduler.adapters.exports.focus_files import focus_csv
from scheduler.domain.errors import RefusalCode
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.routes.allowances import BooksOf, PeriodAsked, PeriodName
from scheduler.finance.csv_text import csv_lines
from scheduler.finance.focus.columns import NAMES
from scheduler.finance.general_ledger import GlJournal
from scheduler.lifecycle.views.burn import BurnView
from scheduler.lifecycle.views.cost import CostView
from scheduler.lifecycle.views.efficiency import EfficiencyView
from scheduler.lifecycle.views.fringe import FringeView
from scheduler.lifecycle.views.spread import SpreadView
from scheduler.lifecycle.views.statement_shapes import MonthView

router = api_router("/v1/finance", tags=["finance"])


@router.get("/month", summary="A period in sums", responses=answers.responds(MonthView))
def month(asked: Signed, period: Annotated[PeriodName | None, Query()] = None) -> Response:
    return answers.one(asked.service.views.month(asked.caller, period, asked.now))


@router.get(
    "/focus",
    summary="A period as FOCUS 1.4, CSV",
    responses=answers.responds_csv(RefusalCode.PRICE_MISSING, RefusalCode.NO_PRICES),
)
def focus(
    asked: Signed,
    period: PeriodAsked = None,
    plain: Annotated[bool, Query(description="Leave text as it is: for programs, not for spreadsheets.")] = False,
) -> Response:
    with ExitStack() as opening:
        export = opening.enter_context(asked.service.money.focus(asked.caller, period, asked.now))
        reading = opening.pop_all()
    pieces = csv_lines(NAMES, export.rows) if plain else focus_csv(export.rows)
    response = answers.csv(_closing(reading, pieces), f"focus-{file_stem(export.period.name)}.csv")
    response.headers["X-Allot-Postings"] = str(export.postings)
    return response


@router.get(
    "/gl",
    summary="A period as journal lines for a general ledger",
    responses=answers.responds(GlJournal, RefusalCode.PRICE_MISSING, RefusalCode.NO_PRICES),
)
def general_ledger(asked: Signed, period: PeriodAsked = None) -> Response:
    return answers.one(asked.service.money.general_ledger(asked.caller, period, asked.now))


@router.get(
    "/cost",
    summary="What a period cost beside what it recovered, and guarantees that nobody used",
    responses=answers.responds(CostView, RefusalCode.PRICE_MISSING, RefusalCode.NO_PRICES),
)
def cost(asked: Signed, period: PeriodAsked = None) -> Response:
    return answers.one(asked.service.money.cost(asked.caller, period, asked.now))


@router.get("/burn", summary="What goes a day, and until when it lasts", responses=answers.responds(BurnView))
def burn(asked: Signed, owner: BooksOf = None) -> Response:
    return answers.one(asked.service.money.burn(asked.caller, asked.now, owner))


@router.get(
    "/efficiency",
    summary="How well an owner's GPUs were used in a period, and what is advised",
    responses=answers.responds(EfficiencyView),
)
def efficiency(asked: Signed, period: PeriodAsked = None, owner: BooksOf = None) -> Response:
    return answers.one(asked.service.money.efficiency(asked.caller, period, asked.now, owner))


@router.get(
    "/fairness",
    summary="How evenly use is spread over people, month by month",
    responses=answers.responds(SpreadView, is_page=True),
)
def spread(asked: Signed, months: Annotated[int, Query(ge=1, le=24)] = 3) -> Response:
    return answers.page(asked.service.money.spread(asked.caller, asked.now, months))


@router.get(
    "/fringe",
    summary="A person's fringe benefits of a tax year",
    responses=answers.responds(FringeView, RefusalCode.PRICE_MISSING, RefusalCode.NO_PRICES),
)
def fringe(asked: Signed, year: Annotated[str, Query(pattern=r"^\d{4}$")], owner: BooksOf = None) -> Response:
    return answers.one(asked.service.money.fringe(asked.caller, year, owner))


def _closing(reading: ExitStack, pieces: Iterator[str]) -> Iterator[str]:
    """The pieces, and the end of the read that they come from, even where nobody waits for the rest."""
    with reading:
        yield from pieces


def file_stem(period: str) -> str:
    """A period's name as part of a file's."""
    return period.replace("/", "_").replace(":", "")
