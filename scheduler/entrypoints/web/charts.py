"""Charts as inline SVG, made here and labelled directly: no script, no legend where a label does.

Shapes are drawn in a stretched inner box and labels in the outer one, so that text keeps its size at any width.
Colours are classes of the style sheet; nothing here is styled inline, which the content policy would refuse.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from scheduler.domain.units import Instant
from scheduler.entrypoints.web.formatting import hours, percent
from scheduler.entrypoints.web.moments import Moments
from scheduler.entrypoints.web.svg import svg
from scheduler.lifecycle.views.shapes import BalanceView

_SCALE = 1000
_PLOT_TOP, _PLOT_HEIGHT, _AXIS_BASELINE = 14, 150, 184
_LABEL_ROOM = 180  # per mille of a phone's width that a label at an end and half of "today" need


@dataclass(frozen=True, slots=True)
class Span:
    """Maps [start, end] to 0 … 1000, cut at both ends."""

    start: int
    end: int

    def place(self, value: int) -> int:
        if self.end <= self.start:
            return 0
        return max(0, min(_SCALE, (value - self.start) * _SCALE // (self.end - self.start)))


def _points(points: Sequence[tuple[int, int]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)


def _of_width(per_mille: int) -> str:
    return f"{per_mille / 10:g}%"


def hours_curve(balance: BalanceView, moments: Moments) -> Markup:
    """Hours left over the period: what was, the plan as a dashed line, and the forecast as a band."""
    now = moments.now
    across = Span(balance.period_starts_at, balance.period_ends_at)
    top = max([1, balance.granted, balance.available, *(left for _, left in balance.history)])
    up = Span(0, top)

    def point(instant: int, left: int) -> tuple[int, int]:
        return across.place(instant), _SCALE - up.place(left)

    past = [point(at, left) for at, left in balance.history if at <= now]
    here = point(now, balance.available)
    parts = []
    if balance.runs_out is not None:
        parts.append(f'<polygon class="band" points="{_points(_band(balance, here, across, now))}"/>')
    parts.append(f'<line class="plan" x1="0" y1="{_SCALE - up.place(balance.granted)}" x2="1000" y2="1000"/>')
    parts.append(f'<polyline class="left" points="{_points([*past, here])}"/>')
    today_y = _PLOT_TOP + here[1] * _PLOT_HEIGHT // _SCALE
    labels = [
        f'<circle class="here" cx="{_of_width(here[0])}" cy="{today_y}" r="4"/>',
        _plan_label(balance, here, up),
        *_axis_labels(balance, here[0], moments),
    ]
    name = f"{hours(balance.available)} hours left of {hours(balance.granted)} granted for {balance.period_name}"
    box = f'y="{_PLOT_TOP}" width="100%" height="{_PLOT_HEIGHT}"'
    return svg(
        f'class="curve" role="img" aria-label="{escape(name)}" width="100%" height="190"',
        svg(f'{box} viewBox="0 0 1000 1000" preserveAspectRatio="none" overflow="visible"', *parts),
        *labels,
    )


def _band(balance: BalanceView, here: tuple[int, int], across: Span, now: Instant) -> list[tuple[int, int]]:
    """From here to the two ends of the forecast, cut where the period ends."""
    assert balance.runs_out is not None, "a band needs a forecast"
    edge = []
    for runs_out in balance.runs_out:
        if runs_out <= balance.period_ends_at:
            edge.append([(across.place(runs_out), _SCALE)])
            continue
        left_at_end = (_SCALE - here[1]) * (runs_out - balance.period_ends_at) // max(1, runs_out - now)
        edge.append([(_SCALE, _SCALE - left_at_end)])
    corner = [(_SCALE, _SCALE)] if edge[0][0][0] < _SCALE and edge[1][0][1] < _SCALE else []
    return [here, *edge[0], *corner, *edge[1]]


def _plan_label(balance: BalanceView, here: tuple[int, int], up: Span) -> str:
    """`plan`, on the side of its line where the curve is not."""
    at = 180 if here[0] > 360 else 780
    line_y = _SCALE - up.place(balance.granted * (_SCALE - at) // _SCALE)
    is_curve_above = balance.pace >= 0
    offset, anchor = (16, "end") if is_curve_above else (-6, "start")
    y = _PLOT_TOP + line_y * _PLOT_HEIGHT // _SCALE + offset
    return f'<text class="faint" x="{_of_width(at)}" y="{y}" text-anchor="{anchor}">plan</text>'


def _axis_labels(balance: BalanceView, today: int, moments: Moments) -> list[str]:
    labels = [(today, "today", "middle" if _LABEL_ROOM // 2 < today < _SCALE - _LABEL_ROOM // 2 else "")]
    if today > _LABEL_ROOM:
        labels.append((0, moments.day(balance.period_starts_at), "start"))
    if today < _SCALE - _LABEL_ROOM:
        labels.append((_SCALE, moments.day(balance.period_ends_at), "end"))
    return [
        f'<text x="{_of_width(x)}" y="{_AXIS_BASELINE}" '
        f'text-anchor="{anchor or ("start" if x < _SCALE // 2 else "end")}">{escape(text)}</text>'
        for x, text, anchor in labels
    ]


def bar(part: int, whole: int, held: int = 0) -> Markup:
    """A share as a bar: what is left, then what is held in a lighter shade. The numbers stand beside it."""
    share = Span(0, max(1, whole)).place(part)
    both = Span(0, max(1, whole)).place(part + held)
    held_part = f'<rect class="held" width="{_of_width(both)}" height="100%"/>' if both > share else ""
    return svg(
        'class="bar" aria-hidden="true" width="100%" height="8"',
        '<rect class="ground" width="100%" height="100%"/>',
        held_part,
        f'<rect class="part" width="{_of_width(share)}" height="100%"/>',
    )


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a whole: `key` is the class that colours it."""

    key: str
    label: str
    amount: int
    share: str


def segments(buckets: Sequence[tuple[str, int]], capacity: int) -> list[Segment]:
    return [Segment(_key(name), name, amount, percent(amount, capacity)) for name, amount in buckets]


def _key(name: str) -> str:
    """A bucket's name as a class: letters and dashes only."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())


def stacked_bar(parts: Sequence[Segment], whole: int) -> Markup:
    """Where everything went, as one bar; the list beneath it names the parts with their numbers."""
    across = Span(0, max(1, whole))
    drawn, upto = [], 0
    for part in parts:
        start, end = across.place(upto), across.place(upto + part.amount)
        upto += part.amount
        if end <= start:
            continue
        title = f"{part.label}: {hours(part.amount)} GPU-hours, {part.share} %"
        drawn.append(
            f'<rect class="b-{part.key}" x="{_of_width(start)}" width="{_of_width(end - start)}" height="100%">'
            f"<title>{escape(title)}</title></rect>"
        )
    name = ", ".join(f"{part.label} {part.share} %" for part in parts)
    return svg(f'class="stack" role="img" aria-label="{escape(name)}" width="100%" height="24"', *drawn)


def sparkline(history: Sequence[tuple[Instant, int]], starts_at: Instant, ends_at: Instant) -> Markup:
    """The course of a number over a period, without axes: its last value stands beside it."""
    top = max([1, *(left for _, left in history)])
    across, up = Span(starts_at, ends_at), Span(0, top)
    points = [(across.place(at), _SCALE - up.place(left)) for at, left in history]
    return svg(
        'class="spark" aria-hidden="true" width="100%" height="120" viewBox="0 -40 1000 1080" '
        'preserveAspectRatio="none"',
        f'<polyline class="left" points="{_points(points)}"/>',
    )
