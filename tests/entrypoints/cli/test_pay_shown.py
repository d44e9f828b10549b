"""How a quote names what pay pays at the terms of its grant, beside what is charged in standard time."""

from typing import Any

import pytest

from scheduler.entrypoints.cli.shown_quotes import show_quote

PAYER = {"shown": "1.0 h", "name": "Compensation, of Ada", "terms": "for 2.0 h at the terms of its grant"}
QUOTE: dict[str, Any] = {
    "indexes": 1,
    "at_once": None,
    "held_pods": None,
    "booking_id": "",
    "starts_now": True,
    "sentence": "",
    "next_step": "",
    "gpu_class": "H100",
    "asked_ms": 7_200_000,
    "held_ms": 7_200_000,
    "available_ms": 450_720_000,
    "overdraft_ms": 0,
    "cost": None,
    "currency": "EUR",
    "sooner": [],
    "warning": "",
    "confirmation": "",
    "classes": [],
}


def test_work_inside_a_booking_is_said_to_be_paid_by_it(capsys: pytest.CaptureFixture[str]) -> None:
    show_quote({**QUOTE, "payers": [], "booking_id": "w-7"})
    paid = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("paid with"))
    assert paid.split(maxsplit=2)[2] == "the booking w-7, inside which it starts"


@pytest.mark.parametrize(
    ("payer", "paid", "available"),
    [
        (
            PAYER,
            "1.0 h from Compensation, of Ada for 2.0 h at the terms of its grant",
            "125.2 h, pay counted as what it buys",
        ),
        ({**PAYER, "terms": ""}, "1.0 h from Compensation, of Ada", "125.2 h"),
    ],
)
def test_pay_at_kept_terms_is_said_with_what_it_pays_for(
    payer: dict[str, str], paid: str, available: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_quote({**QUOTE, "payers": [payer]})
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    text = " ".join(lines)
    assert f"paid with {paid} available" in text
    assert f"available {available} money" in text
