"""Where every GPU-millisecond went: the report's sums, whatever became of the readings."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.cluster import NodeSpan
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, GpuUuid, Instant, NodeName
from scheduler.finance.reconciling.conservation import Account, Tenure, conserve, hours_between, total
from scheduler.metering.admission import Admission, Kept, admit, kept_of
from scheduler.metering.idle import IdleState
from scheduler.metering.use import Metered, hourly
from scheduler.metering.windows import Window

N = NodeName("n")
GPUS = 4
HOURS = 3
END = Instant(HOURS * MS_PER_HOUR)
CUTS = hours_between(Instant(0), END)


def span(starts_at: int = 0, ends_at: int | None = None, *, outside: int = 0, accepts: bool = True) -> NodeSpan:
    ends = None if ends_at is None else Instant(ends_at)
    return NodeSpan(N, GpuClassName("H100"), Instant(starts_at), ends, GPUS, outside, accepts)


def tenure(held: int, started: int | None, billed: int | None, ended: int | None, gpus: int = 1) -> Tenure:
    """In minutes."""
    start, bill, end = (None if minute is None else Instant(minute * 60_000) for minute in (started, billed, ended))
    return Tenure(N, gpus, Instant(held * 60_000), start, bill, end, is_funded=gpus != 2)


def test_every_bucket_has_its_time() -> None:
    spans = [
        span(0, MS_PER_HOUR, outside=1),
        span(MS_PER_HOUR, 2 * MS_PER_HOUR, accepts=False),
        span(2 * MS_PER_HOUR),
    ]
    tenures = [tenure(10, 15, 45, 50), tenure(0, 0, None, 60, gpus=2)]
    accounts = conserve(spans, tenures, {(N, Instant(2 * MS_PER_HOUR)): 90_000}, CUTS)
    minutes = [
        {name: getattr(each.account, name) // 60_000 for name in Account.__slots__ if getattr(each.account, name)}
        for each in accounts
    ]
    assert minutes == [
        {"charged": 30, "unfunded": 120, "overhead": 10, "idle": 20, "outside": 60, "capacity": 240},
        {"drained": 240, "capacity": 240},
        {"idle": 238, "unattributed": 1, "capacity": 240},
    ]
    assert accounts[2].account.unattributed == 90_000
    assert [each.account.unexplained for each in accounts] == [0, 0, 0]


def test_outside_pods_explain_what_was_taken_before_anybody_is_asked() -> None:
    accounts = conserve([span(outside=1)], [], {(N, Instant(0)): MS_PER_HOUR + 5}, CUTS[:2])
    assert (accounts[0].account.outside, accounts[0].account.unattributed) == (MS_PER_HOUR, 5)


def test_more_than_a_node_has_is_unexplained_and_not_made_to_fit() -> None:
    accounts = conserve([span()], [tenure(0, 0, None, None, gpus=5)], {}, CUTS)
    assert total(accounts).unexplained == HOURS * MS_PER_HOUR
    nowhere = conserve([], [tenure(0, 0, None, None)], {}, CUTS)
    assert total(nowhere).unexplained == HOURS * MS_PER_HOUR


@st.composite
def tenures_of_a_slot(draw: st.DrawFn) -> list[Tenure]:
    """Pods that had one GPU, one after the other: none of two at once."""
    instants = sorted(draw(st.lists(st.integers(-MS_PER_HOUR, END + MS_PER_HOUR), max_size=12, unique=True)))
    found = []
    for place in range(0, len(instants) - 3, 4):
        held, started, billed, ended = (Instant(at) for at in instants[place : place + 4])
        starts = started if draw(st.booleans()) else None
        found.append(Tenure(N, 1, held, starts, billed if starts else None, ended, draw(st.booleans())))
    return found


def windows_of(gpu: int, flags: list[bool]) -> list[Metered]:
    """A window a minute; at work for nobody where the flag is set."""
    uuid = GpuUuid(f"GPU-{gpu}")
    return [
        Metered(
            Window(N, "boot", uuid, minute, Instant(minute * 60_000), Instant((minute + 1) * 60_000), 60_000, 4),
            IdleState.ACTIVE if is_taken else IdleState.IDLE_HELD,
        )
        for minute, is_taken in enumerate(flags)
    ]


def taken(sent: list[Metered]) -> dict[tuple[NodeName, Instant], int]:
    """What is kept of windows that came in this order: each is admitted, absorbed or refused as the service does."""
    last: dict[GpuUuid, Kept] = {}
    kept = []
    for item in sent:
        window = item.window
        if admit(window, last.get(window.gpu_uuid), {window.gpu_uuid: N}, END) is Admission.TAKEN:
            last[window.gpu_uuid] = kept_of(window)
            kept.append(item)
    sums: dict[tuple[NodeName, Instant], int] = {}
    for hour in hourly(kept):
        sums[N, hour.hour] = sums.get((N, hour.hour), 0) + hour.use.active_ms + hour.use.hung_ms
    return sums


@given(
    slots=st.lists(tenures_of_a_slot(), min_size=GPUS, max_size=GPUS),
    edges=st.lists(st.tuples(st.integers(1, END - 1), st.integers(0, GPUS), st.booleans()), max_size=4),
    flags=st.lists(st.booleans(), min_size=HOURS * 60, max_size=HOURS * 60),
    chance=st.randoms(use_true_random=False),
)
def test_everything_is_explained_whatever_became_of_the_windows(
    slots: list[list[Tenure]], edges: list[tuple[int, int, bool]], flags: list[bool], chance: random.Random
) -> None:
    starts = sorted({0, *(at for at, _, _ in edges)})
    told = {at: (outside, accepts) for at, outside, accepts in edges} | {0: (1, True)}
    spans = [span(a, b, outside=told[a][0], accepts=told[a][1]) for a, b in pairwise([*starts, END + MS_PER_HOUR])]
    tenures = [each for slot in slots for each in slot]
    sent = windows_of(0, flags)
    truth = taken(sent)
    disturbed = _disturbed(sent, chance)
    accounts = conserve(spans, tenures, taken(disturbed), CUTS)
    assert [each.account.unexplained for each in accounts] == [0] * HOURS
    assert total(accounts).capacity == GPUS * END
    used = sum(_billed_ms(each) for each in tenures)
    assert total(accounts).charged + total(accounts).unfunded == used
    for each in accounts:
        assert each.account.unattributed <= truth.get((N, each.starts_at), 0)


def _disturbed(sent: list[Metered], chance: random.Random) -> list[Metered]:
    """Some lost, some twice, some late."""
    found: list[Metered] = []
    late: list[Metered] = []
    for item in sent:
        fate = chance.random()
        found += [] if fate < 0.1 else [item, item] if fate < 0.2 else [item]
        if 0.2 <= fate < 0.3:
            late.append(found.pop())
        elif late and fate > 0.9:
            found.append(late.pop(0))
    return [*found, *late]


def _billed_ms(each: Tenure) -> int:
    if each.started_at is None:
        return 0
    end = min(each.billed_until or END, each.ended_at or END, END)
    return max(0, end - max(each.started_at, 0))
