"""Hardware errors of GPUs, as operators read them: what it means, whose work was there, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum

from scheduler.domain.people import Caller, Role
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_DAY, AttemptId, Instant
from scheduler.domain.workloads import Attempt
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.misuses import WorkView, works_of
from scheduler.metering.gpu_faults import HARDWARE_XIDS, GpuFault
from scheduler.ports import Store

SHOWN_MS = 31 * MS_PER_DAY


class FaultOutcome(StrEnum):
    """What became of whoever had the GPU."""

    NOBODY = "nobody"
    """Nobody is known to have had it."""
    PENDING = "pending"
    """The attempt goes on, or its end is about to be judged."""
    ENDED = "ended"
    """The attempt failed with it, and got back what it lost."""
    SURVIVED = "survived"
    """It ended otherwise: later, of something else, or not by failing."""


@dataclass(frozen=True, slots=True)
class GpuFaultView(GpuFault):
    """`means` is what the Xid is, in a few words; `work` what `attempt_id` is an attempt of."""

    means: str = ""
    outcome: FaultOutcome = FaultOutcome.NOBODY
    work: WorkView | None = None


class FaultViews:
    """For operators and auditors."""

    def __init__(self, store: Store, world: World) -> None:
        self._store = store
        self._world = world

    def latest(self, caller: Caller, now: Instant, limit: int = 100) -> list[GpuFaultView]:
        """Those of the last month, the latest first."""
        caller.require(Role.OPERATOR, Role.AUDITOR)
        with self._store.reading() as books:
            told = books.gpu_faults.since(Instant(now - SHOWN_MS), limit)
            ids = sorted({fault.attempt_id for fault in told if fault.attempt_id is not None})
            works, attempts = works_of(books, self._world, ids), books.attempts.many(ids)
        return [_view(fault, works, attempts) for fault in told]


def _view(
    fault: GpuFault, works: Mapping[AttemptId, WorkView], attempts: Mapping[AttemptId, Attempt]
) -> GpuFaultView:
    holder = fault.attempt_id
    return GpuFaultView(
        **{field.name: getattr(fault, field.name) for field in fields(fault)},
        means=HARDWARE_XIDS.get(fault.xid, ""),
        outcome=_outcome(fault, attempts.get(holder) if holder is not None else None),
        work=works.get(holder) if holder is not None else None,
    )


def _outcome(fault: GpuFault, attempt: Attempt | None) -> FaultOutcome:
    if attempt is None:
        return FaultOutcome.NOBODY
    if not fault.is_judged:
        return FaultOutcome.PENDING
    return FaultOutcome.ENDED if attempt.stop_reason is Reason.GPU_FAULT else FaultOutcome.SURVIVED
