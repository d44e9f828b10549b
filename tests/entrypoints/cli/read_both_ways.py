"""Reads a recording row by row and by the column, which must come to the same rows or to the same refusal."""

import re
from pathlib import Path

import pytest

from scheduler.domain.errors import InvalidInput
from scheduler.entrypoints.cli.packed_recordings import read_packed
from scheduler.entrypoints.cli.recordings import recorded_rows
from scheduler.metering.packed import by_device
from scheduler.metering.recorded import Recorded


def read_recording(file: Path) -> list[Recorded]:
    try:
        rows = list(recorded_rows(file))
    except InvalidInput as refused:
        with pytest.raises(InvalidInput, match=re.escape(refused.message)):
            read_packed(file)
        raise
    packed = {uuid: list(device) for uuid, device in read_packed(file).items()}
    assert packed == {uuid: list(device) for uuid, device in by_device(rows).items()}
    return rows
