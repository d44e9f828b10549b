"""The inflation experiment: more arrives than the cluster holds, each task is placed as it comes or dropped, none ends.

The set-up is that of Weng et al., "Beware of Fragmentation" (USENIX ATC 2023): all tasks of the file, and further draws
from it with replacement until the next would take the GPUs asked for past `inflate` × capacity; shuffled by the seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.simulation.packing.fleet import Fleet, Gpus, Shape
from scheduler.simulation.traces.openb import OpenbNode, OpenbPod

DRAWS_MAX = 1_000_000
MARKS = (100, 130)
"""The percentages of capacity at which the paper reads its figures; a shorter experiment has those that it reaches."""


class Strategy(Protocol):
    """Where the next task goes. It knows the cluster, the kinds of task there are, and what came before."""

    def choose(self, kind: int) -> tuple[int, Gpus] | None:
        """A node and GPUs of it for a task of that kind; None only where it fits nowhere."""


StrategyOf = Callable[[Fleet, "Workload", Random], Strategy]


@dataclass(frozen=True, slots=True)
class Workload:
    """The file's tasks as kinds: distinct shapes in order of first appearance, and how many tasks there are of each."""

    shapes: tuple[Shape, ...]
    counts: tuple[int, ...]
    kinds: tuple[int, ...]
    """Of each task of the file, its kind."""

    @classmethod
    def of(cls, pods: Sequence[OpenbPod]) -> "Workload":
        index: dict[Shape, int] = {}
        kinds = tuple(index.setdefault(Shape.of(pod), len(index)) for pod in pods)
        counts = [0] * len(index)
        for kind in kinds:
            counts[kind] += 1
        return cls(tuple(index), tuple(counts), kinds)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`allocated_percent` of the GPU capacity, by the percentage of capacity that had been asked for by then.

    Where tasks end before so much is asked for (none asks for a GPU, say), it is what was allocated at the end.
    """

    gpu_capacity_milli: int
    allocated_percent: dict[str, float]
    arrived: int
    failed: int


def run(
    nodes: Sequence[OpenbNode], pods: Sequence[OpenbPod], strategy_of: StrategyOf, inflate: float, seed: int
) -> Outcome:
    """One experiment. The same nodes, tasks, inflation and seed bring the same arrivals, whatever the strategy."""
    fleet, workload = Fleet(nodes), Workload.of(pods)
    if not fleet.capacity_milli:
        raise InvalidInput(
            "the nodes have no GPU", code=RefusalCode.INVALID_TRACE, expected="at least one node with GPUs"
        )
    arrivals = draw_arrivals(workload, round(fleet.capacity_milli * inflate), Random(seed))
    # A stream of chance of its own: that of the arrivals, drawn once more, would tie what comes to where it goes.
    strategy = strategy_of(fleet, workload, Random(f"placement {seed}"))
    asked = failed = 0
    allocated: dict[str, float] = {}
    end = round(inflate * 100)
    ahead = [mark for mark in MARKS if mark < end]
    for kind in arrivals:
        shape = workload.shapes[kind]
        asked += shape.asked_milli
        while ahead and asked * 100 > fleet.capacity_milli * ahead[0]:
            allocated[f"{ahead.pop(0)}"] = _percent(fleet)
        chosen = strategy.choose(kind)
        if chosen is None:
            failed += 1
        else:
            fleet.place(shape, *chosen)
    for mark in (*ahead, end):
        allocated[f"{mark}"] = _percent(fleet)
    return Outcome(fleet.capacity_milli, allocated, len(arrivals), failed)


def draw_arrivals(workload: Workload, asked_milli_max: int, random: Random) -> list[int]:
    """The kinds of the tasks that arrive, in order. Of a file that asks for more by itself, as much as comes before the
    bound."""
    arrivals = list(workload.kinds)
    asked = sum(workload.shapes[kind].asked_milli for kind in arrivals)
    if asked:
        for _ in range(DRAWS_MAX):
            kind = random.choice(workload.kinds)
            asked += workload.shapes[kind].asked_milli
            if asked > asked_milli_max:
                break
            arrivals.append(kind)
    random.shuffle(arrivals)
    total = 0
    for position, kind in enumerate(arrivals):
        total += workload.shapes[kind].asked_milli
        if total > asked_milli_max:
            return arrivals[:position]
    return arrivals


def _percent(fleet: Fleet) -> float:
    return 100 * fleet.allocated_milli / fleet.capacity_milli
