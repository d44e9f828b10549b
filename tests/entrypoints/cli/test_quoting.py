"""`allot quote`: the answer first, then its cost, then what would be sooner; nothing is submitted."""

from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.domain.guards import GuardOf, GuardWindow, SpendGuard
from scheduler.domain.periods import to_datetime
from scheduler.domain.units import MS_PER_HOUR
from scheduler.entrypoints.cli.shown_quotes import show_quote
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.test_quotes import decided, fill
from tests.entrypoints.cli.conftest import WIDTH, Allot

QUOTE = ("quote", "-p", "atlas", "-c", "H100", "-t", "1h", "-g", "8")


def test_what_fits_would_start_now(allot: Allot, service: Service) -> None:
    decided(service)
    ran = allot(*QUOTE)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == "It would start now."
    assert [line.split(maxsplit=1) for line in lines[1:3]] == [
        ["starts", "now"],
        ["charged", "8.0 h for the whole time limit on H100"],
    ]
    paid = next(line for line in lines if line.startswith("paid with"))
    assert paid.split(maxsplit=2)[2] == "8.0 h from Project atlas"
    assert "/" not in paid, "an id says nothing to people"
    assert allot("list").out.startswith("No workloads.")


def test_what_waits_says_when_and_what_would_be_sooner(allot: Allot, service: Service) -> None:
    fill(service)
    ran = allot(*QUOTE)
    lines = ran.out.splitlines()
    assert lines[0] == "It would wait."
    assert "8 × H100" in lines[1]
    assert any(line.startswith("starts") and " to " in line for line in lines)
    assert "Sooner with" in lines
    assert [line.split() for line in lines if line.startswith("4 GPUs")] == [
        ["4", "GPUs", "instead", "of", "8", "now", "4.0", "h"]
    ]
    assert max(map(len, lines)) <= WIDTH


def test_what_would_start_beyond_a_soft_limit_is_warned_of_at_once(allot: Allot, service: Service) -> None:
    guard = SpendGuard("a day", GuardOf.ENGINEER, GuardWindow.DAY, soft=3 * MS_PER_HOUR)
    service.world.put_policy(replace(service.world.require_policy(), spend_guards=(guard,)))
    decided(service)
    lines = allot(*QUOTE).out.splitlines()
    assert lines[0] == "It would start now."
    said = " ".join(lines[1:]).split(" starts ", maxsplit=1)[0]
    assert said.startswith("Starts, but beyond the soft limit of the guard a day: 0.0 of 3.0 h of this day")


def test_a_quote_is_one_object_as_json_and_refused_as_a_submission_would_be(allot: Allot, service: Service) -> None:
    decided(service)
    assert allot(*QUOTE, "--json").json["starts_now"] is True
    refused = allot("quote", "-p", "atlas", "-c", "B200", "-t", "1h")
    assert (refused.code, "B200" in refused.err) == (1, True)


@pytest.mark.parametrize("command", [("quote",), ("submit", "--name", "w")])
def test_a_quote_of_an_image_that_is_not_allowed_is_refused_as_a_submission_would_be(
    allot: Allot, service: Service, command: tuple[str, ...]
) -> None:
    decided(service)
    refused = allot(*command, *QUOTE[1:], "--image", "evil.example.com/miner:1")
    assert (refused.code, "[unknown-image " in refused.err) == (1, True)


def test_a_quote_takes_the_options_of_a_submission(allot: Allot, service: Service) -> None:
    decided(service)
    first = allot("submit", *QUOTE[1:], "--name", "first", "--image", "registry.example.com/t:1", "--json").json
    begun = allot(*QUOTE, "--begin", "2026-11-21T06:00:00+01:00", "--grace", "2m", "--use-compensation", "--json")
    assert (begun.json["starts_now"], begun.json["reason"]) == (False, "BeginTime")
    assert begun.json["starts_from"] == "2026-11-21T05:00:00Z"
    followed = allot(*QUOTE, "--after", "first", "--json").json
    assert (followed["starts_now"], followed["reason"]) == (False, "Dependency")
    assert followed["sentence"] == f"Waiting for {first['name']} to complete."
    late = allot(
        *QUOTE, "--begin", "2026-11-21T06:00:00Z", "--finish-by", "2026-11-21T06:59:00Z", "--max-runtime", "2h"
    )
    assert (late.code, "could not use its time limit" in late.err) == (1, True)


def test_a_quote_of_an_array_tells_what_all_of_it_costs_and_what_each_index_holds(
    allot: Allot, service: Service
) -> None:
    decided(service)
    lines = [line.split(maxsplit=1) for line in allot(*QUOTE, "--array", "20%4").out.splitlines()]
    assert ["charged", "160.0 h for the whole time limit of 20 indexes on H100"] in lines
    assert any(line == ["held", "at start  8.0 h by each index, 4 of them at once"] for line in lines)
    asked = allot(*QUOTE, "--array", "20%4", "--json").json
    assert (asked["indexes"], asked["asked_hours"], asked["held_hours"]) == (20, "160.0", "8.0")


def test_a_quote_of_elastic_work_says_for_how_many_pods_hours_are_held(allot: Allot, service: Service) -> None:
    decided(service)
    lines = allot(*QUOTE[:-1], "2", "--pods", "4", "--min-pods", "1").out.splitlines()
    assert any(line.split() == ["held", "at", "start", "8.0", "h", "for", "4", "pods"] for line in lines), lines


def test_an_array_of_which_only_some_can_be_paid_says_so(allot: Allot, service: Service) -> None:
    decided(service)
    left = allot(*QUOTE, "--json").json["available_ms"] // MS_PER_HOUR
    lines = allot(*QUOTE, "--array", "2000").out.splitlines()
    assert f"enough for {left // 8} of 2,000 indexes" in " ".join(line.strip() for line in lines)


def test_what_may_start_on_either_class_has_a_line_for_each_within_the_terminal(
    allot: Allot, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    decided(service)
    found = allot(*QUOTE, "--json").json
    until = {"starts_from": "2026-11-20T13:00:00Z", "starts_until": "2026-11-20T18:30:00Z"}
    both = [{**each, **until, "gpu_class": name} for each in found["classes"] for name in ("H100", "A100")]
    show_quote({**found, **until, "starts_now": False, "classes": both})
    lines = capsys.readouterr().out.splitlines()
    table = lines[lines.index("It starts on whichever has room first") + 1 :]
    assert [line.split("  ")[0] for line in table] == ["GPU CLASS", "H100", "A100"]
    assert all("2026-11-20 13:00 to 18:30 UTC" in line and len(line) <= WIDTH for line in table[1:])


def test_a_gpu_class_may_be_called_class_wherever_one_is_asked_for(allot: Allot, service: Service) -> None:
    decided(service)
    assert allot("quote", "-p", "atlas", "--class", "H100", "-t", "1h", "--json").json["gpu_class"] == "H100"


def test_explain_forecasts_what_waits(allot: Allot, service: Service) -> None:
    made = allot(
        "submit", "-p", "atlas", "-c", "H100", "-t", "1h", "-g", "8", "--image", "registry.example.com/t:1", "--json"
    )
    fill(service)
    out = allot("explain", made.json["id"]).out
    assert "\nForecast\nIt would wait." in out
    assert "ageing" in out


def test_a_forecast_does_not_say_again_what_the_verdict_above_it_says(
    allot: Allot, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(service)
    found = allot(*QUOTE, "--json").json
    show_quote(found, f"{found['sentence']} {found['next_step']}".strip())
    answer, first, *_ = capsys.readouterr().out.splitlines()
    assert (answer, first.split()[0]) == ("It would wait.", "starts")


def test_instants_in_a_quote_s_sentences_are_told_as_people_read_them(capsys: pytest.CaptureFixture[str]) -> None:
    hours = {"asked_ms": MS_PER_HOUR, "held_ms": 0, "available_ms": 0, "overdraft_ms": 0}
    show_quote(
        {
            "starts_now": False,
            "starts_from": None,
            "victims": 0,
            "gpu_class": "H100",
            "sentence": "Before 2026-11-23T08:16:39.359Z it stops nobody.",
            "next_step": "",
            "warning": "Beyond the guard until 2026-11-24T00:00:00Z.",
            "confirmation": "",
            "payers": [],
            "cost": None,
            "currency": "",
            "sooner": [],
            "classes": [],
            "indexes": 1,
            "at_once": None,
            "held_pods": None,
            "booking_id": "",
            **hours,
        }
    )
    told = capsys.readouterr().out.splitlines()[1:3]
    assert told == ["Before 2026-11-23 08:16 UTC it stops nobody.", "Beyond the guard until 2026-11-24 00:00 UTC."]


@pytest.mark.parametrize("option", ["--begin", "--finish-by"])
def test_what_is_no_instant_is_refused_in_the_name_of_the_option(allot: Allot, service: Service, option: str) -> None:
    refused = allot(*QUOTE, option, "12/01")
    assert refused.code == 2
    assert option in refused.err
    assert "now+2hours" in refused.err
    assert "begin_at" not in refused.err


def test_the_words_of_slurm_are_read_by_the_clock_of_the_server(allot: Allot, service: Service) -> None:
    decided(service)
    now = to_datetime(service.clock.now())
    begun = allot(*QUOTE, "--begin", "now+2hours", "--json").json
    assert begun["starts_from"] == f"{now + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}"
    begun = allot(*QUOTE, "--begin", "tomorrow", "--json").json
    assert begun["starts_from"] == f"{now + timedelta(days=1):%Y-%m-%dT00:00:00Z}"
