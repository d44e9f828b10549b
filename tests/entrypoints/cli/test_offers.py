"""What an offer letter says, and the statement that its holder takes away."""

import json
from pathlib import Path

import pytest

from scheduler.adapters.policy_files import read_prices
from scheduler.entrypoints.api.app import create_app
from scheduler.entrypoints.running import Service
from tests.entrypoints.api.schemas import wrong
from tests.entrypoints.cli.conftest import Allot, Audited
from tests.entrypoints.company import NOON, POLICY, SYSTEM

OFFER = ("statement", "offer", "2000h", "--a-year", "--tier", "engineer")


def test_an_offer_says_how_much_when_on_what_terms_and_what_it_is_worth(allot: Allot) -> None:
    found = allot(*OFFER, "--gpu-class", "H100", "--json", who="pam").json
    assert (found["total_text"], found["a_year_text"]) == ("8 000.0 h", "2 000.0 h a year")
    assert (found["schedule"], found["gpu_classes"]) == (
        "every month over 48 months, nothing before 12 months",
        ["H100"],
    )
    assert sum(part["quantity"] for part in found["parts"]) == found["total_quantity"] == 8_000 * 3_600_000
    assert (found["wait_p95_ms"], found["wait_of_starts"]) == (None, 0)
    assert found["value_today"]["basis"] == "there is no price book"
    assert "taken back" in found["on_leaving"]
    assert [each["gpu_class"] for each in found["coverage"]] == ["H100"]
    (ahead,) = found["fullest"]
    assert (ahead["gpu_class"], ahead["ratio_per_mille"] >= found["coverage"][0]["ratio_per_mille"]) == ("H100", True)
    assert allot("vesting", "list", "--owner", "company", who="pam").out == "No packages.\n"


def test_an_offer_is_text_for_a_letter(allot: Allot) -> None:
    out = allot(*OFFER, who="fin").out
    assert out.startswith("8 000.0 h of compute, annual\n")
    assert "every month over 48 months" in out
    assert "not known" in out
    assert "H100 promised to" in out
    assert "%; with this, at most, in 20" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80


def test_an_offer_states_the_coverage_ahead_with_what_it_would_promise(allot: Allot) -> None:
    def ahead(hours: str) -> int:
        (found,) = allot("statement", "offer", hours, "--gpu-class", "H100", "--json", who="pam").json["fullest"]
        return int(found["ratio_per_mille"])

    assert ahead("10000000h") > 2 * ahead("1h")


def test_an_offer_of_one_class_or_of_tokens_names_no_other_class(allot: Allot) -> None:
    def said(amount: str, unit: str) -> tuple[str, list[str], list[str]]:
        found = allot("statement", "offer", amount, "--unit", unit, "--json", who="pam").json
        return found["terms"][1], *([each["gpu_class"] for each in found[name]] for name in ("coverage", "fullest"))

    assert said("100h", "gpu/H100") == ("only H100", ["H100"], ["H100"])
    assert said("1000", "tokens/llama") == ("only llama", [], [])
    assert said("1000", "tokens") == ("any model", [], [])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("5h", "--parts", "2027-01-01T00:00:00Z=4h"), "schedule-sum"),
        (("5h", "--tier", "nobility"), "unknown-tier"),
        (("5h", "--expires", "2020-01-01T00:00:00Z"), "expiry-before-grant"),
        (("0h",), "invalid-amount"),
    ],
)
def test_an_offer_refuses_what_its_grant_would(allot: Allot, arguments: tuple[str, ...], code: str) -> None:
    ran = allot("statement", "offer", *arguments, who="pam")
    assert (ran.code != 0, code in ran.err) == (True, True)


def test_only_people_and_finance_make_offers(allot: Allot) -> None:
    assert allot(*OFFER, who="ada").code == 4


def test_a_signed_statement_is_verified_offline_and_every_change_is_found(audited: Audited, tmp_path: Path) -> None:
    granted = audited.run("grant", "compensation", "ada", "100h", "--months", "0", "-r", "offer", who="pam")
    assert granted.code == 0
    file = tmp_path / "ada.json"
    signed = audited.run("statement", "sign", "--output", str(file), "--json", who="ada")
    assert signed.code == 0
    key = signed.json["key"]
    found = audited.run("statement", "verify", str(file), "--key", key, "--json", who=None)
    assert (found.code, found.json["ok"], found.json["is_pinned"]) == (0, True, True)
    statement = found.json["statement"]
    assert (statement["vested_hours"], statement["closing_hours"]) == ("100.0", "1100.0")
    assert [package["vested"] for package in statement["packages"]] == ["100.0 h"]
    assert "as it was signed" in audited.run("statement", "verify", str(file), who=None).out

    other = audited.run("statement", "verify", str(file), "--key", "00" * 32, who=None)
    assert (other.code, "another key" in other.out) == (1, True)
    content = json.loads(file.read_text())
    described = create_app(audited.service).openapi()
    media = described["paths"]["/v1/statement/signed"]["get"]["responses"]["200"]["content"]["application/json"]
    assert list(wrong(content, media["schema"], described)) == []
    content["statement"]["closing_ms"] += 1
    file.write_text(json.dumps(content))
    changed = audited.run("statement", "verify", str(file), "--key", key, "--json", who=None)
    assert (changed.code, changed.json["ok"], changed.json["statement"]) == (1, False, None)


def test_a_statement_has_what_a_grant_by_hand_is_worth_then_and_now(allot: Allot, service: Service) -> None:
    text = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
    service.pricing.apply(SYSTEM, text, read_prices(text, "prices.yaml"), now=NOON)
    assert allot("grant", "ada", "40h", "--reason", "a deadline", who="fin").code == 0
    period = ("--period", "2026-11")
    (grant,) = allot("statement", *period, "--json").json["grants"]
    assert (grant["total"], grant["left"]) == ("40.0 h", "40.0 h")
    assert (grant["value_at_grant"]["value"], grant["value_now"]["value"]) == ("144.00", "144.00")
    said = " ".join(allot("statement", *period).out.split())
    assert (
        f"Grant of 40.0 h ({grant['allowance_id']}): 40.0 h left; worth 144.00 EUR when granted, worth 144.00 EUR now."
        in said
    )


def test_what_was_clawed_back_of_a_package_is_worth_nothing_now(allot: Allot, service: Service) -> None:
    text = (POLICY.parents[2] / "policies/prices.yaml").read_text(encoding="utf-8")
    service.pricing.apply(SYSTEM, text, read_prices(text, "prices.yaml"), now=NOON)
    terms = ("--start", "2026-10-15T00:00:00+02:00", "--months", "4", "--cliff", "0")
    assert allot("grant", "compensation", "ada", "40h", *terms, "--reason", "offer", who="pam").code == 0
    period = ("--period", "2026-11")
    (before,) = allot("statement", *period, "--json").json["packages"]
    assert (before["clawed_back"], before["value_now"]["value"]) == ("", "144.00")
    assert allot("vesting", "claw-back", "ada", "--reason", "left", who="pam").code == 0
    (after,) = allot("statement", *period, "--json").json["packages"]
    assert (after["value_at_grant"]["value"], after["value_now"]["value"]) == ("144.00", "36.00")
    said = " ".join(allot("statement", *period).out.split())
    assert "10.0 h vested, 30.0 h clawed back; worth 144.00 EUR when granted, worth 36.00 EUR now." in said
    assert "clawed back 30.0 h" in " ".join(allot("vesting", "show", after["allowance_id"]).out.split())


def test_what_is_no_file_or_no_key_is_said(audited: Audited, tmp_path: Path) -> None:
    gone = audited.run("statement", "verify", str(tmp_path / "gone.json"), who=None)
    assert gone.code == 2
    (tmp_path / "noise").write_bytes(b"\xff\x00")
    assert audited.run("statement", "verify", str(tmp_path / "noise"), who=None).code == 1
    assert audited.run("statement", "verify", str(tmp_path / "noise"), "--key", "none.pem", who=None).code == 2
    audited.service.publisher = None
    refused = audited.run("statement", "sign", "--output", str(tmp_path / "x.json"), who="ada")
    assert (refused.code, "heads-unavailable" in refused.err) == (5, True)
