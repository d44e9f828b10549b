"""Whose a GPU is: by processes, by elimination, and never by a guess."""

import pytest

from scheduler.domain.units import AttemptId, GpuUuid, Instant, NodeName, PodUid
from scheduler.metering.attribution import Tenancy, by_elimination, by_process
from scheduler.metering.windows import ProcessSeen, Window

A, B = AttemptId("a"), AttemptId("b")
GPUS = [GpuUuid(f"GPU-{number}") for number in range(4)]
ATTEMPT_OF = {PodUid("pod-a"): A, PodUid("pod-a-2"): A, PodUid("pod-b"): B}
SINCE = Instant(0)


def window(*pods: str | None) -> Window:
    processes = tuple(
        ProcessSeen(pid, 1, None, None, None if pod is None else PodUid(pod), None) for pid, pod in enumerate(pods, 1)
    )
    return Window(NodeName("n"), "b", GPUS[0], 1, Instant(0), Instant(15_000), 15_000, 3, processes=processes)


SEEN: dict[str, tuple[tuple[str | None, ...], AttemptId | None]] = {
    "its pod": (("pod-a",), A),
    "two pods of one attempt": (("pod-a", "pod-a-2"), A),
    "a process of the host beside its pod": ((None, "pod-a"), A),
    "a pod that is not ours beside its pod": (("pod-x", "pod-a"), A),
    "nobody": ((), None),
    "the host alone": ((None,), None),
    "pods of two attempts": (("pod-a", "pod-b"), None),
}


@pytest.mark.parametrize(("pods", "expected"), SEEN.values(), ids=SEEN)
def test_a_process_shows_whose_the_gpu_is(pods: tuple[str | None, ...], expected: AttemptId | None) -> None:
    assert by_process(window(*pods), ATTEMPT_OF) == expected


@pytest.mark.parametrize(
    ("live", "expected"), [({B}, B), ({A, B}, None), (set(), None)], ids=["one", "both", "neither"]
)
def test_a_gpu_that_changed_hands_is_whose_it_is_now(live: set[AttemptId], expected: AttemptId | None) -> None:
    assert by_process(window("pod-a", "pod-b"), ATTEMPT_OF, live) == expected


def test_a_node_that_is_wholly_one_attempts_is_its() -> None:
    assert by_elimination({}, GPUS, [Tenancy(A, 4, SINCE)]) == dict.fromkeys(GPUS, A)


def test_what_remains_goes_to_the_one_that_lacks_as_many() -> None:
    known = {GPUS[0]: A, GPUS[2]: A}
    expected = {GPUS[0]: A, GPUS[2]: A, GPUS[1]: B, GPUS[3]: B}
    assert by_elimination(known, GPUS, [Tenancy(A, 2, SINCE), Tenancy(B, 2, SINCE)]) == expected


@pytest.mark.parametrize(
    "tenancies",
    [
        pytest.param([Tenancy(A, 3, SINCE)], id="one GPU is free, and may be any"),
        pytest.param([Tenancy(A, 2, SINCE), Tenancy(B, 2, SINCE)], id="two attempts lack some"),
        pytest.param([Tenancy(A, 5, SINCE)], id="an attempt claims more than there are"),
        pytest.param([], id="nobody is there"),
    ],
)
def test_where_there_is_more_than_one_answer_nobody_is_named(tenancies: list[Tenancy]) -> None:
    assert by_elimination({}, GPUS, tenancies) == {}


def test_of_several_that_were_seen_only_one_that_was_seen_is_whose_it_is() -> None:
    """Who lives on the node and was not seen on the device has no part in it."""
    assert by_process(window("pod-a", "pod-b"), ATTEMPT_OF, [AttemptId("c")]) is None
    assert by_process(window("pod-a", "pod-b"), ATTEMPT_OF, [AttemptId("c"), B]) == B


def test_two_attempts_that_lack_as_many_are_no_answer() -> None:
    tenancies = [Tenancy(A, 1, SINCE), Tenancy(B, 1, SINCE)]
    assert by_elimination({}, GPUS[:1], tenancies) == {}
    assert by_elimination({}, GPUS[:2], tenancies) == {}
