"""What real sacct output holds: steps, arrays, requeues, every way to write a time, and rows that are broken."""

from pathlib import Path

import pytest

from scheduler.domain.errors import InvalidInput
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE
from scheduler.simulation.traces.sacct import SlurmJob, read_jobs

HEADER = (
    "JobID|JobName|User|Account|Partition|QOS|State|Submit|Start|End|Elapsed|Timelimit|NNodes|NCPUS|ReqTRES|AllocTRES|"
    "ExitCode"
)
JOB = (
    "101|train|ada|research|gpu|high|COMPLETED|2026-01-05T09:00:00|2026-01-05T09:30:00|2026-01-05T11:30:00|02:00:00|"
    "1-00:00:00|2|32|billing=32,cpu=32,gres/gpu=8,mem=512G,node=2|"
    "billing=32,cpu=32,gres/gpu:a100=8,gres/gpu=8,mem=512G,node=2|0:0"
)


def read(tmp_path: Path, *lines: str, header: str = HEADER) -> list[SlurmJob]:
    file = tmp_path / "sacct.txt"
    file.write_text("\n".join([header, *lines]) + "\n")
    return read_jobs([file], "UTC")[0]


def changed(**fields: str) -> str:
    """The job's row with some cells changed."""
    cells = dict(zip(HEADER.split("|"), JOB.split("|"), strict=True)) | fields
    return "|".join(cells.values())


def test_a_job_is_read_with_what_it_was_given(tmp_path: Path) -> None:
    (job,) = read(tmp_path, JOB)
    assert (job.id, job.name, job.user, job.account, job.qos) == ("101", "train", "ada", "research", "high")
    assert (job.gpus, job.models, job.nodes) == (8, ("a100",), 2)
    assert (job.cpu_milli, job.memory_mib) == (32_000, 512 * 1024)
    assert (job.ran_ms, job.limit_ms) == (2 * MS_PER_HOUR, 24 * MS_PER_HOUR)
    assert job.submitted_at == 1_767_603_600_000


def test_steps_are_left_out_and_arrays_are_jobs(tmp_path: Path) -> None:
    lines = [changed(JobID=name) for name in ("7", "7.batch", "7.extern", "7.0", "8_3", "8_3.batch", "9+1", "9+1.0")]
    assert [job.id for job in read(tmp_path, *lines)] == ["7", "8_3", "9+1"]
    assert [job.id for job in read(tmp_path, changed(JobID="8_[4-9%2]"))] == ["8_[4-9%2]"]


def test_of_a_requeued_job_the_last_run_counts(tmp_path: Path) -> None:
    file = tmp_path / "sacct.txt"
    file.write_text("\n".join([HEADER, changed(State="REQUEUED", Elapsed="00:10:00"), JOB]))
    jobs, left_out = read_jobs([file], "UTC")
    assert [job.ran_ms for job in jobs] == [2 * MS_PER_HOUR]
    assert left_out == {"earlier run of a requeued job": 1}


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("1-02:03:00", 1563), ("02:03:00", 123), ("05:00", 5), ("05:00.123", 5), ("00:00:00", 0)],
)
def test_elapsed_is_read_as_slurm_writes_it(tmp_path: Path, text: str, minutes: int) -> None:
    assert read(tmp_path, changed(Elapsed=text))[0].ran_ms == minutes * MS_PER_MINUTE


@pytest.mark.parametrize("text", ["UNLIMITED", "Partition_Limit", "", "INVALID"])
def test_a_limit_may_not_be_said(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, changed(Timelimit=text))[0].limit_ms is None


@pytest.mark.parametrize("text", ["Unknown", "None", ""])
def test_what_never_started_has_not_run(tmp_path: Path, text: str) -> None:
    job = read(tmp_path, changed(Start=text, End="Unknown", Elapsed="00:00:00", State="CANCELLED by 1000"))[0]
    assert (job.ran_ms, job.state) == (None, "CANCELLED")


@pytest.mark.parametrize(
    ("tres", "gpus", "models"),
    [
        ("cpu=4,gres/gpu=2,mem=8G", 2, ()),
        ("gres/gpu:h100=4", 4, ("h100",)),
        ("gres/gpu=3,gres/gpu:a100=1,gres/gpu:h100=2", 3, ("a100", "h100")),
        ("gres/gpu:nvidia_a100-sxm4-80gb=1,gres/gpumem=0,gres/gpuutil=95", 1, ("nvidia_a100-sxm4-80gb",)),
        ("gres/gpu:1g.5gb=2,cpu=4", 2, ("1g.5gb",)),
        ("gres/gpu:1080=2,gres/gpu:tesla:v100=1", 3, ("1080", "tesla:v100")),
        ("cpu=4,mem=8G,gres/gpumem=80G", 0, ()),
        ("gres/gpu:a100=1,gres/shard:a100=4", 1, ("a100",)),
    ],
)
def test_gpus_are_read_from_tres(tmp_path: Path, tres: str, gpus: int, models: tuple[str, ...]) -> None:
    job = read(tmp_path, changed(AllocTRES=tres, ReqTRES=""))[0]
    assert (job.gpus, job.models) == (gpus, models)


@pytest.mark.parametrize(
    "gres",
    [
        *("gpu:a100:2", "gpu:a100:2(S:0-1)", "gpu:a100:2(IDX:0,3)", "gpu:a100:no_consume:2", "gpu:a100,gpu:a100:1"),
        *("gres:gpu:a100:2", "gres/gpu:a100=2", "GRES:GPU:a100:2"),
    ],
)
def test_gpus_are_read_from_the_gres_of_older_versions(tmp_path: Path, gres: str) -> None:
    header = "JobID|Submit|ElapsedRaw|ReqGRES|ReqMem|ReqCPUS"
    (job,) = read(tmp_path, f"5|2026-01-05T09:00:00|3600|{gres}|4Gc|8", header=header)
    assert (job.gpus, job.models, job.memory_mib) == (2, ("a100",), 32 * 1024)


@pytest.mark.parametrize("gres", ["gpu", "gpu:(null):1", "gpu:1(S:0,1)"])
def test_a_gpu_of_no_type_is_one_of_any_and_one_where_no_count_stands(tmp_path: Path, gres: str) -> None:
    (job,) = read(tmp_path, f"5|2026-01-05T09:00:00|3600|{gres}", header="JobID|Submit|ElapsedRaw|ReqGRES")
    assert (job.gpus, job.models) == (1, ())


@pytest.mark.parametrize("tres", ["gres/gpu=1.5", "gres/gpu:a100=1K", "gres/gpu=-1", "gres/gpu="])
def test_gpus_that_cannot_be_counted_are_refused_and_not_taken_for_none(tmp_path: Path, tres: str) -> None:
    with pytest.raises(InvalidInput, match=r"found '.*'; expected GPUs such as gres/gpu:a100=4") as refused:
        read(tmp_path, changed(AllocTRES=f"cpu=4,{tres}"))
    assert refused.value.where.endswith(":2: AllocTRES")


def test_nodes_are_read_from_tres_where_no_column_has_them(tmp_path: Path) -> None:
    row = "5|2026-01-05T09:00:00|3600|gres/gpu=16,node=2"
    assert read(tmp_path, row, header="JobID|Submit|ElapsedRaw|AllocTRES")[0].nodes == 2


def test_a_file_without_its_header_is_told_of_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r":1: JobID: found a job; expected .* without --noheader"):
        read(tmp_path, JOB, header="100.batch|" + JOB.partition("|")[2])


def test_commas_between_columns_whose_cells_have_some_are_refused_for_the_file(tmp_path: Path) -> None:
    """A job's name would be counted from both ends: the row would be read, and wrong."""
    with pytest.raises(InvalidInput, match=r":1: ReqTRES: found columns with commas between them"):
        read(tmp_path, JOB.replace("|", ","), header=HEADER.replace("|", ","))
    assert read(tmp_path, "5,2026-01-05T09:00:00,60", header="JobID,Submit,ElapsedRaw")[0].ran_ms == MS_PER_MINUTE


def test_times_are_on_the_wall_clock_of_the_zone_or_seconds(tmp_path: Path) -> None:
    file = tmp_path / "sacct.txt"
    file.write_text(f"{HEADER}\n{JOB}")
    in_berlin = read_jobs([file], "Europe/Berlin")[0][0]
    assert in_berlin.submitted_at == 1_767_603_600_000 - MS_PER_HOUR
    assert read(tmp_path, changed(Submit="1767603600"))[0].submitted_at == 1_767_603_600_000
    assert read(tmp_path, changed(Submit="2026-01-05T10:00:00+01:00"))[0].submitted_at == 1_767_603_600_000


def test_a_trailing_separator_and_empty_lines_are_nothing(tmp_path: Path) -> None:
    file = tmp_path / "sacct.txt"
    file.write_text(f"{HEADER}|\r\n\r\n{JOB}\r\n")
    assert len(read_jobs([file], "UTC")[0]) == 1


def test_rows_of_p_end_with_one_more_separator_and_others_with_an_empty_cell(tmp_path: Path) -> None:
    no_code = changed(ExitCode="")
    closed = read(tmp_path, f"{JOB}|", f"{changed(JobID='102', ExitCode='')}|", header=f"{HEADER}|")
    assert [job.exit_code for job in closed] == [0, 0]
    assert [job.id for job in closed] == ["101", "102"]
    assert no_code.endswith("|")
    assert len(read(tmp_path, no_code)) == 1


def test_columns_come_in_any_order_behind_a_byte_order_mark(tmp_path: Path) -> None:
    cells = dict(zip(HEADER.split("|"), JOB.split("|"), strict=True))
    file = tmp_path / "sacct.txt"
    lines = ["|".join(reversed(cells)), "|".join(reversed(cells.values()))]
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n")
    assert read_jobs([file], "UTC")[0] == read(tmp_path, JOB)


def test_a_header_alone_is_a_trace_without_jobs(tmp_path: Path) -> None:
    assert read(tmp_path) == []


def test_who_cancelled_a_job_stands_behind_its_state(tmp_path: Path) -> None:
    (job,) = read(tmp_path, changed(State="CANCELLED by 1234"))
    assert job.state == "CANCELLED"


@pytest.mark.parametrize(
    ("row", "where"),
    [
        (changed(JobID="abc"), ":2: JobID"),
        (changed(Submit="yesterday"), ":2: Submit"),
        (changed(Submit="Unknown"), ":2: Submit"),
        (changed(Elapsed="two hours"), ":2: Elapsed"),
        (changed(Timelimit="soon"), ":2: Timelimit"),
        (changed(NCPUS="many"), ":2: NCPUS"),
        (changed(AllocTRES="gres/gpu=1,mem=lots"), ":2: AllocTRES"),
        (changed(AllocTRES="gres/gpu=999999999"), ":2: AllocTRES"),
        (changed(AllocTRES="gres/gpu:a100=60000,gres/gpu:h100=60000"), ":2: AllocTRES"),
        (changed(Submit="²"), ":2: Submit"),
        (changed(Submit="9" * 12), ":2: Submit"),
        (changed(Submit="9999-12-31T23:59:59"), ":2: Submit"),
        (changed(Submit="0001-01-01T00:00:00"), ":2: Submit"),
        (changed(Submit="1970-01-01T00:00:10"), ":2: Submit"),
        (changed(Submit="2199-01-01T00:00:00"), ":2: Submit"),
        (changed(Elapsed="9999999999-00:00:00"), ":2: Elapsed"),
        (changed(Timelimit="²"), ":2: Timelimit"),
        (changed(End="2026-01-05T08:00:00"), ":2: End"),
        (JOB + "|one|more", ":2: NNodes"),
        ("101|train|ada", ":2: Account"),
        (changed(Elapsed="", End="Unknown"), ":2: Elapsed"),
    ],
)
def test_a_broken_row_is_named_by_file_line_and_column(tmp_path: Path, row: str, where: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        read(tmp_path, row)
    assert raised.value.where == f"{tmp_path / 'sacct.txt'}{where}"
    assert raised.value.code.value == "invalid-trace"


def test_broken_rows_can_be_left_out(tmp_path: Path) -> None:
    file = tmp_path / "sacct.txt"
    file.write_text("\n".join([HEADER, changed(Submit="yesterday"), JOB, changed(JobID="x")]))
    left_out: list[InvalidInput] = []
    assert [job.id for job in read_jobs([file], "UTC", left_out.append)[0]] == ["101"]
    assert len(left_out) == 2


def test_a_file_without_what_is_needed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no column"):
        read(tmp_path, "1|x", header="JobID|State")


def test_a_number_beyond_all_bounds_is_told_as_it_stands(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"found 'gres/gpu=99999999999'; expected GPUs such as .*, at most 100000"):
        read(tmp_path, changed(AllocTRES="gres/gpu=99999999999"))


@pytest.mark.parametrize("code", ["²:0", "0:²", "9" * 5000 + ":0"])
def test_an_exit_code_that_is_none_is_not_read(tmp_path: Path, code: str) -> None:
    assert read(tmp_path, changed(ExitCode=code))[0].exit_code == 0


def test_an_end_on_the_hour_that_a_clock_shows_twice_is_no_broken_row(tmp_path: Path) -> None:
    """Summer time ends at 03:00: what began at 02:50 and ended twenty minutes later says that it ended at 02:10."""
    (job,) = read(tmp_path, changed(Start="2026-10-25T02:50:00", End="2026-10-25T02:10:00", Elapsed="00:20:00"))
    assert job.ran_ms == 20 * MS_PER_MINUTE


@pytest.mark.parametrize("elapsed", ["", "INVALID"])
def test_a_run_over_the_hour_that_is_shown_twice_is_as_long_as_it_was(tmp_path: Path, elapsed: str) -> None:
    file = tmp_path / "sacct.txt"
    row = changed(Start="2026-10-25T02:50:00", End="2026-10-25T02:10:00", Elapsed=elapsed)
    file.write_text(f"{HEADER}\n{row}\n")
    assert read_jobs([file], "Europe/Berlin")[0][0].ran_ms == 20 * MS_PER_MINUTE
    assert read_jobs([file], "UTC")[0][0].ran_ms == 0, "no clock was turned back there"


@pytest.mark.parametrize("between", [";", "\t", "^", "|||", "^|^", "@@"])
def test_another_delimiter_than_the_bar_is_found_in_the_header(tmp_path: Path, between: str) -> None:
    lines = [text.replace("|", between) for text in (HEADER, JOB)]
    assert read(tmp_path, lines[1], header=lines[0]) == read(tmp_path, JOB)
    closed = [f"{text}{between}" for text in lines]
    assert read(tmp_path, closed[1], header=closed[0]) == read(tmp_path, JOB)


def test_a_table_with_blanks_between_its_columns_is_told_of_the_option(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"blanks between.* `sacct -P`"):
        read(tmp_path, "1 2026-01-05T09:00:00", header="JobID          Submit            ")


def test_a_job_that_still_ran_and_whose_time_nothing_says_has_started(tmp_path: Path) -> None:
    row = "1|2026-01-05T09:00:00|2026-01-05T09:10:00|Unknown|gres/gpu=1"
    waiting = "2|2026-01-05T09:00:00|Unknown|Unknown|gres/gpu=1"
    still, never = read(tmp_path, row, waiting, header="JobID|Submit|Start|End|AllocTRES")
    assert (still.ran_ms, still.has_started) == (None, True)
    assert (never.ran_ms, never.has_started) == (None, False)


def test_of_a_requeued_job_the_last_run_counts_in_whatever_order_the_rows_stand(tmp_path: Path) -> None:
    first = changed(State="REQUEUED", Start="2026-01-05T09:10:00", Elapsed="00:10:00")
    anew = changed(Submit="2026-01-05T09:20:00")
    for again in (JOB, anew):
        for lines in ((first, again), (again, first)):
            assert [job.ran_ms for job in read(tmp_path, *lines)] == [2 * MS_PER_HOUR]


def test_a_job_of_which_the_files_of_two_months_tell_is_one(tmp_path: Path) -> None:
    january, february = tmp_path / "january.txt", tmp_path / "february.txt"
    january.write_text(f"{HEADER}\n{changed(State='RUNNING', End='Unknown', Elapsed='00:30:00')}\n")
    february.write_text(f"{HEADER}\n{JOB}\n{changed(JobID='102')}\n")
    for files in ((january, february), (february, january)):
        jobs, left_out = read_jobs(files, "UTC")
        assert {job.id: (job.state, job.ran_ms) for job in jobs} == dict.fromkeys(
            ("101", "102"), ("COMPLETED", 2 * MS_PER_HOUR)
        )
        assert left_out == {"job of which another file tells, too": 1}


def test_jobs_of_one_number_are_two_where_the_cluster_or_the_file_and_the_submission_is_another(
    tmp_path: Path,
) -> None:
    assert len(read(tmp_path, f"{JOB}|east", f"{JOB}|west", header=f"{HEADER}|Cluster")) == 2
    east, west = tmp_path / "east.txt", tmp_path / "west.txt"
    east.write_text(f"{HEADER}\n{JOB}\n")
    west.write_text(f"{HEADER}\n{changed(Submit='2026-01-05T09:00:01')}\n")
    jobs, left_out = read_jobs([east, west], "UTC")
    assert (len(jobs), left_out) == (2, {})


@pytest.mark.parametrize("name", ["a|b", "|", "a||b|", "|a"])
def test_a_name_with_the_delimiter_in_it_is_read_by_counting_from_both_ends(tmp_path: Path, name: str) -> None:
    (job,) = read(tmp_path, changed(JobName=name))
    assert (job.name, job.user, job.gpus) == (name, "ada", 8)
    cells = ["1", "2026-01-05T09:00:00", "60", "gres/gpu=1", name]
    (last,) = read(tmp_path, "|".join(cells), header="JobID|Submit|ElapsedRaw|AllocTRES|JobName")
    assert (last.name, last.ran_ms) == (name, MS_PER_MINUTE)


def test_a_delimiter_that_may_be_of_either_of_two_free_texts_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"6 cells; expected 5.*where names hold \|, ask .* another --delimiter"):
        read(tmp_path, "1|a|b|c|d|2026-01-05T09:00:00", header="JobID|JobName|User|Comment|Submit")


def test_a_row_that_is_too_short_is_not_made_longer(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="3 cells; expected 4"):
        read(tmp_path, "1|2026-01-05T09:00:00|60", header="JobID|Submit|ElapsedRaw|JobName")


def test_a_requeued_job_that_waits_again_counts_by_what_it_had_run(tmp_path: Path) -> None:
    lost = changed(State="NODE_FAIL", Elapsed="00:10:00")
    waits = changed(State="PENDING", Submit="2026-01-05T09:40:00", Start="Unknown", End="Unknown", Elapsed="00:00:00")
    for lines in ((lost, waits), (waits, lost)):
        assert [job.ran_ms for job in read(tmp_path, *lines)] == [10 * MS_PER_MINUTE]
