"""Leaderboards: who joined, and how those stand. Nobody is on one who did not ask for it."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from scheduler.domain.errors import RefusalCode
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Asked, Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.fields import Name
from scheduler.entrypoints.api.routes.allowances import PeriodAsked
from scheduler.lifecycle.asking.boards import join
from scheduler.lifecycle.views.leaderboards import BoardAsked, BoardView
from scheduler.metering.leaderboard import RankedBy

router = api_router("/v1/leaderboard", tags=["leaderboard"])


@router.get("", summary="How those who joined stand", responses=answers.responds(BoardView, RefusalCode.NOT_YOURS))
def board(
    asked: Signed,
    team: Annotated[Name | None, Query()] = None,
    tier: Annotated[Name | None, Query()] = None,
    by: Annotated[
        RankedBy, Query(description="useful hours, or efficiency; never what was consumed")
    ] = RankedBy.USEFUL,
    period: PeriodAsked = None,
) -> Response:
    """Of the caller's team where neither is named."""
    wanted = BoardAsked(team, tier, by)
    return answers.one(asked.service.money.leaderboard(asked.caller, wanted, period, asked.now))


@router.put("/me", status_code=204, summary="Stand on the boards of my team and tier")
def put_me(asked: Signed) -> Response:
    return _join(asked, joins=True)


@router.delete("/me", status_code=204, summary="Stand on them no longer")
def delete_me(asked: Signed) -> Response:
    return _join(asked, joins=False)


def _join(asked: Asked, *, joins: bool) -> Response:
    service = asked.service
    join(service.store, service.world, asked.caller, joins=joins, now=asked.now, request_id=asked.request_id)
    return Response(status_code=204)
