"""Whatever becomes of bookings, their nodes, the service and its cluster: no GPU is promised or charged twice, each is
charged what it had and its late fee, and nothing stays held."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, NodeName
from scheduler.domain.workloads import Attempt, Workload, WorkloadState
from scheduler.ledger.journal import Account, AccountKind
from scheduler.lifecycle.running.free_ahead import overlapping
from scheduler.lifecycle.running.rebooking import is_at_risk
from tests.lifecycle.booking_histories import NODES, History
from tests.lifecycle.build import NOON, Company, later
from tests.lifecycle.test_beyond_bookings import conserved, owed
from tests.lifecycle.test_bookings import shown

HOUR = 3600
Happens = tuple[int, tuple[Any, ...]]
"""So many seconds after what happened before it: what, and its details."""

numbers, gpus, nodes = st.integers(0, 4), st.integers(1, 8), st.sampled_from(NODES)
some_nodes = st.lists(nodes, min_size=1, max_size=3, unique=True)
lengths = st.integers(1, 12).map(lambda quarters: quarters * 900)
events = st.one_of(
    st.tuples(st.just("book"), gpus, st.sampled_from([0, 0, 60, HOUR, 3 * HOUR]), lengths),
    st.tuples(st.just("cancel"), numbers),
    st.tuples(st.just("change_nodes"), some_nodes, st.sampled_from(["sound", "smaller", "cordoned", "dead", "gone"])),
    st.tuples(st.just("run_alone"), nodes, st.integers(1, 4), lengths, st.sampled_from([0, 0, 600, 2 * HOUR])),
    st.tuples(st.just("run_inside"), numbers, lengths),
    st.tuples(st.just("restart")),
    st.tuples(st.just("go_away")),
    st.tuples(st.just("pass")),
)
histories = st.lists(
    st.tuples(st.sampled_from([1, 1, 60, 601, 1800, HOUR, 3 * HOUR]), events), min_size=1, max_size=16
)


@given(history=histories)
def test_whatever_becomes_of_bookings_their_charges_are_what_they_had(history: list[Happens]) -> None:
    company = Company()
    try:
        assert_the_books_tie(live_through(company, history))
    finally:
        company.close()


def live_through(company: Company, history: list[Happens]) -> History:
    """From two bookings of whole nodes on, until all are over."""
    grant = company.grant("ada", 10_000)
    lived = History(company, grant)
    for begins in (HOUR, HOUR + 900):
        lived.book(4, begins, 4 * HOUR)
    for after_s, (what, *told) in history:
        lived.pass_until(later(company.now, after_s))
        if what == "go_away":
            company.world.rounds.is_cluster_away = not company.world.rounds.is_cluster_away
        elif what != "pass":
            getattr(lived, str(what))(*told)
        lived.settle()
        assert_nothing_is_promised_twice(lived)
    company.world.rounds.is_cluster_away = False
    lived.pass_until(later(NOON, 75 * HOUR))
    lived.settle()
    return lived


def assert_it_is_charged_what_it_had(lived: History, booking: Workload) -> None:
    seen, ended = shown(lived.company, booking), lived.company.workload(booking.id)
    assert seen.charged == lived.had_ms[booking.id] + lived.fees.get(booking.id, 0), booking.id
    called_off = {Reason.CANCELLED, Reason.BOOKING_AT_RISK, Reason.BOOKING_MISSED}
    if ended.state is WorkloadState.COMPLETED:
        assert (ended.state_reason, seen.charged > 0) == (Reason.COMPLETED, True)
    else:
        assert (ended.state, ended.state_reason in called_off) == (WorkloadState.CANCELLED, True)


def assert_the_books_tie(lived: History) -> None:
    for booking in lived.bookings:
        assert_it_is_charged_what_it_had(lived, booking)
    company = lived.company
    overrun, charged = owed(company)
    assert conserved(company) == (charged, 0, 0)
    assert company.world.attempts == {}
    with company.store.reading() as books:
        assert books.holds.open_ones() == []
        assert books.journal.balance(Account(AccountKind.HELD, lived.grant)) == 0
    fees = sum(lived.fees.values())
    assert company.available(lived.grant) == 10_000 * MS_PER_HOUR - (charged - overrun) - fees


def assert_nothing_is_promised_twice(lived: History) -> None:
    """Where more is booked of a node than it has, somebody was told."""
    world = lived.company.world
    for name in NODES:
        node = world.nodes.get(name)
        offered = node.gpus if node is not None and node.accepts_work else 0
        here = [(each, gpus_on(each.placement.pods_by_node, name) * each.pod.gpus) for each in booked(lived)]
        windows = [(each.launched_at, each.booked_until, gpus) for each, gpus in here]
        for each, gpus in here:
            if gpus and overlapping(windows, each.launched_at, each.booked_until) > offered:
                assert any(is_at_risk(world, other) for other, gpus in here if gpus), (name, here)


def booked(lived: History) -> list[Attempt]:
    now = lived.company.now
    return [each for each in lived.company.world.attempts.values() if each.is_booking and each.booked_until > now]


def gpus_on(pods_by_node: tuple[tuple[NodeName, int], ...], name: NodeName) -> int:
    return dict(pods_by_node).get(name, 0)
