"""The tables, a file for each noun. Importing this package fills `Row.metadata`."""

from scheduler.adapters.sql.tables import (
    allowances,
    approvals,
    capacity,
    control,
    journal,
    people,
    periods,
    proofs,
    samples,
    token_holds,
    verdicts,
    workloads,
)

__all__ = [
    "allowances",
    "approvals",
    "capacity",
    "control",
    "journal",
    "people",
    "periods",
    "proofs",
    "samples",
    "token_holds",
    "verdicts",
    "workloads",
]
