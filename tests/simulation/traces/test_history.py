"""Our own history, exported and replayed: what ran comes back as work, by people without names."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from scheduler.domain.allowances import AllowanceSource, Holder, HolderKind
from scheduler.domain.awards import Award
from scheduler.domain.cluster import Placement, PodRequest
from scheduler.domain.errors import InvalidInput
from scheduler.domain.people import Caller, Role
from scheduler.domain.reasons import Reason
from scheduler.domain.records import RecordedVerdict
from scheduler.domain.units import (
    MS_PER_HOUR,
    STANDARD_GPU,
    AttemptId,
    GpuClassName,
    Instant,
    NodeName,
    PerMille,
    PoolName,
    PriorityClassName,
    ProjectName,
    Unit,
    WorkloadId,
)
from scheduler.domain.workloads import (
    Attempt,
    AttemptState,
    HoldMode,
    Workload,
    WorkloadKind,
    WorkloadSpec,
    WorkloadState,
)
from scheduler.entrypoints.running import Service
from scheduler.lifecycle.accounting.export_history import history
from scheduler.simulation.replay.engine import Replay, Tempo
from scheduler.simulation.replay.measures import Window
from scheduler.simulation.traces.history import GUESSED, read_history
from tests.entrypoints.company import NOON, engineer_id, small_company

FINANCE = Caller("fin", frozenset({Role.FINANCE}))
DAY_BEFORE = Instant(NOON - 24 * MS_PER_HOUR)
SPEC = WorkloadSpec(
    name="secret-plan",
    kind=WorkloadKind.JOB,
    project=ProjectName("atlas"),
    gpu_classes=(GpuClassName("H100"),),
    priority_class=PriorityClassName("standard"),
    time_limit_ms=8 * MS_PER_HOUR,
    pod=PodRequest(2, 8000, 1024),
)


@pytest.fixture
def company() -> Iterator[Service]:
    """Of two workloads one was preempted after three hours, with a checkpoint after two, and ended after one more."""
    service = small_company()
    ada = engineer_id(service, "ada")
    project = next(name for name, each in service.world.require_policy().projects.items() if each.team == "research")
    workload = Workload(
        WorkloadId("w-1"),
        ada,
        service.world.people[ada].team,
        replace(SPEC, project=project),
        DAY_BEFORE,
        state=WorkloadState.COMPLETED,
        namespace="allot",
        job_name="w-1",
    )
    first = Attempt(
        id=AttemptId("w-1/1"),
        workload_id=workload.id,
        number=1,
        owner=ada,
        team=workload.team,
        pool=PoolName("research"),
        gpu_class=GpuClassName("H100"),
        priority_class=SPEC.priority_class,
        placement=Placement(((NodeName("node-0"), 1),)),
        pod=SPEC.pod,
        weight=PerMille(1000),
        class_factor=PerMille(1000),
        hold_mode=HoldMode.FULL,
        time_limit_ms=SPEC.time_limit_ms,
        launched_at=DAY_BEFORE,
        state=AttemptState.ENDED,
        started_at=Instant(DAY_BEFORE + 30_000),
        ended_at=Instant(DAY_BEFORE + 30_000 + 3 * MS_PER_HOUR),
        stop_reason=Reason.PREEMPTED,
        checkpointed_at=Instant(DAY_BEFORE + 30_000 + 2 * MS_PER_HOUR),
    )
    later = Instant(DAY_BEFORE + 5 * MS_PER_HOUR)
    second = replace(
        first,
        id=AttemptId("w-1/2"),
        number=2,
        launched_at=later,
        started_at=later,
        ended_at=Instant(later + MS_PER_HOUR),
        stop_reason=Reason.COMPLETED,
        checkpointed_at=None,
    )
    never = replace(workload, id=WorkloadId("w-2"), job_name="w-2", state=WorkloadState.CANCELLED)
    with service.store.writing() as books:
        books.workloads.add([workload, never])
        books.attempts.add([first, second])
    award = Award(Holder(HolderKind.ENGINEER, ada), 5 * MS_PER_HOUR, AllowanceSource.AD_HOC)
    service.commands.grant(FINANCE, award, now=NOON)
    yield service
    service.store.close()


def written(company: Service, file: Path) -> Path:
    with company.store.reading() as books:
        lines = list(history(books, Instant(NOON - 48 * MS_PER_HOUR), Instant(NOON + 1)))
    file.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return file


def test_what_ran_comes_back_without_what_was_lost(company: Service, tmp_path: Path) -> None:
    stream = read_history(written(company, tmp_path / "history.jsonl"))
    (submission,) = stream.submissions
    assert submission.run_ms == 3 * MS_PER_HOUR
    assert submission.checkpoint_every_ms == MS_PER_HOUR // 2
    assert (submission.at, submission.start_ms, submission.spec.gpus) == (DAY_BEFORE, 30_000, 2)
    assert stream.left_out == {"never ran": 1}
    assert [grant.amount for grant in stream.grants] == [5 * MS_PER_HOUR]


def test_no_name_leaves_the_house(company: Service, tmp_path: Path) -> None:
    text = written(company, tmp_path / "history.jsonl").read_text()
    assert "secret-plan" not in text
    assert "Ada" not in text
    assert '"ada"' not in text


def test_it_is_replayed_under_the_policy_that_made_it(company: Service, tmp_path: Path) -> None:
    stream = read_history(written(company, tmp_path / "history.jsonl"))
    window = Window(DAY_BEFORE, Instant(DAY_BEFORE + MS_PER_HOUR))
    policy = company.world.require_policy()

    def nobody_looks(taken_in: int, now: Instant) -> None:
        del taken_in, now

    outcome = Replay(policy, list(company.world.nodes.values()), stream, Tempo(), window).run(nobody_looks)
    assert outcome.measures.refusals == {}
    assert [work.outcome for work in outcome.works] == [Reason.COMPLETED]


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ('{"workload": "w-1"', ":3:19"),
        ("[1]", ":3:1"),
        ('{"workload": "w-1"}', ":3: kind"),
        ('{"engineer": "e-1", "team": 7}', ":3: team"),
        ('{"workload": "w-1", "run_ms": NaN}', ":3:31"),
        ('{"grant": "g-1", "unit": "bananas"}', ":3: unit"),
        (
            '{"grant": "g-1", "holder_kind": "engineer", "holder": "e-1", "source": "ad-hoc", "standard_gpu_ms": 1, '
            '"starts_at_ms": 4102444800001}',
            ":3: starts_at_ms",
        ),
    ],
)
def test_a_broken_line_is_named_by_file_line_and_column(tmp_path: Path, line: str, where: str) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text(
        '{"format": "allot-history", "version": 1}\n{"engineer": "e-1", "team": "t", "tier": "x"}\n' + line + "\n"
    )
    with pytest.raises(InvalidInput) as raised:
        read_history(file)
    assert raised.value.where == f"{file}{where}"
    left_out: list[InvalidInput] = []
    assert len(read_history(file, left_out.append).people) == 1
    assert len(left_out) == 1


def test_what_still_runs_counts_for_as_long_as_it_has_and_what_waits_for_half_its_limit(
    company: Service, tmp_path: Path
) -> None:
    with company.store.writing() as books:
        done = next(each for each in books.workloads.page(before=f"{NOON}|", limit=9) if each.id == "w-1")
        first, second = books.attempts.of_workload(done.id)
        running = replace(done, id=WorkloadId("w-3"), state=WorkloadState.RUNNING)
        waiting = replace(done, id=WorkloadId("w-4"), state=WorkloadState.QUEUED)
        begins = replace(waiting, id=WorkloadId("w-5"), not_before=Instant(DAY_BEFORE + MS_PER_HOUR))
        far = replace(waiting, id=WorkloadId("w-6"), not_before=Instant(NOON + MS_PER_HOUR))
        booked = replace(done, id=WorkloadId("w-7"), spec=replace(done.spec, kind=WorkloadKind.BOOKING))
        books.workloads.add([running, waiting, begins, far, booked])
        live = replace(
            first,
            id=AttemptId("w-3/1"),
            workload_id=running.id,
            state=AttemptState.RUNNING,
            started_at=Instant(NOON + 1 - 7 * MS_PER_HOUR),
            ended_at=None,
            stop_reason=None,
            checkpointed_at=None,
        )
        books.attempts.add([live, replace(second, id=AttemptId("w-7/1"), workload_id=booked.id)])
    stream = read_history(written(company, tmp_path / "history.jsonl"))
    told = {each.spec.name: (each.at, each.run_ms) for each in stream.submissions}
    assert told == {
        "w-1": (DAY_BEFORE, 3 * MS_PER_HOUR),
        "w-3": (DAY_BEFORE, 7 * MS_PER_HOUR),
        "w-4": (DAY_BEFORE, 4 * MS_PER_HOUR),
        "w-5": (DAY_BEFORE + MS_PER_HOUR, 4 * MS_PER_HOUR),
    }
    assert stream.source["put_otherwise"] == {GUESSED: 2}
    assert stream.left_out == {"never ran": 2, "booking: what ran inside it comes as work": 1}


def test_what_is_to_begin_in_a_hundred_years_is_exported_so_that_it_can_be_read(
    company: Service, tmp_path: Path
) -> None:
    """The API takes any begin before the year 9000, of which a replay would go through each."""
    with company.store.writing() as books:
        done = next(each for each in books.workloads.page(before=f"{NOON}|", limit=9) if each.id == "w-1")
        far = Instant(NOON + 100 * 366 * 24 * MS_PER_HOUR)
        books.workloads.add([replace(done, id=WorkloadId("w-3"), state=WorkloadState.QUEUED, not_before=far)])
    stream = read_history(written(company, tmp_path / "history.jsonl"))
    assert [each.spec.name for each in stream.submissions] == ["w-1"]
    assert stream.left_out == {"never ran": 2}


def test_an_elastic_attempt_counts_by_the_pods_that_it_had(company: Service, tmp_path: Path) -> None:
    with company.store.writing() as books:
        done = next(each for each in books.workloads.page(before=f"{NOON}|", limit=9) if each.id == "w-1")
        (_, last) = books.attempts.of_workload(done.id)
        wide = replace(done, id=WorkloadId("w-3"), spec=replace(done.spec, pods=4, min_pods=1))
        books.workloads.add([wide])
        books.attempts.add(
            [replace(last, id=AttemptId("w-3/1"), workload_id=wide.id)]
        )  # an hour with one pod of four
    stream = read_history(written(company, tmp_path / "history.jsonl"))
    assert {each.spec.name: each.run_ms for each in stream.submissions}["w-3"] == MS_PER_HOUR // 4


def test_what_failed_fails_with_its_last_exit_code(company: Service, tmp_path: Path) -> None:
    with company.store.writing() as books:
        done = next(each for each in books.workloads.page(before=f"{NOON}|", limit=9) if each.id == "w-1")
        (_, last) = books.attempts.of_workload(done.id)
        for name, codes in {"w-3": (1, 137), "w-4": (0,)}.items():
            failed = replace(
                done, id=WorkloadId(name), state=WorkloadState.FAILED, state_reason=Reason.FAILED, job_name=name
            )
            books.workloads.add([failed])
            books.attempts.add([replace(last, id=AttemptId(f"{name}/1"), workload_id=failed.id)])
            told = [RecordedVerdict(0, failed.id, NOON, Reason.FAILED, {"exit_code": code}) for code in codes]
            books.verdicts.add(told)
    file = written(company, tmp_path / "history.jsonl")
    assert {each.spec.name: each.exit_code for each in read_history(file).submissions} == {
        "w-1": 0,
        "w-3": 137,
        "w-4": 1,
    }

    file.write_text(file.read_text().replace(',"exit_code":137', ""))
    assert {each.exit_code for each in read_history(file).submissions} == {0, 1}, "as files of before have it"


def test_each_stint_of_a_resumed_sandbox_is_work_of_its_own(company: Service, tmp_path: Path) -> None:
    with company.store.writing() as books:
        done = next(each for each in books.workloads.page(before=f"{NOON}|", limit=9) if each.id == "w-1")
        first, second = books.attempts.of_workload(done.id)
        sandbox = replace(
            done,
            id=WorkloadId("w-3"),
            state=WorkloadState.STOPPED,
            spec=replace(done.spec, kind=WorkloadKind.SANDBOX),
        )
        books.workloads.add([sandbox])
        stints = [
            replace(first, stop_reason=Reason.STOPPED, checkpointed_at=None),
            replace(second, stop_reason=Reason.TIME_LIMIT),
        ]
        books.attempts.add(
            [replace(each, id=AttemptId(f"w-3/{each.number}"), workload_id=sandbox.id) for each in stints]
        )
    stream = read_history(written(company, tmp_path / "history.jsonl"))
    told = {each.spec.name: (each.at, each.run_ms) for each in stream.submissions}
    assert told["w-3"] == (DAY_BEFORE, 3 * MS_PER_HOUR)
    assert told["w-3/2"] == (DAY_BEFORE + 5 * MS_PER_HOUR, MS_PER_HOUR)


def test_grants_come_in_their_units_but_tokens_which_pay_for_no_gpu(company: Service, tmp_path: Path) -> None:
    holder = Holder(HolderKind.ENGINEER, engineer_id(company, "ada"))
    for unit in ("gpu-ms/H100", "tokens/llama"):
        company.commands.grant(FINANCE, Award(holder, 7, AllowanceSource.AD_HOC, unit=Unit(unit)), now=NOON)
    grants = read_history(written(company, tmp_path / "history.jsonl")).grants
    assert sorted((each.unit, each.amount) for each in grants) == [
        ("gpu-ms/H100", 7),
        (STANDARD_GPU, 5 * MS_PER_HOUR),
    ]


def test_two_exports_in_one_file_are_told_apart_from_work_done_twice(company: Service, tmp_path: Path) -> None:
    file = written(company, tmp_path / "history.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines, lines[-1]]))
    with pytest.raises(InvalidInput, match="again, as in line") as refused:
        read_history(file)
    assert refused.value.where == f"{file}:{len(lines) + 1}: workload"
    left_out: list[InvalidInput] = []
    assert len(read_history(file, left_out.append).submissions) == 1
    assert len(left_out) == 1


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text('{"format": "something", "version": 1}\n')
    with pytest.raises(InvalidInput, match="something"):
        read_history(file)


def test_another_version_is_refused_by_its_number(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text('{"format": "allot-history", "version": 2}\n')
    with pytest.raises(InvalidInput, match="found 2; expected allot-history, version 1") as refused:
        read_history(file)
    assert refused.value.where == f"{file}:1: version"


def test_an_empty_file_is_no_history(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    file.touch()
    with pytest.raises(InvalidInput) as refused:
        read_history(file)
    assert refused.value.where == f"{file}:1: format"
