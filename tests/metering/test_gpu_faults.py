"""Which Xids are the hardware's, who had the GPU, and which of them a failed attempt died of."""

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.records import PodRun
from scheduler.domain.units import MS_PER_MINUTE, AttemptId, GpuUuid, Instant, NodeName, PodUid
from scheduler.metering.gpu_faults import (
    HARDWARE_XIDS,
    LAST_STRETCH_MS,
    GpuFault,
    died_of,
    faults_of,
    first_failure,
    has_fault,
)
from scheduler.metering.windows import Window

N = NodeName("n")
GPU = GpuUuid("GPU-a")
A, B = AttemptId("a"), AttemptId("b")
END = Instant(100 * MS_PER_MINUTE)
APPLICATIONS = {13, 31, 43, 45, 68, 109}
"""Those that NVIDIA's k8s-device-plugin ignores, too."""


def window(*xids: int, start: int = 0) -> Window:
    return Window(N, "boot", GPU, 1, Instant(start), Instant(start + 15_000), 15_000, 3, xids=xids)


def fault(start: int, end: int | None = None, gpu: GpuUuid = GPU, xid: int = 79) -> GpuFault:
    return GpuFault(gpu, N, xid, Instant(start), Instant(start + 15_000 if end is None else end), A)


def run(number: int, ended_at: int | None, exit_code: int | None) -> PodRun:
    ended = None if ended_at is None else Instant(ended_at)
    return PodRun(PodUid(f"p{number}"), A, f"p{number}", N, 1, Instant(0), ended, exit_code=exit_code)


def test_no_xid_of_an_application_is_the_hardwares() -> None:
    assert HARDWARE_XIDS.keys().isdisjoint(APPLICATIONS)
    assert {48, 74, 79, 94, 95, 119, 140} <= HARDWARE_XIDS.keys()
    assert not has_fault(window(*APPLICATIONS))
    assert not has_fault(window())


def test_each_hardware_xid_of_a_window_is_told_once_for_each_who_had_the_gpu() -> None:
    told = window(79, 48, 79, 13)
    assert has_fault(told)
    assert [(each.xid, each.attempt_id, each.is_judged) for each in faults_of(told, [B, A, A])] == [
        (48, A, False),
        (48, B, False),
        (79, A, False),
        (79, B, False),
    ]


def test_what_nobody_had_is_kept_and_needs_no_judgement() -> None:
    assert faults_of(window(79), []) == [GpuFault(GPU, N, 79, Instant(0), Instant(15_000), None, is_judged=True)]


def test_the_first_pod_that_failed_of_itself_tells_when_the_attempt_failed() -> None:
    others = [run(0, 900, 143), run(1, 950, 137), run(2, 800, 0), run(3, None, None)]
    assert first_failure([*others, run(4, 700, 1), run(5, 600, 139)], Instant(1_000)) == 600
    assert first_failure(others, Instant(1_000)) == 1_000
    assert first_failure([], Instant(1_000)) == 1_000


def test_an_attempt_died_of_the_first_fault_that_lies_near() -> None:
    near = END - MS_PER_MINUTE
    far = fault(END - LAST_STRETCH_MS - 15_000)
    late = fault(END + 1_000)
    blind = fault(near - LAST_STRETCH_MS, near + 1)
    other = fault(near, gpu=GpuUuid("GPU-b"))
    assert died_of([far, late, blind], END) is None
    assert died_of([other, fault(near, xid=95), fault(near), far], END) == fault(near)
    assert died_of([fault(END + 999)], END) is not None  # its stamp is a whole second, cut


@given(st.integers(0, 200 * MS_PER_MINUTE), st.integers(1, 20 * MS_PER_MINUTE))
def test_a_fault_counts_if_and_only_if_its_window_overlaps_the_last_stretch(start: int, length: int) -> None:
    told = fault(start, start + length)
    overlaps = told.end > END - LAST_STRETCH_MS and told.start < END + 1_000
    assert (died_of([told], END) is told) == (overlaps and length <= LAST_STRETCH_MS)
