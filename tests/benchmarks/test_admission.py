"""Kueue's generator files, read as its own test reads them, and made a policy of ours."""

import re
from pathlib import Path

import pytest
import yaml

from benchmarks.admission.__main__ import main
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


@pytest.mark.parametrize(
    ("quantity", "gpus"),
    [
        *((5, 5), ("5", 5), ("+5", 5), (5.0, 5), ("5.", 5), ("5.0", 5), (".5e1", 5)),
        *(("5000m", 5), ("5e0", 5), ("0.5E1", 5), ("0.02k", 20), ("5000000u", 5), ("0.0078125Ki", 8)),
    ],
)
def test_a_whole_number_of_gpus_is_read_however_a_quantity_writes_it(
    tmp_path: Path, quantity: object, gpus: int
) -> None:
    (queue, _) = read_generator(_file(tmp_path, changed(request=quantity))).queues
    assert [template.request for template in queue.sets[0].templates] == [gpus]


@pytest.mark.parametrize("quantity", ["500m", "0.5", 1.5, "1n", "1E"])
def test_a_part_of_a_gpu_or_more_than_there_are_is_refused_with_the_reason(tmp_path: Path, quantity: object) -> None:
    said = "is no whole number of GPUs; expected whole ones, which parts of a CPU cannot stand for"
    with pytest.raises(ValueError, match=rf"line \d+: .*\.request: {quantity!r} {said}"):
        read_generator(_file(tmp_path, changed(request=quantity)))
    with pytest.raises(ValueError, match=said):
        read_generator(_file(tmp_path, {**QUEUES_SET, "nominalQuota": quantity}))


@pytest.mark.parametrize("quantity", ["", "five", "1_0", " 5", "5 ", "5K", "5mm", "5e", "\u0665", True, [5]])
def test_what_is_no_quantity_is_no_number_of_gpus(tmp_path: Path, quantity: object) -> None:
    with pytest.raises(ValueError, match="is no number of GPUs; expected a quantity such as 5 or 5000m"):
        read_generator(_file(tmp_path, {**QUEUES_SET, "nominalQuota": quantity}))


def changed(**changes: object) -> dict[str, object]:
    """The queues' set with its one workload changed."""
    (workloads,) = QUEUES_SET["workloadsSets"]
    template = {"className": "small", "runtimeMs": 200, "request": "1"}
    return {**QUEUES_SET, "workloadsSets": [{**workloads, "workloads": [{**template, **changes}]}]}  # type: ignore[dict-item]


BROKEN = {
    "a misspelt key": (
        {**QUEUES_SET, "borowingLimit": 1},
        r"line 5: cohorts\[0\]\.queuesSets\[0\]\.borowingLimit: not known here; expected borrowingLimit, className",
    ),
    "a key that is missing": (
        {key: value for key, value in QUEUES_SET.items() if key != "nominalQuota"},
        "nominalQuota is missing",
    ),
    "an unknown word": ({**QUEUES_SET, "reclaimWithinCohort": "Sometimes"}, "'Sometimes' is none of Never, Lower"),
    "part of a queue": ({**QUEUES_SET, "count": 1.5}, "count: 1.5 is no whole number"),
    "no GPU": (changed(request=0), "asks for one GPU at least"),
    "less than no GPU": (changed(request=-1), "request: -1 is no number of GPUs"),
    "more than the cohort has": (changed(request=41), "asks for 41 GPUs of at most 20"),
    "more than a pod may have": (
        {**changed(request=1025), "nominalQuota": 2000},
        r"workloads\[0\]\.request: a workload is one pod here, which may ask for 1024 GPUs at most",
    ),
    "a run of true": (changed(runtimeMs=True), "runtimeMs: True is no whole number"),
    "a priority beyond Kubernetes": (changed(priority=10**9 + 1), "priority: 1000000001 is no whole number"),
    "a class of signs": (changed(className="***"), "no letter or digit of ASCII"),
    "pods placed by topology": (changed(tasLevel="rack"), r"workloads\[0\]\.tasLevel: what Kueue places by topology"),
    "devices that pods claim": (
        changed(devices=2),
        r"workloads\[0\]\.devices: devices that pods claim are not measured",
    ),
    "nothing to create": ({**QUEUES_SET, "count": 0}, "no workload is created"),
}


@pytest.mark.parametrize("phrase", BROKEN)
def test_a_broken_file_is_refused_with_the_place(tmp_path: Path, phrase: str) -> None:
    queues_set, message = BROKEN[phrase]
    with pytest.raises(ValueError, match=message):
        read_generator(_file(tmp_path, queues_set))


@pytest.mark.parametrize("text", ["", "{", "cohorts: []", "cohorts: 3", "[1]", "cohorts: &x [*x]"])
def test_what_is_no_generator_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "generator.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"no YAML|expected"):
        read_generator(tmp_path / "generator.yaml")


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "generator.yaml").write_text(BASELINE.read_text().replace("count: 6", "count: 6\n    count: 7"))
    with pytest.raises(ValueError, match=r"^line 8: cohorts\[0\]\.queuesSets\[0\]\.count stands there twice"):
        read_generator(tmp_path / "generator.yaml")


def test_aliases_are_read_and_may_be_changed(tmp_path: Path) -> None:
    queues = "{className: a, nominalQuota: 4, workloadsSets: [{count: 2, workloads: [{className: s}]}]}"
    (tmp_path / "generator.yaml").write_text(
        f"cohorts: [{{className: c, queuesSets: [&a {queues}, {{<<: *a, className: b, nominalQuota: 9}}]}}]"
    )
    generator = read_generator(tmp_path / "generator.yaml")
    assert (generator.workloads, generator.cohort_gpus) == (4, {"c-0": 13})


def test_aliases_of_aliases_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    levels = [f"- &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 12)]
    (tmp_path / "generator.yaml").write_text("\n".join(["- &a0 [x]", *levels]))
    with pytest.raises(ValueError, match=r"more than 250000 values, aliases written out"):
        read_generator(tmp_path / "generator.yaml")


def test_a_list_of_cohorts_alone_is_a_file_too_and_entries_of_one_class_have_their_queues_in_the_same_cohorts(
    tmp_path: Path,
) -> None:
    """Kueue calls a cohort by its class and number, and puts into it whatever says so."""
    first = {"className": "cohort", "count": 2, "queuesSets": [QUEUES_SET]}
    second = {"className": "cohort", "queuesSets": [{**QUEUES_SET, "className": "other"}, QUEUES_SET]}
    other = {"className": "cohort-called-otherwise", "queuesSets": [QUEUES_SET]}
    (tmp_path / "generator.yaml").write_text(yaml.safe_dump([first, second, other]))
    generator = read_generator(tmp_path / "generator.yaml")
    assert generator.cohort_gpus == {"cohort-0": 60, "cohort-1": 20, "cohort-calle-0": 20}
    assert len({queue.name for queue in generator.queues}) == 5
    names = [creation.name for series in generator.series() for creation in series]
    assert len(set(names)) == len(names) == generator.workloads


def test_a_queue_without_workloads_lends_what_it_has(tmp_path: Path) -> None:
    lender = {"className": "lender", "nominalQuota": 30}
    generator = read_generator(_file(tmp_path, QUEUES_SET, lender, {**lender, "workloadsSets": []}))
    assert generator.cohort_gpus == {"cohort-0": 80, "cohort-1": 80}
    assert generator.workloads == 8


def test_what_is_left_out_or_nothing_is_what_it_is_in_kueue(tmp_path: Path) -> None:
    sets = [{"count": 1, "workloads": [{"className": "bare", "podCount": 0, "priority": None}]}]
    bare = {"className": "cq", "nominalQuota": "1e1", "borrowingLimit": None, "workloadsSets": sets}
    queue, _ = read_generator(_file(tmp_path, bare)).queues
    assert (queue.nominal, queue.borrowing_limit) == (10, None)
    assert (queue.reclaim_within_cohort, queue.within_queue) == ("Never", "Never")
    (each,) = queue.sets
    (template,) = each.templates
    assert (each.interval_ms, template.runtime_ms, template.priority, template.request) == (0, 0, 0, 1)


def test_several_pods_are_one_without_a_level_of_topology_as_in_kueue(tmp_path: Path) -> None:
    several = changed(podCount=4, tasLevel="", tasConstraint="required", sliceSize=2)
    assert read_generator(_file(tmp_path, several)) == read_generator(_file(tmp_path, changed()))


def test_devices_that_nothing_claims_are_passed_over_as_in_kueue(tmp_path: Path) -> None:
    quotas = {**changed(devices=0), "deviceNominalQuota": "4", "deviceBorrowingLimit": ""}
    assert read_generator(_file(tmp_path, quotas)) == read_generator(_file(tmp_path, changed()))


def test_the_line_of_what_is_wrong_is_told_wherever_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "generator.yaml"
    path.write_text(BASELINE.read_text().replace("runtimeMs: 1000", "runtimeMs: soon"))
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "soon" in text)
    with pytest.raises(ValueError, match=rf"^line {line}: .*workloads\[0\]\.runtimeMs: 'soon' is no whole number"):
        read_generator(path)


def test_counts_that_would_fill_the_memory_are_refused_at_once(tmp_path: Path) -> None:
    (workloads,) = QUEUES_SET["workloadsSets"]
    huge = {**QUEUES_SET, "workloadsSets": [{**workloads, "count": 10**9}]}  # type: ignore[dict-item]
    for queues_sets, message in (
        ([huge], "4000000000 workloads; expected at most 1000000"),
        ([{**QUEUES_SET, "count": 10**9}], "count: 1000000000 is no whole number from 0 to 2500"),
        ([{**QUEUES_SET, "count": 2_500}], "more than 2500 queues in all"),
    ):
        with pytest.raises(ValueError, match=message):
            read_generator(_file(tmp_path, *queues_sets))


def test_as_many_queues_as_are_read_make_a_policy(tmp_path: Path) -> None:
    long = {
        **QUEUES_SET,
        "className": "a-long-name-of-queues",
        "count": 1_250,
        "reclaimWithinCohort": "LowerPriority",
    }
    generator = read_generator(_file(tmp_path, long))
    assert len(read_policy(policy_text(generator, 2, (5,)), "policy.yaml").pools) == 2_500
    assert len(read_people(people_text(generator), "people.yaml", EngineerId)) == 2_500


def test_classes_of_any_name_become_names_that_kubernetes_takes_and_are_reported_as_they_are(tmp_path: Path) -> None:
    queues_set = {**changed(className="My small_" + "x" * 70), "className": "CQ_" + "q" * 70, "count": 1000}
    path = tmp_path / "generator.yaml"
    path.write_text(yaml.safe_dump({"cohorts": [{"className": "Köln " + "k" * 70, "queuesSets": [queues_set]}]}))
    generator = read_generator(path)
    creations = [creation for series in generator.series() for creation in series]
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", creation.name) for creation in creations)
    assert {creation.template.class_name for creation in creations} == {"My small_" + "x" * 70}
    assert read_policy(policy_text(generator, 2, (5,)), "policy.yaml").pools.keys() == {
        each.name for each in generator.queues
    }


def test_a_quota_beyond_any_policy_is_refused_before_a_control_plane_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _file(tmp_path, {**QUEUES_SET, "nominalQuota": 100_000})
    monkeypatch.setattr("sys.argv", ["admission", "--generator", str(path)])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert 'nominal_gpus: found "100000"; expected a whole number from 0 to 16384 (GPUs)' in capsys.readouterr().err


def test_the_least_and_the_highest_priority_make_a_policy(tmp_path: Path) -> None:
    ends = [changed(priority=-(10**9)), changed(priority=10**9), changed()]
    policy = read_policy(policy_text(read_generator(_file(tmp_path, *ends)), 0), "policy.yaml")
    assert {each.value for each in policy.priority_classes.values()} == {-(10**9), 0, 10**9}


def test_delays_go_from_the_highest_priority_down_and_the_last_is_for_all_below(tmp_path: Path) -> None:
    generator = read_generator(_file(tmp_path, *(changed(priority=value) for value in (50, 200, 100, 25))))
    policy = read_policy(policy_text(generator, 0, (10, 60)), "policy.yaml")
    delays = {each.value: each.preemption_delay_ms for each in policy.priority_classes.values()}
    assert delays == {200: 10_000, 100: 60_000, 50: 60_000, 25: 60_000}
    assert policy.default_priority_class == "p25"


def test_queues_of_two_sets_have_names_of_their_own(tmp_path: Path) -> None:
    generator = read_generator(_file(tmp_path, QUEUES_SET, QUEUES_SET))
    assert len({queue.name for queue in generator.queues}) == len(generator.queues) == 4
    names = [creation.name for series in generator.series() for creation in series]
    assert len(set(names)) == len(names)


def test_the_company_is_a_policy_and_people_that_the_service_reads(tmp_path: Path) -> None:
    generator = read_generator(_file(tmp_path, {**QUEUES_SET, "reclaimWithinCohort": "Any"}, QUEUES_SET))
    policy = read_policy(policy_text(generator, 2, (5,)), "policy.yaml")
    people = read_people(people_text(generator), "people.yaml", EngineerId)
    assert set(policy.pools) == {queue.name for queue in generator.queues}
    assert {person.subject for person in people} == set(policy.pools)
