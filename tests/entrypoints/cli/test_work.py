"""Submitting, looking and ending from the command line: what is printed, and how it exits."""

import pytest

from scheduler.domain.reasons import Reason
from scheduler.entrypoints.cli.shown import unfunded
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.writing.batch import changing
from tests.entrypoints.cli.conftest import Allot
from tests.entrypoints.company import SYSTEM

SUBMIT = ("submit", "-p", "atlas", "-c", "H100,A100", "-t", "8h", "-g", "8", "--pods", "2")
IMAGE = ("--image", "registry.example.com/train:1")


def test_a_job_is_submitted_and_shown_with_its_verdict_first(allot: Allot) -> None:
    ran = allot(*SUBMIT, *IMAGE, "--name", "train", "--", "python", "train.py")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].split() == [lines[0].split()[0], "train", "queued"]
    assert lines[1] == "Submitted; the next cycle looks at it."
    fields = dict(
        line.split(maxsplit=1) for line in lines if line.startswith(("gpus", "asked", "project", "charged"))
    )
    assert fields == {
        "gpus": "16 H100 (2×8)",
        "asked": "H100 or A100",
        "project": "atlas",
        "charged": "0.0 h of at most 128.0 h an attempt",
    }


def test_a_gang_asks_for_a_level_of_the_topology_and_is_shown_with_it(allot: Allot) -> None:
    ran = allot(*SUBMIT, *IMAGE, "--topology", "prefer:node", "--json")
    assert (ran.code, ran.json["topology"]) == (0, "prefer:node")
    shown = allot("show", ran.json["id"])
    assert ["topology", "prefer:node"] in [line.split() for line in shown.out.splitlines()]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        pytest.param("rack", "expected require:LEVEL or prefer:LEVEL", id="no mode"),
        pytest.param("require:moon", "no topology level 'moon'", id="a level that the policy has not"),
    ],
)
def test_a_topology_that_cannot_be_is_refused_with_what_can(allot: Allot, asked: str, said: str) -> None:
    ran = allot(*SUBMIT, *IMAGE, "--topology", asked)
    assert ran.code != 0
    assert said in ran.err


def test_the_list_has_a_row_for_each_and_a_sentence_for_what_waits(allot: Allot) -> None:
    for name in ("one", "two"):
        assert allot(*SUBMIT, *IMAGE, "--name", name).code == 0
    lines = allot("list").out.splitlines()
    assert lines[0].split() == ["ID", "NAME", "STATE", "GPUS", "AGE", "CHARGED"]
    assert [line.split()[1:] for line in lines[1::2]] == [
        ["two", "queued", "16", "H100", "(2×8)", "0", "s", "0.0", "h"],
        ["one", "queued", "16", "H100", "(2×8)", "0", "s", "0.0", "h"],
    ]
    assert lines[2].strip() == "Submitted; the next cycle looks at it."


def test_an_elastic_job_says_between_how_many_pods_it_runs(allot: Allot) -> None:
    submitted = allot(*SUBMIT, *IMAGE, "--min-pods", "1", "--json").json
    assert (submitted["pods"], submitted["min_pods"], submitted["pods_now"]) == (2, 1, 0)
    assert "16 H100 (1–2×8)" in allot("show", submitted["id"]).out
    rigid = allot(*SUBMIT, *IMAGE, "--min-pods", "2", "--json").json
    assert rigid["min_pods"] is None, "all of its pods or none: that is no elastic job"


def test_an_empty_list_says_what_to_do(allot: Allot) -> None:
    assert allot("list").out == "No workloads. `allot submit` makes one.\n"


def test_a_long_list_names_the_command_for_the_rest(allot: Allot) -> None:
    for name in ("one", "two", "three"):
        allot(*SUBMIT, *IMAGE, "--name", name)
    first = allot("list", "--limit", "2")
    cursor = first.out.splitlines()[-1].removeprefix("More: allot list --cursor ")
    assert [line for line in allot("list", "--cursor", cursor).out.splitlines() if "one" in line]


def test_a_list_is_of_the_states_that_were_asked_for_and_so_is_the_rest_of_it(allot: Allot) -> None:
    for name in ("one", "two", "three"):
        allot(*SUBMIT, *IMAGE, "--name", name)
    allot("cancel", "two")
    names = {item["name"] for item in allot("list", "--state", "queued", "--json").json["items"]}
    assert names == {"one", "three"}
    both = allot("list", "-s", "queued", "-s", "cancelled", "--json").json["items"]
    assert [item["name"] for item in both] == ["three", "two", "one"]
    more = " ".join(allot("list", "-s", "queued", "--owner", "ada", "--limit", "1").out.split())
    assert "More: allot list --state queued --owner ada --cursor " in more
    wrong = allot("list", "--state", "resting")
    assert (wrong.code, "'queued', 'launching'" in wrong.err) == (2, True)


def test_json_is_one_value_and_nothing_else(allot: Allot) -> None:
    submitted = allot(*SUBMIT, *IMAGE, "--json").json
    assert allot("show", submitted["id"], "--json").json["id"] == submitted["id"]
    assert [item["id"] for item in allot("list", "--json").json["items"]] == [submitted["id"]]
    assert allot("explain", submitted["id"], "--json").json["workload"]["id"] == submitted["id"]
    assert allot("cancel", submitted["id"], "--json").json["items"][0]["state"] == "cancelled"


def test_explain_says_who_pays_and_what_was_decided(allot: Allot) -> None:
    submitted = allot(*SUBMIT, *IMAGE, "--json").json
    allot("cancel", submitted["id"])
    out = allot("explain", submitted["id"]).out
    assert "Who pays, in this order" in out
    assert "Cancelled by ada." in out


def test_cancel_takes_several_and_says_how_each_ended(allot: Allot) -> None:
    ids = [allot(*SUBMIT, *IMAGE, "--name", name, "--json").json["id"] for name in ("one", "two")]
    assert allot("cancel", *ids).out == f"{ids[0]} one: cancelled.\n{ids[1]} two: cancelled.\n"


def test_extend_lengthens_what_waits(allot: Allot) -> None:
    submitted = allot(*SUBMIT, *IMAGE, "--json").json
    assert allot("extend", submitted["id"], "2h", "--json").json["time_limit_ms"] == 10 * 3_600_000


def test_the_same_key_submits_once(allot: Allot) -> None:
    first = allot(*SUBMIT, *IMAGE, "--idempotency-key", "k", "--json").json
    again = allot(*SUBMIT, *IMAGE, "--idempotency-key", "k", "--json").json
    assert first["id"] == again["id"]
    other = allot(*SUBMIT, *IMAGE, "--idempotency-key", "k", "--name", "other")
    assert (other.code, "[idempotency-conflict" in other.err) == (1, True)


REFUSED = {
    "an unknown class": ((*SUBMIT[:4], "B200", *SUBMIT[5:], *IMAGE), 1, "unknown-gpu-class"),
    "an unknown project": (("submit", "-p", "apollo", *SUBMIT[3:], *IMAGE), 1, "unknown-project"),
    "no image": (SUBMIT, 1, "invalid-value"),
    "a minimum above its pods": ((*SUBMIT, *IMAGE, "--min-pods", "3"), 1, "invalid-min-pods"),
    "negative GPUs": ((*SUBMIT, *IMAGE, "--gpus=-1"), 1, "invalid-gpus"),
    "2⁶³−1 GPUs": ((*SUBMIT, *IMAGE, "--gpus", str(2**63 - 1)), 1, "invalid-gpus"),
    "a time limit of nothing": ((*SUBMIT, *IMAGE, "-t", "0h"), 2, "invalid-time-limit"),
    "a time limit of a tenth": ((*SUBMIT, *IMAGE, "-t", "0.1h"), 2, "invalid-time-limit"),
    "a time limit that is too long": ((*SUBMIT, *IMAGE, "-t", "49h"), 1, "time-limit-too-long"),
    "a workload that there is not": (("show", "w-none"), 1, "unknown-workload"),
    "a cursor that is none": (("list", "--cursor", "x"), 1, "invalid-cursor"),
    "somebody else's balance": (("balance", "--owner", "bob"), 4, "not-yours"),
    "a month without the role": (("people", "list"), 4, "role-required"),
}


@pytest.mark.parametrize(("arguments", "code", "refusal"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_is_one_message_on_standard_error(
    allot: Allot, arguments: tuple[str, ...], code: int, refusal: str
) -> None:
    ran = allot(*arguments)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("allot: ")
    assert f"[{refusal}" in ran.err.splitlines()[-1]


MISUSED = {
    "an array without its limit": (
        (*SUBMIT, *IMAGE, "--array", "6%"),
        "--array: expected a number of indexes such as 100, or 100%8",
        "[invalid-value]",
    ),
    "an array in digits of another script": (
        (*SUBMIT, *IMAGE, "--array", "２"),
        "--array: expected a number of indexes such as 100, or 100%8",
        "[invalid-value]",
    ),
    "one and a half GPUs": (
        (*SUBMIT, *IMAGE, "--gpus", "1.5"),
        "--gpus is '1.5'; expected a whole number",
        "[invalid-gpus]",
    ),
    "half a pod": ((*SUBMIT, *IMAGE, "--pods", "0.5"), "--pods is '0.5'", "[invalid-gpus]"),
    "GPUs in words": ((*SUBMIT, *IMAGE, "--gpus", "two"), "--gpus is 'two'", "[invalid-gpus]"),
    "a page of x": (("list", "--limit", "x"), "--limit is 'x'", "[invalid-value]"),
    "nothing of what is needed": (("submit",), "missing option '--project'", "[invalid-value]"),
    "an amount below zero": (
        ("grant", "bao", "-40h", "--reason", "x"),
        "-40h begins with a minus and was read as an option; expected an amount",
        "[invalid-value]",
    ),
    "an option that there is not": (("submit", "--fast"), "no such option: --fast", "[invalid-value]"),
    "an option that is misspelt": (
        ("submit", "--tiem", "1h"),
        "no such option: --tiem (meant: --time?)",
        "[invalid-value]",
    ),
    "the beginning of a word": (
        ("submit", "--mem", "8"),
        "no such option: --mem (meant: --memory?)",
        "[invalid-value]",
    ),
    "more than the option": (("submit", "--begin-at", "x"), "--begin-at (meant: --begin?)", "[invalid-value]"),
    "an option alike in its dashes alone": (("submit", "--reason", "x"), "option: --reason\n", "[invalid-value]"),
    "an option before the command": (("--fast", "list"), "no such option: --fast", "[invalid-value]"),
    "a command that there is not": (("fly",), "no such command 'fly'", "[invalid-value]"),
    "a command that is nearly one": (
        ("statment",),
        "no such command 'statment' (meant: statement?)",
        "[invalid-value]",
    ),
    "the beginning of a command": (("fair",), "no such command 'fair' (meant: fairness?)", "[invalid-value]"),
    "a command that a small group has not": (
        ("export", "foo"),
        "no such command 'foo'; expected one of focus, history, gl",
        "[invalid-value]",
    ),
    "a file that there is not": (("policy", "check", "/nowhere"), "FILE", "[invalid-value]"),
}


@pytest.mark.parametrize("flag", [(), ("--json",)], ids=["for people", "for programs"])
@pytest.mark.parametrize(("arguments", "said", "code"), MISUSED.values(), ids=MISUSED.keys())
def test_wrong_usage_is_refused_in_the_form_of_every_other_refusal(
    allot: Allot, arguments: tuple[str, ...], said: str, code: str, flag: tuple[str, ...]
) -> None:
    ran = allot(*arguments, *flag)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("allot: ")
    assert said.lower() in ran.err.lower()
    assert "--help`." in ran.err
    assert ran.err.splitlines()[-1].strip() == code


def test_without_a_token_one_is_not_permitted(allot: Allot) -> None:
    ran = allot("list", who=None)
    assert (ran.code, "allot login" in ran.err) == (4, True)


def test_a_server_that_is_not_there_has_its_own_exit_code(allot: Allot) -> None:
    ran = allot("list", ALLOT_SERVER="http://127.0.0.1:1")
    assert (ran.code, "[server-unreachable]" in ran.err) == (3, True)
    assert allot("list", ALLOT_SERVER="nonsense").code == 2
    assert allot("list", ALLOT_SERVER="http://127.0.0.1:notaport").code == 2


def test_a_workload_may_be_named_by_its_name_and_the_newest_is_meant(allot: Allot) -> None:
    allot(*SUBMIT, *IMAGE, "--name", "train")
    newest = allot(*SUBMIT, *IMAGE, "--name", "train", "--json").json
    assert allot("show", "train", "--json").json["id"] == newest["id"]
    assert allot("explain", "train").out.startswith(newest["id"])
    assert allot("cancel", "train").out.startswith(newest["id"])
    unknown = allot("show", "serve")
    assert (unknown.code, "[unknown-workload]" in unknown.err) == (1, True)


def test_whose_work_it_is_is_said_where_it_is_several_peoples(allot: Allot) -> None:
    """An operator lists everybody's."""
    for who in ("ada", "bob"):
        assert allot(*SUBMIT, *IMAGE, "--name", f"of-{who}", who=who).code == 0
    notes = [line.strip() for line in allot("list", who="olga").out.splitlines() if line.startswith("  ")]
    assert notes == [
        "Bob, research. Submitted; the next cycle looks at it.",
        "Ada, research. Submitted; the next cycle looks at it.",
    ]
    assert "research" not in allot("list", who="ada").out
    assert ["owner", "Ada,", "research"] in [line.split() for line in allot("show", "of-ada").out.splitlines()]


def test_the_queue_gives_everybody_the_reason_and_nobody_advice_on_others_work(
    allot: Allot, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    workload = allot(*SUBMIT, *IMAGE, "--name", "waits", "--json").json["id"]
    with changing(service.store, service.world, service.clock.now()) as batch:
        batch.say(
            workload, Reason.RESOURCES, {"pods": 2, "gpus_per_pod": 8, "gpu_class": "H100", "free": 1, "fitting": 0}
        )
    viewed = service.views.workload(SYSTEM, workload, service.clock.now())
    monkeypatch.setattr(service.views, "queue", lambda *_, **__: [viewed])
    said = " ".join(allot("queue").out.split())
    assert said.endswith("Waiting: 2 pods of 8 × H100 asked, 1 GPU free where it could go: room for 0 pods.")
    assert "A smaller request or another GPU class may start sooner." in " ".join(allot("list").out.split())


@pytest.mark.parametrize(
    ("state", "told"),
    [("running", "no: running unfunded, first to go"), ("completed", "no: its last attempt ran unfunded")],
)
def test_what_is_over_is_not_told_as_running_unfunded(state: str, told: str) -> None:
    assert unfunded({"is_funded": False, "nodes": ["n0"], "state": state}) == told
    assert unfunded({"is_funded": False, "nodes": [], "state": "queued"}) == ""
    assert unfunded({"is_funded": True, "nodes": ["n0"], "state": state}) == ""


def test_what_it_follows_may_be_told_by_name(allot: Allot, service: Service) -> None:
    first = allot(*SUBMIT, *IMAGE, "--name", "prepare", "--json").json
    second = allot(*SUBMIT, *IMAGE, "--name", "train", "--after", f"prepare, {first['id']}", "--json").json
    assert service.world.workloads[second["id"]].spec.after == (first["id"],)
    refused = allot(*SUBMIT, *IMAGE, "--after", "nothing-of-the-kind")
    assert refused.code != 0
    assert "no workload is called 'nothing-of-the-kind'" in refused.err


def test_a_whole_array_may_be_followed_or_cancelled_and_an_index_of_it_is_found_by_its_id(
    allot: Allot, service: Service
) -> None:
    allot(*SUBMIT, *IMAGE, "--name", "sweep", "--array", "3%2", "--json")
    ids = sorted(each for each, known in service.world.workloads.items() if known.spec.name.startswith("sweep["))
    array = ids[0].removesuffix("-i0")
    assert allot("show", ids[2], "--json").json["name"] == "sweep[2]"

    allot("cancel", ids[0], "--json")
    refused = allot(*SUBMIT, *IMAGE, "--after", "sweep")
    assert (refused.code != 0, f"sweep[0] ({ids[0]}) is cancelled" in refused.err) == (True, True)

    allot(*SUBMIT, *IMAGE, "--name", "more", "--array", "3", "--json")
    more = sorted(each for each, known in service.world.workloads.items() if known.spec.name.startswith("more["))
    for named in ("more", more[0].removesuffix("-i0"), f"{more[1]},more"):
        follows = allot(*SUBMIT, *IMAGE, "--name", "post", "--after", named, "--json").json
        assert set(service.world.workloads[follows["id"]].spec.after) == set(more)
    assert array not in service.world.workloads

    rest = allot("cancel", "sweep").out
    assert rest == f"{ids[0]} sweep[0]: cancelled. So is all that is left of its array {array}.\n"
    assert {allot("show", each, "--json").json["state"] for each in ids} == {"cancelled"}

    allot(*SUBMIT, *IMAGE, "--name", "many", "--array", "101", "--json")
    assert "101 are too many to follow" in allot(*SUBMIT, *IMAGE, "--after", "many").err
