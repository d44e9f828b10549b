"""Workloads, their attempts, the pods of those, and capacity reserved for a preemptor."""

from sqlalchemy import Index

from scheduler.adapters.sql import columns
from scheduler.adapters.sql.columns import STRICT, Row, table_of


class WorkloadRow(Row, table=True):
    """`spec` is JSON."""

    __tablename__ = "workloads"
    __table_args__ = (
        Index(None, "state"),
        Index(None, "submitted_at", "id"),
        Index(None, "owner", "submitted_at"),
        Index(None, "team", "submitted_at"),
        Index(None, "job_uid"),
        STRICT,
    )
    id: str = columns.text(primary_key=True)
    owner: str = columns.text()
    team: str = columns.text()
    spec: str = columns.text()
    submitted_at: int = columns.integer()
    state: str = columns.text()
    state_reason: str = columns.text()
    state_since: int = columns.integer()
    origin: str = columns.text()
    namespace: str = columns.text()
    job_name: str = columns.text()
    job_uid: str | None = columns.text()
    retries: int = columns.integer()
    not_before: int = columns.integer()
    version: int = columns.integer()
    eligible_at: int | None = columns.integer()
    ages_from: int | None = columns.integer()


class AttemptRow(Row, table=True):
    """`placement`, `pod`, `elastic`, `leaving` and `past_sizes` are JSON."""

    __tablename__ = "attempts"
    __table_args__ = (Index(None, "workload_id"), Index(None, "state"), Index(None, "booking_id"), STRICT)
    id: str = columns.text(primary_key=True)
    workload_id: str = columns.text(references="workloads.id")
    number: int = columns.integer()
    owner: str = columns.text()
    team: str = columns.text()
    pool: str = columns.text()
    gpu_class: str = columns.text()
    priority_class: str = columns.text()
    placement: str = columns.text()
    pod: str = columns.text()
    weight: int = columns.integer()
    class_factor: int = columns.integer()
    hold_mode: str = columns.text()
    time_limit_ms: int = columns.integer()
    launched_at: int = columns.integer()
    is_funded: int = columns.integer()
    is_borrowed: int = columns.integer()
    state: str = columns.text()
    started_at: int | None = columns.integer()
    stopping_since: int | None = columns.integer()
    ended_at: int | None = columns.integer()
    stop_reason: str | None = columns.text()
    checkpointed_at: int | None = columns.integer()
    charged_gpu_ms: int = columns.integer()
    charged: int = columns.integer()
    grace_seconds: int = columns.integer()
    submitted_at: int | None = columns.integer()
    booking_id: str | None = columns.text()
    booked_for: str | None = columns.text()
    minimum_runtime_ms: int | None = columns.integer()
    elastic: str | None = columns.text()
    leaving: str | None = columns.text()
    past_sizes: str = columns.text()


class PodRow(Row, table=True):
    __tablename__ = "pods"
    __table_args__ = (Index(None, "attempt_id"), STRICT)
    pod_uid: str = columns.text(primary_key=True)
    attempt_id: str = columns.text(references="attempts.id")
    name: str = columns.text()
    node: str | None = columns.text()
    gpus: int = columns.integer()
    started_at: int | None = columns.integer()
    ended_at: int | None = columns.integer()
    billable_until: int | None = columns.integer()
    end_evidence: str | None = columns.text()
    last_seen_at: int | None = columns.integer()
    exit_code: int | None = columns.integer()


class ReservationRow(Row, table=True):
    """`placement` is JSON."""

    __tablename__ = "reservations"
    __table_args__ = STRICT
    workload_id: str = columns.text(primary_key=True, references="workloads.id")
    gpu_class: str = columns.text()
    placement: str = columns.text()
    until: int = columns.integer()
    is_borrowed: int = columns.integer()
    is_move: int = columns.integer()


workloads = table_of(WorkloadRow)
attempts = table_of(AttemptRow)
pods = table_of(PodRow)
reservations = table_of(ReservationRow)
