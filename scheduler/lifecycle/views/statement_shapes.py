"""The values that views of money return: a statement with its lines, and a month by team, tier and GPU class.

Instants are UTC milliseconds, hours are in integer standard GPU-milliseconds, money in micro-units.
"""

from dataclasses import dataclass, field

from scheduler.domain.money import decimal_text
from scheduler.domain.units import Instant
from scheduler.lifecycle.views.unit_shapes import Corrected, GrantValueView, PackageValueView, ReturnedView, UnitView


@dataclass(frozen=True, slots=True)
class PriceView:
    """So much physical time at this price (micro-units per GPU-hour)."""

    effective_micro: int
    is_off_peak: bool
    gpu_ms: int


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One attempt, grant, refund or expiry. `amount` is signed: what it did to what the owner may spend.
    `efficiency_measure` says what `efficiency_permille` is the mean of: sm-activity or utilization."""

    at: Instant
    kind: str
    text: str
    attempt_id: str
    workload_id: str
    workload_name: str
    gpu_class: str
    gpus: int
    gpu_ms: int
    weight: int
    class_factor: int
    amount: int
    used_by: str = ""
    project: str = ""
    pool: str = ""
    overrun: int = 0
    unfunded: int = 0
    prices: tuple[PriceView, ...] = ()
    cost_micro: int | None = None
    energy_joules: int | None = None
    electricity_micro: int | None = None
    """None where nothing was measured, and where an hour of it has no tariff: the first of these is told beside."""
    electricity_unknown_from: Instant | None = None
    efficiency_permille: int | None = None
    efficiency_measure: str = ""
    idle_permille: int | None = None
    memory_bytes_max: int | None = None
    team: str = ""
    holder: str = ""
    """Whose allowance it moved something of, as `--owner` takes it; empty where an attempt used it."""
    who: str = ""
    """For people: who used it, or the holder by name."""

    @property
    def gpu_seconds(self) -> str:
        return decimal_text(self.gpu_ms, 3)


@dataclass(frozen=True, slots=True)
class StatementView:
    """opening + granted + vested − charged + refunded − expired ± transferred = closing + held.

    `gpu_ms` is all that ran, whoever paid. Money is by the price book: cost = charged − refunded + corrected; None,
    with `no_cost_because`, where there is none or it lacks an hour.
    """

    owner: str
    owner_name: str
    team: str
    period: str
    starts_at: Instant
    ends_at: Instant
    opening: int
    granted: int
    charged: int
    refunded: int
    expired: int
    transferred: int
    held: int
    closing: int
    overrun: int
    unfunded: int
    lines: tuple[StatementLine, ...]
    returned: tuple[ReturnedView, ...] = ()
    owner_kind: str = "engineer"
    gpu_ms: int = 0
    lines_left_out: int = 0
    price_book: str = ""
    currency: str | None = None
    charged_micro: int | None = None
    refunded_micro: int | None = None
    corrected_micro: int | None = None
    cost_micro: int | None = None
    no_cost_because: str = ""
    vested: int = 0
    clawed_back: int = 0
    promised: int = 0
    """At the end of the period: what is promised and has not vested. No part of the sums above."""
    others: tuple[UnitView, ...] = ()
    corrections: tuple[Corrected, ...] = ()
    """The same sums of allowances in other units."""
    packages: tuple[PackageValueView, ...] = ()
    """As they are now, on a person's statement."""
    grants: tuple[GrantValueView, ...] = ()
    """Those by hand that could be spent in the period, as they are now."""


@dataclass(frozen=True, slots=True)
class ShareView:
    """A row of a breakdown (by team or tier)."""

    name: str
    gpu_ms: int
    charged: int
    unfunded: int
    engineers: int
    cost_micro: int | None = None
    energy_joules: int | None = None
    watts: int | None = None
    """What one of its GPUs drew in the mean, where that was read."""
    efficiency_permille: int | None = None


@dataclass(frozen=True, slots=True)
class MonthView:
    """A period for finance. `buckets` say where every GPU-millisecond of capacity went; they sum to `capacity`."""

    period: str
    starts_at: Instant
    ends_at: Instant
    charged: int
    gpu_ms: int
    unfunded: int
    refunded: int
    granted: int
    outstanding: int
    by_team: tuple[ShareView, ...]
    by_tier: tuple[ShareView, ...]
    by_gpu_class: tuple[ShareView, ...]
    buckets: tuple[tuple[str, int], ...] = ()
    capacity: int = 0
    checks: tuple[tuple[str, bool, str], ...] = field(default_factory=tuple)
    """(check, holds, detail), such as cached balances equal the journal."""
    currency: str | None = None
    price_book: str = ""
    cost_micro: int | None = None
    no_cost_because: str = ""
    tokens_micro: int = 0
    """What of the cost tokens of models are: they are no GPU time, and in no share."""
    energy_joules: int | None = None
