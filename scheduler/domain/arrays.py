"""Arrays: one submission, many indexes, each a workload of its own, a limit on how many run at once.

The id of an index is its array's with the index appended, so that what runs tells which array it is of. `i` is no
letter of an id.
"""

import re

from scheduler.domain.units import WorkloadId

COUNT_MAX = 10_000
_INDEX = re.compile(r"(.+)-i(\d+)")


def index_id(array: WorkloadId, index: int) -> WorkloadId:
    return WorkloadId(f"{array}-i{index}")


def array_of(workload_id: WorkloadId) -> WorkloadId | None:
    """The array that the workload is an index of; None where it is none."""
    if "-i" not in workload_id:  # as of nearly all: it is asked at every start and end
        return None
    found = _INDEX.fullmatch(workload_id)
    return WorkloadId(found.group(1)) if found is not None else None
