"""Where nodes stand to each other (node, rack, block), and what a gang asks of that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NewType

from scheduler.domain.errors import InvalidInput

LevelName = NewType("LevelName", str)
"""What people call a level: rack, block."""

HOSTNAME_LABEL = "kubernetes.io/hostname"

NODE = LevelName("node")
"""The narrowest level, which every cluster has: a node is in no other domain of it than its own."""


class TopologyMode(StrEnum):
    """As Kueue's required and preferred topology."""

    REQUIRE = "require"
    PREFER = "prefer"


@dataclass(frozen=True, slots=True)
class TopologyLevel:
    """A level, and the node label whose value says in which of its domains a node stands."""

    name: LevelName
    label: str


@dataclass(frozen=True, slots=True)
class TopologyAsk:
    """All pods in one domain of the level: required, or as few domains as there is room for."""

    mode: TopologyMode
    level: LevelName

    @property
    def is_required(self) -> bool:
        return self.mode is TopologyMode.REQUIRE

    def __str__(self) -> str:
        return f"{self.mode.value}:{self.level}"


def topology_ask(text: str) -> TopologyAsk:
    """`require:rack` as a value. Raises InvalidInput where it is none."""
    mode, _, level = text.partition(":")
    if mode not in set(TopologyMode) or not level:
        raise InvalidInput(
            f"the topology {text[:80]!r} cannot be read",
            where="topology",
            expected="require:LEVEL or prefer:LEVEL, such as require:rack",
        )
    return TopologyAsk(TopologyMode(mode), LevelName(level))


def by_name(ask: TopologyAsk, levels: Sequence[TopologyLevel]) -> TopologyAsk:
    """The ask with its level called as the policy calls it, where it was named by its node label, as Kueue names it."""
    if ask.level == HOSTNAME_LABEL:
        return replace(ask, level=NODE)
    return next((replace(ask, level=level.name) for level in levels if level.label == ask.level), ask)


def domain_of(
    node: str, labels: Mapping[str, str], levels: Sequence[TopologyLevel], level: LevelName
) -> tuple[str, ...]:
    """The domain of the level that a node stands in: the values of its labels from the widest level down to this.

    A rack is told apart by its block, as in Kueue: two blocks may each have a rack 1. A node without the level's
    label is a domain of its own: of it alone nothing but itself is known to stand in one place.
    """
    path: list[str] = []
    for known in levels:
        path.append(labels.get(known.label, ""))
        if known.name == level:
            return tuple(path) if path[-1] else (*path[:-1], "", node)
    return (*path, node)


def domain_text(domain: tuple[str, ...]) -> str:
    return "/".join(part for part in domain if part)
