"""Brakes: what an operator has paused, and how much each loop has stopped lately."""

from pydantic import ConfigDict
from starlette.responses import Response

from scheduler.domain.brakes import Brake, Pause
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.fields import Body, Text
from scheduler.lifecycle.memory.named import pause_named
from scheduler.lifecycle.views.shapes import BrakesView

router = api_router("/v1/brakes", tags=["brakes"])


class Why(Body):
    """Shown on every page for as long as the brake is on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"why": "draining rack 4"}]})

    why: Text


@router.get("", summary="What is paused", responses=answers.responds(BrakesView))
def brakes(asked: Signed) -> Response:
    return answers.one(asked.service.views.cluster(asked.caller, asked.now).brakes)


@router.put("/{brake}", summary="Pause", responses=answers.responds(Pause))
def pause(asked: Signed, brake: Brake, body: Why) -> Response:
    made = asked.service.administration.pause(
        asked.caller, brake, body.why, now=asked.now, request_id=asked.request_id
    )
    return answers.one(pause_named(asked.service.world, made))


@router.delete("/{brake}", status_code=204, summary="Resume, and allow the loop another ten minutes' worth of stops")
def resume(asked: Signed, brake: Brake) -> Response:
    asked.service.administration.resume_brake(asked.caller, brake, now=asked.now, request_id=asked.request_id)
    return Response(status_code=204)
