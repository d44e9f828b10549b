"""The one tree of refusals. What is expected to happen is a value with a Reason; what is refused is raised from here.

    Refusal
    ├── InvalidInput      what was given is malformed or out of bounds
    ├── NotPermitted      the caller may not do this
    ├── NotFound          what was named does not exist
    ├── Conflict          it clashes with what was recorded before
    ├── Exhausted         an allowance, quota or limit does not cover it
    └── Unavailable       something we depend on cannot answer now; trying again may help

HTTP statuses and what each code means stand in one table, `entrypoints/api/codes.py`.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar


class RefusalCode(StrEnum):
    """Stable codes: once released, a code keeps its meaning."""

    INVALID_VALUE = "invalid-value"
    INVALID_GPUS = "invalid-gpus"
    INVALID_MIN_PODS = "invalid-min-pods"
    INVALID_TIME_LIMIT = "invalid-time-limit"
    INVALID_AMOUNT = "invalid-amount"
    INVALID_SCHEDULE = "invalid-schedule"
    SCHEDULE_SUM = "schedule-sum"
    EXPIRY_BEFORE_GRANT = "expiry-before-grant"
    UNKNOWN_UNIT = "unknown-unit"
    UNIT_MISMATCH = "unit-mismatch"
    TRANSFER_TO_SELF = "transfer-to-self"
    TRANSFER_NOT_ALLOWED = "transfer-not-allowed"
    UNKNOWN_ALLOWANCE = "unknown-allowance"
    UNKNOWN_HOLD = "unknown-hold"
    HOLD_EXCEEDED = "hold-exceeded"
    INVALID_POLICY = "invalid-policy"
    INVALID_DIRECTORY = "invalid-directory"
    INVALID_PRICES = "invalid-prices"
    UNKNOWN_CURRENCY = "unknown-currency"
    PRICE_GAP = "price-gap"
    PRICE_OVERLAP = "price-overlap"
    PRICE_MISSING = "price-missing"
    NO_PRICES = "no-prices"
    NO_CLASS_PRICED = "no-class-priced"
    RATE_CLOSED = "rate-closed"
    INVALID_SAMPLE = "invalid-sample"
    INVALID_TRACE = "invalid-trace"
    INVALID_CURSOR = "invalid-cursor"
    UNKNOWN_GPU_CLASS = "unknown-gpu-class"
    UNKNOWN_PRIORITY_CLASS = "unknown-priority-class"
    UNKNOWN_PROJECT = "unknown-project"
    UNKNOWN_TEAM = "unknown-team"
    UNKNOWN_TIER = "unknown-tier"
    UNKNOWN_ENGINEER = "unknown-engineer"
    UNKNOWN_WORKLOAD = "unknown-workload"
    UNKNOWN_NODE = "unknown-node"
    UNKNOWN_OWNER = "unknown-owner"
    UNKNOWN_POLICY = "unknown-policy"
    UNKNOWN_IMAGE = "unknown-image"
    UNKNOWN_TOPOLOGY_LEVEL = "unknown-topology-level"
    TIME_LIMIT_TOO_LONG = "time-limit-too-long"
    PRIORITY_CLASS_NOT_ALLOWED = "priority-class-not-allowed"
    GPU_CLASS_NOT_ALLOWED = "gpu-class-not-allowed"
    UNPLACEABLE = "unplaceable"
    ALLOWANCE_SHORT = "allowance-short"
    ALLOWANCE_EXPIRED = "allowance-expired"
    ALLOWANCE_FOREIGN = "allowance-foreign"
    GPU_LIMIT = "gpu-limit"
    NO_POLICY = "no-policy"
    WRONG_STATE = "wrong-state"
    BOOKING_CONFLICT = "booking-conflict"
    BOOKING_OVER_QUOTA = "booking-over-quota"
    INVALID_WINDOW = "invalid-window"
    UNKNOWN_BOOKING = "unknown-booking"
    RESERVED_AHEAD = "reserved-ahead"
    SPEND_GUARD = "spend-guard"
    IDEMPOTENCY_CONFLICT = "idempotency-conflict"
    STALE = "stale"
    UNAUTHENTICATED = "unauthenticated"
    ROLE_REQUIRED = "role-required"
    NOT_YOURS = "not-yours"
    OWN_REQUEST = "own-request"
    SELF_BENEFIT = "self-benefit"
    APPROVAL_NEEDED = "approval-needed"
    UNKNOWN_PROPOSAL = "unknown-proposal"
    COVERAGE_EXCEEDED = "coverage-exceeded"
    QUEUE_FULL = "queue-full"
    CONFIRMATION_NEEDED = "confirmation-needed"
    DATABASE_UNAVAILABLE = "database-unavailable"
    DATABASE_LOCKED = "database-locked"
    DATABASE_READ_ONLY = "database-read-only"
    DATABASE_FULL = "database-full"
    DATABASE_OUTDATED = "database-outdated"
    HEADS_UNAVAILABLE = "heads-unavailable"
    HEAD_REWRITTEN = "head-rewritten"
    KEY_NOT_ENDORSED = "key-not-endorsed"
    PERIOD_CLOSED = "period-closed"
    PERIOD_NOT_OVER = "period-not-over"
    PERIOD_UNRECONCILED = "period-unreconciled"
    UNKNOWN_PERIOD = "unknown-period"
    UNKNOWN_DIFFERENCE = "unknown-difference"
    UNKNOWN_TOKEN = "unknown-token"  # noqa: S105  # a code
    UNKNOWN_ROW = "unknown-row"
    CLUSTER_UNAVAILABLE = "cluster-unavailable"
    CLUSTER_TOO_OLD = "cluster-too-old"
    NAMESPACE_CLAIMED = "namespace-claimed"
    KUBECONFIG_MISSING = "kubeconfig-missing"
    KUBECONFIG_INVALID = "kubeconfig-invalid"
    DEV_CLUSTER_UNAVAILABLE = "dev-cluster-unavailable"
    UNKNOWN_ADDRESS = "unknown-address"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    BODY_TOO_LARGE = "body-too-large"
    CROSS_SITE = "cross-site"
    SERVER_UNREACHABLE = "server-unreachable"
    INTERNAL_ERROR = "internal-error"


class Refusal(Exception):
    """Something was refused.

    `message` says what was wrong and where, `expected` what would have been right, `remedy` what to do next. Where it
    stands for several things in one file, `each` has them apart, and `message` all of them.
    """

    default_code: ClassVar[RefusalCode] = RefusalCode.INVALID_VALUE

    def __init__(
        self,
        message: str,
        *,
        code: RefusalCode | None = None,
        expected: str = "",
        remedy: str = "",
        where: str = "",
        each: Sequence["Refusal"] = (),
    ) -> None:
        super().__init__(message)
        self.code = code if code is not None else self.default_code
        self.message = message
        self.where = where
        self.expected = expected
        self.remedy = remedy
        self.each = tuple(each)

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.message}" if self.where else self.message]
        if self.expected:
            parts.append(f"expected {self.expected}")
        if self.remedy:
            parts.append(self.remedy)
        return "; ".join(parts)


class InvalidInput(Refusal):
    default_code = RefusalCode.INVALID_VALUE


class NotPermitted(Refusal):
    default_code = RefusalCode.ROLE_REQUIRED


class NotFound(Refusal):
    default_code = RefusalCode.UNKNOWN_WORKLOAD


class Conflict(Refusal):
    default_code = RefusalCode.WRONG_STATE


class Exhausted(Refusal):
    default_code = RefusalCode.ALLOWANCE_SHORT


class Unavailable(Refusal):
    default_code = RefusalCode.DATABASE_UNAVAILABLE
