"""Who starts, who waits and who goes first among pools, case by case, as in Kueue: the worlds on which its own tests of the
scheduler decide the same."""

from typing import Any

import pytest

from scheduler.decision.decide import decide
from scheduler.domain.workloads import ElasticTerms
from tests.decision.builders import A100, H100, attempt, node, nodes, placements, snapshot, victims, workload
from tests.decision.tables import ANY, CLASSES, LOWER, OF_LOWER, Member, World, by_members, cohort, queue

LENT = (queue("red", 3, "some", lends=2), queue("blue", 2, "some", lends=2))
BOTH = (
    queue("red", (50, 100), "both", borrows=50),
    queue("blue", (50, 0), "both", borrows=10, within=LOWER, reclaims=ANY),
)
GUARDED = (
    cohort("root"),
    cohort("guarded", 4, "root"),
    queue("inside", 0, "guarded"),
    queue("beside", 0, "root"),
)
"""What there is belongs to a cohort; beside it stands a pool that belongs to nothing smaller than all of it."""

ADMITTED = {
    "what fits its quota starts": ((queue("red", 50, borrows=0),), "", "one red 10 0", "one"),
    "what does not fit it waits": ((queue("red", 50, borrows=0),), "old red 40 0", "one red 11 0", ""),
    "nothing starts that is larger than the quota": ((queue("red", 50, borrows=0),), "", "one red 100 0", ""),
    "without a quota and anything to borrow nothing starts, and what runs goes on": (
        (queue("red", 0, "some", borrows=0), queue("blue", 8, "some")),
        "old red 2 0",
        "one red 1 0, two blue 6 0",
        "two",
    ),
    "both stay within their own": (
        BOTH,
        "",
        "one red 40 0, two blue 40 0",
        "one two",
    ),
    "one borrows what the other leaves": (BOTH, "", "one red 45 0, two blue 55 0", "one two"),
    "up to the limit on what it borrows": (BOTH, "", "one red 39 0, two blue 61 0", "one"),
    "not what is lent to nobody": (LENT, "old blue 2 0", "one blue 3 0", ""),
    "what is lent, and no more of it": (LENT, "old blue 2 0", "one blue 2 0", "one"),
    "in a cohort in another, too, the lending limit binds": (
        (
            cohort("child", 0, "root"),
            cohort("root"),
            queue("lender", 10, "child", lends=3),
            queue("red", 5, "child", borrows=10),
        ),
        "old red 5 0",
        "one red 4 0",
        "",
    ),
    "and up to it is lent": (
        (
            cohort("child", 0, "root"),
            cohort("root"),
            queue("lender", 10, "child", lends=5),
            queue("red", 5, "child", borrows=10),
        ),
        "old red 5 0",
        "one red 5 0",
        "one",
    ),
    "who waits for a quota that nobody can give back keeps others from nothing": (
        (queue("red", 2, "some", reclaims=ANY), queue("blue", 0, "some")),
        "old red 1 0",
        "large red 2 0, small blue 1 0",
        "small",
    ),
    "nor does who could stop somebody lower, were there anybody": (
        (
            queue("vault", 4, "some", borrows=0),
            queue("red", 0, "some", borrows=3, reclaims=OF_LOWER, takes=10),
            queue("blue", 0, "some", reclaims=OF_LOWER, takes=10),
        ),
        "old red 2 0",
        "large red 3 0, small blue 1 0",
        "small",
    ),
}

FIRST = {
    "who stays within its own goes before who borrows, however high": (
        (queue("red", 4, "some"), queue("blue", 0, "some")),
        "",
        "theirs blue 4 9, mine red 4 0",
        "mine",
    ),
    "what is a cohort's goes to its own pools before those beside it": (
        GUARDED,
        "",
        "theirs beside 4 3, mine inside 4 0",
        "mine",
    ),
    "though either borrows of a cohort that it lies in, whoever waits longer": (
        GUARDED,
        "",
        "theirs beside 4 0 90, mine inside 4 0 10",
        "mine",
    ),
    "who borrows from further up goes after that, as high as it may be": (
        (*GUARDED, cohort("other", 0, "root"), queue("far", 0, "other")),
        "",
        "theirs far 4 9, mine inside 4 0",
        "mine",
    ),
    "of those who borrow of the same the higher goes first": (
        (cohort("some", 4), queue("red", 0, "some"), queue("blue", 0, "some")),
        "",
        "low red 4 0 90, high blue 4 1",
        "high",
    ),
    "and of equals the older": (
        (cohort("some", 4), queue("red", 0, "some"), queue("blue", 0, "some")),
        "",
        "newer red 4 0 10, older blue 4 0 90",
        "older",
    ),
}

ON_EITHER = {
    "the class that it likes less, where it could only borrow too much of the other": (
        BOTH,
        "old blue 45 0",
        "one red 60 0 60 both",
        "one",
    ),
    "what has room on the second class is within its own there, and goes before who borrows of it": (
        (queue("red", (0, 4), "some"), queue("blue", (0, 0), "some"), queue("gold", (8, 4), "some")),
        "full gold 8 0, half gold 4 0 60 a100",
        "theirs blue 4 9 60 a100, mine red 4 0 60 both",
        "mine",
    ),
    "the second class rather than stop somebody on the first": (
        (queue("red", (1, 1), within=LOWER),),
        "low red 1 0",
        "one red 1 9 60 both",
        "one",
    ),
}


@pytest.mark.parametrize(
    ("members", "runs", "asks", "starts"),
    [pytest.param(*case, id=sentence) for cases in (ADMITTED, FIRST, ON_EITHER) for sentence, case in cases.items()],
)
def test_those_start_and_nobody_falls(members: tuple[Member, ...], runs: str, asks: str, starts: str) -> None:
    plan = World(members, runs, asks).plan()

    assert placements(plan).keys() == set(starts.split())
    assert not victims(plan)


SEVERAL = {
    "each of two pools stops its own": (
        (queue("red", 2, "some", within=LOWER), queue("blue", 2, "some", within=LOWER)),
        "one red 2 0, two blue 2 0",
        "high red 2 9, higher blue 2 10",
        {"high": "one", "higher": "two"},
    ),
    "who stops its own is not kept waiting by who starts": (
        (queue("red", 1, "some", within=LOWER), queue("blue", 2, "some", within=LOWER)),
        "old blue 2 0",
        "fits red 1 10, high blue 2 9",
        {"high": "old"},
    ),
    "what is there once is counted on once": (
        (
            queue("red", 2, "some", within=LOWER),
            queue("blue", 2, "some", within=LOWER),
            queue("vault", 1, "some"),
        ),
        "one red 2 0, two blue 2 0",
        "high red 3 10, late blue 3 9",
        {"high": "one"},
    ),
    "who takes back what was lent goes before a better one whose pool has used up its own": (
        (
            queue("red", 10, "some", borrows=50),
            queue("blue", 10, "some", borrows=10, within=LOWER, reclaims=ANY),
        ),
        "all red 20 0",
        "back blue 1 -1, more red 1 1",
        {"back": "all"},
    ),
    "of what is borrowed the lowest comes back": (
        (queue("red", 10, "some"), queue("blue", 10, "some", reclaims=ANY), queue("gold", 0, "some")),
        "mine red 5 0, low gold 5 0, high gold 5 1",
        "large red 10 0, back blue 10 0",
        {"back": "low"},
    ),
    "on the second class, borrowed work rather than its own on the first": (
        (queue("red", (10, 10), "some", within=LOWER, reclaims=OF_LOWER), queue("blue", (0, 0), "some")),
        "mine red 5 5, theirs blue 5 5 60 a100",
        "high red 6 10 60 both",
        {"high": "theirs"},
    ),
    "but its own on the first where on the second one of its own falls, too": (
        (queue("red", (10, 10), "some", within=LOWER, reclaims=OF_LOWER), queue("blue", (0, 0), "some")),
        "mine red 5 5, two red 5 5 60 a100, theirs blue 5 5 60 a100",
        "high red 6 10 60 both",
        {"high": "mine"},
    ),
    "or where nobody falls there without its own": (
        (queue("red", (10, 10), "some", within=LOWER, reclaims=OF_LOWER), queue("blue", (0, 0), "some")),
        "mine red 6 5, two red 5 5 60 a100, theirs blue 5 10 60 a100",
        "high red 5 9 60 both",
        {"high": "mine"},
    ),
}


@pytest.mark.parametrize(
    ("members", "runs", "asks", "falls"), [pytest.param(*case, id=sentence) for sentence, case in SEVERAL.items()]
)
def test_each_has_its_own_victims(members: tuple[Member, ...], runs: str, asks: str, falls: dict[str, str]) -> None:
    plan = World(members, runs, asks).plan()

    assert victims(plan) == {name: taken.split() for name, taken in falls.items()}


def test_nor_does_who_has_quota_of_a_class_without_room_go_first_to_borrow_on_the_next() -> None:
    """Red is within its own on the H100s, which are all in use; on the A100s it would borrow what is blue's."""
    by = by_members([queue("red", (8, 0), "some"), queue("blue", (0, 4), "some")])
    full = attempt("full", "n0", gpus=4, team="red", pool="red", priority_class=CLASSES[10])
    mine = workload("mine", team="red", gpus=4, classes=(H100, A100), priority_class=CLASSES[9])
    theirs = workload("theirs", owner="eve", team="blue", gpus=4, classes=(A100,), priority_class=CLASSES[0])
    room = nodes(node("n0", 4), node("n1", 4, gpu_class=A100))

    assert placements(decide(snapshot(room, [mine, theirs], attempts=[full], by=by))).keys() == {"theirs"}


@pytest.mark.parametrize(
    ("terms", "falls"),
    [({}, "first"), ({"is_funded": False}, "other"), ({"elastic": ElasticTerms(1, 4)}, "other")],
    ids=[
        "of equals whoever is on the class that it likes better falls",
        "who is unfunded on the other falls in their stead",
        "who is above a minimum there gives that back, and nobody is stopped",
    ],
)
def test_whose_turn_it_is_holds_beyond_one_class(terms: dict[str, Any], falls: str) -> None:
    by = by_members([queue("red", (4, 4), within=LOWER)])
    first = attempt("first", {"n0": 4}, priority_class=CLASSES[0])
    other = attempt("other", {"n1": 4}, gpu_class=A100, priority_class=CLASSES[0], **terms)
    asks = workload("asks", gpus=2, classes=(H100, A100), priority_class=CLASSES[9])
    room = nodes(node("n0", 4), node("n1", 4, gpu_class=A100))

    assert victims(decide(snapshot(room, [asks], attempts=[first, other], by=by))) == {"asks": [falls]}
