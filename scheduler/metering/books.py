"""The store's books of samples, GPU faults and idleness, as Protocols: part of `ports.Books`, and declared here because
they speak of nothing but metering's values."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from scheduler.domain.idleness import Exemption, IdleDecision
from scheduler.domain.units import AttemptId, EngineerId, GpuUuid, Instant, NodeName, WorkloadId
from scheduler.metering.devices import Inventory, KnownGpu
from scheduler.metering.gpu_faults import GpuFault
from scheduler.metering.idle_clock import IdleWatch
from scheduler.metering.misuse import Misuse
from scheduler.metering.never_idle import NeverIdle
from scheduler.metering.refusals import RefusedSample
from scheduler.metering.use import HourOfUse, Metered, Stretch, Use


class SampleBook(Protocol):
    """Inventories, devices, windows and the hours they add up to. Nothing here touches a charge."""

    def put_inventory(self, inventory: Inventory) -> None:
        """The latest of its node."""
        ...

    def inventories(self) -> list[Inventory]: ...

    def gpus(self, uuids: Iterable[GpuUuid]) -> Mapping[GpuUuid, KnownGpu]: ...

    def all_gpus(self) -> list[KnownGpu]: ...

    def put_gpus(self, changed: Sequence[KnownGpu]) -> None:
        """New ones are added, known ones overwritten."""
        ...

    def count_gpus(self, node: NodeName, since: Instant) -> int:
        """Those of the node that told of anything since then, or never of anything yet."""
        ...

    def forget_silent_gpus(self, node: NodeName, present: Collection[GpuUuid]) -> None:
        """Those of the node that never told of anything and are not among these."""
        ...

    def add(self, metered: Sequence[Metered]) -> None:
        """Windows of devices that were put before, none of them twice; their hours grow by them."""
        ...

    def windows(self, uuids: Iterable[GpuUuid], starts_at: Instant, ends_at: Instant) -> Sequence[Stretch]:
        """Those that start in [starts_at, ends_at), in the order of their starts."""
        ...

    def hours(
        self,
        *,
        attempts: Sequence[AttemptId] | None = None,
        starts_at: Instant | None = None,
        ends_at: Instant | None = None,
        node: NodeName | None = None,
    ) -> Sequence[HourOfUse]:
        """Those that all the given conditions select; by device, hour and attempt."""
        ...

    def never_idle(self, since: Instant) -> list[NeverIdle]:
        """By the hours that began since then, in the order of nodes and devices."""
        ...

    def use_of(self, attempts: Sequence[AttemptId]) -> Mapping[AttemptId, Use]:
        """Over their whole life, as far as hours are kept; attempts without readings are left out."""
        ...

    def use_between(
        self, starts_at: Instant, ends_at: Instant, owners: Collection[EngineerId] | None = None
    ) -> Mapping[AttemptId | None, Use]:
        """What the hours that begin in [starts_at, ends_at) add up to, by attempt, and under None for nobody; of the
        attempts of these engineers alone, where any are given."""
        ...

    def energy_between(self, starts_at: Instant, ends_at: Instant) -> Sequence[tuple[Instant, int]]:
        """(hour, millijoules) of all GPUs together, whoever had them; hours without a reading are left out."""
        ...

    def refuse(self, refused: Sequence[RefusedSample]) -> None:
        """Add to the counts. Those of a node and code for more devices than DEVICES_COUNTED_MAX are added up in one."""
        ...

    def refusals(self, limit: int = 100) -> list[RefusedSample]:
        """The latest first."""
        ...

    def note_misuses(self, seen: Sequence[Misuse]) -> None:
        """Add them, or write what is new of those that are known."""
        ...

    def misuses(self, since: Instant, limit: int = 100) -> list[Misuse]:
        """Those that were last seen since then; the latest first."""
        ...

    def prune(self, windows_before: Instant, hours_before: Instant, devices: int = 200) -> int:
        """Drop windows and hours that start before; of so many devices at most. Returns how many rows went."""
        ...


class GpuFaultBook(Protocol):
    """Hardware errors of GPUs, each with an attempt that had the GPU. What fails with them is refunded."""

    def note(self, seen: Sequence[GpuFault]) -> None:
        """Add them; one that is known already stays as it is."""
        ...

    def due(self, limit: int) -> list[GpuFault]:
        """Those that nobody has judged and whose attempt has ended, so many at most: of one attempt after the other."""
        ...

    def judge(self, judged: Sequence[GpuFault]) -> None:
        """They are due no more."""
        ...

    def since(self, at: Instant, limit: int = 100) -> list[GpuFault]:
        """Those whose window ended since then; the latest first."""
        ...

    def prune(self, before: Instant) -> int:
        """Drop those whose window ended before. Returns how many went."""
        ...


class IdleBook(Protocol):
    """Idle clocks, the exemptions from them, and what was decided by them."""

    def watches(self) -> list[IdleWatch]: ...

    def watch(self, attempt_id: AttemptId) -> IdleWatch | None: ...

    def save_watches(self, changed: Sequence[IdleWatch], ended: Collection[AttemptId] = ()) -> None:
        """Write the changed; forget the ended."""
        ...

    def exempt(self, exemption: Exemption) -> None:
        """In place of an earlier one of the workload."""
        ...

    def withdraw(self, workload_id: WorkloadId) -> None: ...

    def exemptions(self, now: Instant) -> Mapping[WorkloadId, Exemption]:
        """Those that have not expired."""
        ...

    def decide(self, decisions: Sequence[IdleDecision]) -> None:
        """`seq` is given by the book."""
        ...

    def decisions(
        self,
        *,
        workload_id: WorkloadId | None = None,
        attempts: Sequence[AttemptId] | None = None,
        limit: int = 100,
    ) -> list[IdleDecision]:
        """The latest first."""
        ...
