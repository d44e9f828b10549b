"""Who falls to whom, case by case, as in Kueue: the worlds on which its own tests of preemption decide the same."""

from typing import Any

import pytest

from tests.decision.builders import placements, victims
from tests.decision.tables import ANY, LOWER, NEWER, OF_LOWER, Member, World, cohort, queue

SOLO = (queue("solo", 6, within=LOWER),)
PAIR = (
    queue("red", 6, "pair", borrows=6, within=LOWER, reclaims=OF_LOWER),
    queue("blue", 6, "pair", borrows=6, reclaims=ANY),
)
LENDERS = (
    queue("red", 6, "lenders", lends=4, within=LOWER, reclaims=OF_LOWER),
    queue("blue", 6, "lenders", lends=2, within=LOWER, reclaims=OF_LOWER),
)
THREE = (queue("red", 2, "three", within=LOWER, reclaims=ANY), queue("blue", 2, "three"), queue("gold", 2, "three"))
BANK = (
    queue("red", 1, "bank", borrows=12, reclaims=OF_LOWER, takes=0),
    queue("blue", 1, "bank", borrows=12, within=LOWER, reclaims=ANY, takes=0),
    queue("spare", 1, "bank", borrows=12, reclaims=OF_LOWER, takes=0),
    queue("rest", 0, "bank", borrows=13, reclaims=OF_LOWER, takes=0),
    queue("vault", 10, "bank"),
)
"""Most of what there is belongs to the vault, in which nothing runs."""


def inner(gpus: int, *, above: int = 0, red: int = 0, outer: int = 0, **terms: Any) -> tuple[Member, ...]:
    """Red and rose share what is the inner cohort's; guest and host stand outside of it. `terms` are red's."""
    return (
        cohort("outer", above),
        cohort("inner", gpus, "outer"),
        queue("red", red, "inner", **{"within": LOWER, "reclaims": ANY, **terms}),
        queue("rose", 0, "inner", within=LOWER, reclaims=ANY),
        queue("guest", 0, "outer", within=LOWER, reclaims=ANY),
        queue("host", outer, "outer", within=LOWER, reclaims=ANY),
    )


WITHIN = {
    "the lowest falls first": (SOLO, "low solo 2 -1, mid solo 2 0, high solo 2 1", "solo 2 1", "low"),
    "as many fall as it takes": (SOLO, "low solo 2 -1, mid solo 2 0, high solo 2 1", "solo 3 1", "low mid"),
    "nobody falls to who is no better": (SOLO, "low solo 3 -1, mid solo 3 0", "solo 1 -1", ""),
    "nobody falls where all who may are too few": (SOLO, "low solo 3 -1, mid solo 3 0", "solo 4 0", ""),
    "what is free counts": (SOLO, "low solo 1 -1, mid solo 1 0, high solo 3 1", "solo 2 1", "low"),
    "who would fall in vain is spared, though lower": (
        SOLO,
        "low solo 1 -1, mid solo 2 0, high solo 3 1",
        "solo 2 1",
        "mid",
    ),
    "of its equals the newer falls": (
        (queue("solo", 6, within=NEWER),),
        "high solo 2 2 9, newer solo 2 1 1, older solo 2 1 9",
        "solo 2 1 5",
        "newer",
    ),
}

TAKEN_BACK = {
    "what was lent comes back, of the lowest who borrows": (
        PAIR,
        "mine red 3 -1, theirs blue 3 0, best blue 6 1",
        "red 3 1",
        "theirs",
    ),
    "more than was borrowed does not": (PAIR, "mine red 4 1, one blue 4 -1, two blue 4 -1", "red 4 1", ""),
    "who would borrow stops its own alone": (PAIR, "mid red 4 0, low red 4 -1, theirs blue 4 -1", "red 4 1", "low"),
    "of equals nothing comes back with LowerPriority": (
        PAIR,
        "mine red 2 0, one blue 4 0, two blue 4 0",
        "red 4 0",
        "",
    ),
    "of equals it does with Any, and the better is spared": (
        PAIR,
        "one red 4 0, two red 4 1, mine blue 2 0",
        "blue 4 0",
        "one",
    ),
    "its own and what was lent fall together": (
        PAIR,
        "low red 3 -1, mid red 2 0, theirs blue 3 -1, better blue 4 0",
        "red 4 0",
        "low theirs",
    ),
    "a cohort of one borrows of nobody": (
        (queue("solo", 6, "lonely", borrows=12, within=LOWER, reclaims=OF_LOWER),),
        "mid solo 4 0, low solo 2 -1",
        "solo 4 1",
        "mid",
    ),
    "what a lender lent comes back": (LENDERS, "mine red 3 -1, theirs blue 3 0, best blue 4 1", "red 3 1", "theirs"),
    "and beside it its own falls": (
        LENDERS,
        "low red 3 -1, mid red 2 0, theirs blue 3 -1, better blue 4 0",
        "red 4 0",
        "low theirs",
    ),
    "what the other never lends is not had": (LENDERS, "theirs blue 10 -1", "red 9 0", ""),
    "who has used up its own stops no more than its own": (
        THREE,
        "one red 1 -2, two red 1 -2, three red 1 -1, four blue 1 0, five blue 1 0, six blue 1 0",
        "red 2 0",
        "one two",
    ),
    "who has not takes back beside them": (
        THREE,
        "mine red 1 -1, one blue 1 0, two blue 1 0, three blue 1 0, four blue 1 0, low blue 1 -1",
        "red 2 0",
        "mine low",
    ),
}

WHILE_BORROWING = {
    "a lower one falls to who borrows": (BANK, "big spare 10 -1, small rest 1 -1", "red 10 0", "big"),
    "above the threshold nobody falls to who would borrow": (BANK, "theirs blue 10 1", "red 10 2", ""),
    "but who stays within its own takes back from them": (BANK, "theirs blue 13 1", "red 1 2", "theirs"),
    "its own do not fall where the pool says Never": (BANK, "mine red 13 1", "red 1 2", ""),
    "where nobody is below the threshold, its own fall": (
        BANK,
        "one red 10 1, two red 1 1, mine blue 1 1, better blue 1 2",
        "blue 1 3",
        "mine",
    ),
    "those below the threshold and its own fall together": (
        BANK,
        "best blue 10 2, mine blue 1 1, low spare 1 -1, lowest spare 1 -2",
        "blue 2 2",
        "lowest mine",
    ),
    "a threshold of its own pool does not bind what comes back to its cohort": (
        inner(2, takes=0),
        "theirs guest 2 10",
        "red 2 0",
        "theirs",
    ),
}

IN_TREES = {
    "what is its cohort's comes back from outside": (inner(2), "theirs guest 2 0", "red 2 0", "theirs"),
    "of the better, too, and of several": (inner(2), "one guest 1 1, two guest 1 2", "red 2 0", "one two"),
    "who stays within its own outside is spared, however low": (
        inner(2, outer=2),
        "own host 2 -10, theirs guest 2 0",
        "red 2 0",
        "theirs",
    ),
    "what comes back goes before its own lower": (inner(2), "theirs guest 1 1, mine red 1 -2", "red 1 0", "theirs"),
    "inside the cohort only the lower fall to who borrows of it": (
        inner(3, takes=0),
        "better rose 1 1, theirs rose 2 0, mine red 1 -1",
        "red 2 1",
        "theirs mine",
    ),
    "where nobody outside borrows, somebody inside falls": (
        inner(2, outer=2, takes=0),
        "own host 2 -10, theirs rose 2 -1",
        "red 2 0",
        "theirs",
    ),
    "to who stays within its own, those inside and outside fall": (
        inner(2, red=4),
        "out guest 3 10, in rose 3 10",
        "red 4 0",
        "out in",
    ),
    "from outside and from inside at once": (
        inner(4, above=1, takes=0, reclaims=OF_LOWER),
        "out guest 2 -1, in rose 1 -1, spared guest 2 1",
        "red 3 0",
        "out in",
    ),
    "from outside and of its own at once": (
        inner(4, above=1, takes=0, reclaims=OF_LOWER),
        "out guest 2 -1, mine red 1 -1, spared guest 2 1",
        "red 3 0",
        "out mine",
    ),
    "the lowest of those who borrow falls, not the lowest of all": (
        inner(3, outer=2),
        "eight guest 1 8, nine guest 1 9, ten guest 1 10, own host 2 -2",
        "red 1 0",
        "eight",
    ),
    "a cohort beside it that stays within its own loses nobody": (
        (*inner(2), cohort("beside", 2, "outer"), queue("lone", 0, "beside")),
        "one lone 1 -10, two lone 1 -10, theirs rose 2 0",
        "red 2 0",
        "",
    ),
    "across two cohorts the nominal quota comes back": (
        (
            cohort("west", 0, "all"),
            cohort("east", 0, "all"),
            cohort("all"),
            queue("red", 10, "west", reclaims=ANY),
            queue("blue", 0, "east"),
        ),
        "theirs blue 5 0",
        "red 8 0",
        "theirs",
    ),
    "what is not lent is its own, and the rest of what it asks is its cohort's": (
        (
            cohort("outer"),
            cohort("inner", 2, "outer"),
            queue("red", 3, "inner", lends=2, within=LOWER, reclaims=ANY),
            queue("guest", 0, "outer"),
        ),
        "theirs guest 4 0",
        "red 5 -2",
        "theirs",
    ),
}

OTHERWISE = {
    "what is larger than the nominal quota stops lower work of its own pool": (
        (queue("red", 2, "some", within=LOWER, reclaims=ANY), queue("blue", 2, "some")),
        "low red 1 -1, theirs blue 1 -1",
        "red 3 1",
        "low",
    ),
    "where lower work of its own is enough, nobody else falls": (
        (queue("red", 50, "some", borrows=10, within=LOWER, reclaims=ANY), queue("blue", 50, "some", borrows=50)),
        "low red 30 -1, lower red 10 -2, theirs blue 60 0",
        "red 20 0",
        "low",
    ),
}
"""Where it is not as in Kueue: what docs/scheduling.md says of it."""


@pytest.mark.parametrize(
    ("members", "runs", "asks", "falls"),
    [
        pytest.param(*case, id=sentence)
        for cases in (WITHIN, TAKEN_BACK, WHILE_BORROWING, IN_TREES, OTHERWISE)
        for sentence, case in cases.items()
    ],
)
def test_those_fall_and_nobody_else(members: tuple[Member, ...], runs: str, asks: str, falls: str) -> None:
    plan = World(members, runs, f"asks {asks}").plan()

    assert not placements(plan)
    assert {name for each in victims(plan).values() for name in each} == set(falls.split())
