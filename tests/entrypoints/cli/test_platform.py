"""Hours, policies, people, brakes, tokens and the doctor from the command line."""

import csv
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from scheduler.domain.cluster import Taint
from scheduler.domain.reasons import Reason
from scheduler.domain.units import NodeName
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.views.unit_shapes import ReturnedView
from tests.entrypoints.cli.conftest import Allot
from tests.entrypoints.company import POLICY, token_of

NARROW = "\u202f"


def test_the_balance_is_the_hours_that_are_left(allot: Allot) -> None:
    lines = allot("balance").out.splitlines()
    assert lines[0] == f"1{NARROW}000.0 h left"
    assert lines[1].split(maxsplit=1) == ["who", "Ada, research, tier engineer"]
    assert any(line.startswith("Tier, 2026-W47") for line in lines)


def test_a_grant_says_how_much_to_whom_and_until_when(allot: Allot) -> None:
    ran = allot("grant", "ada", "40h", "--reason", "the paper", "--expires", "2027-01-01T00:00:00Z", who="fin")
    assert ran.code == 0
    first, coverage = ran.out.splitlines()
    assert first.startswith("Granted 40.0 h to ada as g-")
    assert first.endswith(", until 2027-01-01 00:00 UTC.")
    assert coverage.startswith("With it, most is promised of ")
    assert allot("balance").out.startswith(f"1{NARROW}040.0 h left")
    assert "Granted: the paper" in allot("statement").out


def test_a_grant_may_last_so_long_from_the_servers_now(allot: Allot) -> None:
    made = allot("grant", "research", "8h", "--team", "-r", "x", "--lasts", "30d", "--json", who="fin").json
    assert (made["holder"], made["expires_at"]) == ({"kind": "team", "id": "research"}, "2026-12-20T12:00:00Z")


@pytest.mark.parametrize("hours", ["0", "0.1", "1e400", "NaN", str(2**63)])
def test_an_amount_that_is_none_is_refused(allot: Allot, hours: str) -> None:
    ran = allot("grant", "ada", hours, "--reason", "x", who="fin")
    assert (ran.code, "[invalid-amount]" in ran.err) == (2, True)


def test_a_statement_adds_up_in_words_and_as_json(allot: Allot) -> None:
    out = allot("statement", "--period", "2026-W47").out
    assert out.splitlines()[0] == "Statement of Ada, research, 2026-W47"
    found = allot("statement", "--period", "2026-W47", "--json").json
    assert found["opening_ms"] + found["granted_ms"] - found["charged_ms"] == found["closing_ms"] + found["held_ms"]
    bad = allot("statement", "--period", "yesterday")
    assert (bad.code, "[invalid-value" in bad.err) == (1, True)


@pytest.mark.parametrize(("reason", "done"), [(Reason.IDLE, "suspended"), (Reason.IDLE_ENDED, "ended")])
def test_a_statement_says_what_idle_work_gave_back_in_words_and_as_csv(
    allot: Allot, service: Service, monkeypatch: pytest.MonkeyPatch, reason: Reason, done: str
) -> None:
    at = service.clock.now()
    back = ReturnedView(at, "a-1", "w-1", "nap", reason.value, "standard", 5_400_000, "1.5 h", 5_400_000)
    asked = service.views.statement
    monkeypatch.setattr(
        service.views, "statement", lambda *given, **of: replace(asked(*given, **of), returned=(back,))
    )
    assert f"Came back: 1 h 30 min of nap, {done} while its GPUs were idle." in allot("statement").out
    (row,) = [
        row for row in csv.DictReader(allot("statement", "--csv").out.splitlines()) if row["kind"] == "returned"
    ]
    assert row["text"] == f"1.5 h of nap came back: {done} while its GPUs were idle"
    assert (row["workload_name"], row["unit"], row["returned_quantity"]) == ("nap", "standard", "5400000")


def test_a_grant_ends_once(allot: Allot) -> None:
    ran = allot("grant", "ada", "5h", "-r", "x", "--lasts", "30d", "--expires", "2027-01-01T00:00:00Z", who="fin")
    assert (ran.code, "not by both" in ran.err) == (2, True)


def test_a_policy_is_applied_shown_and_listed(allot: Allot, tmp_path: Path) -> None:
    file = tmp_path / "next.yaml"
    file.write_text(POLICY.read_text().replace("queued_per_engineer: 2000", "queued_per_engineer: 7"))
    ran = allot("policy", "apply", str(file), who="olga")
    assert (ran.code, ran.out.startswith("next.yaml is in force: sha256 ")) == (0, True)
    assert ran.out.endswith(", by olga.\n")
    assert allot("policy", "show").out == file.read_text()
    listed = allot("policy", "list").out.splitlines()
    assert [line.split()[2:-1] for line in listed[1:]] == [
        ["olga", "next.yaml"],
        ["service", "start", POLICY.name],
    ]


def test_a_broken_policy_is_refused_with_its_lines(allot: Allot, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(POLICY.read_text().replace("queued_per_engineer: 2000", "queued_per_engineer: -7"))
    ran = allot("policy", "apply", str(file), who="olga")
    assert (ran.code, "broken.yaml:" in ran.err, "[invalid-policy" in ran.err) == (1, True, True)
    assert allot("policy", "apply", str(tmp_path / "none.yaml"), who="olga").code == 2
    assert allot("policy", "apply", str(POLICY)).code == 4


def test_people_are_applied_and_listed(allot: Allot, tmp_path: Path) -> None:
    file = tmp_path / "people.yaml"
    file.write_text("version: 1\nengineers:\n  - {subject: zoe, team: apps, tier: intern}\n")
    assert allot("people", "apply", str(file), who="pam").out == "people.yaml: 1 engineer, 1 of them new.\n"
    assert ["zoe", "apps", "intern", "engineer"] in [
        line.split() for line in allot("people", "list", who="olga").out.splitlines()
    ]


def test_brakes_are_put_on_and_off_and_seen(allot: Allot) -> None:
    assert allot("pause", "launch", "--why", "maintenance", who="olga").code == 0
    assert "Paused: launch by olga: maintenance" in allot("top", "--once").out
    assert allot("resume", "launch", who="olga").out == "Resumed: launch.\n"
    shown = allot("top", "--once").out
    assert "Paused" not in shown
    assert [line.split()[1] for line in shown.splitlines()[:2]] == ["GPUs:", "running,"], (
        "no line of its sums is broken"
    )
    assert allot("pause", "launch", "--why", "mine").code == 4
    assert allot("pause", "everything", "--why", "x", who="olga").code == 2


def test_where_nothing_can_be_drawn_over_the_cluster_is_shown_once(
    allot: Allot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if it were a terminal
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("scheduler.entrypoints.cli.cluster.time.sleep", lambda _: pytest.fail("it goes on"))
    assert "running, " in allot("top").out


def test_nodes_have_a_sign_for_each_gpu(allot: Allot) -> None:
    lines = allot("nodes").out.splitlines()
    assert lines[1].split() == ["node-0", "H100", "8", "8", "0", "········"]
    assert len(lines) == 6
    assert lines[-1] == "█ busy  ▓ light  ▒ idle  ▪ taken  · free  ○ outside  × drained  ? unknown"


def test_a_node_that_takes_no_work_says_which_taints_keep_it_out(allot: Allot, service: Service) -> None:
    known = service.world.nodes[NodeName("node-0")]
    taints = (
        Taint("nvidia.com/gpu", "present", "NoSchedule"),
        Taint("sku", "gpu", "NoSchedule"),
        Taint("x", "", "NoExecute"),
    )
    service.world.put_node(known.name, replace(known, accepts_work=False, taints=taints))
    lines = allot("nodes").out.splitlines()
    assert lines[1].split() == ["node-0", "H100", "8", "drained", "0", "××××××××"]
    assert lines[2].strip() == "Takes no work: sku=gpu:NoSchedule, x:NoExecute"
    assert len(lines) == 7


def test_an_empty_queue_says_so(allot: Allot) -> None:
    assert allot("queue").out == "Nothing waits.\n"


def test_a_token_is_printed_alone_and_login_keeps_it_private(allot: Allot, tmp_path: Path, server: str) -> None:
    issued = allot("token", "issue", "ada", "--role", "engineer", "--lasts", "90d", who="olga")
    token = issued.out.strip()
    assert token.startswith("allot_")
    ran = allot("login", who=None, text=f"{token}\n")
    assert (ran.code, "Signed in to" in ran.out) == (0, True)
    file = tmp_path / "allot" / "config"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token in file.read_text()
    assert allot("whoami", who=None, ALLOT_SERVER="").out.startswith("ada, research, tier engineer: engineer")


def test_the_kept_token_is_not_shown_to_another_server(allot: Allot, tmp_path: Path, server: str) -> None:
    (tmp_path / "allot").mkdir()
    text = f'server = "http://elsewhere.example"\ntoken = "{token_of("ada")}"\n'
    (tmp_path / "allot" / "config").write_text(text)
    assert allot("whoami", who=None).code == 4


def test_login_refuses_what_is_no_token(allot: Allot) -> None:
    assert allot("login", who=None, text="no\n").code == 2
    assert allot("login", who=None, text="unknown-unknown-unknown\n").code == 4


def test_a_configuration_that_cannot_be_read_says_how_it_should_look(allot: Allot, tmp_path: Path) -> None:
    (tmp_path / "allot").mkdir()
    (tmp_path / "allot" / "config").write_text("server: x")
    ran = allot("list", ALLOT_SERVER="", who=None)
    assert (ran.code, "allot login" in ran.err) == (2, True)


def test_the_doctor_finds_a_well_server(allot: Allot, tmp_path: Path) -> None:
    ran = allot("doctor", "--database", f"sqlite:///{tmp_path}/none.db", "--policy", str(POLICY), "--json")
    checks = {check["name"]: check for check in ran.json["checks"]}
    assert (ran.code, ran.json["ok"]) == (0, True)
    assert checks["server"]["ok"]
    assert checks["clock"]["ok"]
    assert checks["token"]["found"] == "ada: engineer"
    assert checks["policy"]["ok"]
    assert checks["database"]["ok"] is None


def test_the_doctor_says_what_to_do(allot: Allot, tmp_path: Path, service: Service) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("version: 2\n")
    ran = allot("doctor", "--policy", str(broken), "--database", f"sqlite:///{broken}", who=None)
    assert ran.code == 1
    lines = [line.strip() for line in ran.out.splitlines()]
    assert any(line.startswith("→ `allot login`, or set ALLOT_TOKEN") for line in lines)
    assert any(line.startswith("not ok  database") for line in lines)
    assert any(line.startswith("not ok  policy") for line in lines)


def test_the_doctor_without_a_server_says_how_to_start_one(allot: Allot) -> None:
    ran = allot("doctor", "--json", ALLOT_SERVER="http://127.0.0.1:1", ALLOT_DATABASE="sqlite:////nowhere/x.db")
    checks = {check["name"]: check for check in ran.json["checks"]}
    assert (ran.code, checks["server"]["ok"], checks["token"]["ok"]) == (1, False, None)
    assert "allot serve" in checks["server"]["remedy"]


def test_who_closed_a_period_is_told_by_the_name_they_sign_in_with(allot: Allot) -> None:
    assert allot("period", "close", "2026-10", who="fin").code == 0
    steps = [line.split() for line in allot("period", "list", who="aud").out.splitlines()[1:]]
    assert [(step[0], step[1], step[-1]) for step in steps] == [
        ("2026-10", "provisional", "fin"),
        ("2026-10", "closed", "fin"),
    ]
    assert "fin (finance)" in allot("period", "show", "2026-10", who="aud").out
    again = allot("period", "close", "2026-10", who="fin")
    assert again.code
    assert " by fin" in " ".join(again.err.split())
