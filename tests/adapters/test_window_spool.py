import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from scheduler.adapters.window_spool import SpoolCounts, WindowSpool
from scheduler.domain.units import GpuUuid, Instant, NodeName
from scheduler.metering.integration import Mark
from scheduler.metering.windows import Window

FIRST = Window(NodeName("n"), "boot-1", GpuUuid("GPU-a"), 1, Instant(0), Instant(10), covered_ms=10, sample_count=1)
MARK = Mark(GpuUuid("GPU-a"), 1, Instant(10), 500)


def window(sequence: int, boot_id: str = "boot-1") -> Window:
    return replace(FIRST, sequence=sequence, boot_id=boot_id)


def sequences(spool: WindowSpool) -> list[int]:
    return [orjson.loads(each.body)["sequence"] for each in spool.oldest(100)[1]]


def test_windows_and_marks_are_there_after_a_restart(tmp_path: Path) -> None:
    spool = WindowSpool(tmp_path / "a" / "spool.db", windows_max=10)
    spool.append([window(1), window(2)], [MARK], "boot-1")
    spool.close()
    again = WindowSpool(tmp_path / "a" / "spool.db", windows_max=10)
    assert sequences(again) == [1, 2]
    assert again.marks("boot-1") == (MARK,)
    assert again.marks("boot-2") == ()
    again.close()


def test_a_full_spool_drops_its_oldest_and_counts_them(tmp_path: Path) -> None:
    spool = WindowSpool(tmp_path / "spool.db", windows_max=2)
    spool.append([window(1), window(2)], [], "boot-1")
    spool.append([window(3), window(4), window(5)], [], "boot-1")
    assert sequences(spool) == [4, 5]
    assert spool.counts() == SpoolCounts(waiting=2, lost=3, refused=0)
    spool.close()


def test_a_batch_never_mixes_two_boots(tmp_path: Path) -> None:
    spool = WindowSpool(tmp_path / "spool.db", windows_max=10)
    spool.append([window(1), window(1, "boot-2")], [], "boot-2")
    boot_id, batch = spool.oldest(10)
    assert (boot_id, len(batch)) == ("boot-1", 1)
    spool.remove(batch)
    boot_id, batch = spool.oldest(10)
    assert (boot_id, len(batch)) == ("boot-2", 1)
    spool.close()


def test_what_was_answered_is_gone_and_refusals_are_counted(tmp_path: Path) -> None:
    spool = WindowSpool(tmp_path / "spool.db", windows_max=10)
    spool.append([window(1), window(2), window(3)], [], "boot-1")
    spool.remove(spool.oldest(2)[1], refused=1)
    assert sequences(spool) == [3]
    assert spool.counts() == SpoolCounts(waiting=1, lost=0, refused=1)
    spool.close()


def test_a_spool_that_is_no_database_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    path.write_bytes(b"this is not a database, whatever its name says" * 100)
    spool = WindowSpool(path, windows_max=10)
    spool.append([window(1)], [], "boot-1")
    assert sequences(spool) == [1]
    assert path.with_name("spool.db.broken").read_bytes().startswith(b"this is not")
    spool.close()


def test_a_spool_that_another_agent_holds_is_left_alone(tmp_path: Path) -> None:
    first = WindowSpool(tmp_path / "spool.db", windows_max=10, wait_seconds=0)
    first.append([window(1)], [], "boot-1")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        WindowSpool(tmp_path / "spool.db", windows_max=10, wait_seconds=0)
    assert sequences(first) == [1]
    first.close()


def test_windows_that_the_disk_will_not_have_are_counted_as_lost(tmp_path: Path) -> None:
    spool = WindowSpool(tmp_path / "spool.db", windows_max=1_000, pages_max=16)
    spool.append([window(n) for n in range(1_000)], [], "boot-1")
    assert spool.counts() == SpoolCounts(waiting=0, lost=1_000, refused=0)
    spool.append([window(1)], [], "boot-1")
    assert sequences(spool) == [1]
    spool.close()


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process grows, or has anything written beyond its first bytes: the kernel refuses that as it
    refuses it on a disk without room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_on_a_full_disk_what_waits_is_still_sent_once_and_the_rest_is_counted(tmp_path: Path) -> None:
    spool = WindowSpool(tmp_path / "spool.db", windows_max=10)
    spool.append([window(1), window(2), window(3)], [MARK], "boot-1")
    with full_disk():
        spool.append([window(4)], [], "boot-1")
        spool.remove(spool.oldest(2)[1], refused=1)
        assert sequences(spool) == [3]
        assert spool.counts() == SpoolCounts(waiting=1, lost=1, refused=1)
    spool.append([window(5)], [], "boot-1")
    assert sequences(spool) == [3, 5]
    spool.close()
    again = WindowSpool(tmp_path / "spool.db", windows_max=10)
    assert sequences(again) == [3, 5]
    assert again.counts() == SpoolCounts(waiting=2, lost=1, refused=1)
    again.close()


def test_a_spool_that_was_closed_on_a_full_disk_sends_again_what_was_answered(tmp_path: Path) -> None:
    spool = WindowSpool(tmp_path / "spool.db", windows_max=10)
    spool.append([window(1), window(2)], [MARK], "boot-1")
    with full_disk():
        spool.remove(spool.oldest(1)[1])
        spool.close()
    again = WindowSpool(tmp_path / "spool.db", windows_max=10)
    assert sequences(again) == [1, 2]
    assert again.marks("boot-1") == (MARK,)
    again.close()
