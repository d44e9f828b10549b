"""How the file of a trace may come: plain, packed by gzip, through a pipe, from a Windows machine, or damaged."""

import bz2
import gzip
import lzma
import os
from pathlib import Path

import pytest

from scheduler.domain.errors import InvalidInput
from scheduler.lifecycle.accounting.export_history import FORMAT, VERSION
from scheduler.simulation.traces.history import read_history
from scheduler.simulation.traces.openb import read_pods
from scheduler.simulation.traces.sacct import read_jobs

PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli\nα,1000,1024,1,1000\nb,1000,1024,1,500\n"
SACCT = "JobID|Submit|Elapsed|AllocTRES\n7|2026-01-05T09:00:00|01:00:00|gres/gpu=2\n"

AS_IT_COMES = {
    "plain": PODS.encode(),
    "packed by gzip": gzip.compress(PODS.encode(), mtime=0),
    "packed in two pieces": gzip.compress(PODS[:60].encode(), mtime=0) + gzip.compress(PODS[60:].encode(), mtime=0),
    "behind a byte order mark": PODS.encode("utf-8-sig"),
    "in UTF-16, as PowerShell writes": PODS.replace("\n", "\r\n").encode("utf-16"),
    "in UTF-16 of the other order": b"\xfe\xff" + PODS.encode("utf-16-be"),
    "with the line ends of Windows": PODS.replace("\n", "\r\n").encode(),
    "in UTF-16, packed": gzip.compress(PODS.encode("utf-16"), mtime=0),
}


@pytest.mark.parametrize("content", AS_IT_COMES.values(), ids=AS_IT_COMES.keys())
def test_a_file_is_read_as_it_comes_whatever_it_is_called(tmp_path: Path, content: bytes) -> None:
    for name in ("pods.csv", "pods.csv.gz"):
        file = tmp_path / name
        file.write_bytes(content)
        assert [(pod.name, pod.gpu_milli) for pod in read_pods(file)] == [("α", 1000), ("b", 500)]


def test_slurm_s_accounting_comes_through_a_pipe_as_a_shell_makes_one() -> None:
    source, target = os.pipe()
    os.write(target, gzip.compress(SACCT.encode(), mtime=0))
    os.close(target)
    assert [(job.id, job.gpus) for job in read_jobs([Path(f"/dev/fd/{source}")], "UTC")[0]] == [("7", 2)]
    os.close(source)


def test_a_history_may_be_packed(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl.gz"
    header = f'{{"format": "{FORMAT}", "version": {VERSION}}}\n'
    file.write_bytes(gzip.compress(header.encode(), mtime=0))
    assert read_history(file).submissions == []


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (bz2.compress(PODS.encode()), "found what bzip2 has packed; expected text, or what gzip has packed"),
        (lzma.compress(PODS.encode()), "found what xz has packed"),
        (gzip.compress(PODS.encode(), mtime=0)[:-12], "found what gzip has packed, damaged or cut off"),
        (gzip.compress(PODS.encode(), mtime=0) + b"more", "found what gzip has packed, damaged or cut off"),
    ],
    ids=["bzip2", "xz", "cut off", "more behind it"],
)
def test_what_cannot_be_unpacked_is_told_by_its_name(tmp_path: Path, content: bytes, found: str) -> None:
    file = tmp_path / "pods.csv.gz"
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match=found) as refused:
        read_pods(file)
    assert refused.value.where == str(file)
    assert refused.value.code.value == "invalid-trace"


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n" + bytes(40), PODS.encode("utf-16-le")], ids=["png", "no mark"]
)
def test_a_file_that_is_no_text_is_refused_in_its_header(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "pods.csv"
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match=r":1: found no text in UTF-8; expected a header of name, "):
        read_pods(file)
