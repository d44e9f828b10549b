"""Observed only: what a service that may only look would have done, told once and kept to be read instead.

A cycle that does not act finds the same work again and again, for nothing comes of it. The feed has one item for each
thing that would have been done, opens it when it is found first and closes it when it is found no more. It is bounded
and lives in memory: a restart begins it anew.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from scheduler.domain.units import EngineerId, Instant, WorkloadId

ITEMS_MAX = 1_000


class Would(StrEnum):
    """What would have been done to a workload."""

    LAUNCH = "launch"
    PREEMPT = "preempt"
    STOP = "stop"
    """At its time limit, for hours that ran out, or for a start that took too long."""
    SUSPEND = "suspend"
    """Its Job, which somebody else set going."""
    CHARGE = "charge"


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that would be done now. `held` and `charged` are standard GPU-milliseconds, `gpu_ms` physical ones."""

    workload_id: WorkloadId
    workload_name: str
    owner: EngineerId
    gpus: int
    sentence: str
    held: int = 0
    charged: int = 0
    gpu_ms: int = 0


@dataclass(frozen=True, slots=True)
class Observed:
    """An item of the feed. `since` is when it would have been done first, `until` when no longer: None while it still
    would. `seq` orders all items by `since`."""

    seq: int
    would: Would
    since: Instant
    until: Instant | None
    workload_id: WorkloadId
    workload_name: str
    owner: EngineerId
    gpus: int
    sentence: str
    held: int
    charged: int
    gpu_ms: int


class ObservedOnly:
    """Written by the cycle's thread, read by those of the API."""

    def __init__(self, items_max: int = ITEMS_MAX) -> None:
        self._items_max = items_max
        self._items: dict[tuple[Would, WorkloadId], Observed] = {}
        self._open: dict[Would, frozenset[WorkloadId]] = {}
        self._seq = 0
        self._lock = threading.Lock()

    def note(self, would: Would, found: Iterable[Found], now: Instant) -> list[Observed]:
        """These are all that would be done of this kind now. Returns the news: what the feed did not have.

        What comes back after it was closed is opened again where it stands, and is no news.
        """
        by_id = {item.workload_id: item for item in found}
        news: list[Observed] = []
        with self._lock:
            before = self.open_ones(would)
            self._open[would] = frozenset(by_id)
            for workload_id in sorted(before - by_id.keys()):
                self._close((would, workload_id), now)
            for workload_id, each in by_id.items():
                known = self._items.get((would, workload_id))
                if known is not None:
                    self._items[would, workload_id] = _again(known, each)
                elif workload_id not in before:  # else it was dropped for want of room, and was told
                    news.append(self._begin(would, each, now))
            self._forget()
        return news

    def open_ones(self, would: Would) -> frozenset[WorkloadId]:
        """The workloads to which it would still be done."""
        return self._open.get(would, frozenset())

    def open_counts(self) -> Mapping[Would, int]:
        """How many of each kind would be done now: all of them, though the feed may have room for fewer."""
        return {would: len(self.open_ones(would)) for would in Would}

    def items(self, *, after_seq: int = 0, limit: int = ITEMS_MAX, owner: EngineerId | None = None) -> list[Observed]:
        """Newest first; those of `owner` alone where one is given."""
        with self._lock:
            known = list(self._items.values())
        return [item for item in reversed(known) if item.seq > after_seq and owner in {None, item.owner}][:limit]

    def _begin(self, would: Would, found: Found, now: Instant) -> Observed:
        self._seq += 1
        item = self._items[would, found.workload_id] = Observed(
            seq=self._seq,
            would=would,
            since=now,
            until=None,
            workload_id=found.workload_id,
            workload_name=found.workload_name,
            owner=found.owner,
            gpus=found.gpus,
            sentence=found.sentence,
            held=found.held,
            charged=found.charged,
            gpu_ms=found.gpu_ms,
        )
        return item

    def _close(self, key: tuple[Would, WorkloadId], now: Instant) -> None:
        item = self._items.get(key)
        if item is not None:
            self._items[key] = replace(item, until=now)

    def _forget(self) -> None:
        """Drop the oldest of what is closed; where that is not enough, the oldest of all."""
        excess = len(self._items) - self._items_max
        if excess <= 0:
            return
        closed_first = sorted(self._items.items(), key=lambda pair: (pair[1].until is None, pair[1].seq))
        for key, _ in closed_first[:excess]:
            del self._items[key]


def _again(known: Observed, found: Found) -> Observed:
    return replace(
        known,
        until=None,
        gpus=found.gpus,
        sentence=found.sentence,
        held=found.held,
        charged=found.charged,
        gpu_ms=found.gpu_ms,
    )
