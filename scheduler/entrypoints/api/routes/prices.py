"""Prices: the book in force, the books that were, applying a new one, and what an hour costs."""

from typing import Annotated

from fastapi import Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from scheduler.adapters.policy_files import read_prices
from scheduler.domain.errors import RefusalCode
from scheduler.domain.people import Role
from scheduler.domain.records import PriceBookVersion
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Asked, Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.fields import Moment, Name, instant_of
from scheduler.finance.prices.hour_cost import HourCost
from scheduler.lifecycle.memory.named import named
from scheduler.lifecycle.views.prices import AppliedPrices, applied_prices

router = api_router("/v1", tags=["finance"])

_FILE = {
    "requestBody": {
        "required": True,
        "content": {"application/yaml": {"schema": {"type": "string"}, "example": "version: 1\n"}},
    }
}


@router.get(
    "/prices",
    summary="Price books as they were applied, newest first",
    responses=answers.responds(PriceBookVersion, is_page=True),
)
def history(asked: Signed, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Response:
    return answers.page(asked.service.money.price_books(asked.caller, limit))


@router.put(
    "/prices",
    summary="Check and apply a price file",
    responses=answers.or_waits(
        answers.responds(
            AppliedPrices,
            RefusalCode.INVALID_PRICES,
            RefusalCode.UNKNOWN_CURRENCY,
            RefusalCode.PRICE_GAP,
            RefusalCode.PRICE_OVERLAP,
            RefusalCode.RATE_CLOSED,
            RefusalCode.NO_CLASS_PRICED,
        )
    ),
    openapi_extra=_FILE,
)
async def apply(
    request: Request,
    asked: Signed,
    name: Annotated[Name, Query(description="The file's name, for messages.")],
    correct: Annotated[bool, Query(description="Correct closed periods by postings in the open one.")] = False,
) -> Response:
    """Unless policy says `one-person`, it waits for a second one, if it is not the first or the one in force."""
    asked.caller.require(Role.FINANCE)
    source = await request.body()
    return await run_in_threadpool(_apply, asked, source, name, corrects=correct)


def _apply(asked: Asked, source: bytes, name: str, *, corrects: bool) -> Response:
    book, text = read_prices(source, name), source.decode("utf-8-sig")
    made = asked.service.proposals.apply_prices(
        asked.caller, text, book, now=asked.now, request_id=asked.request_id, corrects=corrects
    )
    if isinstance(made, PriceBookVersion):
        world = asked.service.world
        made = applied_prices(made, book, world.policy, named(world, made.applied_by))
    return answers.in_force_or_waiting(asked, made)


@router.get(
    "/prices/hour",
    summary="What a GPU-hour costs, in its parts",
    responses=answers.responds(HourCost, RefusalCode.PRICE_MISSING, RefusalCode.NO_PRICES),
)
def hour(
    asked: Signed,
    gpu_class: Annotated[Name, Query()],
    pool: Annotated[Name, Query()],
    at: Annotated[Moment | None, Query(description="An instant of the hour; now where it is left out.")] = None,
) -> Response:
    return answers.one(asked.service.money.hour_cost(asked.caller, gpu_class, pool, instant_of(at) or asked.now))
