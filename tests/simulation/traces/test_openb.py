"""openb's CSV files: what is read of them, and how exactly a broken cell is named."""

from pathlib import Path

import pytest

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.simulation.traces.openb import OpenbNode, OpenbPod, read_nodes, read_pods

NODES = "sn,cpu_milli,memory_mib,gpu,model"
PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time"


def written(tmp_path: Path, *rows: str) -> Path:
    file = tmp_path / "trace.csv"
    file.write_text("\n".join(rows) + "\n")
    return file


def test_nodes_with_and_without_gpus_are_read(tmp_path: Path) -> None:
    file = written(tmp_path, NODES, "n-1,64000,262144,2,P100", "n-2,96000,524288,0,")
    assert read_nodes(file) == (
        OpenbNode("n-1", 64_000, 262_144, 2, "P100"),
        OpenbNode("n-2", 96_000, 524_288, 0, ""),
    )


def test_tasks_are_read_with_models_shares_and_times(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        PODS,
        "whole,12000,16384,2,1000,T4|G2,LS,Running,0,12537496,7",
        "cpu,4000,1024,0,,,BE,Pending,5,,",
    )
    assert read_pods(file) == (
        OpenbPod("whole", 12_000, 16_384, 2, 1000, ("G2", "T4"), "LS", "Running", 0, 12_537_496, 7),
        OpenbPod("cpu", 4_000, 1_024, 0, 0, (), "BE", "Pending", 5, None, None),
    )


def test_columns_come_in_any_order_and_only_what_a_task_asks_must_be_there(tmp_path: Path) -> None:
    """The published variants with more multi-GPU tasks have no models and no times."""
    file = written(tmp_path, "gpu_milli,num_gpu,memory_mib,cpu_milli,name", "470,1,1024,4000.0,a")
    assert read_pods(file) == (OpenbPod("a", 4_000, 1_024, 1, 470, ()),)


BROKEN_PODS = {
    "a word for a number": (("a,x,1,1,1000,,,,,,",), "2: cpu_milli", "'x'"),
    "half a milli-CPU": (("a,1.5,1,1,1000,,,,,,",), "2: cpu_milli", "'1.5'"),
    "less than nothing": (("a,1,-1,1,1000,,,,,,",), "2: memory_mib", "'-1'"),
    "an empty cell": (("ok,1,1,1,1000,,,,,,", "a,1,1,,1000,,,,,,"), "3: num_gpu", "nothing"),
    "a GPU without its share": (("a,1,1,1,,,,,,,",), "2: gpu_milli", "nothing"),
    "more than a whole GPU of one": (("a,1,1,1,1001,,,,,,",), "2: gpu_milli", "'1001'"),
    "more GPUs than a node may have": (("a,1,1,65,1000,,,,,,",), "2: num_gpu", "'65'"),
    "a digit of another script": (("a,٣,1,1,1000,,,,,,",), "2: cpu_milli", "'٣'"),
    "no name": ((",1,1,1,1000,,,,,,",), "2: name", "nothing"),
    "a name twice": (("a,1,1,1,1000,,,,,,", "a,1,1,1,1000,,,,,,"), "3: name", "'a' again, as in line 2"),
    "a time that is none": (("a,1,1,1,1000,,,,soon,,",), "2: creation_time", "'soon'"),
    "a time in milliseconds": (("a,1,1,1,1000,,,,1767571200000,,",), "2: creation_time", "'1767571200000'"),
    "too few cells": (("a,1,1",), "2: num_gpu", "3 cells"),
    "a control character": (("a\0b,1,1,1,1000,,,,,,",), "2: name", r"'a\x00b'"),
    "gone before it was placed": (("a,1,1,1,1000,,,,5,20,30",), "2: deletion_time", "'20'"),
    "gone before it came": (("a,1,1,1,1000,,,,50,20,",), "2: deletion_time", "'20'"),
    "placed before it came": (("a,1,1,1,1000,,,,50,,20",), "2: scheduled_time", "'20'"),
}


@pytest.mark.parametrize("phrase", BROKEN_PODS)
def test_a_broken_row_is_refused_with_its_line_and_column(tmp_path: Path, phrase: str) -> None:
    rows, where, found = BROKEN_PODS[phrase]
    file = written(tmp_path, PODS, *rows)
    with pytest.raises(InvalidInput) as refused:
        read_pods(file)
    assert refused.value.code is RefusalCode.INVALID_TRACE
    assert refused.value.where == f"{file}:{where}"
    assert refused.value.message == f"found {found}"


@pytest.mark.parametrize(
    ("header", "found"),
    [("sn,cpu_milli,memory_mib,gpu", "no column"), (f"{NODES},gpu", "more than one column"), ("", "no column")],
)
def test_a_header_without_what_is_needed_is_refused(tmp_path: Path, header: str, found: str) -> None:
    with pytest.raises(InvalidInput, match=f":1: (model|gpu|sn): found {found}"):
        read_nodes(written(tmp_path, header))


@pytest.mark.parametrize("between", [";", "\t"])
def test_columns_with_another_separator_are_told_apart_from_columns_that_are_missing(
    tmp_path: Path, between: str
) -> None:
    with pytest.raises(InvalidInput, match=r":1: found columns with '(;|\\t)' between them; expected commas"):
        read_nodes(written(tmp_path, NODES.replace(",", between)))


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "nodes.csv"
    file.write_bytes(b"sn,cpu_milli,memory_mib,gpu,model\n\xff\xfe,1,1,1,T4\n")
    with pytest.raises(InvalidInput, match="text in UTF-8"):
        read_nodes(file)


def test_a_cell_with_a_line_break_spoils_both_of_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "pods.csv"
    file.write_text('name,cpu_milli,memory_mib,num_gpu,gpu_milli\n"a\nb",1,1,1,1000\n\nc,many,1,1,1000\n')
    told: list[str] = []
    assert read_pods(file, lambda refusal: told.append(refusal.where)) == ()
    assert told == [f"{file}:2", f"{file}:3", f"{file}:5: cpu_milli"]


def test_bytes_that_are_no_utf_8_are_a_broken_row_like_others(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_bytes(f"{PODS}\nok,1,1,1,1000,,,,,,\n".encode() + b"caf\xe9,1,1,1,1000,,,,,,\n")
    with pytest.raises(InvalidInput) as refused:
        read_pods(file)
    assert refused.value.where == f"{file}:3: name"
    left_out: list[InvalidInput] = []
    assert [pod.name for pod in read_pods(file, left_out.append)] == ["ok"]
    assert [each.where for each in left_out] == [f"{file}:3: name"]


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ('"a,1,1,1,1000,,,,,,', "found a quote that nothing closes on its line; expected quotes in pairs"),
        ('a",1,1,1,1000,,,,,,', "found a quote that nothing closes on its line; expected quotes in pairs"),
        ('"a"b,1,1,1,1000,,,,,,', "found no CSV (',' expected after '\"'); expected comma-separated values"),
    ],
)
def test_a_quote_out_of_place_spoils_its_own_row_alone(tmp_path: Path, row: str, found: str) -> None:
    file = written(tmp_path, PODS, "ok,1,1,1,1000,,,,,,", row, '"b",1,1,1,1000,,,,,,', '"d ""e""",1,1,1,1000,,,,,,')
    with pytest.raises(InvalidInput) as refused:
        read_pods(file)
    assert str(refused.value) == f"{file}:3: {found}"
    left_out: list[InvalidInput] = []
    assert [pod.name for pod in read_pods(file, left_out.append)] == ["ok", "b", 'd "e"']
    assert [each.where for each in left_out] == [f"{file}:3"]


def test_a_header_with_an_open_quote_is_refused_though_rows_may_be_left_out(tmp_path: Path) -> None:
    left_out: list[InvalidInput] = []
    with pytest.raises(InvalidInput, match=r"trace\.csv:1: found a quote that nothing closes"):
        read_pods(written(tmp_path, f'"{PODS}', "ok,1,1,1,1000,,,,,,"), left_out.append)
    assert left_out == []
