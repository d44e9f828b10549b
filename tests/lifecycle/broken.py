"""Work whose GPU breaks under it while its node stays up: it fails by its exit code, and windows tell of the Xid."""

from dataclasses import dataclass, replace
from typing import Any

from scheduler.domain.observations import PodPhase
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_MINUTE, AttemptId, Instant
from scheduler.domain.workloads import Attempt, Workload
from scheduler.ledger.journal import PostedEntry
from scheduler.lifecycle.running.gpu_faults import FaultsJudged, judge_gpu_faults
from scheduler.metering.windows import Window
from tests.lifecycle.agents import WINDOW_MS, Agents, window
from tests.lifecycle.build import Company, changes, job_seen, later, pod_seen

RAN_MS = 40 * MS_PER_MINUTE
CHECKPOINTED_MS = 10 * MS_PER_MINUTE
LOST = 79


@dataclass
class Broken:
    """A job of two GPUs of n0, which has run for 40 min since `start` and wrote a checkpoint after 10. Its windows end with
    the one in which its GPU breaks."""

    agents: Agents
    workload: Workload
    attempt_id: AttemptId
    start: Instant

    @property
    def company(self) -> Company:
        return self.agents.company

    @property
    def ended_at(self) -> Instant:
        return Instant(self.start + RAN_MS)

    def windows(self, *xids: int, at_ms: int = RAN_MS, gpu: int = 0, **fields: Any) -> list[Window]:
        """One before, in which its process is seen on the GPU, and the one that has `at_ms` after its start in it."""
        begin = Instant(self.start + at_ms // WINDOW_MS * WINDOW_MS - (WINDOW_MS if at_ms % WINDOW_MS == 0 else 0))
        number = begin // WINDOW_MS
        before = window("n0", gpu, number - 1, Instant(begin - WINDOW_MS), pods=self.agents.pod_of(self.workload))
        return [before, replace(window("n0", gpu, number, begin), xids=xids, **fields)]

    def fail(self, exit_code: int = 1, **pod: Any) -> None:
        """The cluster says that its pod failed at its end."""
        self.company.now = max(self.company.now, later(self.ended_at, 1))
        ended = pod_seen(
            self.workload,
            started_at=self.start,
            phase=PodPhase.FAILED,
            finished_at=self.ended_at,
            exit_code=exit_code,
            attempt_id=self.attempt_id,
        )
        failed = job_seen(self.workload, is_failed=True, failure="BackoffLimitExceeded", attempt_id=self.attempt_id)
        self.company.see(changes(replace(ended, **pod), failed))

    def judge(self) -> FaultsJudged:
        with self.company.changing() as batch:
            return judge_gpu_faults(batch)

    @property
    def attempt(self) -> Attempt:
        with self.company.store.reading() as books:
            found = books.attempts.get(self.attempt_id)
        assert found is not None
        return found

    @property
    def refunded_ms(self) -> int:
        """GPU-milliseconds that came back."""
        return sum(entry.gpu_ms for entry in refunds(self.company) if entry.amount > 0)

    def verdicts(self) -> list[Reason]:
        with self.company.store.reading() as books:
            return [verdict.reason for verdict in reversed(books.verdicts.of_workload(self.workload.id))]


def refunds(company: Company) -> list[PostedEntry]:
    with company.store.reading() as books:
        assert books.journal.differences() == []
        return [entry for entry in books.journal.entries() if entry.kind.value == "refund"]


def broken(company: Company, **fields: Any) -> Broken:
    agents = Agents(company)
    agents.register()
    start = company.now
    workload, attempt_id = agents.start(**fields)
    running = job_seen(
        workload,
        is_suspended=False,
        active=1,
        attempt_id=attempt_id,
        checkpointed_at=Instant(start + CHECKPOINTED_MS),
    )
    company.see(changes(running))
    company.now = Instant(start + RAN_MS)
    return Broken(agents, workload, attempt_id, start)
