"""The key of a policy file that says how nodes stand together."""

from collections.abc import Mapping

from scheduler.adapters.policy_files.document import quoted
from scheduler.adapters.policy_files.kinds import MapOf, Name, Reading, Text
from scheduler.adapters.policy_files.sections import Field, Record
from scheduler.domain.topology import NODE, LevelName, TopologyLevel

_LABEL = Text(
    "a label's key", r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
)

LEVELS = Field(
    "topology",
    MapOf(Name(), _LABEL, "topology levels", high=8),
    "levels that a gang may require or prefer, the widest first, each with the node label that names its domain; "
    "`node` is always the last",
    default={},
    absent="none but `node`",
)


def topology_levels(levels: Mapping[str, str]) -> tuple[TopologyLevel, ...]:
    return tuple(TopologyLevel(LevelName(name), label) for name, label in levels.items())


def check_levels(policy: Record, reading: Reading) -> None:
    """`node` is what nodes are by themselves; a label tells domains of one level apart."""
    levels = policy.find(LEVELS) or {}
    if NODE in levels:
        seen, expected = "a level that every cluster has", "names of the levels above it"
        reading.refuse(policy.mark_of(LEVELS), f"topology.{NODE}", seen, expected)
    twice = sorted({label for label in levels.values() if list(levels.values()).count(label) > 1})
    if twice:
        seen = f"the label {quoted(twice[0])} for two levels"
        reading.refuse(policy.mark_of(LEVELS), "topology", seen, "a label for each level")
