"""The page of a replay: complete in itself, the same for the same object, and nobody's name in it."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from scheduler.domain.errors import RefusalCode
from scheduler.entrypoints.api.codes import CODES
from scheduler.entrypoints.replay_page.page import page
from scheduler.simulation.replay.report import report
from scheduler.simulation.replay.submissions import Stream
from tests.simulation.replay.build import ANN, BOB, POLICY, asks, replayed

WORK = [
    asks(0, 4, gpus=8, checkpoint_hours=1),
    asks(2, 1, owner=BOB, gpus=4, priority_class="urgent"),
    asks(3, 2, owner=BOB, gpus=8),
]


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    first = replayed(WORK, days=1)
    second = replayed(WORK, POLICY.replace("preemptible: false", "minimum_runtime_minutes: 30"), days=1)
    stream = Stream({"kind": "a test"}, [ANN, BOB], WORK, {"asks for no GPU <b>": 3})
    return report(stream, [first, second], 2_500_000, "EUR")


def test_it_loads_nothing_and_runs_nothing(made: dict[str, Any]) -> None:
    seen = _Seen()
    seen.feed(page(made))
    assert seen.open == []
    assert {"script", "img", "link", "iframe"}.isdisjoint(seen.tags)
    assert seen.addresses == []


def test_it_is_the_same_for_the_same_object(made: dict[str, Any]) -> None:
    assert page(made) == page(made)


def test_it_says_what_is_compared_and_that_it_is_simulated(made: dict[str, Any]) -> None:
    text = page(made)
    assert "simulated" in text
    assert "of the GPUs are used instead of" in text
    assert text.count('role="img"') >= 4
    assert "asks for no GPU &lt;b&gt;" in text
    assert "EUR" in text


def test_its_first_sentence_tells_of_refusals_and_of_work_that_never_starts(made: dict[str, Any]) -> None:
    some, none = made["policies"][0], dict(made["policies"][1])
    refusing = {**none, "submissions": {**none["submissions"], "refused": {"unknown-team": 2}}}
    idle = {**none, "submissions": {**none["submissions"], "started": 0}}

    def lead(*policies: dict[str, Any]) -> str:
        found = re.search(r'class="lead">([^<]*)<', page({**made, "policies": policies, "comparisons": []}))
        assert found is not None
        return found[1]

    assert "2 are refused instead of 0, and" in lead(some, refusing)
    assert "refused" not in lead(some, none)
    told = f"2 × unknown-team: {CODES[RefusalCode.UNKNOWN_TEAM].meaning}"
    assert told in page({**made, "policies": [some, refusing], "comparisons": []})
    assert lead(some, idle).endswith(", none of the work starts.")
    assert "work waits" in lead(some, none)
    assert "work waits" not in lead(idle, some)
    assert lead(idle) == "None of the work starts."
    turned_away = {**idle, "submissions": {**idle["submissions"], "refused": {"unknown-team": 2}}}
    assert lead(turned_away) == "None of the work starts (2 refused)."
    assert lead(idle, {**turned_away, "name": "b"}) == (
        f"Under b, none of the work starts (2 refused), nor under {idle['name']}."
    )


def test_a_stream_without_work_is_told_without_a_day(made: dict[str, Any]) -> None:
    text = page({**made, "stream": {**made["stream"], "submissions": 0, "engineers": 0}})
    assert "There is no work to replay." in text
    assert "0 workloads (a test) of 0 engineers, with" in text


def test_one_of_a_thing_is_told_in_the_singular(made: dict[str, Any]) -> None:
    text = page({**made, "stream": {**made["stream"], "submissions": 1, "engineers": 1}})
    assert "1 workload (a test) of 1 engineer, " in text


def test_its_sentences_agree_with_one_of_a_thing(made: dict[str, Any]) -> None:
    first, _ = made["policies"]
    preempted = {**first["preemptions"], "count": 1, "lost_gpu_hours": 1.2}
    once = {**first["submissions"], "started": 1, "refused": {"unknown-team": 1}}
    policies = [{**first, "preemptions": preempted, "submissions": once}, {**first, "name": "b"}]
    policies[1] |= {"preemptions": preempted, "submissions": once}
    (compared,) = made["comparisons"]
    alone = {**compared, "engineers": compared["engineers"][:1], "engineers_gained": 1, "engineers_lost": 0}
    text = page({**made, "policies": policies, "comparisons": [alone]})
    assert "1 workload starts instead of 1, 1 is refused instead of 1, and 1 preemption loses 1 GPU-hour " in text
    assert "instead of 1 that loses 1." in text
    assert "Of 1 engineer, 1 gets more GPU-hours served under" in text


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (0, 0, "and nothing is preempted."),
        (2, 0, "and nothing is preempted, instead of 2 preemptions that lose 9."),
        (0, 2, "and 2 preemptions lose 9 GPU-hours instead of none."),
    ],
)
def test_where_nothing_is_preempted_it_says_so(made: dict[str, Any], before: int, after: int, told: str) -> None:
    policies = [
        {**policy, "preemptions": {**policy["preemptions"], "count": count, "lost_gpu_hours": 9.0 if count else 0.0}}
        for policy, count in zip(made["policies"], (before, after), strict=True)
    ]
    assert told in page({**made, "policies": policies})
    alone = {**policies[0], "preemptions": {**policies[0]["preemptions"], "count": 0}}
    assert "in the mean; nothing is preempted." in page({**made, "policies": [alone], "comparisons": []})


def test_each_policy_s_cluster_is_told_where_they_differ(made: dict[str, Any]) -> None:
    """Nodes of a model that a policy has no class for are left out under it."""
    first, second = made["policies"]
    assert "8 GPUs (8 gpu): the same for every policy." in page(made)
    fewer = {**second, "name": "b", "cluster": {"nodes": 1, "gpus": 1, "gpus_by_class": {"gpu": 1}}}
    text = page({**made, "policies": [first, fewer]})
    assert f"with 8 GPUs (8 gpu) under {first['name']}; 1 GPU (1 gpu) under b." in text


def test_it_says_the_days_of_the_work_and_not_the_end_of_the_last_bin(made: dict[str, Any]) -> None:
    window = {**made["window"], "starts_at": "2026-01-05T00:00:00Z", "ends_at": "2026-01-12T00:00:00Z"}
    window |= {"starts_at_ms": 1_767_571_200_000, "bin_ms": 26 * 60_000, "bins": 388}
    assert "5 Jan 2026 to 11 Jan 2026" in page({**made, "window": window})


def test_it_explains_the_figures_that_are_no_common_words(made: dict[str, Any]) -> None:
    text = page(made)
    assert all(
        word in text for word in ("Slowdown is", "Jain's index is 1", "Gini's coefficient 0", "A budget runs out")
    )


def test_where_nobody_waited_for_an_hour_it_says_so_instead_of_an_empty_table(made: dict[str, Any]) -> None:
    quick = {
        **made,
        "policies": [{**policy, "waiting_hours_by_reason": {"Quota": 0.4}} for policy in made["policies"]],
    }
    assert "No reason comes to an hour of waiting in all." in page(quick)
    assert "Workload-hours of waiting" not in page(quick)


def test_it_names_no_engineer(made: dict[str, Any]) -> None:
    assert re.search(rf"\b({ANN.subject}|{BOB.subject})\b", page(made)) is None


def test_a_single_policy_has_a_page_without_a_comparison(made: dict[str, Any]) -> None:
    alone = {**made, "policies": made["policies"][:1], "comparisons": []}
    assert "Who gains" not in page(alone)
    assert "Who gains" in page(made)


class _Seen(HTMLParser):
    """The elements of a page, those left open, and whatever it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        del attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("most", [0.0, 0.3, 1.2, 3.9, 5.0, 77.0])
def test_the_queue_is_drawn_over_whole_gpus_each_named_once(made: dict[str, Any], most: float) -> None:
    drawn = {**made, "policies": [dict(policy) for policy in made["policies"]]}
    for policy in drawn["policies"]:
        policy["queue"] = {**policy["queue"], "gpus_by_bin": [most for _ in policy["queue"]["gpus_by_bin"]]}
    ticks = re.findall(r'class="tick" x="0"[^>]*>([0-9.  ]+)<', page(drawn))
    assert len(ticks) == 4
    assert len(set(ticks)) == 4
