from dataclasses import replace

import pytest

from scheduler.domain.units import AttemptId, GpuUuid, Instant, NodeName, PodUid
from scheduler.metering.misuse import (
    APART_MS_MAX,
    MINING_MS,
    Misuse,
    MisuseKind,
    Title,
    as_mining,
    grown,
    is_worth_telling,
    strangers,
    witnessed,
)
from scheduler.metering.samples import UtilizationSource
from scheduler.metering.windows import ActivityIntegral, ProcessSeen, UtilizationIntegral, Window

OURS, THEIRS = AttemptId("a-1"), AttemptId("a-2")
OUR_POD, THEIR_POD, FOREIGN_POD = PodUid("p-1"), PodUid("p-2"), PodUid("p-x")
KNOWN = {OUR_POD: OURS, THEIR_POD: THEIRS}
HELD = Title(frozenset({OURS}), KNOWN, has_outside=False)
FREE = Title(frozenset(), KNOWN, has_outside=False)
MPS_IN_PODS = replace(HELD, allowed_in_pods=frozenset({"nvidia-cuda-mps"}))
OUTSIDE = Title(frozenset(), KNOWN, has_outside=True)


def process(pod: PodUid | None, name: str | None = "python", started: int | None = 9) -> ProcessSeen:
    return ProcessSeen(7, started, 5, 90, pod, None, name)


def window(number: int, *processes: ProcessSeen) -> Window:
    start = Instant(number * 15_000)
    return Window(
        NodeName("n"),
        "b",
        GpuUuid("GPU-a"),
        number,
        start,
        Instant(start + 15_000),
        15_000,
        3,
        utilization=UtilizationIntegral(15_000, 99 * 15_000, 100, UtilizationSource.SAMPLES),
        processes=processes,
    )


CASES: dict[str, tuple[ProcessSeen, Title, MisuseKind | None]] = {
    "its own pod": (process(OUR_POD), HELD, None),
    "another attempt's pod": (process(THEIR_POD), HELD, MisuseKind.OTHER_POD),
    "two attempts that share it": (process(THEIR_POD), replace(HELD, holders=frozenset({OURS, THEIRS})), None),
    "an attempt's pod on a free GPU": (process(THEIR_POD), FREE, MisuseKind.OTHER_POD),
    "a foreign pod beside ours": (process(FOREIGN_POD), HELD, MisuseKind.OTHER_POD),
    "a foreign pod that may have it": (process(FOREIGN_POD), OUTSIDE, None),
    "a shell on the host": (process(None, "python3"), HELD, MisuseKind.HOST_PROCESS),
    "the MPS server": (process(None, "nvidia-cuda-mps"), HELD, None),
    "a pod's process that calls itself so": (process(FOREIGN_POD, "nvidia-cuda-mps"), FREE, MisuseKind.OTHER_POD),
    "the MPS server in a pod, where policy allows it there": (
        process(FOREIGN_POD, "nvidia-cuda-mps"),
        MPS_IN_PODS,
        None,
    ),
    "our own pod's process that calls itself so": (
        process(THEIR_POD, "nvidia-cuda-mps"),
        MPS_IN_PODS,
        MisuseKind.OTHER_POD,
    ),
    "a process of the host by a name that pods may have": (
        process(None, "nvidia-cuda-mps"),
        replace(MPS_IN_PODS, allowed=frozenset()),
        MisuseKind.HOST_PROCESS,
    ),
    "a process that cannot be looked at": (process(None, None, started=None), HELD, None),
}


@pytest.mark.parametrize(("seen", "title", "kind"), CASES.values(), ids=CASES)
def test_only_what_is_understood_accuses(seen: ProcessSeen, title: Title, kind: MisuseKind | None) -> None:
    assert [stranger.kind for stranger in strangers(window(1, seen), title)] == ([] if kind is None else [kind])


def test_a_window_whose_processes_nobody_saw_accuses_nobody() -> None:
    assert strangers(replace(window(1), processes=None), HELD) == ()


def test_one_look_is_no_proof_and_two_are() -> None:
    (first,) = strangers(window(1, process(THEIR_POD)), HELD)
    (second,) = strangers(window(2, replace(process(THEIR_POD), memory_bytes_max=9)), HELD)
    both = grown(first, second)
    assert not is_worth_telling(first)
    assert is_worth_telling(both)
    assert (both.first_at, both.last_at, both.windows, both.memory_bytes_max) == (15_000, 45_000, 2, 9)
    assert (both.attempt_id, both.holder, both.pod_uid) == (THEIRS, OURS, THEIR_POD)


def test_a_window_around_a_start_accuses_only_who_was_there_a_minute_before() -> None:
    def seen(number: int) -> Misuse:
        (found,) = strangers(window(number, process(None)), FREE)
        return found

    arrived_at = Instant(75_000)
    there = grown(grown(None, seen(1)), seen(4))
    assert witnessed(there, seen(5), arrived_at).windows == 1
    assert witnessed(there, seen(5), Instant(arrived_at - 1)).windows == 0
    assert witnessed(None, seen(5), arrived_at).windows == 0
    assert witnessed(None, seen(5), None).windows == 1
    assert witnessed(there, seen(40), arrived_at).windows == 0, "who stayed away came anew"
    assert grown(there, witnessed(None, seen(5), arrived_at)).windows == 2


def test_who_comes_back_after_more_than_two_minutes_begins_anew() -> None:
    first, soon, later = (strangers(window(number, process(THEIR_POD)), HELD)[0] for number in (1, 10, 11))
    assert soon.first_at - first.last_at == APART_MS_MAX
    assert grown(first, soon).windows == 2
    assert grown(first, later) == later


def mined(title: Title, dram_permille: int | None, windows: int) -> bool:
    """Whether so many windows of the same are worth telling of as mining."""
    known = None
    for number in range(windows):
        dram = None if dram_permille is None else dram_permille * 15_000
        seen = replace(
            window(number, process(None, "kworker")), activity=ActivityIntegral(15_000, 15_000_000, None, None, dram)
        )
        (stranger,) = strangers(seen, title)
        suspect = as_mining(seen, title, stranger)
        if suspect is None:
            return False
        known = grown(known, suspect)
    return known is not None and is_worth_telling(known)


def test_mining_is_suspected_of_half_an_hour_of_full_load_without_memory_traffic_outside_any_attempt() -> None:
    enough = MINING_MS // 15_000
    assert mined(FREE, 10, enough)
    assert not mined(FREE, 10, enough - 1)
    assert not mined(FREE, 400, enough)
    assert not mined(FREE, None, enough)
    assert not mined(HELD, 10, enough)
