"""`allot request` and `allot approvals`, as two people type them."""

import re
from pathlib import Path

from scheduler.entrypoints.running import Service
from tests.entrypoints.cli.conftest import Allot
from tests.entrypoints.company import engineer_id
from tests.entrypoints.two_persons import LOWERED, RAISED, want_two_persons


def test_hours_are_asked_for_lowered_and_given(allot: Allot) -> None:
    asked = allot("request", "hours", "40h", "--reason", "the ablations", "--json").json
    listed = allot("approvals", "list", who="fin")
    assert asked["hash"][:12] in listed.out
    assert "the ablations" in listed.out
    assert all(len(line) <= 80 for line in listed.out.splitlines())
    refused = allot("request", "approve", asked["hash"][:12])
    assert (refused.code, "role-required" in refused.err) == (4, True)
    given = allot("request", "approve", asked["hash"][:12], "--hours", "25h", who="fin")
    assert (given.code, "takes effect" in given.out) == (0, True)
    shown = allot("request", "show", asked["id"])
    assert "approved by fin (finance), 25.0 h of it" in shown.out
    assert "approved" in allot("request", "list").out


def test_an_extension_and_a_class_are_asked_for_and_withdrawn(allot: Allot, service: Service) -> None:
    own = f"tier/{engineer_id(service, 'ines')}/2026-W47"
    longer = allot(
        "request", "extension", own, "--lasts", "30d", "-r", "ill", "--hours", "5", "--json", who="ines"
    ).json
    wider = allot("request", "class", own, "H100", "-r", "too large", "--json", who="ines").json
    assert (longer["kind"], longer["allowance"], longer["amount_ms"]) == ("extension", own, 5 * 3_600_000)
    assert (wider["kind"], wider["gpu_classes"], wider["amount_ms"]) == ("class", ["H100"], None)
    assert "withdrawn" in allot("request", "withdraw", wider["id"], who="ines").out
    assert allot("request", "reject", longer["id"], "-r", "no", who="fin").code == 0
    assert [i["state"] for i in allot("request", "list", "--json", who="ines").json["items"]] == [
        "withdrawn",
        "rejected",
    ]


def test_a_grant_and_a_policy_wait_for_the_second_person(allot: Allot, service: Service, tmp_path: Path) -> None:
    want_two_persons(service)
    granted = allot("grant", "ada", "40h", "--reason", "paper", who="fin")
    waits, coverage, other = granted.out.splitlines()
    short = allot("approvals", "list", "--json", who="fin").json["items"][0]["hash"][:12]
    assert (granted.code, waits) == (0, f"Waits for a second person: grant of 40.0 h for ada, hash {short}.")
    assert other == f"Another (finance or operator) runs: allot approvals approve {short}"
    assert re.fullmatch(
        r"With it, most is promised of A100: \d+\.\d % in 2026-W\d\d \(\d+\.\d % without it\)\.", coverage
    )
    assert max(len(line) for line in (waits, coverage, other)) <= 80
    file = tmp_path / "next.yaml"
    file.write_text(RAISED, encoding="utf-8")
    applied = allot("policy", "apply", str(file), who="olga")
    assert "tiers.engineer.allowance_gpu_hours" in applied.out
    waiting = allot("approvals", "list", "--json", who="fin").json["items"]
    assert [item["kind"] for item in waiting] == ["grant", "policy"]
    shown = allot("approvals", "show", waiting[1]["hash"][:12], who="fin")
    assert "tiers.engineer.allowance_gpu_hours: 1000 → 1200" in shown.out
    assert re.search(r"coverage +H100 \d+\.\d % in 2026-W\d\d \(\d+\.\d % without it\)\n", shown.out)
    assert allot("approvals", "approve", waiting[0]["hash"][:12], who="olga").code == 0
    own = allot("approvals", "approve", waiting[1]["hash"][:12], who="olga")
    assert (own.code, "own-request" in own.err) == (4, True)
    assert "is in force" in allot("approvals", "approve", waiting[1]["hash"][:12], who="fin").out
    assert allot("approvals", "list", who="fin").out == "Nothing waits for you.\n"


def test_what_can_never_be_approved_any_more_says_so_in_the_list_and_by_itself(
    allot: Allot, service: Service, tmp_path: Path
) -> None:
    want_two_persons(service)
    for name, text in (("next.yaml", RAISED), ("less.yaml", LOWERED)):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert allot("policy", "apply", str(tmp_path / name), who="olga").code == 0
    listed, said = allot("approvals", "list", who="fin").out, "can no longer be approved: it was proposed on top of"
    assert said in " ".join(listed.split())
    assert max(map(len, listed.splitlines())) <= 80
    name = allot("approvals", "list", "--json", who="fin").json["items"][0]["id"]
    assert re.search(r"waits in vain +it was proposed on top of", allot("approvals", "show", name, who="fin").out)


def test_a_grant_that_needs_nobody_and_a_list_of_what_waits_tell_coverage(allot: Allot, service: Service) -> None:
    made = allot("grant", "ada", "40h", "--reason", "paper", "--gpu-class", "H100", who="fin").out.splitlines()
    now = next(each for each in allot("coverage", "--json", who="fin").json["fullest"] if each["gpu_class"] == "H100")
    assert re.fullmatch(r"With it, most is promised of H100: \d+\.\d % in 2026-W\d\d\.", made[1])
    assert f"{now['ratio_per_mille'] // 10}." in made[1]
    promised = allot("grant", "compensation", "ada", "300h", "--reason", "x", who="pam").out
    assert "With it, most is promised of A100: " in promised
    assert "promised of" not in allot("grant", "ada", "40", "--unit", "tokens", "--reason", "x", who="fin").out

    want_two_persons(service)
    waiting = allot("grant", "ada", "40h", "--reason", "paper", who="fin").out.splitlines()[1].rstrip(".")
    assert waiting in " ".join(allot("approvals", "list", who="fin").out.split())


def test_coverage_is_a_table_within_eighty_columns(allot: Allot) -> None:
    shown = allot("coverage", "--period", "2026-W48", who="fin")
    assert (shown.code, "DELIVERABLE" in shown.out, "nothing is refused" in " ".join(shown.out.split())) == (
        0,
        True,
        True,
    )
    assert all(len(line) <= 80 for line in shown.out.splitlines())
    found = allot("coverage", "--period", "2026-W48", "--json", who="fin").json
    assert [each["gpu_class"] for each in found["classes"]] == ["A100", "H100", "L40S"]
    assert found["ratio_max_per_mille"] is None


def test_hours_of_a_class_and_tokens_are_granted_asked_for_and_lowered(allot: Allot) -> None:
    granted = allot("grant", "ada", "40h", "--unit", "gpu/H100", "--reason", "paper", "--lasts", "30d", who="fin")
    assert (granted.code, "Granted 40.0 h H100 to ada" in granted.out) == (0, True)
    tokens = allot("grant", "research", "5000000", "--team", "--unit", "tokens/llama", "-r", "x", "--json", who="fin")
    assert (tokens.json["unit"], tokens.json["shown"]) == ("tokens/llama", "5 000 000 tokens of llama")
    refused = allot("grant", "ada", "0.5", "--unit", "tokens", "--reason", "x", who="fin")
    assert (refused.code, "invalid-amount" in refused.err) == (2, True)
    asked = allot("request", "hours", "900", "--unit", "tokens", "--reason", "evaluations", "--json").json
    assert (asked["unit"], asked["quantity"], asked["amount_ms"]) == ("tokens", 900, None)
    assert "900 tokens" in allot("approvals", "list", who="fin").out
    assert allot("approvals", "approve", asked["id"], "--amount", "300", who="fin").code == 0
    assert "300 tokens of it" in allot("request", "show", asked["id"]).out


def test_whoever_approves_pay_reads_when_it_vests_and_what_it_pays(allot: Allot, service: Service) -> None:
    want_two_persons(service)
    plain = ("grant", "compensation", "ada", "300h", "--reason", "offer")
    allot(*plain, "--months", "48", "--cliff", "12", "--start", "2026-12-01T00:00:00Z", who="pam")
    parts = "2027-01-01T00:00:00Z=100h,2027-07-01T00:00:00Z=200h"
    allot(*plain, "--parts", parts, who="pam")
    allot("grant", "ada", "40h", "--reason", "paper", who="fin")
    told = [
        " ".join(allot("approvals", "show", item["id"], who="aud").out.split())
        for item in allot("approvals", "list", "--json", who="aud").json["items"]
        if item["kind"] == "package"
    ]
    second, first = sorted(told, key=lambda text: "stated parts" not in text)
    assert "how much 300.0 h" in first
    assert "vests every month over 48 months, nothing before 12 months" in first
    assert "begins on 2026-12-01T00:00:00Z; pays personal work" in first
    assert "in 2 stated parts: 100.0 h at 2027-01-01T00:00:00Z, 200.0 h at 2027-07-01T00:00:00Z" in second
    assert "begins when it is approved" in second
    assert "package annual, standard" in second
    assert "standard-gpu-ms" not in second
    (granted,) = [i for i in allot("approvals", "list", "--json", who="fin").json["items"] if i["kind"] == "grant"]
    assert granted["terms"] == []
