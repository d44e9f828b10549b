"""The queue: workloads that are alike stand in one line, lines that want the same places stand in one lane.

What is true of one workload of a line (its owner's hours, their limits) is true of all, and what is true of one
line of a lane (quota, room on the nodes) is true of all; so a cycle looks at lines and lanes, never at workloads
that merely wait. See docs/adr/0010-lines-and-lanes.md.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeGuard

from scheduler.decision.placing.ends import latest_end_if_started
from scheduler.decision.placing.shape import Shape
from scheduler.domain.allowances import AllowanceBalance, Holder
from scheduler.domain.arrays import array_of
from scheduler.domain.cluster import PodRequest
from scheduler.domain.policy import Order, Pool, PriorityClass
from scheduler.domain.reasons import Evidence, Reason
from scheduler.domain.terms import Need
from scheduler.domain.topology import TopologyAsk
from scheduler.domain.units import EngineerId, GpuClassName, Instant, PoolName, TeamName, WorkloadId
from scheduler.domain.values import value
from scheduler.domain.workloads import Workload, WorkloadSpec

Member = tuple[Instant, WorkloadId]
"""A workload's place within its line: age, then id."""

OrderKey = tuple[int, int, Instant, WorkloadId]
"""A workload's place in its pool, the smaller the earlier: rank, standing, age, id."""

AGED = -(2**62)
"""The rank of what has waited longer than its pool lets anything wait: before every priority."""


@value(frozen=True, slots=True)
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
    balances: Sequence[AllowanceBalance] | None = None
    """Those of its holders; None where they have changed since it was asked."""
    means: dict[Hashable, dict[GpuClassName, "Means"]] = field(default_factory=dict)
    """For what kind of use, on which class: as far as it was asked since the balances changed."""

    def forget_means(self) -> None:
        """Its holders' balances changed."""
        self.balances = None
        self.means.clear()


class Means(NamedTuple):
    """Who pays for something, in the funding order, and what they can spend on it together: None where some of that is not
    in standard time."""

    payers: Sequence[AllowanceBalance]
    spendable: int | None


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
    costs: tuple[tuple[GpuClassName, Need], ...] = ()
    """What one of its workloads needs to start on each GPU class that it may run on, in order of preference."""
    costs_as_of: int | None = None
    """As of which changes of nodes that holds; None where it is to be looked up anew."""
    cheapest: int = 0
    """The least of them, in standard GPU-milliseconds."""
    dearest: int = 0
    """The most of them."""
    full_key: "LaneKey | None" = None
    """The key of its lane where its party can pay for each of them."""
    paid: tuple[GpuClassName, ...] | None = None
    """Those of them that its party can pay for; None where it was not asked."""
    within: tuple[GpuClassName, ...] | None = None
    """Those of them on which no spend guard forbids a start; None where it was not asked."""
    array: WorkloadId | None = None
    """The array that its workloads are indexes of."""
    is_aged: bool = False
    """Whether it has waited longer than its pool lets anything wait."""
    rank: int = field(init=False)
    """The first of its order keys."""
    order: Order = field(init=False)
    """What its standing goes by. What is aged is served first in, first out."""
    lasts_ms: int = field(init=False)
    """How long one of its workloads may occupy what it starts on: its time limit and its grace."""
    use: Hashable = field(init=False)
    """What its party's means are told apart by: who pays depends on it."""
    preemption_delay_ms: int = field(init=False)
    """How long one of its workloads waits before it stops others; what is aged has waited long enough."""
    pods_max: int = 0
    """Pods that one of its workloads would like: `spec` is that of its minimum, which is what it starts with or not."""
    importance: int = 1000
    """Of its project, in per mille: it divides the owner's place."""
    standing: int = 0
    """Smaller is earlier: the owner's place by the pool's order, divided by the importance; 0 where that does not
    matter."""
    members: list[Member] = field(default_factory=list)
    lane: "Lane | None" = None
    place: OrderKey | None = None
    """Its entry in `lane.lines`."""
    ruling: Ruling | None = None
    """Why none of it can start, for a reason of its owner's; None: its lane's ruling is its own."""
    told: Reason | None = None
    """The ruling that all members but the newcomers were last told."""
    newcomers: list[WorkloadId] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rank = AGED if self.is_aged else -self.priority
        self.order = Order.FIFO if self.pool is None or self.is_aged else self.pool.order
        self.lasts_ms = latest_end_if_started(self.spec, Instant(0))
        self.use = (self.spec.kind, self.spec.uses_compensation)
        terms = None if self.is_aged else self.priority_class
        self.preemption_delay_ms = terms.preemption_delay_ms if terms is not None else 0

    @property
    def aged_priority(self) -> int | None:
        return self.priority if self.is_aged else None

    @property
    def owner(self) -> EngineerId:
        return self.party.owner

    @property
    def team(self) -> TeamName:
        return self.party.team

    def add(self, member: Member) -> None:
        insort(self.members, member)
        self.newcomers.append(member[1])

    def remove(self, member: Member) -> None:
        position = bisect_left(self.members, member)
        assert self.members[position] == member, "who leaves a line stood in it"
        del self.members[position]

    def stops_others_from(self, waits_since: Instant) -> Instant:
        """When one that has waited since then has waited out its preemption delay."""
        return Instant(waits_since + self.preemption_delay_ms)

    def standing_from(self, place: int) -> int:
        """The standing that its owner's place (0 … 9) gives it."""
        return (place + 1) * STANDING // max(1, self.importance) if self.order is not Order.FIFO else 0

    def order_key(self, position: int = 0) -> OrderKey:
        waits_since, workload_id = self.members[position]
        return (self.rank, self.standing, waits_since, workload_id)


STANDING = 1_000_000_000
"""A place of one, at importance 1: so large that GPUs can be counted below the smallest difference of two."""


def line_key(workload: Workload, shape: Hashable) -> Hashable:
    """Equal for workloads that are alike in all that a decision looks at, but for their age. `shape` stands for what their
    pods ask."""
    spec = workload.spec
    return (
        shape,
        workload.owner,
        workload.team,
        spec.kind,
        spec.project,
        spec.gpu_classes,
        spec.priority_class,
        spec.time_limit_ms,
        spec.pods,
        spec.min_pods,
        spec.uses_compensation,
        spec.grace_seconds,
        spec.finish_by,
        (array_of(workload.id), spec.array.at_once) if spec.array is not None else None,
    )


def asked(spec: WorkloadSpec) -> tuple[PodRequest, tuple[tuple[str, str], ...], TopologyAsk | None]:
    """What a shape is made of."""
    return (spec.pod, spec.nodes_with, spec.topology)


def is_held_back(workload: Workload, now: Instant) -> bool:
    """Whether it stands in no line: it waits for an instant or for others, or its deadline can no longer be met."""
    latest_start = workload.spec.latest_start
    return workload.not_before > now or bool(workload.spec.after) or (latest_start is not None and latest_start < now)


def is_alike(workload: Workload | None, known: Workload | None) -> TypeGuard[Workload]:
    """Whether nothing about it changed that a decision looks at: its Job was created, say."""
    if workload is None or known is None:
        return False
    return (
        workload.waits_since == known.waits_since
        and workload.not_before == known.not_before
        and workload.spec.after == known.spec.after
        and workload.state_reason is known.state_reason
        and line_key(workload, asked(workload.spec)) == line_key(known, asked(known.spec))
    )


class LaneKey(NamedTuple):
    """What a lane's lines have in common. `gpu_classes` are those that can pay, hold and are allowed, in order.

    Lines of all priorities stand in one lane, the highest first: where the first has neither room nor victims, nobody
    behind it has, because they may preempt nobody whom it may not. What has aged stands by age alone: there a higher
    priority may stand behind a lower one, so that each has a lane of its own.
    """

    pool: PoolName
    gpu_classes: tuple[GpuClassName, ...]
    shape: Shape
    pods: int
    is_funded: bool
    aged_priority: int | None = None
    """Of lines that have aged; None of all others."""


Entry = tuple[OrderKey, Line]
"""A line in its lane, with its place there."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """Of a lane, the lines that last so long or longer wait because what they could start on is kept for somebody."""

    lasts_ms: int
    reason: Reason
    rule_on: Callable[[Line], Ruling]
    awaits: GpuClassName | None = None
    first: OrderKey | None = None
    """Where a booking keeps it from them: its class, and who is first of them, who may have room kept, too."""


@dataclass(eq=False, slots=True)
class Lane:
    """Lines of one pool that want the same, in order."""

    key: LaneKey
    gpus: int
    lines: list[Entry] = field(default_factory=list)
    by_length: dict[int, list[Entry]] = field(default_factory=dict)
    """The same by how long they last, in milliseconds: in backfill those that last long wait as one."""
    withheld: list[Withheld] = field(default_factory=list)
    """What the last cycle kept from it, the longest lines first."""
    reason: Reason | None = None
    """Why what is left in it does not start; None before it was first judged."""
    blocked_class: GpuClassName | None = None
    """The GPU class whose room it waits for, where room is what it waits for."""
    first_waiting: OrderKey | None = None
    """The first of it that the last cycle left waiting for that room."""
    is_open: bool = False
    """Whether quota and room would let one of it start, as the snapshot stands."""
    told: "Told | None" = None
    """What its lines were last told; None before the first time."""
    priorities: dict[int, int] = field(default_factory=dict)
    """Those of its lines, and how many are of each."""

    @property
    def priority(self) -> int:
        """The highest, which is that of its first line."""
        return self.lines[0][1].priority

    def insert(self, line: Line) -> None:
        line.lane = self
        line.place = line.order_key()
        insort(self.lines, (line.place, line), key=place_of)
        insort(self.by_length.setdefault(line.lasts_ms, []), (line.place, line), key=place_of)
        self.priorities[line.priority] = self.priorities.get(line.priority, 0) + 1

    def remove(self, line: Line) -> None:
        assert line.place is not None, "who leaves a lane stood in it"
        alike = self.by_length[line.lasts_ms]
        for lines in (self.lines, alike):
            position = bisect_left(lines, line.place, key=place_of)
            assert lines[position][1] is line, "places are unique: they end in a workload's id"
            del lines[position]
        if not alike:
            del self.by_length[line.lasts_ms]
        line.lane = line.place = None
        self.priorities[line.priority] -= 1
        if not self.priorities[line.priority]:
            del self.priorities[line.priority]

    def head(self) -> OrderKey:
        return self.lines[0][0]

    def stops_others_from(self, line: Line, waits_since: Instant) -> Instant:
        """When the next of it, of that line and age, may stop others: once it or any behind it has waited as long as its
        class says, so that nobody waits on because somebody younger is served before."""
        if not line.preemption_delay_ms:
            return waits_since
        oldest = min(each.stops_others_from(each.members[0][0]) for _, each in self.lines)
        return min(oldest, line.stops_others_from(waits_since))

    def withheld_from(self, line: Line) -> Withheld | None:
        """What keeps a line of it waiting for somebody else's sake."""
        return next((each for each in self.withheld if line.lasts_ms >= each.lasts_ms), None)

    def telling(self) -> "Told":
        """What its lines are to be told. Whoever waits for room does so behind the first of its queue, who hears
        otherwise alone."""
        rest = Reason.PRIORITY if self.blocked_class is not None else self.reason
        return Told(tuple([(each.lasts_ms, each.reason) for each in self.withheld]), rest)


class Told(NamedTuple):
    """Reasons by how long lines last: of the first entry that they reach, else the rest's."""

    by_length: tuple[tuple[int, Reason], ...]
    rest: Reason | None

    def of(self, lasts_ms: int) -> Reason | None:
        return next((reason for at_least, reason in self.by_length if lasts_ms >= at_least), self.rest)


def place_of(entry: Entry) -> OrderKey:
    return entry[0]
