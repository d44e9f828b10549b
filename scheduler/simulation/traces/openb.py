"""openb: Alibaba's cluster-trace-gpu-v2023, two CSV files of nodes and of tasks. Reads strictly; decides nothing.

Only what a task asks is required: some published variants have no GPU models, others no times. Times are seconds from
the trace's start.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, TypeVar

from scheduler.domain.errors import InvalidInput, RefusalCode

NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
POD_COLUMNS = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli")
WHOLE_GPU_MILLI = 1000
GPUS_PER_NODE_MAX = 64
AMOUNT_MAX = 2**40


@dataclass(frozen=True, slots=True)
class OpenbNode:
    """`model` is empty where the node has no GPU."""

    name: str
    cpu_milli: int
    memory_mib: int
    gpus: int
    model: str


@dataclass(frozen=True, slots=True)
class OpenbPod:
    """A task: `gpus` GPUs with `gpu_milli` of each (0 where it asks for none), of one of `models` (empty: of any)."""

    name: str
    cpu_milli: int
    memory_mib: int
    gpus: int
    gpu_milli: int
    models: tuple[str, ...]
    qos: str = ""
    phase: str = ""
    created_seconds: int | None = None
    deleted_seconds: int | None = None
    scheduled_seconds: int | None = None


Row = Mapping[str, str]
Value = TypeVar("Value")


def read_nodes(file: Path) -> tuple[OpenbNode, ...]:
    """Every node. Raises InvalidInput where a row is none, or a name comes twice."""
    return tuple(_read(file, NODE_COLUMNS, _node))


def read_pods(file: Path) -> tuple[OpenbPod, ...]:
    """Every task, in the file's order. Raises InvalidInput where a row is none, or a name comes twice."""
    return tuple(_read(file, POD_COLUMNS, _pod))


def _node(row: Row, where: str) -> OpenbNode:
    return OpenbNode(
        name=_name(row, "sn", where),
        cpu_milli=_whole(row, "cpu_milli", where),
        memory_mib=_whole(row, "memory_mib", where),
        gpus=_whole(row, "gpu", where, at_most=GPUS_PER_NODE_MAX),
        model=row["model"],
    )


def _pod(row: Row, where: str) -> OpenbPod:
    gpus = _whole(row, "num_gpu", where, at_most=GPUS_PER_NODE_MAX)
    milli = _whole(row, "gpu_milli", where, at_least=1, at_most=WHOLE_GPU_MILLI) if gpus else 0
    return OpenbPod(
        name=_name(row, "name", where),
        cpu_milli=_whole(row, "cpu_milli", where),
        memory_mib=_whole(row, "memory_mib", where),
        gpus=gpus,
        gpu_milli=milli,
        models=tuple(sorted({model.strip() for model in row.get("gpu_spec", "").split("|")} - {""})),
        qos=row.get("qos", ""),
        phase=row.get("pod_phase", ""),
        created_seconds=_moment(row, "creation_time", where),
        deleted_seconds=_moment(row, "deletion_time", where),
        scheduled_seconds=_moment(row, "scheduled_time", where),
    )


def _read(file: Path, required: tuple[str, ...], value_of: Callable[[Row, str], Value]) -> Iterator[Value]:
    with file.open(newline="", encoding="utf-8-sig", errors="strict") as text:
        try:
            yield from _values(text, file, required, value_of)
        except (csv.Error, UnicodeDecodeError) as error:
            raise _invalid(str(file), f"no CSV in UTF-8 ({error})", "rows of comma-separated values") from error


def _values(
    text: TextIO, file: Path, required: tuple[str, ...], value_of: Callable[[Row, str], Value]
) -> Iterator[Value]:
    reader = csv.reader(text, strict=True)
    columns = [name.strip() for name in next(reader, [])]
    for name in required:
        if columns.count(name) != 1:
            found = "no column" if name not in columns else "more than one column"
            raise _invalid(f"{file}:1: {name}", found, "one each of " + ", ".join(required))
    names: dict[str, int] = {}
    for cells in reader:
        if not cells:
            continue
        where = f"{file}:{reader.line_num}"
        if len(cells) != len(columns):
            raise _invalid(where, f"{len(cells)} cells", f"{len(columns)}, one for each column")
        row = {column: cell.strip() for column, cell in zip(columns, cells, strict=True)}
        value = value_of(row, where)
        name = row[required[0]]
        if name in names:
            raise _invalid(f"{where}: {required[0]}", f"{name!r} again, as in line {names[name]}", "each name once")
        names[name] = reader.line_num
        yield value


def _name(row: Row, column: str, where: str) -> str:
    if not row[column]:
        raise _invalid(f"{where}: {column}", "nothing", "a name")
    return row[column]


def _moment(row: Row, column: str, where: str) -> int | None:
    return _whole(row, column, where) if row.get(column) else None


def _whole(row: Row, column: str, where: str, at_least: int = 0, at_most: int = AMOUNT_MAX) -> int:
    """A whole number; `12000.0`, as data frames write it, is one."""
    cell = row[column]
    digits, _, fraction = cell.partition(".")
    if digits.isascii() and digits.isdigit() and len(digits) < 16 and not fraction.strip("0"):
        number = int(digits)
        if at_least <= number <= at_most:
            return number
    found = repr(cell[:40]) if cell else "nothing"
    raise _invalid(f"{where}: {column}", found, f"a whole number from {at_least} to {at_most}")


def _invalid(where: str, found: str, expected: str) -> InvalidInput:
    return InvalidInput(f"found {found}", code=RefusalCode.INVALID_TRACE, where=where, expected=expected)
