"""The operator's instrument: every GPU as a cell, grouped by node and GPU class, coloured by what was asked.

One small SVG a node, so that the map wraps at any width; one path a colour in it, so that ten thousand GPUs stay a
page. Meaning is in the shape too: idle is hollow, drained is struck, unknown has a hole.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from markupsafe import Markup, escape

from scheduler.entrypoints.web.formatting import grouped
from scheduler.entrypoints.web.svg import svg
from scheduler.lifecycle.views.shapes import GpuView, NodeView

_COLUMNS = 4
_HUES = 7  # as many as can be told apart; who comes after shares one grey
_BUSY_LEVELS = ((75, "busy"), (50, "half"), (0, "light"))


Colour = Callable[[NodeView, GpuView], str]
"""The class that colours a GPU."""


class ColourBy(StrEnum):
    UTILISATION = "utilisation"
    OWNER = "owner"
    CLASS = "class"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Key:
    """What a colour means, and how many GPUs have it."""

    css: str
    label: str
    gpus: int
    swatch: Markup


@dataclass(frozen=True, slots=True)
class MapNode:
    name: str
    svg: Markup
    label: str


@dataclass(frozen=True, slots=True)
class MapSection:
    """The nodes of one GPU class."""

    gpu_class: str
    nodes: tuple[MapNode, ...]
    gpus: int
    free: int


@dataclass(frozen=True, slots=True)
class GpuMap:
    colour_by: ColourBy
    sections: tuple[MapSection, ...]
    keys: tuple[Key, ...]
    is_dense: bool


@dataclass(frozen=True, slots=True)
class _Cells:
    """The size of a cell, the gap after it, and how far its outline lies inside, in pixels: an outline that is drawn
    in the fill's colour rounds the corners.
    """

    size: int
    gap: int
    inset: int

    @property
    def is_dense(self) -> bool:
        return self.inset == 0

    def box(self, gpus: int) -> tuple[int, int]:
        columns, rows = min(_COLUMNS, max(1, gpus)), -(-max(1, gpus) // _COLUMNS)
        pitch = self.size + self.gap
        return columns * pitch - self.gap, rows * pitch - self.gap

    def path(self, position: int, shape: str) -> str:
        pitch = self.size + self.gap
        x, y = position % _COLUMNS * pitch, position // _COLUMNS * pitch
        size = self.size
        match shape:
            case "struck":
                return f"M{x + 1} {y + size - 1}l{size - 2}-{size - 2}"
            case _:
                inset = 1 if shape == "hollow" else self.inset
                side, third = size - 2 * inset, size // 3
                hole = f"m{third} {third}v{third}h{third}v-{third}z" if shape == "pierced" else ""
                return f"M{x + inset} {y + inset}h{side}v{side}h-{side}z{hole}"


_ROOMY, _DENSE = _Cells(10, 2, 1), _Cells(5, 1, 0)
_DENSE_FROM_GPUS = 1600

_SHAPES = {"idle": "hollow", "drained": "struck", "unknown": "pierced"}
_STATE_LABELS = {
    "busy": "busy",
    "half": "half busy",
    "light": "light",
    "idle": "held idle",
    "free": "free",
    "outside": "outside",
    "drained": "drained",
    "unknown": "in use, not read",
}


def gpu_map(nodes: Sequence[NodeView], colour_by: ColourBy) -> GpuMap:
    """The map of all nodes, in the order of their class and name."""
    gpus = [gpu for node in nodes for gpu in node.gpus]
    is_dense = len(gpus) > _DENSE_FROM_GPUS
    cells = _DENSE if is_dense else _ROOMY
    colour, labels = _colouring(nodes, colour_by)
    pen = _Pen(cells, colour, Counter())
    sections = []
    ordered = sorted(nodes, key=lambda node: (node.gpu_class, node.name))
    for gpu_class, members in groupby(ordered, key=lambda node: node.gpu_class):
        drawn = []
        own = list(members)
        for node in own:
            drawn.append(MapNode(node.name, pen.node(node), _node_label(node)))
        total = sum(len(node.gpus) for node in own)
        sections.append(MapSection(gpu_class or "other", tuple(drawn), total, sum(node.free for node in own)))
    keys = tuple(
        Key(css, label, pen.counts[css], _swatch(css))
        for css, label in labels.items()
        if pen.counts[css] or css == "idle"
    )
    return GpuMap(colour_by, tuple(sections), keys, is_dense)


def _colouring(nodes: Sequence[NodeView], colour_by: ColourBy) -> tuple[Colour, dict[str, str]]:
    """A colour for each GPU, as a class, and what the classes mean, in the order of the key."""
    if colour_by is ColourBy.UTILISATION:
        return (lambda _, gpu: _level(gpu)), _STATE_LABELS
    if colour_by is ColourBy.STATE:
        return (lambda _, gpu: f"s-{gpu.state}" if gpu.state in {"busy", "light"} else gpu.state), {
            "idle": "held idle",
            "s-light": "light",
            "s-busy": "busy",
            **{state: _STATE_LABELS[state] for state in ("free", "outside", "drained", "unknown")},
        }
    if colour_by is ColourBy.CLASS:
        names = _most_common(node.gpu_class for node in nodes for _ in node.gpus)
        return (lambda node, gpu: _hue(names, node.gpu_class, gpu)), _hue_labels(names, "other classes")
    holders = (_holder(gpu) for node in nodes for gpu in node.gpus)
    names = _most_common(name for name in holders if name)
    return (lambda _, gpu: _hue(names, _holder(gpu), gpu)), _hue_labels(names, "everyone else")


def _level(gpu: GpuView) -> str:
    """The state, with busy split by utilisation where there is a reading."""
    if gpu.state not in {"busy", "light"} or gpu.utilization_percent is None:
        return gpu.state
    return next(name for least, name in _BUSY_LEVELS if gpu.utilization_percent >= least)


def _holder(gpu: GpuView) -> str:
    """Whose GPU it is, as far as the reader may see: the owner, else the team."""
    return gpu.owner or gpu.team


def _most_common(names: Iterable[str]) -> list[str]:
    counts = Counter(names)
    return sorted(counts, key=lambda name: (-counts[name], name))


def _hue(names: Sequence[str], name: str, gpu: GpuView) -> str:
    if gpu.state in {"free", "outside", "drained"}:
        return gpu.state
    rank = names.index(name) if name in names[:_HUES] else _HUES
    return f"h{rank}"


def _hue_labels(names: Sequence[str], rest: str) -> dict[str, str]:
    labels = {f"h{rank}": name for rank, name in enumerate(names[:_HUES])}
    labels[f"h{_HUES}"] = rest
    return {**labels, **{state: _STATE_LABELS[state] for state in ("free", "outside", "drained")}}


@dataclass(frozen=True, slots=True)
class _Pen:
    """Draws nodes one after the other and counts what it drew in which colour."""

    cells: _Cells
    colour: Colour
    counts: Counter[str]

    def node(self, node: NodeView) -> Markup:
        """One group per workload on the node, named by its title; one path per colour in it."""
        width, height = self.cells.box(len(node.gpus))
        by_workload: dict[str, list[tuple[int, GpuView]]] = {}
        for position, gpu in enumerate(node.gpus):
            by_workload.setdefault(gpu.workload_id or gpu.state, []).append((position, gpu))
        groups = (self._group(node, members) for members in by_workload.values())
        return svg(f'width="{width}" height="{height}"', *groups)

    def _group(self, node: NodeView, members: Sequence[tuple[int, GpuView]]) -> str:
        paths: dict[str, list[str]] = {}
        for position, gpu in members:
            css = self.colour(node, gpu)
            self.counts[css] += 1
            paths.setdefault(css, []).append(self.cells.path(position, _SHAPES.get(css, "")))
        drawn = "".join(f'<path class="{css}" d="{"".join(shapes)}"/>' for css, shapes in paths.items())
        title = escape(_title(node, [gpu for _, gpu in members], self.cells.is_dense))
        return f"<g><title>{title}</title>{drawn}</g>"


def _title(node: NodeView, gpus: Sequence[GpuView], is_dense: bool) -> str:
    """What hovering names: the GPUs, the workload and its owner, utilisation and watts, one by one where few."""
    first = gpus[0]
    lines = [f"{node.name}, GPU {_numbers([gpu.index for gpu in gpus])} ({node.gpu_class})"]
    if first.workload_name:
        who = ", ".join(part for part in (first.owner, first.team) if part)
        lines.append(f"{first.workload_name} · {who}" if who else first.workload_name)
    else:
        lines.append(_STATE_LABELS.get(first.state, first.state))
    readings = _means if is_dense else _readings
    if first.workload_name and any(gpu.utilization_percent is not None for gpu in gpus):
        lines.append(f"{readings([gpu.utilization_percent for gpu in gpus])} %")
    if any(gpu.power_watts is not None for gpu in gpus):
        lines.append(f"{readings([gpu.power_watts for gpu in gpus])} W")
    return "\n".join(lines)


def _numbers(indices: Sequence[int]) -> str:
    """0 1 2 5 as `0–2, 5`."""
    runs: list[list[int]] = []
    for index in sorted(indices):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def _readings(values: Sequence[int | None]) -> str:
    """Each reading; an absent one is a dash, never 0."""
    return " ".join("–" if value is None else str(value) for value in values)


def _means(values: Sequence[int | None]) -> str:
    """The mean of the readings that there are: ten thousand GPUs one by one would be too long a page."""
    known = [value for value in values if value is not None]
    return f"on average {sum(known) // len(known)}"


def _node_label(node: NodeView) -> str:
    if not node.accepts_work:
        return f"{node.name}: accepts no work"
    return f"{node.name}: {grouped(node.free)} of {len(node.gpus)} free"


def _swatch(css: str) -> Markup:
    shape = _ROOMY.path(0, _SHAPES.get(css, ""))
    return svg('width="10" height="10" aria-hidden="true"', f'<path class="{css}" d="{shape}"/>')
