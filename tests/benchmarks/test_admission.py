"""Kueue's generator files, read as its own test reads them, and made a policy of ours."""

from pathlib import Path

import pytest
import yaml

from benchmarks.admission.company import people_text, policy_text
from benchmarks.admission.generator import read_generator
from scheduler.adapters.policy_files import read_people, read_policy
from scheduler.domain.units import EngineerId

BASELINE = Path(__file__).parents[2] / "benchmarks" / "admission" / "baseline.yaml"
QUEUES_SET = {
    "className": "cq",
    "nominalQuota": "20",
    "borrowingLimit": "100",
    "workloadsSets": [
        {
            "count": 2,
            "creationIntervalMs": 300,
            "workloads": [
                {"className": "small", "runtimeMs": 200, "priority": 50, "request": "1"},
                {"className": "Large", "runtimeMs": 1000, "priority": -200, "request": "20000m"},
            ],
        }
    ],
}


def _file(folder: Path, *queues_sets: object) -> Path:
    path = folder / "generator.yaml"
    path.write_text(yaml.safe_dump({"cohorts": [{"className": "cohort", "count": 2, "queuesSets": queues_sets}]}))
    return path


def test_the_baseline_has_the_workloads_of_kueues_own() -> None:
    generator = read_generator(BASELINE)
    creations = [creation for series in generator.series() for creation in series]
    assert (len(generator.queues), len(creations)) == (30, 15_000)
    assert set(generator.cohort_gpus.values()) == {120}
    assert len({creation.name for creation in creations}) == 15_000


def test_the_templates_of_a_set_are_created_in_turn_each_after_its_interval(tmp_path: Path) -> None:
    first, *_ = read_generator(_file(tmp_path, QUEUES_SET)).series()
    assert [(c.template.class_name, c.wait_ms) for c in first] == [
        *(("small", 300), ("Large", 300)),
        *(("small", 300), ("Large", 300)),
    ]


def test_quantities_are_read_as_kubernetes_writes_them(tmp_path: Path) -> None:
    (queue, _) = read_generator(_file(tmp_path, QUEUES_SET)).queues
    assert (queue.nominal, queue.borrowing_limit) == (20, 100)
    assert [template.request for template in queue.sets[0].templates] == [1, 20]


def test_a_part_of_a_gpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'500m' is no whole number of GPUs"):
        read_generator(_file(tmp_path, {**QUEUES_SET, "nominalQuota": "500m"}))


def test_queues_of_two_sets_have_names_of_their_own(tmp_path: Path) -> None:
    generator = read_generator(_file(tmp_path, QUEUES_SET, QUEUES_SET))
    assert len({queue.name for queue in generator.queues}) == len(generator.queues) == 4
    names = [creation.name for series in generator.series() for creation in series]
    assert len(set(names)) == len(names)


def test_the_company_is_a_policy_and_people_that_the_service_reads(tmp_path: Path) -> None:
    generator = read_generator(_file(tmp_path, {**QUEUES_SET, "reclaimWithinCohort": "Any"}, QUEUES_SET))
    policy = read_policy(policy_text(generator), "policy.yaml")
    people = read_people(people_text(generator), "people.yaml", EngineerId)
    assert set(policy.pools) == {queue.name for queue in generator.queues}
    assert {person.subject for person in people} == set(policy.pools)
