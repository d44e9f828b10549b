"""A company whose GPUs are read and reclaimed, minute by minute."""

from dataclasses import replace
from typing import Any

from scheduler.domain.idleness import IdlePolicy, IdleRule
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, AttemptId, Instant, PodUid
from scheduler.domain.workloads import Workload, WorkloadKind
from scheduler.lifecycle.asking.wanted import Exemptions
from scheduler.lifecycle.sensing.reclaim import IdleReclaim, Reclaimed
from scheduler.metering.windows import PodCpu
from tests.lifecycle.agents import Agents, window
from tests.lifecycle.build import ROLLING, Company, policy

SANDBOXES = IdleRule("sandboxes", frozenset({WorkloadKind.SANDBOX}), policy=IdlePolicy(is_dry_run=False))
JOBS = IdleRule("jobs", frozenset({WorkloadKind.JOB}), policy=IdlePolicy(is_dry_run=False))
# The clock begins 10 min after the start: warnings after 15 and 25 min of rest, and the action after 30.


class Platform:
    """A company with agents, whose reclaim runs after every minute of readings."""

    def __init__(self, company: Company, *rules: IdleRule, **fields: Any) -> None:
        self.company = company
        company.world.put_policy(replace(policy(), idle_rules=rules, **fields))
        self.agents = Agents(company)
        self.agents.register()
        self.reclaim = IdleReclaim(company.world)
        self.sequence = 0
        self.exemptions = Exemptions(company.store, company.world)

    def sandbox(self, gpus: int = 2) -> tuple[Workload, AttemptId]:
        return self.agents.start(
            gpus,
            kind=WorkloadKind.SANDBOX,
            priority_class=ROLLING,
            project=None,
            time_limit_ms=8 * MS_PER_HOUR,
            image="",
        )

    def minutes(
        self,
        count: int,
        *used: int,
        silent: tuple[int, ...] = (),
        pods: tuple[str, ...] = (),
        cpu: dict[str, int] | None = None,
        served: tuple[str, ...] | None = None,
    ) -> None:
        """So many minutes in which the GPUs `used` work, the `silent` say nothing, and the others rest; `cpu` are
        the thousandths of a core that pods use, `served` the pods that accept connections."""
        busy = tuple(PodCpu(PodUid(pod), millicores) for pod, millicores in (cpu or {}).items())
        for _ in range(count):
            start, self.sequence = self.company.now, self.sequence + 1
            self.company.now = Instant(start + MS_PER_MINUTE)
            told = [
                replace(
                    window(
                        "n0",
                        index,
                        self.sequence,
                        start,
                        percent=70 if index in used else 0,
                        watts=400 if index in used else 70,
                        pods=pods if index < 2 else (),
                        length_ms=MS_PER_MINUTE,
                    ),
                    cpu=busy,
                    served=None if served is None else tuple(PodUid(pod) for pod in served),
                )
                for index in range(4)
                if index not in silent
            ]
            self.agents.post(*told)
            self.run()

    def run(self) -> Reclaimed:
        with self.company.changing() as batch:
            return self.reclaim.run(batch)

    def verdicts(self, workload: Workload) -> list[Reason]:
        with self.company.store.reading() as books:
            found = books.verdicts.of_workload(workload.id)
        return [v.reason for v in reversed(found) if v.reason.value.startswith("Idle") or v.reason is Reason.RUNNING]

    def hindrances(self, workload: Workload) -> list[tuple[bool, str]]:
        with self.company.store.reading() as books:
            return [(d.is_taken, d.hindrance) for d in books.idleness.decisions(workload_id=workload.id)]
