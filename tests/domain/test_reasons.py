"""The list of reasons: what is pay data is told to nobody who may not see it."""

from string import Formatter

import pytest

from scheduler.domain.reasons import PAY_DATA, TEXTS, Reason, for_others, next_step, sentence


def keys(template: str) -> set[str]:
    return {key for _, key, _, _ in Formatter().parse(template) if key}


@pytest.mark.parametrize("reason", Reason)
def test_a_sentence_that_tells_pay_data_has_another_that_tells_none(reason: Reason) -> None:
    text = TEXTS[reason]
    assert bool(text.to_others) == bool(keys(text.sentence) & PAY_DATA)
    assert keys(text.to_others) & PAY_DATA == set()
    assert keys(text.next_step) & PAY_DATA == set()


def test_for_others_the_evidence_keeps_what_is_nobodys_pay() -> None:
    evidence = {"needed_hours": "8.0", "available_hours": "3.5", "short_hours": "4.5"}
    assert for_others(evidence) == {"needed_hours": "8.0"}
    assert sentence(Reason.ALLOWANCE_SHORT, evidence) == "Waiting: needs 8.0 h, 3.5 h available for it."
    told = sentence(Reason.ALLOWANCE_SHORT, evidence, sees_pay=False)
    assert told == "Waiting: needs 8.0 h, more than is available for it."


def test_what_can_be_done_is_told_with_its_figures_too() -> None:
    assert next_step(Reason.SPEND_GUARD, {"window": "day"}).startswith("It starts in a later day or when other work")
    told = [next_step(reason, dict.fromkeys(keys(TEXTS[reason].next_step), "7")) for reason in Reason]
    assert [each for each in told if "{" in each or "–" in each] == []


def test_hours_in_a_sentence_have_gaps_in_their_thousands_and_programs_read_them_without() -> None:
    evidence = {"needed_hours": "1234.5", "available_hours": "12345678.0", "short_hours": "0.1"}
    told = sentence(Reason.ALLOWANCE_SHORT, evidence)
    assert told == "Waiting: needs 1\u202f234.5 h, 12\u202f345\u202f678.0 h available for it."
    assert evidence["needed_hours"] == "1234.5"
