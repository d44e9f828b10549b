"""Values are equal, hashed and replaced by their fields, and mypy lets nobody change one."""

from dataclasses import fields, replace
from typing import Any

import pytest

from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.units import Instant
from scheduler.domain.usage import REORDERED_EVERY_MS, growing_old
from scheduler.domain.values import value
from scheduler.domain.workloads import PastSize, Workload


def test_values_of_the_same_fields_are_one_and_the_same_to_a_set() -> None:
    size = PastSize(Instant(1), 2)
    assert {size, PastSize(Instant(1), 2), replace(size, pods=3)} == {size, PastSize(Instant(1), 3)}
    assert size != PastSize(Instant(2), 2)
    assert [each.name for each in fields(size)] == ["until", "pods"]


def test_mypy_refuses_to_set_a_field_of_a_value() -> None:
    size = PastSize(Instant(1), 2)
    size.pods = 3  # type: ignore[misc] # mypy would refuse this comment, too, if it let the field be set
    with pytest.raises(AttributeError):
        size.podz = 3  # type: ignore[attr-defined] # there are no others


def test_a_value_is_said_to_be_frozen() -> None:
    with pytest.raises(AssertionError):

        @value(frozen=False)
        class Changing:
            pods: int


def test_what_is_made_field_by_field_leaves_none_out() -> None:
    waits: Any = {field.name: f"its {field.name}" for field in fields(Workload)}
    waits |= {"submitted_at": 2 * REORDERED_EVERY_MS, "eligible_at": 3 * REORDERED_EVERY_MS}
    since = Instant(4 * REORDERED_EVERY_MS)
    assert growing_old(Workload(**waits), since) == Workload(**{**waits, "ages_from": since})
    there: Any = {field.name: 100 + number for number, field in enumerate(fields(AllowanceBalance))}
    assert AllowanceBalance(**there).less(5) == AllowanceBalance(**{**there, "available": there["available"] - 5})
