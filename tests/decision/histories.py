"""Generated histories: a world that is decided again and again over days, in which work starts, ends early or late,
fails and is tried again, is cancelled, and is counted when it is over, as the service counts it.

What is drawn is what people and machines do; the rest follows from the plans.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

from scheduler.decision.decide import step
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Changes, Snapshot
from scheduler.decision.state import State
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.guards import PastSpend
from scheduler.domain.units import MS_PER_MINUTE, MS_PER_SECOND, Instant, WorkloadId
from scheduler.domain.usage import NO_USE
from scheduler.domain.workloads import Attempt, AttemptState, Workload
from tests.decision.ailing import FIELDS, changes_between
from tests.decision.applying import ended, recorded

PAUSES = (MS_PER_SECOND, 59 * MS_PER_SECOND, 4 * MS_PER_MINUTE + 59 * MS_PER_SECOND, 61 * MS_PER_MINUTE)


@dataclass
class History:
    """One world as it goes on. `over` is what has ended, in the order of its ends; `_known` is what was decided last."""

    world: Snapshot
    state: State = field(default_factory=State)
    over: list[Attempt] = field(default_factory=list)
    _known: Snapshot | None = None

    def decide(self) -> Plan:
        """One cycle, recorded. What it starts does so at once."""
        world, known = self.world, self._known
        if known is None:
            fields = {name: getattr(world, name) for name in (*FIELDS, "spent", "usage")}
            changes = Changes(policy=world.policy, **fields)
        else:
            changes = replace(
                changes_between(known, world),
                spent=_new(known.spent, world.spent),
                usage=_new(known.usage, world.usage),
            )
        self._known = world
        self.state, plan = step(self.state, changes, world.now)
        world = recorded(world, plan)
        started = {each.workload_id for each in plan.launches}
        attempts = {
            key: replace(each, state=AttemptState.RUNNING, started_at=world.now)
            if each.workload_id in started and not each.is_booking
            else each
            for key, each in world.attempts.items()
        }
        self.world = replace(world, attempts=attempts)
        return plan

    def go_on(self, draw: Callable[[st.SearchStrategy[Any]], Any], now: Instant) -> None:
        """What runs ends by its time limit at the latest; some of it earlier, some fails and is tried again, some is
        cancelled, as is some that waits."""
        world, back = self.world, dict[WorkloadId, Workload]()
        gone: list[Attempt] = []
        for each in world.attempts.values():
            until = Instant(each.launched_at + each.time_limit_ms)
            becomes = draw(st.sampled_from(["runs"] * 6 + ["ends", "fails", "is stopped"]))
            if each.is_booking:
                if until <= now:
                    gone.append(replace(each, ended_at=until))
            elif each.state is not AttemptState.STOPPING and (until <= now or becomes in {"ends", "fails"}):
                gone.append(replace(each, state=AttemptState.ENDED, ended_at=min(until, now)))
                if becomes == "fails":
                    again = Instant(now + draw(st.sampled_from([0, 10 * MS_PER_SECOND, 7 * MS_PER_MINUTE])))
                    back[each.workload_id] = replace(world.launched[each.workload_id], not_before=again)
        stopped = [each for each in world.attempts.values() if each.state is AttemptState.STOPPING]
        left = {each.id for each in gone}
        world = replace(world, now=now, attempts={k: a for k, a in world.attempts.items() if k not in left})
        world = ended(world)
        gone += [replace(each, state=AttemptState.ENDED, ended_at=now) for each in stopped]
        queued = {
            key: each
            for key, each in {**world.queued, **back}.items()
            if key in world.reservations or draw(st.integers(0, 19))
        }
        live = {each.workload_id for each in world.attempts.values()}
        launched = {key: each for key, each in world.launched.items() if key in live}
        self.world = replace(world, queued=queued, launched=launched)
        self._count(gone)

    def _count(self, gone: list[Attempt]) -> None:
        """As `PastUse` of the service does."""
        policy, spent, usage = self.world.policy, dict(self.world.spent), dict(self.world.usage)
        kinds = sorted({guard.window for guard in policy.spend_guards})
        for each in sorted((each for each in gone if not each.is_booking), key=lambda each: each.ended_at or 0):
            self.over.append(each)
            usage[each.owner] = usage.get(each.owner, NO_USE).and_of(each, policy.fair_share.half_life_ms)
            for holder in (Holder(HolderKind.ENGINEER, each.owner), Holder(HolderKind.TEAM, each.team)):
                spent[holder] = spent.get(holder, PastSpend()).and_of(each, kinds, policy.time_zone)
        self.world = replace(self.world, spent=spent, usage=usage)

    def all_attempts(self) -> Iterator[Attempt]:
        """What ran and what runs, but for bookings."""
        yield from self.over
        yield from (each for each in self.world.attempts.values() if not each.is_booking)


def _new(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> dict[Any, Any]:
    return {key: value for key, value in after.items() if before.get(key) != value}
