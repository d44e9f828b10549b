"""The tables, a file for each noun. Importing this package fills `Row.metadata`."""

from scheduler.adapters.sql.tables import (
    allowances,
    capacity,
    control,
    journal,
    people,
    periods,
    proofs,
    samples,
    verdicts,
    workloads,
)

__all__ = [
    "allowances",
    "capacity",
    "control",
    "journal",
    "people",
    "periods",
    "proofs",
    "samples",
    "verdicts",
    "workloads",
]
