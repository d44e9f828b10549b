"""Numbers agree with the words beside them."""

import pytest

from scheduler.domain.reasons import TEXTS, Reason, sentence
from scheduler.domain.wording import counted, filled


def test_a_noun_is_of_the_number_that_it_follows() -> None:
    assert [counted(number, "GPU") for number in (0, 1, 2)] == ["0 GPUs", "1 GPU", "2 GPUs"]
    assert [counted(number, "index", "indexes") for number in (1, 8)] == ["1 index", "8 indexes"]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"gpus": 1}, "its 1 GPU is idle"),
        ({"gpus": 8}, "its 8 GPUs are idle"),
        ({"gpus": "1"}, "its 1 GPU is idle"),
        ({}, "its – GPUs are idle"),
    ],
)
def test_a_sentence_is_filled_with_a_number_and_its_words(values: dict[str, object], text: str) -> None:
    assert filled("its {gpus:GPU is|GPUs are} idle", values) == text


def test_idle_gpus_are_told_in_their_number() -> None:
    told = [sentence(Reason.IDLE_REPORTED, {"gpus": gpus, "minutes": 25}) for gpus in (1, 8)]
    assert told == [
        "Running, but its 1 GPU has been idle for 25 min.",
        "Running, but its 8 GPUs have been idle for 25 min.",
    ]


def test_no_sentence_leaves_the_number_of_a_noun_to_its_reader() -> None:
    assert [reason for reason in Reason if "(s)" in TEXTS[reason].sentence + TEXTS[reason].next_step] == []
