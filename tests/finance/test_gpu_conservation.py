"""A node's hour shared out among its GPUs: each comes to its own time, and all of them to the node's."""

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.units import MS_PER_HOUR, AttemptId, GpuUuid, Instant, NodeName
from scheduler.finance.reconciling.conservation import BUCKETS, Account, NodeAccount
from scheduler.finance.reconciling.gpu_conservation import SEEN, UNREAD, GpuAccount, seen_in, share_out
from scheduler.metering.use import HourOfUse, Use

N = NodeName("n0")
A, B, C = GpuUuid("GPU-a"), GpuUuid("GPU-b"), GpuUuid("GPU-c")
ATTEMPT = AttemptId("a-1")
HOUR = MS_PER_HOUR


def hour(account: Account) -> NodeAccount:
    return NodeAccount(N, Instant(0), Instant(HOUR), account)


def by_uuid(found: tuple[GpuAccount, ...]) -> dict[str, Account]:
    return {each.gpu_uuid: each.account for each in found}


def test_each_gpu_has_what_was_seen_on_it_and_the_rest_goes_where_time_is_left() -> None:
    node = hour(Account(charged=HOUR, overhead=60_000, idle=HOUR - 60_000, capacity=2 * HOUR))
    found = share_out(node, {A: {}, B: {"charged": HOUR}})
    assert by_uuid(found) == {
        B: Account(charged=HOUR, capacity=HOUR),
        A: Account(overhead=60_000, idle=HOUR - 60_000, capacity=HOUR),
    }
    assert [each.witnessed_ms for each in found] == [0, HOUR]


def test_what_was_at_work_for_nobody_is_outside_first_then_unattributed_and_never_idle() -> None:
    node = hour(Account(outside=HOUR // 2, unattributed=HOUR // 4, idle=9 * HOUR // 4, capacity=3 * HOUR))
    found = share_out(node, {A: {}, B: {"unattributed": HOUR // 4}, C: {"unattributed": HOUR // 2}})
    assert by_uuid(found) == {
        A: Account(idle=HOUR, capacity=HOUR),
        B: Account(outside=HOUR // 4, idle=3 * HOUR // 4, capacity=HOUR),
        C: Account(outside=HOUR // 4, unattributed=HOUR // 4, idle=HOUR // 2, capacity=HOUR),
    }
    assert [each.witnessed_ms for each in found] == [0, HOUR // 4, HOUR // 2]


def test_an_attempt_is_seen_on_its_gpu_whether_it_uses_it_or_not_and_nobody_only_at_work() -> None:
    rest = Use(windows=1, idle_held_ms=40, active_ms=2, unknown_ms=5)
    hours = [HourOfUse(uuid, N, Instant(0), attempt_id, rest) for uuid, attempt_id in ((A, ATTEMPT), (B, None))]
    assert seen_in(hours, {ATTEMPT: True}) == {Instant(0): {A: {"charged": 47}, B: {"unattributed": 2}}}


def test_gpus_that_no_reading_names_are_there_without_a_name() -> None:
    found = share_out(hour(Account(charged=HOUR, idle=HOUR, capacity=2 * HOUR)), {})
    assert [(each.gpu_uuid, each.account.capacity, each.account.unexplained) for each in found] == [
        (UNREAD, HOUR, 0),
        (UNREAD, HOUR, 0),
    ]


def test_gpus_that_came_within_the_hour_have_an_equal_part_of_it() -> None:
    found = share_out(hour(Account(idle=HOUR, capacity=HOUR)), {A: {}, B: {}})
    assert [each.account.capacity for each in found] == [HOUR // 2, HOUR // 2]


def test_more_than_a_node_has_shows_on_a_gpu() -> None:
    found = share_out(hour(Account(charged=2 * HOUR, capacity=HOUR)), {A: {}})
    assert [each.account.unexplained for each in found] == [HOUR]


def test_a_node_without_gpus_has_no_account() -> None:
    assert share_out(hour(Account()), {A: {}}) == ()


@given(
    parts=st.lists(st.integers(0, HOUR), min_size=len(BUCKETS) - 1, max_size=len(BUCKETS) - 1),
    gpus=st.integers(1, 9),
    seen=st.lists(st.dictionaries(st.sampled_from(SEEN), st.integers(0, 2 * HOUR)), max_size=9),
)
def test_every_gpu_and_every_bucket_comes_out_whatever_was_seen(
    parts: list[int], gpus: int, seen: list[dict[str, int]]
) -> None:
    capacity = gpus * HOUR
    used: list[int] = []
    for part in parts:
        used.append(min(part, capacity - sum(used)))
    names = [name for name in BUCKETS if name != "idle"]
    node = hour(Account(**dict(zip(names, used, strict=True)), idle=capacity - sum(used), capacity=capacity))
    found = share_out(node, {GpuUuid(f"GPU-{place}"): told for place, told in enumerate(seen)})
    assert {each.account.unexplained for each in found} == {0}
    for name in (*BUCKETS, "capacity"):
        assert sum(getattr(each.account, name) for each in found) == getattr(node.account, name)
    assert all(0 <= each.witnessed_ms <= each.account.capacity <= HOUR for each in found)
