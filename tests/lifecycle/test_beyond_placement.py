"""Pods beyond the placement: somebody made a Job larger while it ran. What ran is charged, and the Job is put back."""

from dataclasses import replace

from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import PodPhase
from scheduler.domain.units import MS_PER_HOUR, PodUid
from scheduler.domain.workloads import WorkloadState
from scheduler.ledger.journal import AccountKind
from tests.lifecycle.build import Company, changes, job_seen, later, pod_seen

GPUS = 2


def test_a_pod_beyond_the_placement_is_charged_and_what_no_hold_covers_is_an_overrun(company: Company) -> None:
    grant = company.grant("ada", 10)
    workload = company.submit()
    company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR))
    company.give_job(workload)
    workload = company.workload(workload.id)
    (attempt,) = company.world.attempts.values()
    start, end = company.now, later(company.now, 2 * 3600)
    placed = pod_seen(workload, started_at=start, finished_at=end, attempt_id=attempt.id, exit_code=0)
    beyond = replace(placed, uid=PodUid("beyond"), name="beyond")
    company.now = end
    done = job_seen(workload, is_suspended=False, is_complete=True, ended_at=end, attempt_id=attempt.id)

    company.see(changes(done, replace(placed, phase=PodPhase.SUCCEEDED), replace(beyond, phase=PodPhase.SUCCEEDED)))

    assert company.workload(workload.id).state is WorkloadState.COMPLETED
    with company.store.reading() as books:
        entries = list(books.journal.entries(attempt_id=attempt.id))
        assert books.journal.differences() == []
    charged = sum(entry.gpu_ms for entry in entries if entry.account.kind is AccountKind.CHARGED)
    assert charged == 2 * GPUS * 2 * MS_PER_HOUR
    assert sum(entry.amount for entry in entries if entry.account.kind is AccountKind.OVERRUN) != 0
