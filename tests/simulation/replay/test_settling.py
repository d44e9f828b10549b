"""Slices settled lazily come to what settling each as it begins comes to: balances, and charges by day and payer."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.allowances import Allowance, AllowanceSource, Holder, HolderKind
from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.funding import FundingShare
from scheduler.domain.quantities import class_unit, money_unit
from scheduler.domain.reasons import Reason
from scheduler.domain.terms import Draw
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    STANDARD_GPU,
    AllowanceId,
    AttemptId,
    EngineerId,
    GpuClassName,
    HoldId,
    Instant,
    NodeName,
    PerMille,
    PoolName,
    PriorityClassName,
    TeamName,
    WorkloadId,
    standard_needed,
)
from scheduler.domain.workloads import Attempt, AttemptState, HoldMode
from scheduler.ledger.charging import charge
from scheduler.ledger.holding import hold, holds_for, release
from scheduler.ledger.holds import Hold
from scheduler.ledger.journal import AccountKind, Transaction
from scheduler.ledger.refunds import lost_gpu_ms, refund
from scheduler.simulation.replay.books import ReplayBooks
from scheduler.simulation.replay.calendar import Calendar
from scheduler.simulation.replay.settling import Held, settle
from tests.simulation.replay.build import START, policy

SLICE_MS = MS_PER_HOUR // 4
PAYERS = [AllowanceId("a"), AllowanceId("b"), AllowanceId("c"), AllowanceId("d")]
UNITS = [STANDARD_GPU, STANDARD_GPU, class_unit(GpuClassName("gpu")), money_unit("EUR")]
MONEY_RATE = 2_770_001
"""Micro-units a GPU-hour."""
WEEK_END = Instant(START + 7 * MS_PER_DAY)


class DatedBooks(ReplayBooks):
    """Remembers what was charged on each day."""

    def __init__(self) -> None:
        super().__init__()
        self.by_day: dict[tuple[str, int], int] = {}

    def post(self, *transactions: Transaction) -> None:
        super().post(*transactions)
        for transaction in transactions:
            for entry in transaction.entries:
                if entry.account.kind is AccountKind.CHARGED and entry.amount:
                    key = (entry.account.owner, (transaction.at - START) // MS_PER_DAY)
                    self.by_day[key] = self.by_day.get(key, 0) + entry.amount


def books() -> DatedBooks:
    made = DatedBooks()
    holder = Holder(HolderKind.ENGINEER, "ann")
    for name, unit in zip(PAYERS, UNITS, strict=True):
        granted = Allowance(name, holder, AllowanceSource.AD_HOC, 1000 * MS_PER_HOUR, START, None, START, unit)
        made.open(granted, "test")
    return made


def attempt(starts_at: Instant, gpus: int, weight: int, *, is_funded: bool) -> Attempt:
    return Attempt(
        id=AttemptId("w/1"),
        workload_id=WorkloadId("w"),
        number=1,
        owner=EngineerId("ann"),
        team=TeamName("red"),
        pool=PoolName("red"),
        gpu_class=GpuClassName("gpu"),
        priority_class=PriorityClassName("rolling"),
        placement=Placement(((NodeName("n"), 1),)),
        pod=PodRequest(gpus, 1000, 1024),
        weight=PerMille(weight),
        class_factor=PerMille(500),
        hold_mode=HoldMode.ROLLING,
        time_limit_ms=8 * MS_PER_HOUR,
        launched_at=starts_at,
        is_funded=is_funded,
        state=AttemptState.RUNNING,
        started_at=starts_at,
    )


def settled_each(
    eager: ReplayBooks, ran: Attempt, shares: Sequence[Sequence[FundingShare]], ended_at: Instant
) -> None:
    """Hold every slice as it begins, charge at its end and at the day's, release and refund at the end."""
    assert ran.started_at is not None
    holds: list[Hold] = []
    cuts = {Instant(ran.started_at + number * SLICE_MS) for number in range(1, len(shares) + 1)}
    cuts |= {Instant(WEEK_END + day * MS_PER_DAY) for day in (-1, 0, 1, 2)}
    for number, slice_shares in enumerate(shares):
        at = Instant(ran.started_at + number * SLICE_MS)
        ids = [HoldId(f"h{number}-{order}") for order in range(len(slice_shares))]
        made = holds_for(slice_shares, ids, ran.workload_id, ran.id, at)
        eager.post(*hold(made))
        holds += made
    for until in [*sorted(cut for cut in cuts if ran.started_at < cut < ended_at), ended_at]:
        gpu_ms = max(0, until - ran.started_at) * ran.gpus
        charged = charge(ran, holds, gpu_ms, Instant(until - 1))
        if charged.transactions:
            eager.post(*charged.transactions)
        holds = [
            replace(
                each,
                charged=each.charged + charged.from_holds.get(each.id, 0),
                draw=charged.draws.get(each.id, each.draw),
            )
            for each in holds
        ]
        ran = replace(ran, charged_gpu_ms=charged.gpu_ms, charged=charged.total)
    eager.post(*release(holds, ended_at))
    lost = lost_gpu_ms(ran, MS_PER_HOUR, ended_at)
    given = refund(ran, holds, lost, ended_at, "lost") if lost and ran.stop_reason is Reason.PREEMPTED else []
    eager.post(*given)


@given(
    gpus=st.integers(1, 8),
    weight=st.sampled_from([1000, 999, 350, 1]),
    payers=st.lists(st.sampled_from([(0,), (1,), (2,), (3,), (0, 1), (2, 0), (1, 3)]), min_size=1, max_size=12),
    begins_before_the_week_ends_ms=st.integers(0, 3 * MS_PER_HOUR) | st.integers(24 * MS_PER_HOUR, 27 * MS_PER_HOUR),
    ran_ms=st.integers(0, 4 * MS_PER_HOUR) | st.integers(23 * MS_PER_HOUR, 50 * MS_PER_HOUR),
    is_preempted=st.booleans(),
    checkpoint_ms=st.none() | st.integers(0, 2 * MS_PER_HOUR),
)
@settings(max_examples=150, deadline=None)
def test_slices_settled_lazily_come_to_what_settling_each_comes_to(
    gpus: int,
    weight: int,
    payers: list[tuple[int, ...]],
    begins_before_the_week_ends_ms: int,
    ran_ms: int,
    is_preempted: bool,
    checkpoint_ms: int | None,
) -> None:
    starts_at = Instant(WEEK_END - begins_before_the_week_ends_ms)
    ended_at = Instant(starts_at + ran_ms)
    ran = attempt(starts_at, gpus, weight, is_funded=True)
    if is_preempted:
        kept = None if checkpoint_ms is None else Instant(starts_at + checkpoint_ms)
        ran = replace(ran, stop_reason=Reason.PREEMPTED, checkpointed_at=kept)
    shares = [_split(ran, chosen) for chosen in payers]

    lazy, held = books(), Held(ran.weight * ran.class_factor)
    for number, slice_shares in enumerate(shares):
        held.reserve(lazy, slice_shares, Instant(starts_at + number * SLICE_MS))
    eager = books()
    during = [lazy.balance(name).as_value().available for name in PAYERS]
    settle(lazy, Calendar(policy()), ran, held, ended_at, MS_PER_HOUR)
    settled_each(eager, ran, shares, ended_at)

    for name, available in zip(PAYERS, during, strict=True):
        assert available == 1000 * MS_PER_HOUR - sum(
            s.amount for each in shares for s in each if s.allowance_id == name
        )
        assert lazy.balance(name).as_value() == eager.balance(name).as_value()
        assert lazy.balance(name).reserved == 0
    assert lazy.charged == eager.charged
    assert lazy.by_day == eager.by_day
    assert sum(lazy.charged_gpu_ms.values()) == sum(eager.charged_gpu_ms.values())
    assert lazy.totals_in == eager.totals_in
    assert not any(sum(totals.values()) for totals in lazy.totals_in.values())
    assert lazy.transactions <= eager.transactions


def _split(ran: Attempt, chosen: tuple[int, ...]) -> tuple[FundingShare, ...]:
    """One slice, paid by these in equal parts."""
    gpu_ms = ran.gpus * SLICE_MS
    part = gpu_ms // len(chosen)
    parts = [(number, part if place else gpu_ms - part * (len(chosen) - 1)) for place, number in enumerate(chosen)]
    return tuple(_share(ran, number, gpu_ms) for number, gpu_ms in parts)


def _share(ran: Attempt, number: int, gpu_ms: int) -> FundingShare:
    rates = {2: ran.class_factor, 3: MONEY_RATE}
    if number not in rates:
        return FundingShare(PAYERS[number], standard_needed(gpu_ms, ran.weight, ran.class_factor))
    draw = Draw(UNITS[number], rates[number])
    return FundingShare(PAYERS[number], draw.cost(gpu_ms), draw)
