import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.units import GpuUuid, Instant, NodeName
from scheduler.metering.admission import FUTURE_MS_MAX, PAST_MS_MAX, Admission, Kept, admit
from scheduler.metering.windows import Window
from tests.metering.kept import kept_of

NODE, OTHER = NodeName("node-1"), NodeName("node-2")
GPU = GpuUuid("GPU-a")
OWNERS = {GPU: NODE, GpuUuid("GPU-b"): OTHER}
LAST = Kept("boot-1", 10, Instant(30_000))
NOW = Instant(100_000)
NEXT = Window(NODE, "boot-1", GPU, 11, Instant(30_000), Instant(45_000), covered_ms=15_000, sample_count=3)

CASES: dict[str, tuple[Window, Admission]] = {
    "the next": (NEXT, Admission.TAKEN),
    "one after windows that were lost": (replace(NEXT, sequence=20, start=Instant(60_000)), Admission.TAKEN),
    "the last one again": (
        replace(NEXT, sequence=10, start=Instant(15_000), end=Instant(30_000)),
        Admission.DUPLICATE,
    ),
    "an earlier one again": (replace(NEXT, sequence=9, start=Instant(0), end=Instant(15_000)), Admission.DUPLICATE),
    "a used number for other times": (replace(NEXT, sequence=10), Admission.SEQUENCE_WENT_BACK),
    "times that were told already": (replace(NEXT, start=Instant(29_999)), Admission.OVERLAPS),
    "after a reboot": (replace(NEXT, boot_id="boot-2", sequence=1), Admission.TAKEN),
    "after a reboot, about before it": (
        replace(NEXT, boot_id="boot-2", sequence=1, start=Instant(20_000)),
        Admission.OVERLAPS,
    ),
    "a clock that is a little ahead": (replace(NEXT, end=Instant(NOW + FUTURE_MS_MAX)), Admission.TAKEN),
    "the future": (replace(NEXT, end=Instant(NOW + FUTURE_MS_MAX + 1)), Admission.FROM_THE_FUTURE),
    "long ago": (replace(NEXT, start=Instant(NOW - PAST_MS_MAX - 1)), Admission.FROM_LONG_AGO),
    "a GPU of no inventory": (replace(NEXT, gpu_uuid=GpuUuid("GPU-z")), Admission.UNKNOWN_GPU),
    "a GPU of another node": (replace(NEXT, gpu_uuid=GpuUuid("GPU-b")), Admission.FOREIGN_GPU),
}


@pytest.mark.parametrize(("window", "expected"), CASES.values(), ids=CASES.keys())
def test_a_window_is_judged_by_the_last_that_was_kept(window: Window, expected: Admission) -> None:
    assert admit(window, LAST, OWNERS, NOW) is expected


def test_the_first_window_of_a_device_is_taken_whatever_its_number() -> None:
    assert admit(replace(NEXT, sequence=1_800_000), None, OWNERS, NOW) is Admission.TAKEN


@given(st.integers(0, 2**32), st.integers(1, 30))
def test_what_is_kept_never_overlaps_however_windows_are_lost_doubled_and_shuffled(seed: int, count: int) -> None:
    chance = random.Random(seed)
    sent = [replace(NEXT, sequence=n, start=Instant(1_000 * n), end=Instant(1_000 * n + 1_000)) for n in range(count)]
    sent = [window for window in sent for _ in range(chance.choice([0, 1, 1, 2]))]
    if chance.random() < 0.5:
        chance.shuffle(sent)
    kept: list[Window] = []
    for window in sent:
        last = kept_of(kept[-1]) if kept else None
        if admit(window, last, OWNERS, NOW) is Admission.TAKEN:
            kept.append(window)
    assert all(before.end <= after.start for before, after in pairwise(kept))
    assert len({window.sequence for window in kept}) == len(kept)
