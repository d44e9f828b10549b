"""Reconciliation: what was charged in a period, beside what the cluster and the devices say ran in it.

Charges are made from pods, so charges and pods must agree exactly. Devices are seen by agents, in windows of seconds:
they agree within two of those, see `slack`. What a booking paid for is compared with who ran inside; for the rest of it
no device answers. What does not agree is a difference of one class, and needs an owner or a write-off.

    overhead        pods held GPUs that nobody is charged for: ending beyond the grace, or, where devices were seen with
                    them before, until they started (binding, image pull). The platform's, by rule
    unattributed    GPU time that nobody was charged for and no rule explains: a device that was active with no
                    attempt on it, a pod that ran and was not charged
    evidence-lost   charged, and neither a pod nor a device says that it ran: an agent that was away
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from scheduler.domain.units import AttemptId, Instant, NodeName

PLATFORM = "platform"
TOLERANCE_MS = 60_000
"""Per GPU and attempt, at least: the windows at both ends are cut where the agent samples, not where the pod starts."""
TOLERANCE_PER_MILLE = 10


class DifferenceKind(StrEnum):
    OVERHEAD = "overhead"
    UNATTRIBUTED = "unattributed"
    EVIDENCE_LOST = "evidence-lost"


class SettlementKind(StrEnum):
    OWNER = "owner"
    WRITE_OFF = "write-off"


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a difference of so many GPU-milliseconds. One that has changed since needs another."""

    difference_id: str
    gpu_ms: int
    kind: SettlementKind
    owner: str
    reason: str
    by: str
    at: Instant
    request_id: str = ""
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """`gpu_ms` is how much, in physical GPU-milliseconds; `subject` an attempt, a GPU or a node."""

    id: str
    period: str
    kind: DifferenceKind
    subject: str
    gpu_ms: int
    detail: str
    settlement: Settlement | None = None


@dataclass(slots=True)
class AttemptUse:
    """One attempt within the period, in physical GPU-milliseconds."""

    charged: int = 0
    pods: int = 0
    """What its pods held GPUs, from start to end."""
    billable: int = 0
    """What of it is to be charged: to the end, or the grace."""
    devices: int = 0
    """What agents saw of it."""
    gpus: int = 0
    nodes: frozenset[NodeName] = frozenset()
    window_ms: int = 0
    """How long the windows of its nodes' agents were, the longest of any GPU."""
    unused: int = 0
    """Of a booking, what is charged and was nobody's who ran inside."""
    starting: int = 0
    """What its pods held before they started; known where agents saw it for longer than it was charged."""

    @property
    def seen_longer(self) -> int:
        """What agents saw of it beyond what it is charged; below 0 where that is less."""
        return self.devices - (self.charged - self.unused)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is compared. `seen` are the nodes whose agents reported at all; `unowned` active time per GPU of nobody, and
    `window_ms` how long the windows of each of those were."""

    attempts: Mapping[AttemptId, AttemptUse]
    seen: frozenset[NodeName] = frozenset()
    unowned: Mapping[str, int] = field(default_factory=dict)
    window_ms: Mapping[str, int] = field(default_factory=dict)
    not_yet_charged: int = 0
    """Of attempts that run on in a period that is not over: no difference, the next round charges it."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Sums in physical GPU-milliseconds. `within_tolerance` is what devices and charges differ by and no row says;
    `booked_unused` was charged to bookings, and no pod of theirs used it."""

    period: str
    charged: int
    held_by_pods: int
    seen_on_devices: int
    within_tolerance: int
    not_yet_charged: int
    booked_unused: int
    differences: tuple[Difference, ...]

    @property
    def unresolved(self) -> tuple[Difference, ...]:
        return tuple(each for each in self.differences if each.settlement is None)


def reconcile(period: str, evidence: Evidence, settlements: Iterable[Settlement]) -> Reconciliation:
    """Compare. A difference keeps its settlement as long as it is of the amount that was settled."""
    known = {(each.difference_id, each.gpu_ms): each for each in settlements}
    found: list[Difference] = []
    within = 0
    unseen: dict[NodeName, int] = {}
    for attempt_id, use in sorted(evidence.attempts.items()):
        found += _of_pods(period, attempt_id, use)
        missing = -use.seen_longer
        if abs(missing) <= tolerance(use):
            within += missing
        elif missing < 0:
            found += _seen_longer(period, attempt_id, use)
        elif use.devices == 0 and use.nodes and not use.nodes & evidence.seen:
            node = min(use.nodes)
            unseen[node] = unseen.get(node, 0) + missing
        else:
            detail = "charged, and no agent's window covers it"
            found.append(_difference(period, DifferenceKind.EVIDENCE_LOST, f"{attempt_id}:devices", missing, detail))
    for node, missing in sorted(unseen.items()):
        detail = "no agent reported from this node: no device says that what was charged there ran"
        found.append(_difference(period, DifferenceKind.EVIDENCE_LOST, f"node:{node}", missing, detail))
    for gpu, active in sorted(evidence.unowned.items()):
        if active > slack(evidence.window_ms.get(gpu, 0)):
            detail = "the device was active, and no attempt was on it"
            found.append(_difference(period, DifferenceKind.UNATTRIBUTED, f"gpu:{gpu}", active, detail))
    uses = evidence.attempts.values()
    return Reconciliation(
        period,
        charged=sum(use.charged for use in uses),
        held_by_pods=sum(use.pods - use.unused for use in uses),
        seen_on_devices=sum(use.devices for use in uses),
        within_tolerance=within,
        not_yet_charged=evidence.not_yet_charged,
        booked_unused=sum(use.unused for use in uses),
        differences=tuple(_settled(found, known)),
    )


def tolerance(use: AttemptUse) -> int:
    """How far devices and charges of an attempt may differ without a word."""
    return use.gpus * slack(use.window_ms) + use.charged * TOLERANCE_PER_MILLE // 1000


def slack(window_ms: int) -> int:
    """A window is one attempt's as a whole: the first of a GPU begins before its pod does, the last ends after it."""
    return max(TOLERANCE_MS, 2 * window_ms)


def _of_pods(period: str, attempt_id: AttemptId, use: AttemptUse) -> Iterator[Difference]:
    """Exact, to the cluster's own stamps."""
    if use.pods > use.billable:
        detail = "its pods were ending for longer than the grace: the platform's"
        yield _difference(period, DifferenceKind.OVERHEAD, f"{attempt_id}:ending", use.pods - use.billable, detail)
    if use.billable > use.charged:
        detail = "its pods ran for longer than it was charged"
        missing = use.billable - use.charged
        yield _difference(period, DifferenceKind.UNATTRIBUTED, f"{attempt_id}:pods", missing, detail)
    elif use.charged > use.billable:
        detail = "it was charged for longer than its pods ran"
        missing = use.charged - use.billable
        yield _difference(period, DifferenceKind.EVIDENCE_LOST, f"{attempt_id}:pods", missing, detail)


def _seen_longer(period: str, attempt_id: AttemptId, use: AttemptUse) -> Iterator[Difference]:
    """What the platform pays for is the attempt's on its devices all the same; that of the end is told with its pods."""
    longer = max(0, use.seen_longer - max(0, use.pods - use.billable))
    starting = min(longer, use.starting)
    if starting > 0:
        detail = "its pods had GPUs before they started: the platform's"
        yield _difference(period, DifferenceKind.OVERHEAD, f"{attempt_id}:starting", starting, detail)
    longer -= starting
    if longer > tolerance(use):
        detail = "agents saw it use GPUs for longer than it was charged"
        yield _difference(period, DifferenceKind.UNATTRIBUTED, f"{attempt_id}:devices", longer, detail)


def _difference(period: str, kind: DifferenceKind, subject: str, gpu_ms: int, detail: str) -> Difference:
    return Difference(f"{period}/{kind.value}/{subject}", period, kind, subject, gpu_ms, detail)


def _settled(found: Sequence[Difference], known: Mapping[tuple[str, int], Settlement]) -> Iterator[Difference]:
    for each in found:
        settlement = known.get((each.id, each.gpu_ms))
        if settlement is None and each.kind is DifferenceKind.OVERHEAD:
            settlement = Settlement(
                each.id, each.gpu_ms, SettlementKind.OWNER, PLATFORM, "the platform's by rule", "rule", Instant(0)
            )
        yield Difference(each.id, each.period, each.kind, each.subject, each.gpu_ms, each.detail, settlement)
