"""Submit: a submission, or all indexes of an array, judged and queued together. Queued work holds nothing."""

from dataclasses import dataclass, replace
from functools import partial

from scheduler.domain.allowances import holders_for
from scheduler.domain.arrays import array_of, index_id
from scheduler.domain.errors import Exhausted, RefusalCode
from scheduler.domain.people import Engineer
from scheduler.domain.records import Sandbox
from scheduler.domain.units import Instant, WorkloadId
from scheduler.domain.workloads import Workload, WorkloadKind, WorkloadSpec
from scheduler.lifecycle.asking.confirming import AskedFor, require_confirmation
from scheduler.lifecycle.asking.following import indexes, with_conditions
from scheduler.lifecycle.asking.judge import judge, new_workload, require_room_in_queue, with_defaults
from scheduler.lifecycle.asking.paying import balances_for
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.writing.batch import Batch
from scheduler.ports import Books, Ids


@dataclass(frozen=True, slots=True)
class SubmissionTerms:
    """What goes with a submission beside what is to run: not before when; as how many indexes of an array, how many of
    them at once; and whether its owner has confirmed what would otherwise be asked about."""

    begin_at: Instant | None = None
    array_count: int | None = None
    at_once: int | None = None
    is_confirmed: bool = False

    def earliest(self, now: Instant) -> Instant:
        return now if self.begin_at is None else max(now, self.begin_at)

    def held_back(self, workload: Workload) -> Workload:
        """The workload as it is queued: not before the instant that was asked for, if one was."""
        at = self.begin_at
        return workload if at is None else replace(workload, not_before=at, eligible_at=at)

    @property
    def asked_for(self) -> AskedFor:
        return AskedFor(self.array_count or 1, self.at_once, self.begin_at)


AS_IT_IS = SubmissionTerms()


def queue_all(
    batch: Batch, ids: Ids, namespace: str, owner: Engineer, spec: WorkloadSpec, terms: SubmissionTerms
) -> Workload:
    """Judge it and queue it. Returns the workload, or the first of the array. Refuses before it changes anything."""
    world = batch.world
    policy = world.require_policy()
    filled = with_defaults(spec, policy)
    judge_for(world, batch.books, filled, owner, batch.now)
    filled = with_conditions(partial(_find, batch), filled, owner, terms.earliest(batch.now))
    specs = [filled] if terms.array_count is None else indexes(filled, terms.array_count, terms.at_once)
    if not terms.is_confirmed:
        require_confirmation(world, filled, terms.asked_for, owner, batch.now, batch.added)
    require_room_for(world, owner, len(specs), beside=batch.added_by(owner.id))
    submission = WorkloadId(ids.new("w"))
    queued = []
    for number, each in enumerate(specs):
        workload_id = submission if terms.array_count is None else index_id(submission, number)
        made = new_workload(each, owner, workload_id=workload_id, namespace=namespace, now=batch.now)
        queued.append(terms.held_back(made))
        batch.add_workload(queued[-1])
        if each.kind is WorkloadKind.SANDBOX:
            key = ids.new("key")
            batch.books.control.put_sandbox(Sandbox(workload_id, owner.id, key))
            world.keys[workload_id] = key
    return queued[0]


def judge_for(world: World, books: Books, spec: WorkloadSpec, owner: Engineer, now: Instant) -> None:
    """Raise the Refusal that a person can act on, or return. The books keep allowances that the world forgets once they
    have expired."""
    policy, nodes = world.require_policy(), list(world.nodes.values())
    try:
        judge(spec, owner, policy, nodes, balances_for(world, spec, owner.id, owner.team), now)
    except Exhausted as refusal:
        if refusal.code is not RefusalCode.ALLOWANCE_SHORT:
            raise
        holders = holders_for(owner.id, owner.team, spec.project)
        judge(spec, owner, policy, nodes, books.allowances.balances(holders=holders), now)


def require_room_for(world: World, owner: Engineer, count: int, *, beside: int = 0) -> None:
    """So many more of the owner's may wait, or Exhausted (`queue-full`); `beside` are queued with them."""
    require_room_in_queue(world.entrance.queued_of(owner.id) + beside, count, world.require_policy())


def indexes_of(world: World, array: WorkloadId) -> list[WorkloadId]:
    """Those of an array that are not over, in order; none where it is no array."""
    found = [each for each in list(world.workloads.values()) if array_of(each.id) == array and each.spec.array]
    found.sort(key=lambda each: each.spec.array.index if each.spec.array is not None else 0)
    return [each.id for each in found]


def _find(batch: Batch, workload_id: WorkloadId) -> Workload | None:
    return batch.workload(workload_id) or batch.books.workloads.get(workload_id)
