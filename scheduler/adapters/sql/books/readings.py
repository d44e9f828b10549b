"""Rows of windows and hours as values."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import Row

from scheduler.domain.units import GpuUuid, Instant
from scheduler.metering.idle import IdleState
from scheduler.metering.use import STATE_FIELD, HourOfUse, Stretch, Use

_USE = [field.name for field in fields(Use)]


def stretches_from(rows: Iterable[Row[*tuple[Any, ...]]], names: Mapping[int, GpuUuid]) -> list[Stretch]:
    """`names` are the devices' UUIDs by their numbers."""
    return [_stretch(dict(row._mapping), names) for row in rows]


def _stretch(row: dict[str, Any], names: Mapping[int, GpuUuid]) -> Stretch:
    state = IdleState(row["state"])
    readings = {name: row[name] for name in _USE if name in row}
    in_state = {"windows": 1, STATE_FIELD[state]: row["end"] - row["start"]}
    return Stretch(
        gpu_uuid=names[row["gpu_id"]],
        start=Instant(row["start"]),
        end=Instant(row["end"]),
        sequence=row["sequence"],
        process_count=row["process_count"],
        attempt_id=row["attempt_id"],
        state=state,
        use=Use(**readings, **in_state),
    )


def hours_from(rows: Iterable[Row[*tuple[Any, ...]]]) -> list[HourOfUse]:
    """Rows that have the device's `gpu_uuid` too."""
    return [
        HourOfUse(
            gpu_uuid=row.gpu_uuid,
            node=row.node,
            hour=row.hour,
            attempt_id=row.attempt_id or None,
            use=Use(**{name: getattr(row, name) for name in _USE}),
        )
        for row in rows
    ]
