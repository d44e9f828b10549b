"""Where every GPU-millisecond went: the report's sums, whatever became of the readings."""

import random
from enum import Enum
from itertools import pairwise
from operator import itemgetter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scheduler.domain.cluster import NodeSpan
from scheduler.domain.units import MS_PER_HOUR, AttemptId, GpuClassName, GpuUuid, Instant, NodeName
from scheduler.finance.reconciling.conservation import (
    BUCKETS,
    Account,
    NodeAccount,
    Tenure,
    conserve,
    hours_between,
    total,
)
from scheduler.finance.reconciling.gpu_conservation import seen_in, share_out
from scheduler.metering.admission import PAST_MS_MAX, Admission, Kept, admit
from scheduler.metering.idle import IdleState
from scheduler.metering.use import Metered, hourly
from scheduler.metering.windows import Window
from tests.metering.kept import kept_of

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


MINUTE = 60_000
MAYBE = st.none() | st.integers(-30, 220)


@given(
    spans=st.lists(st.tuples(st.integers(0, 190), st.integers(0, 4), st.booleans(), st.booleans()), max_size=4),
    tenures=st.lists(st.tuples(st.integers(-30, 200), MAYBE, MAYBE, MAYBE, st.integers(1, 3)), max_size=6),
)
def test_an_account_is_what_every_minute_of_it_says_by_itself(
    spans: list[tuple[int, int, bool, bool]], tenures: list[tuple[int, int | None, int | None, int | None, int]]
) -> None:
    starts = sorted({minute: (outside, accepts, there) for minute, outside, accepts, there in spans}.items())
    ends = [*(minute * MINUTE for minute, _ in starts[1:]), None][: len(starts)]
    known = [
        span(minute * MINUTE, end, outside=outside, accepts=accepts)
        for (minute, (outside, accepts, is_there)), end in zip(starts, ends, strict=True)
        if is_there
    ]
    pods = [tenure(*each) for each in tenures]
    for within in ((Instant(0), END), CUTS):
        accounts = conserve(known, pods, {}, within)
        minutes = [minute_of(known, pods, at) for at in range(0, END, MINUTE)]
        sums = {name: sum(each[name] for each in minutes) * MINUTE for name in minutes[0]}
        assert {name: getattr(total(accounts), name) for name in sums} == sums


def minute_of(spans: list[NodeSpan], tenures: list[Tenure], at: int) -> dict[str, int]:
    """GPUs by bucket at an instant, one pod after the other."""
    gpus = dict.fromkeys((*BUCKETS, "capacity"), 0)
    for each in tenures:
        if each.held_from <= at and (each.ended_at is None or at < each.ended_at):
            is_started = each.started_at is not None and each.started_at <= at
            is_over = each.billed_until is not None and each.billed_until <= at
            owned = "charged" if each.is_funded else "unfunded"
            gpus[owned if is_started and not is_over else "overhead"] += each.gpus
    ours = sum(gpus.values())
    for each_span in spans:
        if each_span.starts_at <= at and (each_span.ends_at is None or at < each_span.ends_at):
            free = max(0, each_span.gpus - ours)
            gpus["outside"] = min(each_span.outside_gpus, free)
            gpus["idle" if each_span.accepts_work else "drained"] = free - gpus["outside"]
            gpus["capacity"] = each_span.gpus
    return gpus


def test_outside_pods_explain_what_was_taken_before_anybody_is_asked() -> None:
    accounts = conserve([span(outside=1)], [], {(N, Instant(0)): MS_PER_HOUR + 5}, CUTS[:2])
    assert (accounts[0].account.outside, accounts[0].account.unattributed) == (MS_PER_HOUR, 5)


def test_what_outside_pods_explain_in_one_hour_they_explain_in_no_other_however_long_the_account() -> None:
    spans = [span(0, MS_PER_HOUR, outside=4), span(MS_PER_HOUR)]
    for cuts in (CUTS, (Instant(0), END)):
        found = total(conserve(spans, [], {(N, Instant(2 * MS_PER_HOUR)): 5 * MS_PER_HOUR}, cuts))
        assert (found.outside, found.unattributed, found.idle) == (4 * MS_PER_HOUR, 4 * MS_PER_HOUR, 4 * MS_PER_HOUR)


def test_what_an_old_look_told_of_outside_pods_never_counts_a_gpu_of_ours_twice() -> None:
    (account,) = conserve([span(outside=2)], [tenure(0, 0, None, None, gpus=3)], {}, CUTS[:2])
    assert (account.account.outside, account.account.idle, account.account.unexplained) == (MS_PER_HOUR, 0, 0)


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


class Fate(Enum):
    """What may become of windows between a node and the books."""

    LOST = "lost"
    TWICE = "duplicated"
    REORDERED = "reordered"
    """One by one, behind windows that were sent after it."""
    LATE = "late"
    """The API was away: the spool brings them when it is back, in their order."""
    TOO_LATE = "too late"
    """As late, but the API comes back after more than the time for which windows are believed."""


WINDOW_MS = 5 * 60_000
UUIDS = tuple(GpuUuid(f"GPU-{gpu}") for gpu in range(GPUS))
FUNDED, UNFUNDED = AttemptId("w-funded.1"), AttemptId("w-unfunded.1")
IS_FUNDED = {FUNDED: True, UNFUNDED: False}


def windows_of(chance: random.Random) -> list[Metered]:
    """Every GPU's windows in the order of their ends: of an attempt or of nobody, at work or at rest."""
    return [
        Metered(
            Window(N, "boot", uuid, number, Instant(start), Instant(start + WINDOW_MS), WINDOW_MS, 4),
            chance.choice((IdleState.ACTIVE, IdleState.IDLE_HELD)),
            chance.choice((FUNDED, UNFUNDED, None)),
        )
        for number, start in enumerate(range(0, END, WINDOW_MS))
        for uuid in UUIDS
    ]


def arrivals(sent: list[Metered], fates: frozenset[Fate], chance: random.Random) -> list[tuple[Metered, Instant]]:
    """The windows with the instants at which they come in, in that order."""
    away_at = chance.randrange(END) if fates & {Fate.LATE, Fate.TOO_LATE} else END + WINDOW_MS
    back_at = END + 2 * MS_PER_HOUR + (PAST_MS_MAX if Fate.TOO_LATE in fates else 0)
    singly = sorted(fates & {Fate.LOST, Fate.TWICE, Fate.REORDERED}, key=lambda fate: fate.value)
    found: list[tuple[Metered, Instant]] = []
    for item in sent:
        at = Instant(back_at if item.window.end > away_at else item.window.end)
        fate = chance.choice([*singly, None, None, None])
        if fate is Fate.REORDERED:
            at = Instant(at + 3 * WINDOW_MS)
        copies = {Fate.LOST: 0, Fate.TWICE: 2}.get(fate, 1) if fate is not None else 1
        found += [(item, Instant(at + copy * WINDOW_MS)) for copy in range(copies)]
    return sorted(found, key=itemgetter(1))


def kept(arrived: list[tuple[Metered, Instant]]) -> list[Metered]:
    """What is kept of windows that came in so: each is admitted, absorbed or refused as the service does."""
    last: dict[GpuUuid, Kept] = {}
    taken = []
    for item, now in arrived:
        window = item.window
        if admit(window, last.get(window.gpu_uuid), dict.fromkeys(UUIDS, N), now) is Admission.TAKEN:
            last[window.gpu_uuid] = kept_of(window)
            taken.append(item)
    return taken


def taken_ms(windows: list[Metered]) -> dict[tuple[NodeName, Instant], int]:
    sums: dict[tuple[NodeName, Instant], int] = {}
    for hour in hourly(windows):
        if hour.attempt_id is None:
            sums[N, hour.hour] = sums.get((N, hour.hour), 0) + hour.use.active_ms + hour.use.hung_ms
    return sums


@pytest.mark.parametrize("fate", Fate, ids=lambda fate: fate.value)
def test_duplicates_are_absorbed_and_a_spool_loses_nothing(fate: Fate) -> None:
    """Of what is lost, overtaken or too old a part is missing: so the property below meets every fate."""
    chance = random.Random(7)
    sent = windows_of(chance)
    arrived = arrivals(sent, frozenset({fate}), chance)
    assert arrived != [(item, item.window.end) for item in sent]
    is_whole = sorted(kept(arrived), key=lambda item: (item.window.start, item.window.gpu_uuid)) == sent
    assert is_whole is (fate in {Fate.TWICE, Fate.LATE})
    assert kept(arrived)


ALL_FATES = frozenset(Fate)
AT_THE_EPOCH = (Instant(-2), Instant(-1), Instant(0), Instant(1))


@given(
    slots=st.lists(tenures_of_a_slot(), min_size=GPUS, max_size=GPUS),
    edges=st.lists(st.tuples(st.integers(1, END - 1), st.integers(0, GPUS), st.booleans()), max_size=4),
    fates=st.frozensets(st.sampled_from(Fate)),
    seed=st.integers(0, 1 << 32),
)
# A pod whose billed time ends at the epoch itself: instant 0 is an instant, not "none".
@example(slots=[[], [], [], [Tenure(N, 1, *AT_THE_EPOCH, is_funded=False)]], edges=[], fates=ALL_FATES, seed=0)
@example(slots=[[]], edges=[], fates=frozenset({Fate.LOST}), seed=1)
@example(slots=[[]], edges=[], fates=frozenset({Fate.TWICE}), seed=2)
@example(slots=[[]], edges=[], fates=frozenset({Fate.REORDERED}), seed=3)
@example(slots=[[]], edges=[], fates=frozenset({Fate.LATE}), seed=4)
def test_everything_is_explained_whatever_became_of_the_windows(
    slots: list[list[Tenure]], edges: list[tuple[int, int, bool]], fates: frozenset[Fate], seed: int
) -> None:
    starts = sorted({0, *(at for at, _, _ in edges)})
    told = {at: (outside, accepts) for at, outside, accepts in edges} | {0: (1, True)}
    spans = [span(a, b, outside=told[a][0], accepts=told[a][1]) for a, b in pairwise([*starts, END + MS_PER_HOUR])]
    tenures = [each for slot in slots for each in slot]
    chance = random.Random(seed)
    sent = windows_of(chance)
    came = kept(arrivals(sent, fates, chance))
    truth = taken_ms(sent)
    accounts = conserve(spans, tenures, taken_ms(came), CUTS)
    assert [each.account.unexplained for each in accounts] == [0] * HOURS
    assert total(accounts).capacity == GPUS * END
    assert total(conserve(spans, tenures, taken_ms(came), (Instant(0), END))) == total(accounts)
    used = sum(_billed_ms(each) for each in tenures)
    assert total(accounts).charged + total(accounts).unfunded == used
    for each in accounts:
        assert each.account.unattributed <= truth.get((N, each.starts_at), 0)
    _assert_each_gpu_explained(accounts, sent, came)


def _assert_each_gpu_explained(accounts: tuple[NodeAccount, ...], sent: list[Metered], came: list[Metered]) -> None:
    """Per GPU and hour: its buckets are its time, all of them together the node's, and nothing is witnessed that was
    not so."""
    seen, truly = seen_in(hourly(came), IS_FUNDED), seen_in(hourly(sent), IS_FUNDED)
    for node in accounts:
        gpus = share_out(node, seen.get(node.starts_at, {}))
        assert len(gpus) == GPUS
        for each in gpus:
            assert each.account.unexplained == 0
            assert each.account.capacity == MS_PER_HOUR
            assert each.witnessed_ms <= sum(truly[node.starts_at].get(each.gpu_uuid, {}).values())
        for name in BUCKETS:
            assert sum(getattr(each.account, name) for each in gpus) == getattr(node.account, name)


def _billed_ms(each: Tenure) -> int:
    if each.started_at is None:
        return 0
    ends = (at for at in (each.billed_until, each.ended_at, END) if at is not None)
    return max(0, min(ends) - max(each.started_at, 0))
