"""A replay of owners at their limits comes to what it came to when every cycle looked at all of theirs."""

from random import Random
from typing import Any

import pytest

from scheduler.simulation.replay.engine import Outcome
from scheduler.simulation.replay.submissions import Submission
from tests.decision.crowds import nobody_is_held, seen
from tests.simulation.replay.build import ANN, BOB, POLICY, asks, replayed

LIMITED = POLICY.replace("nominal_gpus: 4", "nominal_gpus: 16") + "limits: {gpus_per_engineer: 8}\n"
CROWDS = {
    "there is room for all": (LIMITED, 32),
    "room is short as well": (LIMITED, 12),
    "hours are short as well": (LIMITED.replace("allowance_gpu_hours: 1000", "allowance_gpu_hours: 150"), 32),
}


def crowd(seed: int) -> list[Submission]:
    """Three hundred workloads of two people within four days: most of them wait for their owner's own."""
    random = Random(seed)
    return [
        asks(
            round(random.uniform(0, 96), 2),
            random.choice((0.2, 1, 3, 7)),
            owner=random.choice((ANN, BOB)),
            gpus=random.choice((1, 1, 2, 4, 8)),
            priority_class=random.choice(("standard", "standard", "rolling", "urgent", "spare")),
            limit_hours=random.choice((4, 8, 12)),
        )
        for _ in range(300)
    ]


def everything(outcome: Outcome) -> dict[str, Any]:
    """Launches, ends, charges and what people were told, in their order."""
    works = [
        (each.workload.id, each.first_launch_at, each.attempts, each.ended_at, each.ran_ms, tuple(each.ends))
        for each in outcome.works
    ]
    books = outcome.books
    return {
        "works": works,
        "charged": list(books.charged.items()),
        "totals": books.totals_in,
        "transactions": books.transactions,
        "waiting": outcome.measures.waiting_ms,
        "preemptions": outcome.measures.preemptions,
        "cycles": outcome.cycles,
    }


@pytest.mark.parametrize(("policy", "gpus"), CROWDS.values(), ids=CROWDS)
def test_a_replay_comes_to_the_same_whether_or_not_anybody_is_held_back(policy: str, gpus: int) -> None:
    submissions = crowd(seed=gpus)
    with seen() as happened:
        found = replayed(submissions, policy, gpus=gpus, cycle_ms=60_000)
    with nobody_is_held():
        expected = replayed(submissions, policy, gpus=gpus, cycle_ms=60_000)
    assert everything(found) == everything(expected)
    assert happened.count("held") > 50
