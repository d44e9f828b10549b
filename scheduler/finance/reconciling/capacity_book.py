"""The store's book of capacity, as a Protocol: part of `ports.Books`, and declared beside what is made of it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from scheduler.domain.cluster import NodeSpan
from scheduler.domain.units import Instant, NodeName
from scheduler.finance.reconciling.conservation import Tenure


class CapacityBook(Protocol):
    """What nodes offered, and what was made of it: the sides of the conservation report."""

    def open_spans(self) -> list[NodeSpan]: ...

    def change(self, *, ended: Sequence[NodeSpan], begun: Sequence[NodeSpan]) -> None:
        """Write the ends of open spans, and add those that begin."""
        ...

    def spans(self, starts_at: Instant, ends_at: Instant) -> list[NodeSpan]:
        """Those that overlap [starts_at, ends_at)."""
        ...

    def tenures(self, starts_at: Instant, ends_at: Instant) -> list[Tenure]:
        """Of pods that had GPUs of a node in [starts_at, ends_at)."""
        ...

    def taken_ms(self, starts_at: Instant, ends_at: Instant) -> Mapping[tuple[NodeName, Instant], int]:
        """By node and hour: for how long its GPUs were seen at work for nobody of ours."""
        ...
