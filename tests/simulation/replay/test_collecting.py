"""A replay collects garbage seldom, and whoever runs one has it collected afterwards as before."""

import gc

import pytest

from scheduler.simulation.replay.collecting import THRESHOLDS, collecting_seldom


def test_garbage_is_collected_as_before_when_a_replay_is_over_or_has_failed() -> None:
    before = gc.get_threshold()
    with pytest.raises(ValueError, match="a broken row"):
        _fail_while_collecting_seldom()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def _fail_while_collecting_seldom() -> None:
    with collecting_seldom():
        assert gc.get_threshold() == THRESHOLDS
        assert gc.get_freeze_count() > 0
        raise ValueError("a broken row")
