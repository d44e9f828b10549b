"""Who gained and who lost from one policy to another, as rows with a bar each. Engineers are counted, never named."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from scheduler.domain.units import MS_PER_SECOND
from scheduler.domain.wording import agreeing
from scheduler.entrypoints.replay_page.charts import strip, two_sided
from scheduler.entrypoints.web.formatting import DASH, MINUS, duration, grouped

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A table's row: its name, a cell for each policy, and how the second differs from the first."""

    name: str
    cells: Sequence[str]
    change: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A row with a bar to either side."""

    name: str
    bar: Markup
    text: str


def signed(value: float, digits: int) -> str:
    """With its sign and thin spaces: +1 234, −0.031; 0 for what rounds to nothing."""
    rounded = round(value, digits)
    if not rounded:
        return "0"
    whole, _, rest = f"{abs(rounded):.{digits}f}".partition(".")
    text = grouped(int(whole)) + (f".{rest}" if rest else "")
    return f"+{text}" if rounded > 0 else f"{MINUS}{text}"


def signed_duration(change_ms: int) -> str:
    """With its sign; less than a second is no change."""
    if abs(change_ms) < MS_PER_SECOND:
        return "0"
    return f"{'+' if change_ms > 0 else MINUS}{duration(abs(change_ms))}"


def comparison(compared: Json) -> Json:
    """What the page's template shows of one comparison."""
    changes = [engineer["gpu_hours_change"] for engineer in compared["engineers"]]
    return {
        "from": compared["from"],
        "to": compared["to"],
        "sentence": _sentence(compared),
        "strip": strip(_sentence(compared), changes),
        "hours": _hours(compared),
        "waits": _waits(compared),
    }


def _sentence(compared: Json) -> str:
    gained, lost = compared["engineers_gained"], compared["engineers_lost"]
    count = len(compared["engineers"])
    same = count - gained - lost
    return (
        f"Of {grouped(count)} {agreeing(count, 'engineer', 'engineers')}, {grouped(gained)} "
        f"{agreeing(gained, 'gets', 'get')} more GPU-hours served under {compared['to']}, {grouped(lost)} "
        f"{agreeing(lost, 'gets', 'get')} fewer, {grouped(same)} the same."
    )


def _hours(compared: Json) -> list[Change]:
    rows = [(row["team"], row) for row in compared["by_team"]]
    rows += [(f"tier {row['tier']}", row) for row in compared["by_tier"]]
    changes = [(name, row["gpu_hours_after"] - row["gpu_hours_before"]) for name, row in rows]
    most = max((abs(change) for _, change in changes), default=0.0) or 1.0
    return [
        Change(name, two_sided(f"{name}: {signed(change, 0)}", change / most, is_more_better=True), signed(change, 0))
        for name, change in changes
    ]


def _waits(compared: Json) -> list[Change]:
    changes = [
        (f"{row['class']}, {row['tier']}", row["mean_wait_change_ms"]) for row in compared["by_class_and_tier"]
    ]
    most = max((abs(change or 0) for _, change in changes), default=0) or 1
    rows: list[Change] = []
    for name, change in changes:
        text = DASH if change is None else signed_duration(change)
        rows.append(Change(name, two_sided(f"{name}: {text}", (change or 0) / most, is_more_better=False), text))
    return rows
