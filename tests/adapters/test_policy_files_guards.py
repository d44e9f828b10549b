"""What a policy says of off-peak hours and spend guards has an effect, or is refused."""

import pytest

from scheduler.adapters.policy_files import check_policy
from tests.adapters.test_policy_files_bad_input import HEAD, LINES


def problems_of(source: str) -> list[str]:
    return [str(problem) for problem in check_policy(source, "p.yaml")[1]]


OFF_PEAK: dict[str, tuple[str, list[str]]] = {
    "both ends": ("from_hour: 21, until_hour: 7", []),
    "neither": ("weekends: true", []),
    "no end": (
        "from_hour: 21",
        [
            "6:37: priority_classes.standard.off_peak.from_hour: found one end of the hours; expected until_hour beside it"
        ],
    ),
    "no beginning": (
        "until_hour: 7",
        [
            "6:37: priority_classes.standard.off_peak.until_hour: found one end of the hours; expected from_hour beside it"
        ],
    ),
    "none at all": (
        "from_hour: 7, until_hour: 7",
        [
            "6:51: priority_classes.standard.off_peak.until_hour: found hours from 7 until 7, which are none; expected "
            "another hour than from_hour"
        ],
    ),
    "one that cannot be read": (
        "from_hour: 9pm, until_hour: 7",
        [
            '6:48: priority_classes.standard.off_peak.from_hour: found "9pm"; expected a whole number from 0 to 23 '
            "(o'clock)"
        ],
    ),
}


@pytest.mark.parametrize("case", OFF_PEAK)
def test_off_peak_hours_have_two_ends(case: str) -> None:
    hours, expected = OFF_PEAK[case]
    assert problems_of(HEAD.replace("{value: 500}", f"{{value: 500, off_peak: {{{hours}}}}}")) == expected


GUARDS: dict[str, tuple[str, list[str]]] = {
    "a soft limit": (", soft_gpu_hours: 5", []),
    "two": (", soft_gpu_hours: 5, hard_gpu_hours: 5", []),
    "none": (
        "",
        [
            f"{LINES + 2}:11: spend_guards.nights: found a guard without a limit; expected soft_gpu_hours, hard_gpu_hours, "
            "or both"
        ],
    ),
    "a soft one above the hard one": (
        ", soft_gpu_hours: 6, hard_gpu_hours: 5",
        [f"{LINES + 2}:35: spend_guards.nights.soft_gpu_hours: found 6; expected at most hard_gpu_hours, 5"],
    ),
    "one that cannot be read": (
        ", hard_gpu_hours: 5h",
        [
            f'{LINES + 2}:51: spend_guards.nights.hard_gpu_hours: found "5h"; expected a whole number from 1 to 1000000000 '
            "(standard GPU-hours)"
        ],
    ),
}


@pytest.mark.parametrize("case", GUARDS)
def test_a_spend_guard_has_a_limit_that_can_be_reached(case: str) -> None:
    limits, expected = GUARDS[case]
    assert problems_of(f"{HEAD}spend_guards:\n  nights: {{of: team, window: day{limits}}}\n") == expected
