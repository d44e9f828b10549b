"""The queue: workloads that are alike stand in one line, lines that want the same places stand in one lane.

What is true of one workload of a line (its owner's hours, their limits) is true of all, and what is true of one
line of a lane (quota, room on the nodes) is true of all; so a cycle looks at lines and lanes, never at workloads
that merely wait. See docs/adr/0010-lines-and-lanes.md.
"""

from bisect import bisect_left, insort
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from scheduler.decision.fit_table import Shape
from scheduler.domain.allowances import AllowanceBalance, Holder
from scheduler.domain.policy import Pool, PriorityClass
from scheduler.domain.reasons import Evidence, Reason
from scheduler.domain.units import EngineerId, GpuClassName, Instant, PoolName, TeamName, WorkloadId
from scheduler.domain.workloads import Workload, WorkloadSpec

Member = tuple[Instant, WorkloadId]
"""A workload's place within its line: age, then id."""

OrderKey = tuple[int, int, Instant, WorkloadId]
"""A workload's place in its pool, the smaller the earlier: priority, standing, age, id."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """A reason with its evidence, before it is said of anybody."""

    reason: Reason
    evidence: Evidence = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class Party:
    """An owner in a team at work on a project (or on nothing but their own): whose limits count, and who may pay."""

    owner: EngineerId
    team: TeamName
    holders: tuple[Holder, ...]
    """Whose allowances may pay, the most specific first."""
    lines: dict[int, dict["Line", None]] = field(default_factory=dict)
    """Its lines, by the GPUs that one of their workloads asks for."""
    payers: dict[Hashable, Sequence[AllowanceBalance]] = field(default_factory=dict)
    """Who pays for what, in the funding order, as far as it was asked since the holders' balances changed."""
    spendable: dict[Hashable, int] = field(default_factory=dict)
    """What they can spend on it together."""


@dataclass(eq=False, slots=True)
class Line:
    """Queued workloads of one party that differ in nothing but age, name and what they run."""

    key: Hashable
    party: Party
    spec: WorkloadSpec
    shape: Shape
    pool: Pool | None
    priority_class: PriorityClass | None
    priority: int
    gpus: int
    costs: tuple[tuple[GpuClassName, int], ...] = ()
    """What one of its workloads needs to start on each GPU class that it may run on, in order of preference."""
    paid: tuple[GpuClassName, ...] | None = None
    """Those of them that its party can pay for; None where it was not asked."""
    standing: int = 0
    """Smaller is earlier: the pace band, counted from the furthest behind plan, or 0 where the pool is first in,
    first out."""
    members: list[Member] = field(default_factory=list)
    lane: "Lane | None" = None
    place: OrderKey | None = None
    """Its entry in `lane.lines`."""
    ruling: Ruling | None = None
    """Why none of it can start, for a reason of its owner's; None: its lane's ruling is its own."""
    told: Reason | None = None
    """The ruling that all members but the newcomers were last told."""
    newcomers: list[WorkloadId] = field(default_factory=list)

    @property
    def owner(self) -> EngineerId:
        return self.party.owner

    @property
    def team(self) -> TeamName:
        return self.party.team

    def add(self, workload: Workload) -> None:
        insort(self.members, (workload.submitted_at, workload.id))
        self.newcomers.append(workload.id)

    def remove(self, member: Member) -> None:
        position = bisect_left(self.members, member)
        assert self.members[position] == member, "who leaves a line stood in it"
        del self.members[position]

    def order_key(self, position: int = 0) -> OrderKey:
        submitted_at, workload_id = self.members[position]
        return (-self.priority, self.standing, submitted_at, workload_id)


def line_key(workload: Workload) -> Hashable:
    """Equal for workloads that are alike in all that a decision looks at, but for their age."""
    spec = workload.spec
    return (
        workload.owner,
        workload.team,
        spec.kind,
        spec.project,
        spec.gpu_classes,
        spec.priority_class,
        spec.time_limit_ms,
        spec.pods,
        spec.pod,
        spec.uses_compensation,
        spec.nodes_with,
        spec.grace_seconds,
    )


@dataclass(frozen=True, slots=True)
class LaneKey:
    """What a lane's lines have in common. `gpu_classes` are those that can pay, hold and are allowed, in order."""

    pool: PoolName
    priority: int
    gpu_classes: tuple[GpuClassName, ...]
    shape: Shape
    pods: int
    is_funded: bool


@dataclass(eq=False, slots=True)
class Lane:
    """Lines of one pool, priority and shape, in order."""

    key: LaneKey
    gpus: int
    lines: list[tuple[OrderKey, Line]] = field(default_factory=list)
    reason: Reason | None = None
    """Why what is left in it does not start; None before it was first judged."""
    blocked_class: GpuClassName | None = None
    """The GPU class whose room it waits for, where room is what it waits for."""
    first_waiting: OrderKey | None = None
    """The first of it that the last cycle left waiting for that room."""
    is_open: bool = False
    """Whether quota and room would let one of it start, as the snapshot stands."""
    told: Reason | None = None

    def insert(self, line: Line) -> None:
        line.lane = self
        line.place = line.order_key()
        insort(self.lines, (line.place, line), key=_place_of)

    def remove(self, line: Line) -> None:
        assert line.place is not None, "who leaves a lane stood in it"
        position = bisect_left(self.lines, line.place, key=_place_of)
        assert self.lines[position][1] is line, "places are unique: they end in a workload's id"
        del self.lines[position]
        line.lane = line.place = None

    def head(self) -> OrderKey:
        return self.lines[0][0]


def _place_of(entry: tuple[OrderKey, Line]) -> OrderKey:
    return entry[0]


class Cursor:
    """Walks a lane's workloads in order, leaving the lane as it is."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self._next_line = 0
        self._begun: list[tuple[OrderKey, int, Line]] = []
        """A heap of the lines that were begun: place and position of their next member."""

    def peek(self) -> tuple[OrderKey, int, Line] | None:
        """The next workload's place, its position in its line, and the line."""
        lines = self.lane.lines
        if self._next_line < len(lines):
            place, line = lines[self._next_line]
            if not self._begun or place < self._begun[0][0]:
                return place, 0, line
        return self._begun[0] if self._begun else None

    def advance(self, *, past_line: bool = False) -> None:
        """Go past the next workload, or past all that is left of its line."""
        entry = self.peek()
        assert entry is not None, "there is nothing to go past"
        place, position, line = entry
        if self._begun and self._begun[0][0] == place:
            heappop(self._begun)
        else:
            self._next_line += 1
        if not past_line and position + 1 < len(line.members):
            heappush(self._begun, (line.order_key(position + 1), position + 1, line))
