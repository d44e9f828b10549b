"""How long somebody's work waited for capacity, from the verdicts on it."""

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.reasons import TEXTS, Reason
from scheduler.domain.records import RecordedVerdict
from scheduler.domain.units import Instant, WorkloadId
from scheduler.domain.waits import FOR_CAPACITY, Wait, waited_ms, waits_of, within


def verdict(at: int, reason: Reason) -> RecordedVerdict:
    return RecordedVerdict(0, WorkloadId("w-1"), Instant(at), reason, {})


def test_a_wait_lasts_from_its_verdict_to_the_next_and_what_lacks_hours_does_not_wait_for_capacity() -> None:
    told = [
        verdict(0, Reason.ALLOWANCE_SHORT),
        verdict(10, Reason.RESOURCES),
        verdict(20, Reason.PRIORITY),
        verdict(25, Reason.ENGINEER_GPU_LIMIT),
        verdict(40, Reason.QUOTA),
    ]
    found = waits_of(told, Instant(50))
    assert [(wait.start, wait.end) for wait in found] == [(10, 20), (20, 25), (40, 50)]
    assert waited_ms(found) == 25
    assert waits_of([verdict(60, Reason.RESOURCES)], Instant(50)) == []


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20), st.sampled_from("abc")), max_size=8),
    st.integers(0, 60),
    st.integers(0, 60),
)
def test_waits_at_once_count_once_and_only_within_the_span(
    spans: list[tuple[int, int, str]], starts_at: int, ends_at: int
) -> None:
    waits = [Wait(Instant(start), Instant(start + length), WorkloadId(name)) for start, length, name in spans]
    cut = within(waits, Instant(starts_at), Instant(ends_at))
    instants = {at for wait in waits for at in range(wait.start, wait.end) if starts_at <= at < ends_at}
    assert waited_ms(cut) == len(instants)


def test_no_verdict_on_something_that_cannot_be_placed_or_paid_is_a_wait_for_capacity() -> None:
    assert FOR_CAPACITY.isdisjoint({Reason.UNPLACEABLE, Reason.ALLOWANCE_SHORT, Reason.BACKOFF, Reason.DEPENDENCY})


def test_whoever_waits_for_gpus_that_are_anothers_or_that_a_brake_keeps_waits_for_capacity() -> None:
    """Every verdict that waits is the platform's doing or the owner's own: a new one has to be put on its side."""
    own = {
        Reason.ALLOWANCE_SHORT,
        Reason.ENGINEER_GPU_LIMIT,
        Reason.TEAM_GPU_LIMIT,
        Reason.SPEND_GUARD,
        Reason.BACKOFF,
        Reason.BEGIN_TIME,
        Reason.DEPENDENCY,
        Reason.ARRAY_LIMIT,
        Reason.OFF_PEAK,
    }
    waits = {reason for reason, text in TEXTS.items() if text.sentence.startswith("Waiting")}
    assert waits - own | {Reason.LAUNCH_PAUSED} == FOR_CAPACITY
    assert FOR_CAPACITY.isdisjoint(own)
