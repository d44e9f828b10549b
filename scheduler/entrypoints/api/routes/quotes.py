"""Quotes: ask before submitting."""

from starlette.responses import Response

from scheduler.domain.errors import RefusalCode
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.submissions import JobSubmission
from scheduler.lifecycle.views.quote_shapes import QuoteView

router = api_router("/v1/quotes", tags=["workloads"])


@router.post(
    "",
    summary="Ask what would become of a job: would it run now, when else, what does it cost, what would be sooner",
    responses=answers.responds(
        QuoteView,
        RefusalCode.INVALID_GPUS,
        RefusalCode.INVALID_MIN_PODS,
        RefusalCode.INVALID_TIME_LIMIT,
        RefusalCode.UNKNOWN_TOPOLOGY_LEVEL,
        RefusalCode.UNPLACEABLE,
        RefusalCode.PRIORITY_CLASS_NOT_ALLOWED,
        RefusalCode.ALLOWANCE_SHORT,
    ),
)
def quote(asked: Signed, body: JobSubmission) -> Response:
    owner = asked.engineer(body.owner)
    return answers.one(asked.service.views.quote(asked.caller, (body.spec(), body.terms()), asked.now, owner))
