"""Which lines that sacct printed are one row: names and command lines have line breaks in them, and files are joined."""

from pathlib import Path

import pytest

from scheduler.domain.errors import InvalidInput
from scheduler.simulation.traces.sacct import read_jobs
from tests.simulation.traces.test_sacct import HEADER, JOB, changed, read

MANY = "JobID|SubmitLine|JobName|Submit|ElapsedRaw|AllocTRES|WorkDir"


@pytest.mark.parametrize("broken", ["a\nb", "a\n", "\na", "a\r\nb\n\n c", "a\rb"])
def test_a_row_that_a_line_break_in_a_name_cut_is_one(tmp_path: Path, broken: str) -> None:
    rows = [changed(JobName=broken), changed(JobID="102")]
    closed = [f"{row}|" for row in rows]
    for first, second in (read(tmp_path, *rows), read(tmp_path, *closed, header=f"{HEADER}|")):
        assert (first.user, first.gpus, second.id, second.name) == ("ada", 8, "102", "train")


def test_command_lines_of_several_lines_are_read_beside_names_and_folders_that_have_some(tmp_path: Path) -> None:
    rows = [
        "1|srun bash -c a &&\nb &&\nc|one|2026-01-05T09:00:00|60|gres/gpu=1|/home/a",
        "2|sbatch x|t\nwo|2026-01-05T09:00:00|60|gres/gpu=2|/home/\nb",
        "3|sbatch x|three|2026-01-05T09:00:00|60|gres/gpu=3|/home/c",
    ]
    assert [(job.id, job.name, job.gpus) for job in read(tmp_path, *rows, header=MANY)] == [
        *(("1", "one", 1), ("2", "t wo", 2), ("3", "three", 3))
    ]


def test_a_row_that_ends_early_is_none_that_goes_on_in_the_next(tmp_path: Path) -> None:
    file = tmp_path / "sacct.txt"
    whole = "3|sbatch x|three|2026-01-05T09:00:00|60|gres/gpu=3|/home/c"
    file.write_text(
        "\n".join([MANY, "1|sbatch x|on", whole, "4|sbatch x|four|2026-01", whole.replace("3|", "5|", 1)])
    )
    left_out: list[InvalidInput] = []
    assert [job.id for job in read_jobs([file], "UTC", left_out.append)[0]] == ["3", "5"]
    assert [refusal.where.removeprefix(str(file)) for refusal in left_out] == [":2: Submit", ":4: ElapsedRaw"]


@pytest.mark.parametrize(
    "row",
    [
        "1|sbatch --wrap=a | tee b|one|2026-01-05T09:00:00|60|gres/gpu=2|/home/a",
        "1|sbatch a|a|b|c|2026-01-05T09:00:00|60|gres/gpu=2|/home/a",
        "1|sbatch a|one|2026-01-05T09:00:00|60|gres/gpu=2|/home/|a",
    ],
)
def test_the_delimiter_in_one_of_several_free_texts_is_found_by_how_the_other_cells_look(
    tmp_path: Path, row: str
) -> None:
    (job,) = read(tmp_path, row, header=MANY)
    assert (job.id, job.ran_ms, job.gpus) == ("1", 60_000, 2)


def test_two_readings_that_differ_only_in_what_is_not_read_are_one(tmp_path: Path) -> None:
    """The command line ends after the first bar, or after the third."""
    header = "JobID|Submit|ElapsedRaw|AllocTRES|SubmitLine|Suspended|SystemComment"
    row = "1|2026-01-05T09:00:00|60|gres/gpu=2|sbatch --wrap a || b|00:00:00|"
    assert [(job.id, job.gpus) for job in read(tmp_path, row, header=header)] == [("1", 2)]


def test_the_delimiter_in_two_free_texts_of_a_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="9 cells; expected 7"):
        read(tmp_path, "1|a|b|c|2026-01-05T09:00:00|60|gres/gpu=2|/home/|a", header=MANY)


def test_what_goes_on_without_end_is_no_command_line(tmp_path: Path) -> None:
    file = tmp_path / "sacct.txt"
    row = "1|sbatch x|one|2026-01-05T09:00:00|60|gres/gpu=1|/home/a"
    file.write_text("\n".join([MANY, row, *["and so on"] * 2500]))
    left_out: list[InvalidInput] = []
    assert [job.id for job in read_jobs([file], "UTC", left_out.append)[0]] == ["1"]
    assert len(left_out) == 1500


def test_files_that_were_put_behind_one_another_have_their_header_again(tmp_path: Path) -> None:
    assert [job.id for job in read(tmp_path, JOB, HEADER, changed(JobID="102"))] == ["101", "102"]
    closed = [f"{row}|" for row in (JOB, HEADER, changed(JobID="102"))]
    assert [job.id for job in read(tmp_path, *closed, header=f"{HEADER}|")] == ["101", "102"]


def test_of_a_run_that_two_joined_files_tell_of_the_row_counts_that_knows_more(tmp_path: Path) -> None:
    still = changed(State="RUNNING", End="Unknown", Elapsed="00:30:00")
    for rows in ([still, JOB], [JOB, still]):
        assert [job.state for job in read(tmp_path, *rows)] == ["COMPLETED"]
