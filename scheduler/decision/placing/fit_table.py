"""How many pods of each shape still fit on each node of one GPU class: a table of shapes × nodes.

Booking a pod changes one column, so that neither a cycle nor a launch grows with the number of nodes in Python; and
nodes of one sort with the same room left have the same column, which is reckoned once.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scheduler.decision.placing.asked import Asked
from scheduler.decision.placing.node_use import OCCUPIED, Amounts, NodeUse, empty_use, left_on, room_of, size_of
from scheduler.decision.placing.rest_worth import HALVES, rest_ranks, tightness
from scheduler.decision.placing.shape import Shape, amounts
from scheduler.decision.placing.topology import Domains, Tally
from scheduler.domain.cluster import Node, Placement, PodRequest
from scheduler.domain.topology import TopologyLevel
from scheduler.domain.units import NodeName

IntArray = NDArray[np.int64]
Columns = NDArray[np.intp] | slice
"""Nodes by their positions."""

_Alike = tuple[Amounts, bytes, tuple[Amounts, Amounts]]
"""A node's size, which shapes may go there by its labels, and what is left on it."""


class _Column(NamedTuple):
    """What the table has of a node: `fits` by shape."""

    left: IntArray
    fits: IntArray


class FitTable:
    """The nodes of one GPU class in name order, and a row per shape. `refresh` brings it up to date."""

    def __init__(self, levels: Sequence[TopologyLevel] = ()) -> None:
        self._topology = levels
        self.domains = Domains(levels, (), ())
        self.names: list[NodeName] = []
        self.index: dict[NodeName, int] = {}
        self.rows: dict[Shape, int] = {}
        self.totals = np.zeros(0, dtype=np.int64)
        """Pods of each shape that fit now: over all nodes, or in the one domain with most room."""
        self.possible = np.zeros(0, dtype=np.int64)
        """Pods of each shape that the nodes could hold if nothing of ours ran."""
        self._asked = Asked()
        """What a pod of each row asks."""
        self._rows_of_all: dict[tuple[int, int], int] = {}
        self._gathered: list[int] = []
        """Rows of shapes that must stand in one domain."""
        self._stale: set[int] = set()
        self._is_rebuilt = True
        self._is_resized = False
        self._size = np.zeros((3, 0), dtype=np.int64)
        self._accepts = np.zeros(0, dtype=np.bool_)
        self._labels: list[Mapping[str, str]] = []
        self._nodes: list[Node] = []
        self._uses: list[NodeUse] = []
        self._lay_out(0)
        self._columns: dict[_Alike, _Column] = {}
        """Of nodes that are alike, for the rows that there are: dropped when one is added."""
        self._takers: list[bytes] = []
        """Of each node, which of the rows may go there by its labels; as of the first of the columns."""
        self._column_at: list[_Column | None] = []
        """Which of them each node has; None where it was reckoned otherwise."""
        self._halves_per = np.zeros((2, 0), dtype=np.float64)
        """Half shares of a GPU in a milli-CPU and in a MiB of each node."""
        self._matches = np.zeros((0, 0), dtype=np.bool_)
        self._fits = np.zeros((2, 0, 0), dtype=np.int64)
        """Pods of each shape that fit on each node, and preference among the nodes for one."""
        self._counts, self._ranks = self._fits

    # --- nodes -----------------------------------------------------------------------------------------------------

    def replace_nodes(self, nodes: Sequence[Node], uses: Mapping[NodeName, NodeUse]) -> None:
        """Take these nodes, in name order, with what is taken on them. Linear in the nodes; rare."""
        self.names = [node.name for node in nodes]
        self.index = {name: position for position, name in enumerate(self.names)}
        self._labels = [node.labels for node in nodes]
        self._nodes = list(nodes)
        self._uses = [uses.get(name) or empty_use() for name in self.names]
        self.domains = Domains(self._topology, self.names, self._labels)
        self._accepts = np.array([node.accepts_work for node in nodes], dtype=np.bool_)
        self._size = np.array([size_of(node) for node in nodes], dtype=np.int64).reshape(len(nodes), 3).T.copy()
        self._lay_out(len(nodes))
        self._halves_per = HALVES * self._size[0] / np.maximum(self._size[1:], 1)
        self._is_rebuilt = True
        self._stale.clear()

    def set_node(self, node: Node) -> None:
        """The node, with the labels it had, has more or less room, or takes work or none."""
        position = self.index[node.name]
        self._accepts[position] = node.accepts_work
        before, self._nodes[position] = self._nodes[position], node
        size = size_of(node)
        if size_of(before) != size:
            self._size[:, position] = size
            self._halves_per[:, position] = HALVES * size[0] / np.maximum(size[1:], 1)
            self._is_resized = True
        self._stale.add(position)

    def set_use(self, name: NodeName, use: NodeUse) -> None:
        """What is taken on the node. Whoever reads the table next brings it up to date."""
        position = self.index[name]
        self._uses[position] = use
        self._stale.add(position)

    # --- shapes ----------------------------------------------------------------------------------------------------

    def row(self, shape: Shape) -> int:
        """The row of a shape, made on first use."""
        known = self.rows.get(shape)
        if known is not None:
            return known
        self.refresh()
        row = self.rows[shape] = len(self.rows)
        if shape.topology is not None and shape.topology.is_required:
            self._gathered.append(row)
        if row == len(self._asked):
            self._grow(max(16, 2 * row))
        self._asked.add(shape)
        self._fill_rows(slice(row, row + 1), [shape])
        self._forget_columns()
        return row

    def refresh(self) -> None:
        """Bring counts and totals up to date with what was booked since the last call."""
        if self._is_rebuilt:
            self._is_rebuilt = self._is_resized = False
            self._stale.clear()
            self._forget_columns()
            for position in range(len(self.names)):
                self._look_at(position, left_on(self._nodes[position], self._uses[position]))
            self._grow(len(self._asked))
            self._fill_rows(slice(0, len(self.rows)), list(self.rows))
        elif self._stale or self._is_resized:
            used = slice(0, len(self.rows))
            if self._is_resized:
                self._is_resized = False
                self.possible[used] = self._possible(used)
            self._set_columns(used, sorted(self._stale))
            self._stale.clear()
            self._gather()

    # --- reading ---------------------------------------------------------------------------------------------------

    def counts(self, row: int) -> IntArray:
        """Pods of the shape that fit on each node now. Not to be written to."""
        self.refresh()
        counts: IntArray = self._counts[row]
        return counts

    def total(self, shape: Shape) -> int:
        """Pods of the shape that fit now."""
        row = self.rows.get(shape)
        if row is None:
            row = self.row(shape)
        if self._stale or self._is_rebuilt or self._is_resized:
            self.refresh()
        return self.totals.item(row)  # a plain number at once: it is asked a dozen times a cycle

    def fitting_if_empty(self, shape: Shape) -> int:
        row = self.row(shape)
        self.refresh()
        return int(self.possible[row])

    def fitting_in_service(self, shape: Shape) -> int:
        """Pods of the shape that those nodes could hold that take work, if nothing of ours ran."""
        row = self.row(shape)
        return self.together(row, self.counts_if(row, self._size))

    def together(self, row: int, counts: IntArray) -> int:
        """Pods of the shape that can run as one gang where so many fit on each node."""
        return self.domains.together(self._asked.shapes[row].topology, counts)

    def tally(self, row: int, counts: IntArray) -> Tally:
        """The same, to be kept up to date as `counts` changes."""
        return Tally(self.domains, self._asked.shapes[row].topology, counts)

    def most_room(self, shape: Shape, *, if_empty: bool = False) -> tuple[str, int]:
        """Of the level that the shape asks for: the domain in which most pods fit now, or would if nothing of ours
        ran; and how many."""
        assert shape.topology is not None, "only who asks for a level is told of its domains"
        row = self.row(shape)
        counts = self.counts(row)
        if if_empty:
            counts = self._asked.fitting(slice(row, row + 1), self._size)[0] * self._matches[row]
        return self.domains.most_room(shape.topology.level, counts)

    def counts_if(self, row: int, available: IntArray) -> IntArray:
        """Pods of the shape that would fit on each node if this much were available there."""
        self.refresh()
        counts: IntArray = self._asked.fitting(slice(row, row + 1), available)[0]
        return np.maximum(counts, 0, out=counts) * self.taking(row)

    def takes_shape(self, row: int, position: int) -> bool:
        """Whether the shape may go to the node at all, as far as its labels and its state are concerned."""
        return bool(self._accepts[position] and self._matches[row, position])

    def taking(self, row: int) -> NDArray[np.bool_]:
        """The same of every node."""
        taking: NDArray[np.bool_] = self._accepts & self._matches[row]
        return taking

    def pods_in(self, row: int, available: IntArray) -> int:
        """Pods of the shape that fit into so much of each resource."""
        return self._asked.pods_in(row, available)

    def coming(self) -> IntArray:
        """What will be available when all that is stopping has ended and every reservation is served: as of now, and the
        caller's to change."""
        self.refresh()
        return self._coming.copy()

    def nothing(self) -> IntArray:
        """No room on any node, to be added to."""
        return np.zeros((3, len(self.names)), dtype=np.int64)

    def free_gpus(self, row: int) -> int:
        """GPUs free on the nodes where the shape could go."""
        self.refresh()
        return int(self.available[0] @ self._matches[row])

    def largest(self, shape: Shape) -> int:
        """GPUs of the largest node where the shape could go, were it empty."""
        row = self.row(shape)  # a new one replaces the arrays
        self.refresh()
        sizes = self._size[0][self._matches[row]]
        return int(sizes.max()) if sizes.size else 0

    def is_free(self, name: NodeName, pods: int, pod: PodRequest) -> bool:
        """Whether that much is free on the node now, whatever is claimed there."""
        position = self.index[name]
        node, occupied = self._nodes[position], self._uses[position][OCCUPIED]
        each = zip(amounts(pod), room_of(node), occupied, strict=True)
        return node.accepts_work and all(pods * asked <= room - taken for asked, room, taken in each)

    def placement(self, row: int, counts: IntArray, pods: int) -> Placement | None:
        """Nodes for this many pods of a shape, or None where they do not fit: one node where one can take all of them
        (where the worth of the rest falls least), else the fewest nodes, the last of them by the same rule; of a gang
        that asks for a level of the topology, within the domains that it takes."""
        chosen: list[tuple[NodeName, int]] = []
        ask = self._asked.shapes[row].topology
        if ask is not None:
            narrowed = self.domains.narrowed(ask, counts, pods)
            if narrowed is None:
                return None
            counts = narrowed
        position = self._best(row, counts, pods)
        if position is not None:
            return Placement(((self.names[position], pods),))
        if int(counts.sum()) < pods:
            return None
        # Fewest nodes: those that take most pods first; among equals the tightest, then the first in name order.
        rest = counts.copy()
        in_turn = iter(np.lexsort((self.order, -counts)).tolist())
        while (most := int(counts[(candidate := next(in_turn))])) < pods:
            chosen.append((self.names[candidate], most))
            rest[candidate] = 0
            pods -= most
        last = self._best(row, rest, pods)
        assert last is not None, "the roomiest of the rest takes them all"
        chosen.append((self.names[last], pods))
        return Placement(tuple(sorted(chosen)))

    def _best(self, row: int, counts: IntArray, pods: int) -> int | None:
        """The node that takes them all and whose rest loses least worth; the tightest of equals, then the first."""
        if not len(counts) or counts[counts.argmax()] < pods:
            return None
        if pods > 1:
            row = self._row_of_all(row, pods)
        return int(np.where(counts >= pods, self._ranks[row], _FAR).argmin())

    def _row_of_all(self, row: int, pods: int) -> int:
        """The row of one pod that asks for as much as so many of a shape: it ranks nodes as they do together."""
        if (row, pods) not in self._rows_of_all:
            shape = self._asked.shapes[row]
            all_of_it = PodRequest(*(pods * asked for asked in amounts(shape.pod)))
            self._rows_of_all[row, pods] = self.row(Shape(all_of_it, shape.nodes_with))
        return self._rows_of_all[row, pods]

    # --- upkeep ----------------------------------------------------------------------------------------------------

    def _lay_out(self, nodes: int) -> None:
        """`order` is preference among nodes that fit: the smaller, the tighter the node."""
        self._left = np.zeros((7, nodes), dtype=np.int64)
        self.available, self._coming, self.order = self._left[:3], self._left[3:6], self._left[6]

    def _forget_columns(self) -> None:
        self._columns.clear()
        self._column_at = [None] * len(self.names)

    def _look_at(self, position: int, left: tuple[Amounts, Amounts]) -> None:
        available, coming = left
        self._left[:, position] = (*available, *coming, tightness(available))

    def _set_columns(self, used: slice, positions: list[int]) -> None:
        """Nodes that were booked on: their columns, reckoned for those alone that are like none that is known."""
        if len(self._columns) > _COLUMNS_MAX:
            self._forget_columns()
        known = self._columns
        if not known:
            self._takers = [column.tobytes() for column in self._matches[used].T]
        nodes, takers, uses = self._nodes, self._takers, self._uses
        alike = [(size_of(nodes[at]), takers[at], left_on(nodes[at], uses[at])) for at in positions]
        fresh = {key: position for key, position in zip(alike, positions, strict=True) if key not in known}
        if fresh:
            for key, position in fresh.items():
                self._look_at(position, key[2])
            columns = _columns_at(list(fresh.values()))
            counts = self._asked.fitting(used, self.available[:, columns]) * self._matches[used, columns]
            fits = np.stack([counts, self._ranked(self._asked.takes[used], columns)])
            for number, (key, position) in enumerate(fresh.items()):
                known[key] = _Column(self._left[:, position].copy(), fits[:, :, number].copy())
        totals = self.totals[used]
        for position, key in zip(positions, alike, strict=True):  # few: one by one they are quicker than together
            column = known[key]
            if column is not self._column_at[position]:  # else it was booked on, and is as it was
                self._column_at[position] = column
                totals += column.fits[0] - self._counts[used, position]
                self._left[:, position] = column.left
                self._fits[:, used, position] = column.fits

    def _ranked(self, takes: IntArray, columns: Columns) -> IntArray:
        """Preference among nodes for each of `takes` (rows × 3), the smaller the better."""
        return rest_ranks(takes, self.available[:, columns], self._halves_per[:, columns], self.order[columns])

    def _grow(self, rows: int) -> None:
        known = len(self._asked)
        self._asked.grow(rows)
        fits = np.zeros((2, rows, len(self.names)), dtype=np.int64)
        matches = np.zeros((rows, len(self.names)), dtype=np.bool_)
        if self._counts.shape[1] == len(self.names):
            fits[:, :known], matches[:known] = self._fits, self._matches
        self._fits, self._matches = fits, matches
        self._counts, self._ranks = fits
        self.totals = np.concatenate([self.totals, np.zeros(rows - known, dtype=np.int64)])
        self.possible = np.concatenate([self.possible, np.zeros(rows - known, dtype=np.int64)])

    def _fill_rows(self, rows: slice, shapes: Sequence[Shape]) -> None:
        for offset, shape in enumerate(shapes):
            self._matches[rows.start + offset] = self._matching(shape)
        self._counts[rows] = self._asked.fitting(rows, self.available) * self._matches[rows]
        self._ranks[rows] = self._ranked(self._asked.takes[rows], np.arange(len(self.names)))
        self.totals[rows] = self._counts[rows].sum(axis=1)
        self.possible[rows] = self._possible(rows)
        self._gather()

    def _gather(self) -> None:
        """Of gangs that must stand in one domain, count the one with most room alone."""
        for row in self._gathered:
            self.totals[row] = self.together(row, self._counts[row])

    def _possible(self, rows: slice) -> IntArray:
        fitting = self._asked.fitting(rows, self._size) * self._matches[rows]
        possible: IntArray = fitting.sum(axis=1)
        for row in self._gathered:
            if rows.start <= row < rows.stop:
                possible[row - rows.start] = self.together(row, fitting[row - rows.start])
        return possible

    def _matching(self, shape: Shape) -> NDArray[np.bool_]:
        takes = [all(labels.get(key) == value for key, value in shape.nodes_with) for labels in self._labels]
        return np.array(takes, dtype=np.bool_)


_FAR = 2**62
_COLUMNS_MAX = 4096
"""So many columns are remembered at most: of a hundred shapes, a few megabytes."""


def _columns_at(positions: Sequence[int]) -> Columns:
    """One node alone as a slice: looking at it copies nothing."""
    if len(positions) == 1:
        return slice(positions[0], positions[0] + 1)
    return np.array(positions, dtype=np.intp)
