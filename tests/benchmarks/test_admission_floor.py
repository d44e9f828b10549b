"""Kueue's test in virtual time: every workload of the file runs to its end, and a latency costs what it must."""

from dataclasses import replace

from benchmarks.admission.__main__ import BASELINE
from benchmarks.admission.generator import Generator, read_generator
from benchmarks.admission_floor import run
from tests.benchmarks.test_admission_runs import SMALL

NEVER = (60,)
"""A delay that none of these workloads waits out."""


def test_the_benchmark_in_virtual_time_launches_every_workload_once_where_nobody_is_stopped() -> None:
    generator = read_generator(SMALL)
    row = run(generator, NEVER, 0)
    assert row.launches == generator.workloads == 52
    assert set(row.waits) == {"large", "medium", "small"}


def test_a_latency_is_paid_at_every_launch_on_the_same_gpus() -> None:
    makespans = [run(_one_after_the_other(), NEVER, latency).makespan_seconds for latency in (0, 100, 300)]
    assert makespans == [4 * 1.0, 4 * 1.1, 4 * 1.3]


def test_with_kueues_own_rules_the_large_ones_wait_less_and_launches_are_in_vain() -> None:
    generator = _a_tenth_of_a_cohort()
    patient, kueue = run(generator, NEVER, 100), run(generator, (0,), 100)
    assert kueue.waits["large"] < patient.waits["large"]
    assert kueue.launches > patient.launches == generator.workloads


def _one_after_the_other() -> Generator:
    """A queue alone in its cohort, of which every workload needs all GPUs for a second."""
    [queue, *_] = read_generator(SMALL).queues
    large = next(each for each in queue.sets if each.templates[0].class_name == "large")
    return Generator((replace(queue, sets=(replace(large, count=4, interval_ms=0),)),))


def _a_tenth_of_a_cohort() -> Generator:
    baseline = read_generator(BASELINE)
    cohort = baseline.queues[0].cohort
    return Generator(
        tuple(
            replace(queue, sets=tuple(replace(each, count=each.count // 10) for each in queue.sets))
            for queue in baseline.queues
            if queue.cohort == cohort
        )
    )
