"""Bookings: GPUs for a window ahead, paid by a hold, charged from their start."""

from typing import Annotated

from pydantic import ConfigDict, Field
from starlette.responses import Response

from scheduler.domain.errors import RefusalCode
from scheduler.domain.periods import to_instant
from scheduler.domain.units import GpuClassName, PriorityClassName, ProjectName, WorkloadId
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import IdempotencyKey, Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.fields import PERSONAL, Body, Count, DurationMs, Moment, Name
from scheduler.lifecycle.asking.booking import BookingWish
from scheduler.lifecycle.views.bookings import BookingView

router = api_router("/v1/bookings", tags=["bookings"])

_ONE = answers.responds(BookingView, RefusalCode.UNKNOWN_BOOKING, RefusalCode.WRONG_STATE)


class BookingBody(Body):
    """So many GPUs of a class from an instant on, for so long."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "project": "aurora",
                    "gpu_class": "h100",
                    "gpus": 8,
                    "starts_at": "2026-12-01T09:00:00+01:00",
                    "length_ms": 14_400_000,
                }
            ]
        }
    )

    project: Annotated[Name, Field(description="A project of the policy, or `personal`.")]
    gpu_class: Name
    gpus: Count
    starts_at: Annotated[Moment, Field(description="RFC 3339 with an offset.")]
    length_ms: DurationMs
    name: Name = "booking"
    priority_class: Annotated[Name | None, Field(description="The policy's default where it is left out.")] = None
    uses_compensation: Annotated[bool, Field(description="The owner's word that compensation may pay for it.")] = (
        False
    )
    owner: Annotated[Name | None, Field(description="Operators may book for somebody else.")] = None

    def wish(self) -> BookingWish:
        return BookingWish(
            gpu_class=GpuClassName(self.gpu_class),
            gpus=self.gpus,
            starts_at=to_instant(self.starts_at),
            length_ms=self.length_ms,
            project=None if self.project == PERSONAL else ProjectName(self.project),
            name=self.name,
            priority_class=PriorityClassName(self.priority_class or ""),
            uses_compensation=self.uses_compensation,
        )


@router.post(
    "",
    status_code=201,
    summary="Book GPUs for a window: its hours are held at once",
    responses=answers.responds(
        BookingView,
        RefusalCode.INVALID_WINDOW,
        RefusalCode.INVALID_GPUS,
        RefusalCode.INVALID_TIME_LIMIT,
        RefusalCode.BOOKING_CONFLICT,
        RefusalCode.BOOKING_OVER_QUOTA,
        RefusalCode.ALLOWANCE_SHORT,
        RefusalCode.IDEMPOTENCY_CONFLICT,
        status=201,
    ),
)
def book(asked: Signed, body: BookingBody, key: IdempotencyKey = None) -> Response:
    made = asked.service.commands.book(
        asked.caller,
        body.wish(),
        now=asked.now,
        command=asked.command(key, body),
        owner=asked.engineer(body.owner),
        request_id=asked.request_id,
    )
    return answers.one(asked.service.views.booking(asked.caller, made.id, asked.now), 201)


@router.get("", summary="List bookings by their starts", responses=answers.responds(BookingView, is_page=True))
def list_bookings(asked: Signed) -> Response:
    return answers.page(asked.service.views.bookings(asked.caller, asked.now))


@router.get("/{booking}", summary="Show a booking, and what of it went unused", responses=_ONE)
def show(asked: Signed, booking: str) -> Response:
    return answers.one(asked.service.views.booking(asked.caller, WorkloadId(booking), asked.now))


@router.post("/{booking}/cancel", summary="Give it back; late, that costs what the policy says", responses=_ONE)
def cancel(asked: Signed, booking: str) -> Response:
    known = asked.service.views.booking(asked.caller, WorkloadId(booking), asked.now)
    asked.service.commands.cancel(asked.caller, known.id, now=asked.now, request_id=asked.request_id)
    return answers.one(asked.service.views.booking(asked.caller, known.id, asked.now))
