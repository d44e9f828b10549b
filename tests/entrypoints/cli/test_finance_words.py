"""What finance reads and is told on the command line: hours, money and names, never parts of them and ids."""

from pathlib import Path

import pytest

from scheduler.adapters.policy_files import read_prices
from scheduler.entrypoints.cli.insight import months_of_use
from scheduler.entrypoints.running import Service
from tests.entrypoints.cli.conftest import Allot
from tests.entrypoints.company import NOON, POLICY, SYSTEM
from tests.entrypoints.two_persons import want_two_persons

PRICES = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
"""Of H100, A100 and L40S, which are the classes of the policy."""

NOT_OURS = PRICES.replace("gpu_class: H100", "gpu_class: B200").replace("gpu_class: A100", "gpu_class: B300")
NOT_OURS = NOT_OURS.replace("gpu_class: L40S", "gpu_class: l40s")


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def priced(service: Service) -> None:
    service.pricing.apply(SYSTEM, PRICES, read_prices(PRICES, "prices.yaml"), now=NOON)


@pytest.mark.usefixtures("priced")
@pytest.mark.parametrize(
    ("year", "said"),
    [
        ("26", "year is '26'; expected a year of four digits, such as 2026"),
        ("2026-11", "year is '2026-11'; expected a year of four digits, such as 2026"),
        ("0999", "'0999' is no tax year; expected a year from 1970 to 8999, such as 2026"),
        ("9999", "'9999' is no tax year; expected a year from 1970 to 8999, such as 2026"),
        ("２０２６", "'２０２６' is no tax year; expected a year from 1970 to 8999, such as 2026"),
    ],
)
def test_what_is_no_tax_year_is_told_what_one_is(allot: Allot, year: str, said: str) -> None:
    ran = allot("statement", "fringe", "--year", year, "--owner", "ada", who="fin")
    assert (ran.code, ran.out, said in flat(ran.err), "invalid-value" in ran.err) == (1, "", True, True), ran.err


@pytest.mark.usefixtures("priced")
def test_the_fringe_benefits_of_somebody_forgotten_are_those_of_their_opaque_id(allot: Allot) -> None:
    said = allot("people", "forget", "ada", "--yes", who="pam").out
    owner = said.partition(" ")[0]
    ran = allot("statement", "fringe", "--year", "2026", "--owner", owner, who="fin")
    assert ran.out.startswith(f"Fringe benefits of {owner}, 2026, EUR")


@pytest.mark.parametrize("wants_two", [False, True], ids=["one person", "two persons"])
@pytest.mark.usefixtures("priced")
def test_prices_of_none_of_our_gpu_classes_are_refused_and_those_in_force_stay(
    allot: Allot, service: Service, tmp_path: Path, wants_two: bool
) -> None:
    if wants_two:
        want_two_persons(service)
    before = allot("prices", "list", "--json", who="fin").json
    (tmp_path / "wrong.yaml").write_text(NOT_OURS, encoding="utf-8")
    ran = allot("prices", "apply", str(tmp_path / "wrong.yaml"), who="fin")
    assert (ran.code, ran.out, "no-class-priced" in ran.err) == (1, "", True)
    said = (
        "wrong.yaml prices B200, B300, l40s, and no GPU class of the policy; expected a rate of A100 or H100 or L40S"
    )
    assert said in flat(ran.err)
    assert allot("prices", "list", "--json", who="fin").json == before
    assert allot("approvals", "list", who="fin").out == "Nothing waits for you.\n"


def test_prices_of_some_of_our_gpu_classes_come_into_force_and_the_others_are_named(
    allot: Allot, tmp_path: Path
) -> None:
    file = tmp_path / "some.yaml"
    file.write_text(PRICES.replace("gpu_class: A100", "gpu_class: A1OO"), encoding="utf-8")
    ran = allot("prices", "apply", str(file), who="fin")
    assert ran.code == 0, ran.err
    assert "some.yaml is in force" in flat(ran.out)
    assert "by fin. No price of A100: their hours have no cost and no export." in flat(ran.out)
    assert "The policy has no GPU class A1OO: look whether that is spelled right." in flat(ran.out)
    told = allot("prices", "apply", str(file), "--json", who="fin").json
    assert (told["unpriced"], told["unknown"]) == (["A100"], ["GPU class A1OO"])
    assert "fin" in allot("prices", "list", who="fin").out
    file.write_text(PRICES, encoding="utf-8")
    said = allot("prices", "apply", str(file), who="fin").out
    assert "No price" not in said
    assert "The policy has no" not in said
    file.write_text(PRICES.replace("pool: evals", "pool: evla"), encoding="utf-8")
    assert "The policy has no pool evla" in flat(allot("prices", "apply", str(file), who="fin").out)


def test_a_closed_period_is_shown_in_hours_and_with_the_name_of_who_closed_it(allot: Allot, service: Service) -> None:
    assert allot("period", "close", "2026-10", who="fin").code == 0
    shown = allot("period", "show", "2026-10", who="fin")
    assert "sums" not in shown.out
    assert "_gpu_ms" not in shown.out
    rows = dict(line.split("  ", 1) for line in shown.out.splitlines()[1:])
    told = {name: value.strip() for name, value in rows.items()}
    assert told["by"] == "fin (finance)"
    assert (told["charged"], told["held by pods"], told["differences"]) == ("0.0 GPU-h", "0.0 GPU-h", "0")
    assert allot("period", "show", "2026-10", "--json", who="fin").json["by"] == "fin"
    assert [step["by"] for step in allot("period", "list", "--json", who="fin").json["items"]] == ["fin", "fin"]
    with service.store.reading() as books:
        assert {step.by[:2] for step in books.periods.steps()} == {"e-"}, "an opaque id stands in the books"


@pytest.mark.usefixtures("priced")
def test_more_paid_back_than_was_paid_is_refused_in_money(allot: Allot) -> None:
    assert allot("payment", "ada", "120.50", who="fin").code == 0
    ran = allot("payment", "ada", "200.00", "--paid-back", who="fin")
    assert "more would be paid back than was paid; expected at most the 120.50 EUR that were paid" in flat(ran.err)
    events = allot("audit", "log", "--json", who="aud").json["items"]
    assert [event["after"] for event in events if event["verb"] == "record payment"] == ["120.50 EUR"]


@pytest.mark.parametrize(
    ("asked", "unit", "approved", "said"),
    [
        ("40h", "standard", "50h", "50.0 h is not within what was asked; expected at most 40.0 h"),
        ("900", "tokens", "901", "901 tokens is not within what was asked; expected at most 900 tokens"),
    ],
    ids=["hours", "tokens"],
)
def test_approving_more_than_was_asked_is_refused_as_people_count(
    allot: Allot, asked: str, unit: str, approved: str, said: str
) -> None:
    request = allot("request", "hours", asked, "--unit", unit, "--reason", "x", "--json").json["id"]
    ran = allot("approvals", "approve", request, "--amount", approved, who="fin")
    assert (ran.code, said in flat(ran.err)) == (1, True), ran.err


@pytest.mark.usefixtures("priced")
@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("prices", "hour", "--gpu-class", "H100", "--pool", "research"), "--at"),
        (("statement", "--to", "tomorrow"), "--from"),
        (("statement", "--from", "yesterday"), "--to"),
        (("payment", "ada", "10.00"), "--on"),
        (("statement", "offer", "480h"), "--start"),
        (("statement", "offer", "480h"), "--expires"),
    ],
)
def test_every_instant_is_typed_as_every_other(allot: Allot, arguments: tuple[str, ...], option: str) -> None:
    for typed in ("now", "22:00", "today", "now+2hours", "2026-12-01"):
        ran = allot(*arguments, option, typed, who="fin")
        assert "cannot be read" not in ran.err
    ran = allot(*arguments, option, "someday", who="fin")
    assert (ran.code, f"{option}: 'someday' cannot be read; expected an instant" in flat(ran.err)) == (2, True), (
        ran.err
    )


@pytest.mark.usefixtures("priced")
def test_an_hour_a_day_and_a_part_of_a_schedule_are_those_that_were_typed(allot: Allot) -> None:
    hour = allot("prices", "hour", "--gpu-class", "H100", "--pool", "research", "--at", "22:00", "--json", who="fin")
    assert hour.json["at"].endswith("T22:00:00Z")
    days = allot("statement", "--from", "yesterday", "--to", "tomorrow", "--owner", "ada", who="fin")
    assert days.out.startswith("Statement of Ada, research, 2026-1"), days.out
    hours = allot("statement", "--from", "now-2hours", "--to", "now", "--owner", "ada", who="fin")
    assert " UTC to 2026-1" in hours.out.splitlines()[0]
    ran = allot("statement", "--from", "now", "--to", "now-1h", "--owner", "ada", who="fin")
    assert (ran.code, "ends no later than it begins; expected an end after its begin" in flat(ran.err)) == (1, True)
    offered = allot("statement", "offer", "5h", "--parts", "2027-01-01=5h", "--json", who="fin").json
    assert (offered["schedule"], offered["parts"][0]["at"]) == ("in 1 stated part", "2027-01-01T00:00:00Z")


def spread(month: str, team: str, gini: int | None) -> dict[str, object]:
    used = {"people": 2, "gini_permille": gini, "jain_permille": gini, "top_decile_permille": gini}
    return {"period": month, "by": "team", "group": team, "used": used}


def test_months_in_which_nobody_used_a_gpu_are_one_line_and_no_table(allot: Allot) -> None:
    items = [spread("2026-11", "a", 250), spread("2026-11", "b", None), spread("2026-10", "a", None)]
    rows, unused = months_of_use(items)
    assert ([row[:2] for row in rows], unused) == ([("2026-11", "team a"), ("2026-11", "team b")], ["2026-10"])
    assert allot("fairness", who="fin").out == "Nobody used a GPU in these months.\n"


def test_parts_that_miss_the_amount_are_told_in_hours(allot: Allot) -> None:
    parts = ("--parts", "2027-01-01T00:00:00Z=4h59m")
    ran = allot("grant", "compensation", "ada", "5h", *parts, "--reason", "x", who="pam")
    assert (ran.code, "schedule-sum" in ran.err) == (1, True)
    assert "the parts of the schedule sum to 4 h 59 min, and the amount is 5.0 h" in flat(ran.err)


@pytest.mark.usefixtures("priced")
def test_who_proposes_prices_is_told_how_many_they_change(allot: Allot, service: Service, tmp_path: Path) -> None:
    want_two_persons(service)
    (tmp_path / "next.yaml").write_text(PRICES.replace("effective: 2.50", "effective: 2.40"), encoding="utf-8")
    ran = allot("prices", "apply", str(tmp_path / "next.yaml"), who="fin")
    assert "Waits for a second person: prices of next.yaml" in ran.out
    assert "It changes 1 price." in ran.out
