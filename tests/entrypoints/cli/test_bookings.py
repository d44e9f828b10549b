"""Booking from the command line: what is printed, what is refused, and what it costs to give it back."""

from scheduler.domain.periods import iso
from scheduler.domain.units import MS_PER_HOUR, Instant
from scheduler.entrypoints.cli.exits import ExitCode
from scheduler.entrypoints.running import Service
from tests.entrypoints.cli.conftest import Allot

BOOK = ("book", "-p", "atlas", "--class", "H100", "--gpus", "4", "--for", "2h", "--from")


def in_hours(service: Service, hours: float) -> str:
    return iso(Instant(service.clock.now() + int(hours * MS_PER_HOUR)))


def test_a_booking_is_made_listed_shown_and_given_back(allot: Allot, service: Service) -> None:
    made = allot(*BOOK, in_hours(service, 48), "--json")
    assert made.code == 0, made.err
    booking = made.json
    assert (booking["phase"], booking["gpus"], booking["held_ms"]) == ("booked", 4, 8 * MS_PER_HOUR)

    [listed] = allot("booking", "list", "--json").json["items"]
    assert listed["id"] == booking["id"]
    lines = allot("booking", "list").out.splitlines()
    assert lines[0].split()[:3] == ["BOOKING", "PHASE", "GPUS"]
    assert max(map(len, lines)) <= 80
    assert "4 × H100" in allot("booking", "show", booking["id"]).out

    cancelled = allot("booking", "cancel", booking["id"])
    assert cancelled.out == f"{booking['id']} is cancelled; 0.0 h were charged for it.\n"
    assert allot("booking", "show", booking["id"], "--json").json["phase"] == "cancelled"


def test_a_late_cancellation_says_before_what_it_costs(allot: Allot, service: Service) -> None:
    booking = allot(*BOOK, in_hours(service, 2), "--json").json
    assert booking["late_fee_ms"] == 4 * MS_PER_HOUR

    assert allot("booking", "cancel", booking["id"]).code == 0

    assert allot("booking", "show", booking["id"], "--json").json["charged_ms"] == 4 * MS_PER_HOUR


def test_what_cannot_be_booked_is_refused_with_its_code(allot: Allot, service: Service) -> None:
    past = allot(*BOOK, in_hours(service, -1))
    assert (past.code, "invalid-window" in past.err) == (ExitCode.REFUSED, True)
    assert "--from: 'soon' cannot be read" in allot(*BOOK, "soon").err
    assert "unknown-booking" in allot("booking", "show", "bk-none").err
