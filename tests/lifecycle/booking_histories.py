"""Histories of bookings in a company of three nodes: what happens to them, and what each had by what was seen."""

from collections import defaultdict
from dataclasses import dataclass, field, replace

from scheduler.decision.plan import Launch, Plan
from scheduler.domain.cluster import Node, Placement, PodRequest
from scheduler.domain.errors import Refusal
from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import PodPhase
from scheduler.domain.units import (
    AllowanceId,
    Instant,
    NodeName,
    PoolName,
    PriorityClassName,
    WorkloadId,
)
from scheduler.domain.workloads import Attempt, Workload
from scheduler.lifecycle.asking.booking import BookingWish
from scheduler.lifecycle.commands import Commands
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.running.free_ahead import as_known, free_in_window
from scheduler.lifecycle.running.record import record
from scheduler.lifecycle.sensing.census import Census
from tests.lifecycle.build import H100, Company, changes, job_seen, later, pod_seen, policy
from tests.lifecycle.test_beyond_bookings import cycle
from tests.lifecycle.test_bookings import shown

NODES = tuple(NodeName(f"n{number}") for number in range(3))
CPU_ONLY = NodeName("cpu")
"""Never lost: where no node is known at all, nothing was reported yet."""
GIVEN_UP_S = 330
"""So long after a node died its pods are known to have ended then."""


@dataclass
class Runs:
    """Work on one node, which ends at `ends_at`; where its node died, then, and that is known later."""

    workload: Workload
    node: NodeName
    gpus: int
    started_at: Instant
    ends_at: Instant
    booking_id: WorkloadId | None = None
    is_dying: bool = False

    @property
    def known_at(self) -> Instant:
        return later(self.ends_at, GIVEN_UP_S) if self.is_dying else self.ends_at


@dataclass
class History:
    company: Company
    grant: AllowanceId
    nodes: dict[NodeName, Node | None] = field(default_factory=dict)
    bookings: list[Workload] = field(default_factory=list)
    running: list[Runs] = field(default_factory=list)
    has: dict[WorkloadId, int] = field(default_factory=dict)
    """GPUs of each booking since the last cycle."""
    had_ms: dict[WorkloadId, int] = field(default_factory=lambda: defaultdict(int))
    fees: dict[WorkloadId, int] = field(default_factory=dict)
    census: Census = field(init=False)

    def __post_init__(self) -> None:
        world = self.company.world
        sound = next(iter(world.nodes.values()))
        self.nodes = {name: replace(sound, name=name) for name in NODES}
        self.nodes[CPU_ONLY] = replace(sound, name=CPU_ONLY, gpu_class=None, gpus=0)
        self._put_nodes()
        self.census = Census(self.company.store, world, self.company.now)
        self.census.run(self.company.now)

    # what happens

    def book(self, gpus: int, begins: int, length: int) -> None:
        company = self.company
        starts_at = later(company.now, begins)
        wish = BookingWish(H100, gpus, starts_at, 1000 * length, None, priority_class=PriorityClassName("standard"))
        try:
            self.bookings.append(company.commands.book(company.caller("ada"), wish, now=company.now))
        except Refusal:
            return

    def cancel(self, number: int) -> None:
        company = self.company
        for booking in self.bookings[number : number + 1]:
            fee = shown(company, booking).late_fee
            try:
                company.commands.cancel(company.caller("ada"), booking.id, now=company.now)
            except Refusal:  # something runs inside
                continue
            self.fees.setdefault(booking.id, fee)

    def change_nodes(self, names: list[NodeName], becomes: str) -> None:
        for name in names:
            self._change_node(name, becomes)

    def _change_node(self, name: NodeName, becomes: str) -> None:
        """Where it goes or dies its work ends, which is known later; until then it does not come back."""
        here = [runs for runs in self.running if runs.node == name]
        if any(runs.is_dying for runs in here):
            return
        sound = Node(name, H100, 4, 64_000, 512_000, labels={"gpu": "h100"})
        in_use = sum(runs.gpus for runs in here)
        self.nodes[name] = {
            "sound": sound,
            "smaller": replace(sound, gpus=max(2, in_use)),
            "cordoned": replace(sound, accepts_work=False),
            "dead": replace(sound, accepts_work=False),
            "gone": None,
        }[becomes]
        self._put_nodes()
        for runs in here if becomes in {"dead", "gone"} else ():
            runs.ends_at, runs.is_dying = self.company.now, True

    def restart(self) -> None:
        """What the store has is all that is left; then the cluster tells what runs."""
        company = self.company
        company.world = World()
        with company.store.reading() as books:
            company.world.load(books, company.now)
        company.world.put_policy(policy())
        company.commands = Commands(company.store, company.world, company.ids, wake=lambda: None)
        self.census = Census(company.store, company.world, company.now)
        cycle(company, company.now)  # before anything was reported
        self._put_nodes()
        for runs in self.running:
            pod = pod_seen(runs.workload, started_at=runs.started_at, node=runs.node, gpus=runs.gpus)
            company.see(changes(job_seen(runs.workload, is_suspended=False), pod))

    def run_alone(self, name: NodeName, gpus: int, length: int, stays: int) -> None:
        """Work of nobody's booking, where it may start; it `stays` longer than it was to."""
        company, until = self.company, later(self.company.now, length)
        world = company.world
        free = free_in_window(world, as_known(world), name, company.now, until, company.now)
        node = world.nodes.get(name)
        if node is not None and node.accepts_work and gpus <= free:
            self._run(name, gpus, length, later(until, stays), None)

    def run_inside(self, number: int, length: int) -> None:
        """On half of what the booking has on the first of its nodes, if anything rests there."""
        world, now = self.company.world, self.company.now
        for booking in self.bookings[number : number + 1]:
            attempt = world.live_attempt(booking.id)
            if attempt is None or attempt.started_at is None or attempt.booked_until <= now:
                continue
            for name, had in self._had_by_node(attempt).items():
                node, used = world.nodes.get(name), self._inside(attempt, name)
                if node is not None and node.accepts_work and had - used >= 1:
                    self._run(name, (had - used + 1) // 2, length, later(now, length), booking.id)
                    break

    def _run(self, name: NodeName, gpus: int, length: int, ends_at: Instant, booking_id: WorkloadId | None) -> None:
        company = self.company
        pod = PodRequest(gpus, 1000, 1024)
        work = company.submit("ada", project=None, time_limit_ms=1000 * length, grace_seconds=0, pod=pod)
        shares = () if booking_id is not None else (FundingShare(self.grant, gpus * 1000 * length),)
        placement = Placement(((name, 1),))
        launch = Launch(work.id, H100, placement, PoolName("research"), shares, booking_id=booking_id)
        with company.changing() as batch:
            assert record(batch, Plan(company.now, launches=(launch,)), company.ids.new) == []
        company.give_job(work)
        seen = pod_seen(work, started_at=company.now, node=name, gpus=gpus)
        company.see(changes(job_seen(work, is_suspended=False), seen))
        self.running.append(Runs(work, name, gpus, company.now, ends_at, booking_id))

    # what follows from it

    def pass_until(self, now: Instant) -> None:
        """With what is known to have ended meanwhile, each in its turn."""
        while (known := min((runs.known_at for runs in self.running), default=now)) < now:
            self._pass(known)
            self.settle()
        self._pass(now)

    def settle(self) -> None:
        """One cycle, with what has ended by now."""
        for runs in [each for each in self.running if each.known_at <= self.company.now]:
            self.running.remove(runs)
            self._forgive(runs)
            pod = pod_seen(
                runs.workload,
                started_at=runs.started_at,
                finished_at=runs.ends_at,
                node=runs.node,
                gpus=runs.gpus,
                phase=PodPhase.SUCCEEDED,
                exit_code=0,
            )
            self.company.see(changes(pod, job_seen(runs.workload, is_suspended=False, is_complete=True)))
        cycle(self.company, self.company.now)
        self.census.run(self.company.now)
        live = [
            each for each in self.company.world.attempts.values() if each.is_booking and each.started_at is not None
        ]
        self.has = {each.workload_id: sum(self._had_by_node(each).values()) for each in live}

    def _pass(self, now: Instant) -> None:
        for booking_id, gpus in self.has.items():
            until = self.until(booking_id)
            self.had_ms[booking_id] += gpus * max(0, min(now, until) - min(self.company.now, until))
        self.company.now = now

    def _forgive(self, runs: Runs) -> None:
        """What its booking had for it alone after its node died, which nobody knew."""
        booking_id = runs.booking_id
        if runs.is_dying and booking_id is not None and self.company.world.live_attempt(booking_id) is not None:
            until = min(self.company.now, self.until(booking_id))
            self.had_ms[booking_id] -= runs.gpus * max(0, until - runs.ends_at)

    def until(self, booking_id: WorkloadId) -> Instant:
        [booking] = [each for each in self.bookings if each.id == booking_id]
        assert booking.not_before is not None
        return Instant(booking.not_before + booking.spec.time_limit_ms)

    def _had_by_node(self, booking: Attempt) -> dict[NodeName, int]:
        """Of each node, what work inside has of it, and of what nobody has as much as is booked: who began first, first."""
        world, now = self.company.world, self.company.now
        active = [each for each in world.attempts.values() if each.is_booking and _is_active(each, now)]
        had: dict[NodeName, int] = {}
        for name, _ in booking.placement.pods_by_node:
            node = world.nodes.get(name)
            offered = node.gpus if node is not None and node.accepts_work else 0
            rests = max(0, offered - sum(runs.gpus for runs in self.running if runs.node == name))
            for each in sorted(active, key=lambda one: (one.launched_at, one.id)):
                inside = self._inside(each, name)
                booked = dict(each.placement.pods_by_node).get(name, 0) * each.pod.gpus
                more = min(rests, max(0, booked - inside))
                rests -= more
                if each.id == booking.id:
                    had[name] = inside + more
        return had

    def _inside(self, booking: Attempt, name: NodeName) -> int:
        mine = [runs for runs in self.running if runs.booking_id == booking.workload_id and runs.node == name]
        return sum(runs.gpus for runs in mine)

    def _put_nodes(self) -> None:
        for name, node in self.nodes.items():
            self.company.world.put_node(name, node)


def _is_active(booking: Attempt, now: Instant) -> bool:
    return booking.launched_at <= now < booking.booked_until
