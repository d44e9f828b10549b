"""What is charged when an attempt ends uncleanly, beside the truth: within one sampling interval of it, and never more
than it by over the second of Kubernetes' stamps."""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import Disruption, ObservedPod, PodPhase
from scheduler.domain.records import EndEvidence
from scheduler.domain.units import MS_PER_HOUR, MS_PER_SECOND, AllowanceId, Instant, NodeName
from scheduler.domain.workloads import Attempt, Workload
from tests.lifecycle.agents import WINDOW_MS, Agents, window
from tests.lifecycle.build import NOON, Company, changes, job_seen, pod_seen

NODE = NodeName("n0")
HOURS, GPUS = 10, 2
SAMPLE_MS, HEARTBEAT_MS = 5_000, 10_000
STARTED_MS = 300
"""The container starts within a second, of which its stamp knows nothing."""
SEEDS = 40 if os.environ.get("HYPOTHESIS_PROFILE") == "searching" else 2
ENDS_MS = (87_450, 600_999, *(random.Random(seed).randint(45_000, 1_200_000) for seed in range(SEEDS)))
"""Two ends at awkward milliseconds, and some drawn at random; more of them under `make nightly`."""


def stamp(ms: int) -> Instant:
    """As Kubernetes writes instants: whole seconds, cut."""
    return Instant((NOON + ms) // MS_PER_SECOND * MS_PER_SECOND)


@dataclass
class Run:
    """A job of two GPUs without checkpoints, on a node that has an agent; `ended_ms` after noon its container ended, in
    truth."""

    company: Company
    agents: Agents
    workload: Workload
    grant: AllowanceId
    attempt: Attempt
    ended_ms: int

    def pod(self, beat_ms: int, **fields: object) -> ObservedPod:
        """As the API has it; the node's last heartbeat before `beat_ms` is evidence that it ran."""
        evidence = stamp(beat_ms // HEARTBEAT_MS * HEARTBEAT_MS)
        seen = pod_seen(self.workload, started_at=stamp(STARTED_MS), evidence_at=evidence, attempt_id=self.attempt.id)
        return replace(seen, **fields)  # type: ignore[arg-type]

    def sample(self, until_ms: int) -> None:
        """The agent's windows up to then: a reading every five seconds, which finds the process while it lives."""
        for number in range(1, until_ms // WINDOW_MS + 1):
            start = NOON + (number - 1) * WINDOW_MS
            self.company.now = Instant(start + WINDOW_MS)
            found = [at for at in range(start + SAMPLE_MS, start + WINDOW_MS + 1, SAMPLE_MS) if at < self.truth_end]
            told = window("n0", 0, number, Instant(start), pods=(self.pod(0).uid,) if found else ())
            processes = tuple(replace(each, seen_until=Instant(found[-1])) for each in told.processes or ())
            self.agents.post(replace(told, processes=processes))

    def see(self, pod: ObservedPod | None = None, **of_job: object) -> None:
        seen = replace(job_seen(self.workload, is_suspended=False, attempt_id=self.attempt.id), **of_job)  # type: ignore[arg-type]
        self.company.see(changes(seen, *([pod] if pod is not None else [])))

    @property
    def truth_end(self) -> int:
        return NOON + self.ended_ms

    @property
    def charged_ms(self) -> int:
        """Of each of its GPUs."""
        return (HOURS * MS_PER_HOUR - self.company.available(self.grant)) // GPUS

    @property
    def evidence(self) -> EndEvidence | None:
        with self.company.store.reading() as books:
            ((run,),) = books.attempts.pods_of([self.attempt.id]).values()
        return run.end_evidence


def started(company: Company, ended_ms: int) -> Run:
    grant = company.grant("ada", HOURS)
    agents = Agents(company)
    agents.register()
    workload = company.submit()
    company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR))
    company.give_job(workload)
    (attempt,) = company.world.attempts.values()
    run = Run(company, agents, workload, grant, attempt, ended_ms)
    run.see(run.pod(0), active=1)
    return run


def node_lost(run: Run) -> None:
    """The node dies with all that is on it, and its pods are given up five minutes later."""
    run.see(run.pod(run.ended_ms), active=1)
    run.sample(run.ended_ms)
    give_up(run, run.ended_ms, Disruption.TAINTED)


def kubelet_gone(run: Run) -> None:
    """Only the kubelet dies, in the first minute: no heartbeat and no status comes any more, while container and agent go
    on until the machine is switched off."""
    run.see(run.pod(30_000), active=1)
    run.sample(run.ended_ms)
    give_up(run, 30_000, Disruption.TAINTED)


def node_lost_while_the_agent_was_away(run: Run) -> None:
    run.see(run.pod(run.ended_ms), active=1)
    run.sample(30_000)
    give_up(run, run.ended_ms, Disruption.NODE_GONE)


def node_lost_while_nobody_watched(run: Run) -> None:
    """The service comes back to a cluster that has neither the node nor the pod."""
    run.see(run.pod(run.ended_ms), active=1)
    run.sample(run.ended_ms)
    run.company.now = Instant(run.truth_end + 400_000)
    failed = job_seen(run.workload, is_suspended=False, is_failed=True, attempt_id=run.attempt.id)
    failed = replace(failed, ended_at=stamp(run.ended_ms + 300_000))
    other = run.company.world.nodes[NodeName("n1")]
    run.company.see(replace(changes(failed, is_relist=True), nodes={other.name: other}))


def force_deleted(run: Run) -> None:
    """`kubectl delete pod --force --grace-period=0`: the pod is gone at once, whatever the node still does."""
    run.sample(run.ended_ms)
    run.company.now = Instant(run.truth_end + 900)
    deleted = run.pod(run.ended_ms, deleted_at=stamp(run.ended_ms), grace_seconds=0, is_gone=True)
    run.see(deleted, is_failed=True, ended_at=stamp(run.ended_ms))


def service_killed(run: Run) -> None:
    """Nobody watched when it ended; the kubelet's stamps wait in the pod."""
    run.company.now = Instant(run.truth_end + 1_800_000)
    finished = run.pod(run.ended_ms, phase=PodPhase.SUCCEEDED, finished_at=stamp(run.ended_ms))
    job = job_seen(run.workload, is_suspended=False, attempt_id=run.attempt.id, is_complete=True)
    run.company.see(replace(changes(job, finished, is_relist=True), nodes=dict(run.company.world.nodes)))


def agent_away(run: Run) -> None:
    """No reading at all: what is charged is what was allocated."""
    run.company.now = Instant(run.truth_end + 2_000)
    run.see(
        run.pod(run.ended_ms, phase=PodPhase.FAILED, finished_at=stamp(run.ended_ms), exit_code=137), is_failed=True
    )


def give_up(run: Run, beat_ms: int, disruption: Disruption) -> None:
    """As the platform does it: marked for deletion, and in the end gone without anybody's stamp of an end."""
    run.company.now = Instant(run.truth_end + 400_000)
    deleted_at = stamp(run.ended_ms + 300_000)
    gone = run.pod(beat_ms, deleted_at=deleted_at, grace_seconds=30, disruption=disruption, is_gone=True)
    run.see(gone, is_failed=True, ended_at=deleted_at)


KINDS: dict[str, tuple[Callable[[Run], None], EndEvidence, int]] = {
    "its node is lost": (node_lost, EndEvidence.LAST_SEEN, HEARTBEAT_MS),
    "its kubelet is gone": (kubelet_gone, EndEvidence.LAST_SEEN, WINDOW_MS),
    "its node is lost while the agent was away": (
        node_lost_while_the_agent_was_away,
        EndEvidence.LAST_SEEN,
        HEARTBEAT_MS,
    ),
    "its node is lost while nobody watched": (node_lost_while_nobody_watched, EndEvidence.LAST_SEEN, HEARTBEAT_MS),
    "its pod is force-deleted": (force_deleted, EndEvidence.DELETION, 0),
    "the service was killed": (service_killed, EndEvidence.FINISHED, 0),
    "the agent was away": (agent_away, EndEvidence.FINISHED, 0),
}
"""How it ends, on what evidence, and the interval in which that evidence comes: of windows or of heartbeats."""


@pytest.mark.parametrize("ended_ms", ENDS_MS)
@pytest.mark.parametrize(("end", "evidence", "interval_ms"), KINDS.values(), ids=KINDS)
def test_a_charge_is_within_one_interval_of_the_truth_and_never_above_it_by_more_than_a_second(
    company: Company, end: Callable[[Run], None], evidence: EndEvidence, interval_ms: int, ended_ms: int
) -> None:
    run = started(company, ended_ms)
    end(run)
    truth_ms = ended_ms - STARTED_MS
    assert run.evidence is evidence
    assert truth_ms - interval_ms - MS_PER_SECOND <= run.charged_ms <= truth_ms + MS_PER_SECOND
    with company.store.reading() as books:
        assert books.journal.differences() == []


def test_windows_that_come_after_the_end_change_no_charge(company: Company) -> None:
    run = started(company, 600_000)
    run.see(run.pod(30_000), active=1)
    give_up(run, 30_000, Disruption.TAINTED)
    charged = run.charged_ms
    assert charged == 30_000
    run.sample(600_000)
    run.see(None, is_failed=True, ended_at=stamp(900_000))
    assert run.charged_ms == charged


def test_a_sighting_by_a_clock_that_is_ahead_proves_nothing_of_what_is_to_come(company: Company) -> None:
    run = started(company, 60_000)
    run.see(run.pod(30_000), active=1)
    told = window("n0", 0, 1, Instant(NOON), pods=(run.pod(0).uid,), length_ms=50_000)
    (process,) = told.processes or ()
    run.company.now = Instant(NOON + 40_000)
    run.agents.post(replace(told, processes=(replace(process, seen_until=Instant(NOON + 50_000)),)))
    lost = run.pod(30_000, deleted_at=stamp(35_000), grace_seconds=0, disruption=Disruption.TAINTED, is_gone=True)
    run.see(lost, is_failed=True, ended_at=stamp(35_000))
    assert run.charged_ms <= 40_000


def test_what_another_node_tells_of_a_pod_is_no_evidence_that_it_ran(company: Company) -> None:
    run = started(company, 30_000)
    run.agents.register("n1")
    run.see(run.pod(30_000), active=1)
    run.company.now = Instant(NOON + 600_000)
    told = window("n1", 0, 1, Instant(NOON + 585_000), pods=(run.pod(0).uid,))
    (process,) = told.processes or ()
    accepted = run.agents.post(replace(told, processes=(replace(process, seen_until=told.end),)), node="n1")
    assert accepted.taken == 1
    lost = run.pod(30_000, deleted_at=stamp(35_000), grace_seconds=0, disruption=Disruption.TAINTED, is_gone=True)
    run.see(lost, is_failed=True, ended_at=stamp(600_000))
    assert run.charged_ms == 30_000
