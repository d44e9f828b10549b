"""Processes on GPUs that were not theirs, as operators read them: with the names of the work that is concerned."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from scheduler.domain.units import AttemptId, Instant, WorkloadId
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.agents import unseen_nodes
from scheduler.lifecycle.views.workloads import owner_name
from scheduler.metering.misuse import Misuse
from scheduler.ports import Books


@dataclass(frozen=True, slots=True)
class WorkView:
    """Whose attempt it is, as people know it. `owner_name` is empty for a person who was forgotten."""

    workload_id: str
    workload_name: str
    owner_name: str


@dataclass(frozen=True, slots=True)
class MisuseView(Misuse):
    """`work` is what `attempt_id` is an attempt of, `holder_work` what `holder` is one of; None where these are."""

    work: WorkView | None = None
    holder_work: WorkView | None = None


@dataclass(frozen=True, slots=True)
class Misuses:
    """Processes on GPUs that were not theirs, the latest first. On the nodes of `unavailable_on` nobody can see who
    runs on a GPU (no `hostPID`, no agent): that nothing is told of them says nothing."""

    items: tuple[MisuseView, ...]
    unavailable_on: tuple[str, ...]
    next_cursor: str | None = None


def misuses_since(books: Books, world: World, since: Instant, limit: int) -> Misuses:
    told = books.samples.misuses(since, limit)
    ids = {id_ for each in told for id_ in (each.attempt_id, each.holder) if id_ is not None}
    works = works_of(books, world, sorted(ids))
    return Misuses(tuple(_view(each, works) for each in told), unseen_nodes(world))


def works_of(books: Books, world: World, ids: Sequence[AttemptId]) -> dict[AttemptId, WorkView]:
    """What attempts are attempts of. Most of it has ended, and is in the books alone."""
    live = {id_: attempt.workload_id for id_ in ids if (attempt := world.attempts.get(id_)) is not None}
    ended = books.attempts.many([id_ for id_ in ids if id_ not in live])
    of_attempt: dict[AttemptId, WorkloadId] = {**live, **{id_: each.workload_id for id_, each in ended.items()}}
    workloads = books.workloads.many(sorted(set(of_attempt.values())))
    return {
        id_: WorkView(workload_id, workloads[workload_id].spec.name, owner_name(world, workloads[workload_id]))
        for id_, workload_id in of_attempt.items()
    }


def _view(misuse: Misuse, works: dict[AttemptId, WorkView]) -> MisuseView:
    return MisuseView(
        **{field.name: getattr(misuse, field.name) for field in fields(misuse)},
        work=works.get(misuse.attempt_id) if misuse.attempt_id is not None else None,
        holder_work=works.get(misuse.holder) if misuse.holder is not None else None,
    )
