"""A month for finance: by team, tier and GPU class, and where every GPU-hour of capacity went."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Signed
from scheduler.entrypoints.api.routes.allowances import PeriodName
from scheduler.lifecycle.views.shapes import MonthView

router = APIRouter(prefix="/v1/finance", tags=["finance"])


@router.get("/month", summary="A period in sums", responses=answers.responds(MonthView))
def month(asked: Signed, period: Annotated[PeriodName | None, Query()] = None) -> Response:
    return answers.one(asked.service.views.month(asked.caller, period, asked.now))
