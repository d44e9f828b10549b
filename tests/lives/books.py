"""What must hold of the books at any time, and what at the end: what is charged is what the pods used, to the stamp."""

from scheduler.domain.reasons import Reason
from scheduler.domain.records import EndEvidence
from scheduler.domain.units import BEGINNING, STANDARD_GPU, Instant, standard_total
from scheduler.domain.workloads import Attempt, WorkloadState
from scheduler.ledger.journal import AccountKind, TransactionKind
from scheduler.ports import Books
from scheduler.simulation.jobs import SimulatedJob, SimulatedPod, stamp
from tests.adapters.sql.invariants import violations
from tests.lives.life import Life

REFUNDED_FOR = {Reason.PREEMPTED, Reason.NODE_LOST}


def wrong_now(life: Life) -> list[object]:
    """Balances are the ledger's sums, in the books and in memory, and only what lives holds anything."""
    world = life.service.world
    with life.site.store.whole._readers.begin() as connection:
        found: list[object] = list(violations(connection).items())
    with life.site.store.reading() as books:
        found += books.journal.differences()
        for balance in books.allowances.balances():
            known = world.balances.get(balance.allowance.id)
            if known is not None and (known.available, known.held) != (balance.available, balance.held):
                found.append((known, "is in the books", balance))
        live = {attempt.id for attempt in books.attempts.live()}
        known_live = {attempt.id for attempt in world.attempts.values() if attempt.is_live}
        if live != known_live:
            found.append(("live in the books alone", live - known_live, "in memory alone", known_live - live))
        found += [hold for hold in books.holds.open_ones() if hold.attempt_id not in {None, *live}]
    return found


def wrong_at_the_end(life: Life) -> list[object]:
    """Nothing holds anything, and each attempt is charged what its pods used."""
    found: list[object] = []
    with life.site.store.reading() as books:
        found += books.holds.open_ones()
        for workload in books.workloads.page(limit=10_000):
            if not workload.state.is_final and workload.state is not WorkloadState.STOPPED:
                found.append(("not over", workload))
            for attempt in books.attempts.of_workload(workload.id):
                found += _wrong_with(life, books, attempt)
    return found


def _wrong_with(life: Life, books: Books, attempt: Attempt) -> list[object]:
    charged = gpu_ms = 0
    found: list[object] = []
    for entry in books.journal.entries(kinds=[AccountKind.CHARGED], attempt_id=attempt.id):
        if entry.kind is TransactionKind.CHARGE:
            charged += entry.amount if entry.unit == STANDARD_GPU else 0
            gpu_ms += entry.gpu_ms
            counts_at = entry.at if entry.corrects_at is None else entry.corrects_at
            if attempt.ended_at is not None and counts_at >= attempt.ended_at:
                found.append((attempt.id, "ended at", attempt.ended_at, "and is charged at", counts_at))
    if attempt.is_booking:
        return []
    least, most = used_gpu_ms(life, books, attempt)
    if not least <= gpu_ms <= most:
        found.append((attempt.id, "is charged", gpu_ms, "and used", least, most, attempt))
    if gpu_ms != attempt.charged_gpu_ms and attempt.booking_id is None:
        found.append((attempt.id, "says", attempt.charged_gpu_ms, "and the journal", gpu_ms))
    pays_otherwise = any(hold.draw is not None for hold in books.holds.of_attempt(attempt.id))
    if not pays_otherwise and charged != standard_total(gpu_ms, attempt.weight, attempt.class_factor):
        found.append((attempt.id, "pays", charged, "for", gpu_ms))
    return [*found, *_wrong_refund(life, books, attempt, gpu_ms)]


def _wrong_refund(life: Life, books: Books, attempt: Attempt, charged_gpu_ms: int) -> list[object]:
    """What it lost since its last checkpoint comes back, up to the cap of its class, where the platform ended it."""
    refunds = books.journal.entries(attempt_id=attempt.id, transactions=[TransactionKind.REFUND])
    refunded = sum(max(0, entry.gpu_ms) for entry in refunds)
    cap_ms = life.service.world.require_policy().priority_classes[attempt.priority_class].refund_cap_ms
    lost_ms = 0
    if attempt.stop_reason in REFUNDED_FOR and None not in {attempt.checkpointed_at, attempt.ended_at}:
        since = max(attempt.checkpointed_at or BEGINNING, attempt.started_at or BEGINNING)
        lost_ms = min((attempt.ended_at or BEGINNING) - since, cap_ms)
    most_pods = attempt.elastic.pods_max if attempt.elastic is not None else attempt.placement.pods
    lost = max(0, lost_ms) * most_pods * attempt.pod.gpus
    least = 0 if attempt.elastic is not None or not attempt.is_funded else min(lost, charged_gpu_ms)
    return [] if least <= refunded <= min(lost, charged_gpu_ms) else [(attempt, "gets back", refunded, "of", lost)]


def used_gpu_ms(life: Life, books: Books, attempt: Attempt) -> tuple[int, int]:
    """At least, and at most: what nobody saw the end of is charged on evidence, and never beyond its end. Inside a booking
    that one is charged."""
    least = most = 0
    seen_to_end = {
        run.pod_uid
        for run in books.attempts.pods_of([attempt.id])[attempt.id]
        if run.end_evidence is EndEvidence.FINISHED
    }
    for job, pod in life.site.cluster.pods.values():
        if pod.attempt_id == attempt.id and pod.started_at is not None:
            used = job.gpus * max(0, _end(life, job, pod) - stamp(pod.started_at))
            least += used if pod.uid in seen_to_end and attempt.booking_id is None else 0
            most += used
    return least, most


def _end(life: Life, job: SimulatedJob, pod: SimulatedPod) -> Instant:
    """By whole-second stamps, and not beyond the grace asked for; of what nobody saw end, at its last sign of life."""
    ends = [] if pod.deleted_at is None else [Instant(stamp(pod.deleted_at) + job.grace_seconds * 1_000)]
    if pod.finished_at is not None:
        ends.append(stamp(pod.finished_at))
    elif pod.is_gone and pod.evidence_at is not None:
        ends.append(pod.evidence_at)
    return min(ends, default=life.now)
