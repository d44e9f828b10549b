"""The page's charts as inline SVG. Shapes stand in a stretched box, labels outside it, so that text keeps its size.

Colours are classes of the page's style (`p0`, `p1`, …, one a policy); every chart says in words what it shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from scheduler.entrypoints.replay_page.axis import Tick
from scheduler.entrypoints.web.svg import svg

_PLOT_HEIGHT, _TOP, _AXIS, _LINE = 190, 16, 24, 16


@dataclass(frozen=True, slots=True)
class Course:
    """One policy's numbers over time. `key` is its colour's class."""

    key: str
    name: str
    values: Sequence[float]


def courses(
    title: str,
    drawn: Sequence[Course],
    top: float,
    ticks: Sequence[tuple[float, str]],
    axis: Sequence[Tick],
) -> Markup:
    """Lines over time. `ticks` are (value, label) on the left, `axis` is below."""
    lines = [f'<polyline class="line {course.key}" points="{_points(course.values, top)}"/>' for course in drawn]
    grid = [
        f'<line class="grid" x1="0" x2="1000" y1="{_y(value, top)}" y2="{_y(value, top)}"/>' for value, _ in ticks
    ]
    labels = [
        f'<text class="tick" x="0" y="{_TOP + _y(value, top) * _PLOT_HEIGHT / 1000 - 4:.1f}">{escape(text)}</text>'
        for value, text in ticks
    ]
    labels += [
        f'<text class="tick{" between" if tick.is_between else ""}" x="{tick.share * 100:.2f}%" '
        f'y="{_TOP + _PLOT_HEIGHT + below}" text-anchor="{_anchor(tick.share)}">{escape(text)}</text>'
        for tick in axis
        for below, text in ((17, tick.label), (17 + _LINE, tick.below))
        if text
    ]
    box = f'y="{_TOP}" width="100%" height="{_PLOT_HEIGHT}" viewBox="0 0 1000 1000" preserveAspectRatio="none"'
    height = _TOP + _PLOT_HEIGHT + _AXIS + (_LINE if any(tick.below for tick in axis) else 0)
    return svg(
        f'role="img" aria-label="{escape(title)}" width="100%" height="{height}"', svg(box, *grid, *lines), *labels
    )


def bars(shares: Sequence[tuple[str, float]]) -> Markup:
    """One bar below the other, a policy each: (colour's class, share of the longest). Their numbers stand beside."""
    drawn = [
        f'<rect class="bar {key}" y="{number * 9}" width="{share * 100:.2f}%" height="7"/>'
        for number, (key, share) in enumerate(shares)
    ]
    return svg(f'aria-hidden="true" width="100%" height="{9 * len(shares)}"', *drawn)


def two_sided(title: str, share: float, *, is_more_better: bool) -> Markup:
    """A bar from the middle: to the right for more, to the left for less; green where that is better, red where not.
    `share` is of the largest of its table."""
    width = min(1.0, abs(share)) * 50
    x = 50.0 if share >= 0 else 50 - width
    key = "gain" if (share >= 0) is is_more_better else "loss"
    return svg(
        f'class="two-sided" role="img" aria-label="{escape(title)}" width="100%" height="14"',
        '<line class="grid" x1="50%" x2="50%" y1="0" y2="14"/>',
        f'<rect class="{key}" x="{x:.2f}%" y="2" width="{width:.2f}%" height="10"/>',
    )


def strip(title: str, changes: Sequence[float]) -> Markup:
    """Every engineer as one bar, from who lost most to who gained most; nobody is named."""
    most = max((abs(change) for change in changes), default=0.0) or 1.0
    step = 1000 / max(1, len(changes))
    bars = [
        f'<rect class="{"gain" if change > 0 else "loss"}" x="{number * step:.2f}" width="{step * 0.8:.2f}" '
        f'y="{500 - max(0.0, change) / most * 500:.1f}" height="{abs(change) / most * 500:.1f}"/>'
        for number, change in enumerate(changes)
    ]
    middle = '<line class="grid" x1="0" x2="1000" y1="500" y2="500"/>'
    return svg(
        f'role="img" aria-label="{escape(title)}" width="100%" height="120"',
        svg('width="100%" height="120" viewBox="0 0 1000 1000" preserveAspectRatio="none"', middle, *bars),
    )


def _points(values: Sequence[float], top: float) -> str:
    step = 1000 / max(1, len(values) - 1)
    return " ".join(f"{number * step:.1f},{_y(value, top)}" for number, value in enumerate(values))


def _y(value: float, top: float) -> float:
    """From the top, in the stretched box of a thousand."""
    return round(1000 - 1000 * min(1.0, value / top), 1) if top else 1000.0


def _anchor(share: float) -> str:
    return "start" if share < 0.04 else "end" if share > 0.96 else "middle"
