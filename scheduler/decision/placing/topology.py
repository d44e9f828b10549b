"""Topology: which nodes stand together, and which of them a gang takes.

Kueue's topology-aware scheduling: a gang that requires a level goes to the domain of it that has least room beside
what it takes; one that prefers a level widens its search level by level, and takes the fewest domains where none
holds it all. Below the level found it keeps to the fewest domains of each narrower level.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduler.domain.topology import LevelName, TopologyAsk, TopologyLevel, domain_of, domain_text
from scheduler.domain.units import NodeName

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Level:
    """The domains of one level: of each node its domain, by number; their names, in order."""

    of_node: IntArray
    names: tuple[str, ...]

    def sums(self, counts: IntArray) -> IntArray:
        """`counts` by node, added up by domain."""
        return np.bincount(self.of_node, weights=counts, minlength=len(self.names)).astype(np.int64)


class Domains:
    """The topology of one table's nodes. Levels are laid out when somebody first asks for them."""

    def __init__(
        self, levels: Sequence[TopologyLevel], names: Sequence[NodeName], labels: Sequence[Mapping[str, str]]
    ) -> None:
        self._levels = levels
        self._names = names
        self._labels = labels
        self._known: dict[LevelName, Level] = {}

    def level(self, name: LevelName) -> Level:
        """A level of the policy; any other name is that of single nodes."""
        known = self._known.get(name)
        if known is None:
            of = [
                domain_of(node, labels, self._levels, name)
                for node, labels in zip(self._names, self._labels, strict=True)
            ]
            ordered = sorted(set(of))
            numbers = {domain: number for number, domain in enumerate(ordered)}
            known = self._known[name] = Level(
                np.array([numbers[domain] for domain in of], dtype=np.int64),
                tuple(map(domain_text, ordered)),
            )
        return known

    def together(self, ask: TopologyAsk | None, counts: IntArray) -> int:
        """Pods that can run as one gang where so many fit on each node."""
        if ask is None or not ask.is_required:
            return int(counts.sum())
        return int(self.level(ask.level).sums(counts).max(initial=0))

    def most_room(self, level: LevelName, counts: IntArray) -> tuple[str, int]:
        """The domain in which most pods fit, the first of equals, and how many; none at all: no name, and 0."""
        domains = self.level(level)
        sums = domains.sums(counts)
        if not len(sums):
            return "", 0
        first = int(sums.argmax())
        return domains.names[first], int(sums[first])

    def around(self, level: LevelName, counts: IntArray, nodes: Sequence[NodeName]) -> IntArray:
        """`counts` with nothing outside the domains of the level in which these nodes stand."""
        of_node = self.level(level).of_node
        taken = [of_node[position] for position, name in enumerate(self._names) if name in set(nodes)]
        return np.where(np.isin(of_node, taken), counts, 0)

    def narrowed(self, ask: TopologyAsk, counts: IntArray, pods: int) -> IntArray | None:
        """`counts` with nothing outside the domains that a gang of so many pods takes; None where none is found."""
        names = [level.name for level in self._levels]
        depth = names.index(ask.level) if ask.level in names else len(names)
        if depth == len(names):
            whole = np.where(counts >= pods, counts, 0)
            if whole.any():
                return whole
            if ask.is_required:
                return None
            depth -= 1
        found = self._found(names, depth, ask, counts, pods)
        if found is None:
            return None
        depth, counts = found
        for name in names[depth + 1 :]:
            counts = self._fewest(self.level(name), counts, pods)
        return counts

    def _found(
        self, names: list[LevelName], depth: int, ask: TopologyAsk, counts: IntArray, pods: int
    ) -> tuple[int, IntArray] | None:
        """The narrowest level, no narrower than asked for, of which one domain holds it all, and that domain alone."""
        if int(counts.sum()) < pods:
            return None
        while depth >= 0:
            level = self.level(names[depth])
            sums = level.sums(counts)
            tightest = _tightest(sums, pods)
            if tightest is not None:
                return depth, np.where(level.of_node == tightest, counts, 0)
            if ask.is_required:
                return None
            depth -= 1
        return -1, counts

    @staticmethod
    def _fewest(level: Level, counts: IntArray, pods: int) -> IntArray:
        """Of the domains with any room the fewest: those with most room, the last of them the tightest."""
        left = level.sums(counts)
        taken: list[int] = []
        while pods > 0:
            tightest = _tightest(left, pods)
            chosen = tightest if tightest is not None else int(left.argmax())
            taken.append(chosen)
            pods -= int(left[chosen])
            left[chosen] = 0
        return np.where(np.isin(level.of_node, taken), counts, 0)


class Tally:
    """Pods of a gang that fit together, kept up to date as room on single nodes changes."""

    def __init__(self, domains: Domains, ask: TopologyAsk | None, counts: IntArray) -> None:
        self._level = domains.level(ask.level) if ask is not None and ask.is_required else None
        self._sums = self._level.sums(counts) if self._level is not None else np.zeros(0, dtype=np.int64)
        self._total = int(counts.sum())

    def add(self, position: int, pods: int) -> None:
        """So many more fit on the node at that position of its table."""
        self._total += pods
        if self._level is not None:
            self._sums[self._level.of_node[position]] += pods

    @property
    def pods(self) -> int:
        return self._total if self._level is None else int(self._sums.max(initial=0))


def _tightest(sums: IntArray, pods: int) -> int | None:
    """The domain that holds them all with least room left, the first of equals."""
    fitting = np.flatnonzero(sums >= pods)
    return int(fitting[sums[fitting].argmin()]) if fitting.size else None
