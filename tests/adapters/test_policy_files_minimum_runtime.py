"""A minimum runtime in a policy file: minutes, or seconds as Slurm's `PreemptExemptTime`."""

import pytest

from scheduler.adapters.policy_files import read_policy
from scheduler.domain.policy_changes import diff_policies
from tests.adapters.test_policy_files import MINIMAL


@pytest.mark.parametrize(
    ("key", "expected_ms"),
    [
        ("minimum_runtime_seconds: 2", 2_000),
        ("minimum_runtime_minutes: 2", 120_000),
        ("minimum_runtime_seconds: 0", 0),
    ],
)
def test_a_minimum_runtime_is_written_in_minutes_or_in_seconds(key: str, expected_ms: int) -> None:
    policy = read_policy(MINIMAL.replace("value: 500", f"value: 500, {key}"), "a")
    assert [item.minimum_runtime_ms for item in policy.priority_classes.values()] == [expected_ms]


def test_a_minimum_runtime_means_the_same_in_either_unit() -> None:
    in_minutes, in_seconds = (
        read_policy(MINIMAL.replace("value: 500", f"value: 500, {key}"), "a")
        for key in ("minimum_runtime_minutes: 2", "minimum_runtime_seconds: 120")
    )
    assert diff_policies(in_minutes, in_seconds) == ()
