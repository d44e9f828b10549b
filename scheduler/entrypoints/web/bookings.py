"""Bookings on the pages of who made them and of who runs the cluster: which are shown, and giving one back."""

from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from scheduler.domain.bookings import BookingPhase
from scheduler.domain.people import Engineer
from scheduler.domain.units import WorkloadId
from scheduler.entrypoints.web.pages import Form, Pages, local_path, see_other
from scheduler.entrypoints.web.visitors import signed_in
from scheduler.lifecycle.views.bookings import BookingView

AHEAD = (BookingPhase.BOOKED, BookingPhase.ACTIVE)
AHEAD_SHOWN = 100
_OVER_SHOWN = 3


def add_routes(router: APIRouter, pages: Pages) -> None:
    service = pages.service

    @router.post("/bookings/{booking_id}/cancel")
    def cancel(request: Request, booking_id: str, form: Form) -> Response:
        visitor, now = signed_in(request, service), service.clock.now()
        known = service.views.booking(visitor.caller, WorkloadId(booking_id), now)
        service.commands.cancel(visitor.caller, known.id, now=now)
        return see_other(local_path(form.get("then", ""), "/hours"))


def bookings_ahead(found: Sequence[BookingView]) -> list[BookingView]:
    """Those that are ahead or active, the next first."""
    return [each for each in found if each.phase in AHEAD][:AHEAD_SHOWN]


def own_bookings(found: Sequence[BookingView], engineer: Engineer) -> list[BookingView]:
    """Somebody's own: those ahead, and the last few that are over with what was charged and went unused."""
    own = [each for each in found if each.owner == engineer.subject]
    over = [each for each in own if each.phase not in AHEAD]
    return [*bookings_ahead(own), *reversed(over[-_OVER_SHOWN:])]
