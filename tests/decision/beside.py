"""What runs in generated worlds: put onto what others leave, beside what is booked, as whatever launched it saw to it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from scheduler.domain.cluster import Node, PodRequest
from scheduler.domain.units import MS_PER_HOUR, Instant, NodeName, PriorityClassName
from scheduler.domain.workloads import Attempt, AttemptState
from tests.decision.builders import NOW, attempt
from tests.decision.worlds import OWNERS, mostly


def most_held(attempts: Iterable[Attempt], now: Instant = NOW) -> dict[NodeName, int]:
    """GPUs of each node that are in use or booked at the worst instant from now on, if all that runs uses its time limit
    and its grace. What is being stopped is taken to have ended; inside a booking, the booking's own are counted once."""
    known = [each for each in attempts if not each.is_inside and each.state is not AttemptState.STOPPING]
    worst: dict[NodeName, int] = {}
    for at in sorted({now, *(each.launched_at for each in known if each.launched_at > now)}):
        held: dict[NodeName, int] = {}
        for each in known:
            until = each.launched_at + each.time_limit_ms + each.grace_seconds * 1000
            if each.launched_at <= at < until:
                for on, pods in (*each.placement.pods_by_node, *(_leaving(each) if at == now else ())):
                    held[on] = held.get(on, 0) + pods * each.pod.gpus
        for on, gpus in held.items():
            worst[on] = max(worst.get(on, 0), gpus)
    return worst


def in_use(attempts: Iterable[Attempt]) -> dict[NodeName, int]:
    """GPUs of each node that somebody's pods are on now."""
    used: dict[NodeName, int] = {}
    for each in attempts:
        for on, pods in () if each.is_booking else (*each.placement.pods_by_node, *_leaving(each)):
            used[on] = used.get(on, 0) + pods * each.pod.gpus
    return used


def left_beside(on: Node, others: list[Attempt], pod: PodRequest, now: Instant = NOW) -> int:
    """Pods that fit on a node beside the others, and beside bookings as they begin."""
    gpus = max(in_use(others).get(on.name, 0), most_held(others, now).get(on.name, 0))
    here = [(each, pods) for each in others for name, pods in each.everywhere.pods_by_node if name == on.name]
    cpu = sum(pods * each.pod.cpu_milli for each, pods in here)
    memory = sum(pods * each.pod.memory_mib for each, pods in here)
    free = [(on.gpus - gpus, pod.gpus), (on.cpu_milli - cpu, pod.cpu_milli), (on.memory_mib - memory, pod.memory_mib)]
    return min(left // each for left, each in free if each)


def spread(wanted: int, names: Iterable[NodeName], fitting: Callable[[NodeName], int]) -> dict[str, int]:
    """So many pods on these nodes, in their order, or as many of them as fit."""
    pods: dict[str, int] = {}
    for on in names:
        here = min(wanted - sum(pods.values()), fitting(on))
        if here > 0:
            pods[on] = here
    return pods


def of_one_class(names: Iterable[NodeName], known: Mapping[NodeName, Node]) -> list[NodeName]:
    """Those that are of the class of the first."""
    first, *rest = names
    return [first, *(on for on in rest if known[on].gpu_class == known[first].gpu_class)]


def ran(
    draw: st.DrawFn, name: str, pods: Mapping[str, int], pod: PodRequest, pools: Iterable[str], **changes: Any
) -> Attempt:
    """Somebody's work that was launched onto these nodes a while ago, or just now."""
    team = draw(st.sampled_from([*pools]))
    made = attempt(
        name,
        pods,
        owner=draw(st.sampled_from(OWNERS)),
        team=team,
        pool=team,
        running_for=draw(mostly(3000, 60)),
        is_borrowed=draw(st.booleans()),
        is_funded=draw(mostly(True, True, False)),
        submitted_at=Instant(NOW - draw(st.integers(3600, 4000)) * 1000),
        checkpointed_at=draw(mostly(Instant(NOW - 60_000), None)),
        **changes,
    )
    return replace(
        made,
        pod=pod,
        priority_class=PriorityClassName(draw(mostly("standard", "spare", "urgent"))),
        time_limit_ms=draw(st.sampled_from([1, 2, 5])) * MS_PER_HOUR,
    )


def _leaving(each: Attempt) -> tuple[tuple[NodeName, int], ...]:
    return each.leaving.pods_by_node if each.leaving is not None else ()
