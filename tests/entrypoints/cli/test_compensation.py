"""Packages of compensation from the command line: promised, listed, frozen, clawed back; and what is refused."""

import csv

import pytest

from scheduler.domain.units import AMOUNT_MAX
from tests.entrypoints.cli.conftest import Allot

REASON = ("--reason", "the offer")


def test_a_package_is_promised_listed_shown_frozen_and_clawed_back(allot: Allot) -> None:
    made = allot("grant", "compensation", "ada", "120h", "--a-year", *REASON, "--json", who="pam").json
    assert (made["total_quantity"], made["vested_quantity"], made["unit"]) == (480 * 3_600_000, 0, "standard")
    assert sum(part["quantity"] for part in made["parts"]) == made["total_quantity"]
    assert len(made["parts"]) == 37
    listed = allot("vesting", "list").out.splitlines()
    assert listed[1].split()[:5] == [made["allowance_id"], "Ada", "480.0", "h", "0.0"]
    shown = allot("vesting", "show", made["allowance_id"]).out
    assert "120.0 h" in shown
    assert "promised" in shown
    frozen = allot("allowance", "freeze", made["allowance_id"], "--reason", "a dispute", who="pam")
    assert (frozen.code, frozen.out) == (0, f"{made['allowance_id']} is frozen.\n")
    assert "frozen" in allot("vesting", "show", made["allowance_id"]).out
    assert allot("allowance", "unfreeze", made["allowance_id"], "--reason", "settled", who="pam").code == 0
    taken = allot("vesting", "claw-back", "ada", "--reason", "left", "--json", who="pam").json
    assert taken["items"] == [{"allowance_id": made["allowance_id"], "taken": made["total_quantity"]}]
    found = allot("statement", "--json").json
    assert (found["clawed_back_ms"], found["promised_ms"], found["vested_ms"]) == (made["total_quantity"], 0, 0)
    assert allot("vesting", "claw-back", "ada", "--reason", "left", who="pam").out == "Nothing was left to vest.\n"


def test_other_units_are_stated_by_themselves(allot: Allot) -> None:
    asked = ("grant", "compensation", "ada", "5000000", "--unit", "tokens/llama", "--months", "0", *REASON)
    assert allot(*asked, who="pam").code == 0
    (other,) = allot("statement", "--json").json["others"]
    assert (other["unit"], other["shown"]["closing"]) == ("tokens/llama", "5 000 000 tokens of llama")
    assert "tokens/llama: vested 5 000 000 tokens of llama" in allot("statement").out.replace("\n", " ")
    company = " ".join(allot("statement", "--owner", "company", who="fin").out.split())
    assert "11-20 12:00 Ada Vested: part 1 of 1: 5 000 000 tokens of llama" in company
    assert "11-15 23:00 project atlas Granted: 2026-W47" in company
    rows = csv.DictReader(allot("statement", "--csv").out.splitlines())
    stated = [(row["kind"], row["in_quantity"], row["out_quantity"]) for row in rows if row["unit"] == "tokens/llama"]
    assert stated == [("opening", "0", ""), ("vest", "5000000", ""), ("held", "0", ""), ("closing", "", "5000000")]


def test_parts_may_be_given(allot: Allot) -> None:
    parts = "2027-01-01T00:00:00Z=100h,2027-07-01T00:00:00Z=200h"
    made = allot("grant", "compensation", "ada", "300h", "--parts", parts, *REASON, "--json", who="pam").json
    assert [part["at"] for part in made["parts"]] == ["2027-01-01T00:00:00Z", "2027-07-01T00:00:00Z"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("0h",), "invalid-amount"),
        (("-1h",), "invalid-amount"),
        (("0.1",), "invalid-amount"),
        ((str(2**63),), "invalid-amount"),
        (("0.1", "--unit", "tokens"), "invalid-amount"),
        (("0", "--unit", "EUR"), "invalid-amount"),
        (("5h", "--parts", "2027-01-01T00:00:00Z=4h"), "schedule-sum"),
        (("5h", "--parts", "tomorrow"), "invalid-schedule"),
        (("5h", "--parts", "2027-01-01T00:00:00Z=5h", "--months", "48"), "invalid-schedule"),
        (("5h", "--parts", "2027-01-01T00:00:00Z=5h", "--quarterly"), "invalid-schedule"),
        (("5h", "--parts", "2027-01-01T00:00:00Z=5h", "--a-year"), "invalid-schedule"),
        (("5h", "--expires", "2020-01-01T00:00:00Z"), "expiry-before-grant"),
        (("5h", "--months", "7", "--quarterly"), "invalid-schedule"),
        (("5h", "--months", "6", "--cliff", "12"), "invalid-schedule"),
        (("5h", "--unit", "gpu/B300"), "unknown-gpu-class"),
        (("5h", "--unit", "moons"), "unknown-unit"),
        (("5.00", "--unit", "JPY"), "unknown-currency"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_bad_input_is_refused_with_a_code(allot: Allot, arguments: tuple[str, ...], code: str) -> None:
    ran = allot("grant", "compensation", *REASON, *arguments[1:], "--", "ada", arguments[0], who="pam")
    assert ran.code != 0
    assert code in ran.err
    assert allot("vesting", "list").out == "No packages.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--unit", "tokens", "--", "ada", str(2**63)), f"a whole number above zero, below {AMOUNT_MAX}"),
        (
            ("--expires", "01/01/2027", "--", "ada", "5h"),
            "--expires: '01/01/2027' cannot be read; expected an instant",
        ),
    ],
    ids=["too many", "a day in numbers"],
)
def test_a_refusal_says_what_would_have_been_right(allot: Allot, arguments: tuple[str, ...], said: str) -> None:
    assert said in allot("grant", "adhoc", *REASON, *arguments, who="fin").err.replace("\n       ", " ")


def test_only_people_operations_promise(allot: Allot) -> None:
    assert allot("grant", "compensation", "ada", "5h", *REASON, who="fin").code == 4
    assert allot("grant", "compensation", "bob", "5h", *REASON, who="ada").code == 4


def test_grants_of_hours_go_on_as_before(allot: Allot) -> None:
    assert allot("grant", "ada", "5h", *REASON, who="fin").out.startswith("Granted 5.0 h to ada as ")
    assert "compensation" in allot("grant", "--help").out


def test_hours_are_passed_on_where_the_tier_allows_it(allot: Allot) -> None:
    granted = allot("grant", "ada", "5h", *REASON, "--json", who="fin").json["id"]
    ran = allot("allowance", "transfer", granted, "bob", "2h", *REASON)
    assert (ran.code, "transfer-not-allowed" in ran.err) == (4, True), "its tier says nothing of transfers"
    itself = allot("allowance", "transfer", granted, "ada", "2h", *REASON)
    assert (itself.code != 0, "transfer-to-self" in itself.err) == (True, True)
    assert "transfer-not-allowed" in allot("allowance", "donate", granted, "research", "2h", *REASON).err
