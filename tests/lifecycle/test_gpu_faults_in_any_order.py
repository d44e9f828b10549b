"""A property: however windows of two GPUs, an end and judgements come in, the books are in the end the same."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.reasons import Reason
from scheduler.metering.windows import Window
from tests.lifecycle.agents import WINDOW_MS
from tests.lifecycle.broken import CHECKPOINTED_MS, LOST, RAN_MS, Broken, broken
from tests.lifecycle.build import Company, later

BOTH = 2
LOST_MS = BOTH * (RAN_MS - CHECKPOINTED_MS)
AFTER_MS = RAN_MS + WINDOW_MS


@st.composite
def happenings(draw: st.DrawFn) -> list[str]:
    """`g0`, `g1`: the next window of that GPU; `again`: all that was sent, once more; `fail` and `judge`."""
    some = ["g0"] * 3 + ["g1"] * 3 + ["fail"]
    return draw(st.permutations(some + ["judge"] * draw(st.integers(0, 3)) + ["again"] * draw(st.integers(0, 2))))


def told_by(work: Broken, gpu: int, broken_gpus: set[int]) -> list[Window]:
    """Before it broke, as it did, and after the end."""
    first, second = work.windows(*([LOST] if gpu in broken_gpus else []), gpu=gpu)
    third = replace(work.windows(gpu=gpu, at_ms=AFTER_MS)[1], processes=())
    return [first, second, third]


def play(work: Broken, happened: list[str], broken_gpus: set[int]) -> None:
    work.company.now = later(work.ended_at, 60)
    left = {f"g{gpu}": told_by(work, gpu, broken_gpus) for gpu in range(BOTH)}
    sent: list[Window] = []
    for each in happened:
        match each:
            case "fail":
                work.fail()
            case "judge":
                work.judge()
            case "again":
                assert not work.agents.post(*sent).taken
            case _:
                sent.append(left[each].pop(0))
                assert work.agents.post(sent[-1]).taken == 1
    work.judge()


@given(happened=happenings(), broken_gpus=st.sets(st.integers(0, BOTH - 1)))
def test_whatever_comes_first_the_lost_work_comes_back_once_or_not_at_all(
    happened: list[str], broken_gpus: set[int]
) -> None:
    work = broken(company := Company())
    try:
        play(work, happened, broken_gpus)
        assert work.refunded_ms == (LOST_MS if broken_gpus else 0)
        assert work.attempt.stop_reason is (Reason.GPU_FAULT if broken_gpus else Reason.FAILED)
        assert work.judge().faults == 0
    finally:
        company.close()
