"""A statement as rows of a spreadsheet: every line, amounts exact and never below zero, text that is no formula."""

from collections.abc import Iterator, Mapping

from scheduler.domain.money import MICRO_PER_UNIT, decimal_text
from scheduler.domain.periods import iso
from scheduler.domain.reasons import Reason
from scheduler.domain.units import JOULES_PER_KWH, MS_PER_HOUR, Instant
from scheduler.finance.csv_text import safe
from scheduler.lifecycle.views.statement_shapes import StatementLine, StatementView
from scheduler.lifecycle.views.unit_shapes import Corrected, ReturnedView, UnitLine, UnitView

HEADER = (
    "at",
    "kind",
    "text",
    "in_hours",
    "out_hours",
    "in_ms",
    "out_ms",
    "attempt_id",
    "workload_id",
    "workload_name",
    "used_by",
    "project",
    "pool",
    "gpu_class",
    "gpus",
    "gpu_seconds",
    "weight_per_mille",
    "class_factor_per_mille",
    "overrun_ms",
    "unfunded_ms",
    "price_per_gpu_hour",
    "cost",
    "credit",
    "currency",
    "energy_kwh",
    "electricity_cost",
    "efficiency_percent",
    "unit",
    "in_quantity",
    "out_quantity",
    "efficiency_measure",
    "idle_percent",
    "memory_bytes_max",
    "returned_quantity",
    "price_per_million_tokens",
    "electricity_unknown_from",
    "holder",
)
NOTHING: Mapping[str, str] = {}


def statement_rows(view: StatementView) -> Iterator[tuple[str, ...]]:
    """The opening balance, the lines, what is held and the closing balance; without money where nothing has a price."""
    yield _balance(view.starts_at, "opening", view.opening)
    for line in view.lines:
        yield _row(line, view.currency or "")
    for corrected in view.corrections:
        yield _corrected(corrected, view.currency or "")
    for returned in view.returned:
        yield _returned(returned)
    yield _balance(Instant(view.ends_at - 1), "held", view.held)
    yield _balance(Instant(view.ends_at - 1), "closing", view.closing)
    for other in view.others:
        yield from _other_rows(view, other)


def _corrected(corrected: Corrected, currency: str) -> tuple[str, ...]:
    """Money alone: with it the costs less the credits are what the period costs."""
    cells = {
        "at": iso(corrected.at),
        "kind": "correction",
        "text": safe(corrected.text),
        **_money(corrected.cost_micro, currency),
    }
    return tuple(cells.get(name, "") for name in HEADER)


def _money(micro: int, currency: str) -> dict[str, str]:
    return {"cost" if micro >= 0 else "credit": decimal_text(abs(micro), least=2), "currency": currency}


def _returned(returned: ReturnedView) -> tuple[str, ...]:
    """What idle work gave back of its holds, and why. It stands in a column of its own: it was never charged."""
    done = "suspended" if returned.reason == Reason.IDLE else "ended"
    cells = {
        "at": iso(returned.at),
        "kind": "returned",
        "text": safe(f"{returned.shown} of {returned.workload_name} came back: {done} while its GPUs were idle"),
        "attempt_id": returned.attempt_id,
        "workload_id": returned.workload_id,
        "workload_name": safe(returned.workload_name),
        "unit": returned.unit,
        "returned_quantity": str(returned.quantity),
    }
    return tuple(cells.get(name, "") for name in HEADER)


def _other_rows(view: StatementView, other: UnitView) -> Iterator[tuple[str, ...]]:
    """Another unit's opening, lines, held and closing: what is promised stands in no column of what came or went."""
    end = Instant(view.ends_at - 1)
    yield _quantity(other, view.starts_at, "opening", "", other.quantities["opening"])
    for line in other.lines:
        if line.kind not in {"promise", "clawback"}:
            yield _quantity(other, line.at, line.kind, line.text, line.quantity, _drawn(view, line))
    yield _quantity(other, end, "held", "", -other.quantities["held"])
    yield _quantity(other, end, "closing", "", -other.quantities["closing"])


def _drawn(view: StatementView, line: UnitLine) -> Mapping[str, str]:
    """The attempt that drew it, its physical time and what that is worth; of tokens the price of a million."""
    cells = {"holder": safe(line.holder)}
    if line.attempt_id:
        cells |= {
            "attempt_id": line.attempt_id,
            "workload_id": line.workload_id,
            "gpu_class": safe(line.gpu_class),
            "gpus": str(line.gpus),
            "gpu_seconds": decimal_text(line.gpu_ms, 3),
        }
    if line.per_million_micro is not None:
        cells["price_per_million_tokens"] = decimal_text(line.per_million_micro, least=2)
    if line.cost_micro is not None:
        side = "credit" if line.cost_micro < 0 else "cost"
        cells |= {side: decimal_text(abs(line.cost_micro)), "currency": view.currency or ""}
    return cells


def _quantity(
    other: UnitView, at: Instant, kind: str, text: str, quantity: int, more: Mapping[str, str] = NOTHING
) -> tuple[str, ...]:
    side = "in_quantity" if quantity >= 0 else "out_quantity"
    cells = {"at": iso(at), "kind": kind, "text": safe(text), "unit": other.unit, side: str(abs(quantity)), **more}
    return tuple(cells.get(name, "") for name in HEADER)


def _balance(at: Instant, kind: str, amount: int) -> tuple[str, ...]:
    """A balance stands in the columns of what came in: with the lines' ins less their outs it adds up."""
    cells = {"at": iso(at), "kind": kind, **_amounts(amount if kind == "opening" else -amount)}
    return tuple(cells.get(name, "") for name in HEADER)


def _amounts(amount: int) -> dict[str, str]:
    side = "in" if amount >= 0 else "out"
    return {f"{side}_hours": _hours(abs(amount)), f"{side}_ms": str(abs(amount))}


def _row(line: StatementLine, currency: str) -> tuple[str, ...]:
    cells = {
        "at": iso(line.at),
        "kind": line.kind,
        "text": safe(line.text),
        "holder": safe(line.holder),
        **_amounts(line.amount),
        "workload_name": safe(line.workload_name),
        "project": safe(line.project),
    }
    if line.attempt_id:
        cells |= {
            "attempt_id": line.attempt_id,
            "workload_id": line.workload_id,
            "used_by": line.used_by,
            "pool": safe(line.pool),
            "gpu_class": safe(line.gpu_class),
            "gpus": str(line.gpus),
            "gpu_seconds": line.gpu_seconds,
            "weight_per_mille": str(line.weight),
            "class_factor_per_mille": str(line.class_factor),
            "overrun_ms": str(max(0, line.overrun)),
            "unfunded_ms": str(line.unfunded),
            "price_per_gpu_hour": " ".join(decimal_text(p.effective_micro, least=2) for p in line.prices),
        }
    if line.cost_micro is not None:
        cells |= _money(line.cost_micro, currency)
    if line.energy_joules is not None:
        cells["energy_kwh"] = decimal_text(line.energy_joules * MICRO_PER_UNIT // JOULES_PER_KWH)
    if line.electricity_micro is not None:
        cells["electricity_cost"] = decimal_text(line.electricity_micro)
    if line.electricity_unknown_from is not None:
        cells["electricity_unknown_from"] = iso(line.electricity_unknown_from)
    if line.efficiency_permille is not None:
        cells["efficiency_percent"] = decimal_text(line.efficiency_permille, 1)
        cells["efficiency_measure"] = line.efficiency_measure
    if line.idle_permille is not None:
        cells["idle_percent"] = decimal_text(line.idle_permille, 1)
    if line.memory_bytes_max is not None:
        cells["memory_bytes_max"] = str(line.memory_bytes_max)
    return tuple(cells.get(name, "") for name in HEADER)


def _hours(gpu_ms: int) -> str:
    """Six decimals, rounded half up: for reading; the milliseconds beside them are exact."""
    return decimal_text((gpu_ms * MICRO_PER_UNIT + MS_PER_HOUR // 2) // MS_PER_HOUR, least=1)
