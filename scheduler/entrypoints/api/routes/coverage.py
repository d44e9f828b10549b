"""Coverage: how much is promised of what the GPUs deliver."""

from starlette.responses import Response

from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.routes.allowances import PeriodAsked
from scheduler.lifecycle.awarding.cover import CoverageView

router = api_router("/v1", tags=["finance"])


@router.get(
    "/coverage",
    summary="What is outstanding and promised, over what GPUs deliver",
    responses=answers.responds(CoverageView),
)
def coverage(asked: Signed, period: PeriodAsked = None) -> Response:
    return answers.one(asked.service.coverages.view(asked.caller, period, asked.now))
