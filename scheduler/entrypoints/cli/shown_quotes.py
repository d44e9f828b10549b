"""How a quote, and the forecast of what waits, look in a terminal."""

from typing import Any

from scheduler.domain.reasons import Reason
from scheduler.domain.wording import counted
from scheduler.entrypoints.cli.output import (
    Column,
    hours_of,
    moment,
    print_fields,
    print_table,
    print_text,
    told,
    utc,
)


def show_quote(found: dict[str, Any], verdict: str = "") -> None:
    """The answer first, then its cost, then what would be sooner. What the verdict above it says is not said again."""
    print_text(_answer(found), style="bold")
    why = told(f"{found['sentence']} {found['next_step']}".strip())
    if not found["starts_now"] and why != verdict:
        print_text(why)
    if found["warning"]:
        print_text(told(found["warning"]), style="yellow")
    if found["confirmation"]:
        print_text(found["confirmation"], style="yellow")
    print_fields(
        (
            ("starts", band(found)),
            ("charged", f"{hours_of(found, 'asked')} for {_all_of_it(found)} on {found['gpu_class']}"),
            ("held at start", _held(found)),
            ("paid with", "; ".join(map(_payer, found["payers"])) or _nobody(found)),
            ("available", _available(found)),
            ("money", money(found, found["currency"])),
        )
    )
    if len(found["classes"]) > 1:
        print_text("\nIt starts on whichever has room first", style="bold")
        rows = [
            (c["gpu_class"], band(c), hours_of(c, "asked"), money(c, found["currency"])) for c in found["classes"]
        ]
        print_table(_CLASSES, rows)
    if found["sooner"]:
        print_text("\nSooner with", style="bold")
        columns = (Column("CHANGE", width_max=36), _STARTS, Column("CHARGED", is_number=True))
        print_table(columns, [(s["change"], band(s), hours_of(s, "asked")) for s in found["sooner"]])


_STARTS = Column("STARTS", width_max=29)

_CLASSES = (
    Column("GPU CLASS", width_max=16),
    _STARTS,
    Column("CHARGED", is_number=True),
    Column("MONEY", is_number=True),
)


def band(found: dict[str, Any]) -> str:
    """From when until when, or now; the day is said once where it is the same."""
    if found.get("starts_now"):
        return "now"
    if found["starts_from"] is None:
        return "no start is foreseen"
    first, last = moment(found["starts_from"]), utc(found["starts_until"])
    if utc(found["starts_from"]) == last:
        return f"about {last}"
    day = first.split()[0]
    return f"{first} to {last.removeprefix(day).strip()}"


def money(found: dict[str, Any], currency: str) -> str:
    return "no price is known" if found["cost"] is None else f"{found['cost']} {currency}"


def _held(found: dict[str, Any]) -> str:
    """By each index, and how many of these there are at once; of elastic work for how many pods."""
    of_pods = f" for {counted(found['held_pods'], 'pod')}" if found["held_pods"] is not None else ""
    by_each = " by each index" if found["indexes"] > 1 else ""
    together = f", {found['at_once']:,} of them at once" if by_each and found["at_once"] is not None else ""
    return hours_of(found, "held") + of_pods + by_each + together


def _all_of_it(found: dict[str, Any]) -> str:
    indexes = found["indexes"]
    return "the whole time limit" + (f" of {indexes:,} indexes" if indexes > 1 else "")


def _nobody(found: dict[str, Any]) -> str:
    if found["booking_id"]:
        return f"the booking {found['booking_id']}, inside which it starts"
    return "nobody pays: not enough is left" if found["held_ms"] else "nobody pays"


def _payer(payer: dict[str, Any]) -> str:
    return f"{payer['shown']} from {payer['name']}" + (f" {payer['terms']}" if payer["terms"] else "")


def _available(found: dict[str, Any]) -> str:
    of_it = f", of which {hours_of(found, 'overdraft')} are overdraft" if found["overdraft_ms"] else ""
    is_pay = any(payer["terms"] for payer in found["payers"])
    counted_so = ", pay counted as what it buys" if is_pay else ""
    return hours_of(found, "available") + of_it + counted_so + _enough_for(found)


def _enough_for(found: dict[str, Any]) -> str:
    """Of an array, for how many of its indexes, where not for all."""
    available, asked, indexes = found["available_ms"], found["asked_ms"], found["indexes"]
    return (
        f", enough for {available * indexes // asked:,} of {indexes:,} indexes"
        if available < asked and indexes > 1
        else ""
    )


def _answer(found: dict[str, Any]) -> str:
    if found["starts_now"]:
        return "It would start now."
    if found["victims"] and found["reason"] != Reason.PREEMPTION_DELAY:
        victims = counted(found["victims"], "workload has", "workloads have")
        return f"It would start as soon as {victims} given way."
    return "It would wait."
