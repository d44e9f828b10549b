"""Words to the cluster are few while launches need it."""

import pytest

from scheduler.lifecycle.running.pacing import BUSY_CALLS, WORDS_A_SECOND, WORDS_A_SECOND_WHEN_BUSY, Pace


@pytest.mark.parametrize(
    ("sent", "under_way", "words"),
    [
        pytest.param([], 0, WORDS_A_SECOND, id="nothing else to do"),
        pytest.param([(9.5, BUSY_CALLS)], 0, WORDS_A_SECOND, id="a few launches"),
        pytest.param(
            [(9.2, BUSY_CALLS), (9.5, 1)], 0, WORDS_A_SECOND_WHEN_BUSY, id="many launches, answered at once"
        ),
        pytest.param([(8.9, BUSY_CALLS), (9.5, 1)], 0, WORDS_A_SECOND, id="many launches, a while ago"),
        pytest.param([], BUSY_CALLS // 2 + 1, WORDS_A_SECOND_WHEN_BUSY, id="many launches, not answered yet"),
    ],
)
def test_words_are_few_while_launches_are_many(sent: list[tuple[float, int]], under_way: int, words: int) -> None:
    pace = Pace()
    for moment, calls in sent:
        pace.note(moment, calls)

    assert pace.words_a_second(10.0, under_way) == words
