"""The curve of an attempt's use as a drawing: what an idle decision rests on, seen at a glance."""

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup, escape

from scheduler.domain.idleness import CurvePoint
from scheduler.entrypoints.web.moments import Moments
from scheduler.entrypoints.web.svg import svg

WIDTH, HEIGHT = 600, 64


def use_curve(points: Sequence[CurvePoint], moments: Moments) -> Markup:
    """A bar a part: as high as the highest sample of any GPU in it. What was not read is a hole. Every bar says when,
    in which state, how busy and at what power."""
    starts_at, ends_at = points[0].start, points[-1].end
    scale = WIDTH / max(1, ends_at - starts_at)
    # Where windows go over the parts' edges, a part ends after the next one has begun.
    ends = [min(point.end, later.start) for point, later in pairwise(points)] + [ends_at]
    bars = [
        _bar(point, (point.start - starts_at) * scale, (end - point.start) * scale, moments)
        for point, end in zip(points, ends, strict=True)
    ]
    states = ", ".join(sorted({point.state for point in points}))
    name = f"Use from {moments.full(starts_at)} to {moments.full(ends_at)}: {states}"
    return svg(
        f'class="use" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name)}" width="100%" height="{HEIGHT}" '
        'preserveAspectRatio="none"',
        *bars,
    )


def _bar(point: CurvePoint, x: float, width: float, moments: Moments) -> str:
    if point.percent_max is None:
        return ""
    height = max(2, HEIGHT * point.percent_max // 100)
    watts = "" if point.milliwatts is None else f", {point.milliwatts // 1_000} W"
    told = f"{moments.full(point.start)}: {point.state}, at most {point.percent_max} %{watts}"
    return (
        f'<rect x="{x:.1f}" y="{HEIGHT - height}" width="{max(1.0, width - 0.5):.1f}" height="{height}" '
        f'class="{escape(point.state)}"><title>{escape(told)}</title></rect>'
    )
