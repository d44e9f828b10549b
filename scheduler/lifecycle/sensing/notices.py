"""Notices: what people are to hear of idle GPUs and misuse, once each, for whoever carries it to them."""

from collections.abc import Iterator
from dataclasses import dataclass

from scheduler.domain.reasons import Reason, next_step
from scheduler.domain.records import RecordedVerdict
from scheduler.domain.units import MS_PER_DAY, Instant
from scheduler.lifecycle.memory.named import sentence_named
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.sensing.strangers import Strangers
from scheduler.metering.misuse import Misuse, MisuseKey

REASONS = frozenset({Reason.IDLE_WARNING, Reason.IDLE_REPORTED, Reason.IDLE_CPU_BUSY, Reason.IDLE, Reason.IDLE_ENDED})

FORGOTTEN_MS = MS_PER_DAY
"""A misuse that goes on for so long is told of again."""


@dataclass(frozen=True, slots=True)
class Notice:
    """`kind` is a reason's code, or `misuse:` or `burn:` and its kind. `owner` is the subject whom it concerns: of a misuse
    nobody, since it accuses; operators look at it. `to` is the subject who is to hear of it, where that is known."""

    kind: str
    at: Instant
    sentence: str
    next_step: str = ""
    owner: str | None = None
    team: str | None = None
    workload_id: str | None = None
    workload: str | None = None
    node: str | None = None
    gpu_uuid: str | None = None
    pid: int | None = None
    to: str | None = None


class Notices:
    """What fell before it was made is not told again: a restart troubles nobody twice."""

    def __init__(self, world: World, strangers: Strangers) -> None:
        self._world = world
        self._strangers = strangers
        self._known = dict(world.verdicts)
        self._told_of: dict[MisuseKey, Instant] = {}

    def due(self, now: Instant) -> list[Notice]:
        """What is new since it was asked last, in the order in which it fell."""
        return [*self._verdicts(), *self._misuses(now)]

    def _verdicts(self) -> Iterator[Notice]:
        with self._world.lock:
            known, self._known = self._known, dict(self._world.verdicts)
            new = [
                verdict
                for workload_id, verdict in self._known.items()
                if verdict.reason in REASONS and known.get(workload_id) != verdict
            ]
        for verdict in sorted(new, key=lambda each: (each.at, each.workload_id)):
            yield self._of_verdict(verdict)

    def _of_verdict(self, verdict: RecordedVerdict) -> Notice:
        workload = self._world.workloads.get(verdict.workload_id)
        owner = self._world.people.get(workload.owner) if workload is not None else None
        return Notice(
            kind=verdict.reason.value,
            at=verdict.at,
            sentence=sentence_named(self._world, verdict.reason, verdict.evidence),
            next_step=next_step(verdict.reason, verdict.evidence),
            owner=owner.subject if owner is not None else None,
            team=workload.team if workload is not None else None,
            workload_id=verdict.workload_id,
            workload=workload.spec.name if workload is not None else None,
            to=owner.subject if owner is not None else None,
        )

    def _misuses(self, now: Instant) -> Iterator[Notice]:
        self._told_of = {key: at for key, at in self._told_of.items() if now - at < FORGOTTEN_MS}
        for misuse in sorted(self._strangers.told(now), key=lambda each: each.key):
            if misuse.key not in self._told_of:
                self._told_of[misuse.key] = now
                yield _of_misuse(misuse)


def _of_misuse(misuse: Misuse) -> Notice:
    return Notice(
        kind=f"misuse:{misuse.kind.value}",
        at=misuse.last_at,
        sentence=f"Process {misuse.pid} ({misuse.name or 'without a name'}) is on a GPU that was not given to it.",
        next_step="`allot gpu misuse` has the evidence.",
        node=misuse.node,
        gpu_uuid=misuse.gpu_uuid,
        pid=misuse.pid,
    )
