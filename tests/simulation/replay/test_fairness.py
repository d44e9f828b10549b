"""How fair a policy was: over everybody who asked for something, whatever they were told; and how long they waited."""

from scheduler.simulation.replay.report import report, wait_distribution
from scheduler.simulation.replay.submissions import Stream, Submission
from tests.simulation.replay.build import ANN, BOB, asks, replayed


def fairness_of(*submissions: Submission) -> dict[str, dict[str, float]]:
    made = report(Stream({}, [ANN, BOB], submissions), [replayed(submissions)])
    found: dict[str, dict[str, float]] = made["policies"][0]["fairness"]
    return found


def test_who_is_refused_is_not_served_and_makes_a_policy_no_fairer() -> None:
    refused = asks(1, 1, owner=BOB, priority_class="none")
    both = fairness_of(asks(0, 1), refused)
    assert both["served_share"] == both["gpu_hours"] == {"jain": 0.5, "gini": 0.5}
    assert fairness_of(asks(0, 1), asks(1, 1, owner=BOB))["served_share"] == {"jain": 1.0, "gini": 0.0}


def test_part_of_somebody_s_work_that_is_refused_lowers_their_share() -> None:
    """Ann gets all of hers, Bob half of his: (1 + 1/2)² ÷ (2 × (1 + 1/4))."""
    half = [asks(0, 1), asks(1, 1, owner=BOB), asks(2, 1, owner=BOB, priority_class="none")]
    assert fairness_of(*half)["served_share"]["jain"] == 0.9


def test_waits_are_told_by_their_mean_their_quantiles_and_the_longest() -> None:
    told = wait_distribution([1_000 * number for number in range(100, 0, -1)])
    assert {name: told[name] for name in told if name != "counts"} == {
        "count": 100,
        "mean_ms": 50_500,
        "p50_ms": 50_000,
        "p90_ms": 90_000,
        "p99_ms": 99_000,
        "max_ms": 100_000,
    }
    assert sum(told["counts"]) == 100
