"""The generator's queues as a policy of ours: a pool and a team for each queue, one engineer in it, everything funded.

Cohorts, quotas, borrowing limits and who may preempt whom are the file's. Kueue knows neither a minimum runtime nor a
preemption delay; how long both are here is said beside the figures (`__main__`).
"""

from collections.abc import Sequence
from typing import Any

import yaml

from benchmarks.admission.generator import Generator, Queue

COHORT_LABEL = "benchmark.allot.dev/cohort"
HOURS = 1_000_000
"""Each engineer's allowance: the budget is kept and charged as in production, and never the bottleneck."""


def policy_text(
    generator: Generator, minimum_runtime_seconds: int, preemption_delay_seconds: Sequence[int] = (0,)
) -> str:
    """The policy file, in which nobody is preempted within so many seconds of his launch, nor for work that has not waited
    for so many: the first for the highest priority, each next for the next below, the last for all that are left.

    Nodes of a cohort are a GPU class of their own, as its queues' quotas are a flavor of their own.
    """
    highest_first = sorted(generator.priorities, reverse=True)
    last = len(preemption_delay_seconds) - 1
    document: dict[str, Any] = {
        "version": 1,
        "period": "year",
        "images": ["*"],
        "gpu_classes": {
            cohort: {"weight_per_mille": 1000, "node_selector": {COHORT_LABEL: cohort}}
            for cohort in generator.cohort_gpus
        },
        "priority_classes": {
            f"p{value}": {
                "value": value,
                "hold": "full",
                "minimum_runtime_seconds": minimum_runtime_seconds,
                "preemption_delay_seconds": preemption_delay_seconds[min(rank, last)],
            }
            for rank, value in enumerate(highest_first)
        },
        "default_priority_class": f"p{highest_first[-1]}",
        "tiers": {"benchmark": {"allowance_gpu_hours": HOURS}},
        "cohorts": {cohort: {} for cohort in generator.cohort_gpus},
        "pools": {queue.name: _pool(queue) for queue in generator.queues},
        "projects": {queue.name: {"team": queue.name} for queue in generator.queues},
        "limits": {"queued_per_engineer": 1_000_000, "start_timeout_minutes": 600},
    }
    return yaml.safe_dump(document, sort_keys=False)


def _pool(queue: Queue) -> dict[str, Any]:
    quota: dict[str, Any] = {"nominal_gpus": queue.nominal}
    if queue.borrowing_limit is not None:
        quota["borrowing_limit_gpus"] = queue.borrowing_limit
    return {
        "teams": [queue.name],
        "cohort": queue.cohort,
        "order": "fifo",
        "quotas": {queue.cohort: quota},
        "within_pool": queue.within_queue,
        "reclaim_within_cohort": queue.reclaim_within_cohort,
    }


def people_text(generator: Generator) -> str:
    """The directory: the engineer of a queue is called as the queue is."""
    people = [
        {"subject": queue.name, "name": queue.name, "team": queue.name, "tier": "benchmark"}
        for queue in generator.queues
    ]
    return yaml.safe_dump({"version": 1, "engineers": people}, sort_keys=False)
