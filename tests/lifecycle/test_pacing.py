"""Words to the cluster are few while launches need it; the cycle rests longer while people ask, and begins at once for
what somebody waits for."""

import pytest

from scheduler.domain.observations import ClusterChanges, PodPhase
from scheduler.domain.units import NodeName
from scheduler.lifecycle.running.pacing import (
    BREATH_SECONDS,
    BUSY_CALLS,
    WORDS_A_SECOND,
    WORDS_A_SECOND_WHEN_BUSY,
    Pace,
    is_pressing,
    rest_seconds,
)
from tests.lifecycle.build import Company, changes, job_seen, pod_seen


@pytest.mark.parametrize(
    ("noted", "under_way", "words"),
    [
        pytest.param([], 0, WORDS_A_SECOND, id="nothing else to do"),
        pytest.param([(9.5, BUSY_CALLS)], 0, WORDS_A_SECOND, id="a few launches"),
        pytest.param(
            [(9.2, BUSY_CALLS), (9.5, 1)], 0, WORDS_A_SECOND_WHEN_BUSY, id="many launches, answered at once"
        ),
        pytest.param([(8.9, BUSY_CALLS), (9.5, 1)], 0, WORDS_A_SECOND, id="many launches, a while ago"),
        pytest.param([], BUSY_CALLS // 2 + 1, WORDS_A_SECOND_WHEN_BUSY, id="many launches, not answered yet"),
        pytest.param([(9.1, 20), (9.3, 20)], 0, WORDS_A_SECOND_WHEN_BUSY, id="some launches, and news beside them"),
    ],
)
def test_words_are_few_while_other_writes_are_many(
    noted: list[tuple[float, int]], under_way: int, words: int
) -> None:
    pace = Pace()
    for moment, writes in noted:
        pace.note(moment, writes)

    assert pace.words_a_second(10.0, under_way) == words


@pytest.mark.parametrize(
    ("took", "is_asked", "rest"),
    [
        pytest.param(0.01, False, 0.005, id="ends and launches wait for half a cycle"),
        pytest.param(1.0, False, BREATH_SECONDS, id="but never longer than the longest rest"),
        pytest.param(0.01, True, BREATH_SECONDS, id="under a stream of submissions for the longest rest"),
    ],
)
def test_a_cycle_rests_longer_while_people_ask(took: float, rest: float, *, is_asked: bool) -> None:
    assert rest_seconds(took, is_asked=is_asked) == rest


def test_what_may_free_gpus_presses_and_what_is_new_or_runs_as_told_does_not(company: Company) -> None:
    company.grant("ada", 100)
    work = company.submit()
    running, new = job_seen(work, is_suspended=False, attempt_id="a-1"), job_seen(company.submit())

    assert not is_pressing(changes(running, new, pod_seen(work, phase=PodPhase.RUNNING)))
    assert not is_pressing(changes(job_seen(work, is_confirmed_suspended=True)))  # as Kubernetes marks a new one

    assert is_pressing(changes(job_seen(work, is_confirmed_suspended=True, attempt_id="a-1")))
    assert is_pressing(changes(new, job_seen(work, is_suspended=False, is_complete=True)))
    assert is_pressing(changes(job_seen(work, is_suspended=False, is_failed=True)))
    assert is_pressing(changes(job_seen(work, is_deleted=True)))
    assert is_pressing(ClusterChanges(jobs={running.uid: None}))
    assert is_pressing(changes(running, pod_seen(work, phase=PodPhase.SUCCEEDED)))
    assert is_pressing(ClusterChanges(nodes={NodeName("n0"): None}))
    assert is_pressing(changes(running, is_relist=True))
