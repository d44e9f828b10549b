"""Names joined on reading: the books know a person by an opaque id, and only whoever reads sees who that is."""

from dataclasses import replace

from scheduler.domain.brakes import Pause
from scheduler.domain.idleness import Exemption
from scheduler.domain.reasons import Evidence
from scheduler.domain.units import EngineerId
from scheduler.lifecycle.memory.world import World

WHO = "by"
"""The key of evidence that says who did it."""


def named(world: World, actor: str) -> str:
    """A person by their subject for as long as they are not forgotten; anybody else as they are."""
    person = world.people.get(EngineerId(actor))
    return actor if person is None else person.subject or actor


def evidence_named(world: World, evidence: Evidence) -> Evidence:
    who = evidence.get(WHO)
    return evidence if not isinstance(who, str) else {**evidence, WHO: named(world, who)}


def pause_named(world: World, pause: Pause) -> Pause:
    return replace(pause, by=named(world, pause.by))


def exemption_named(world: World, exemption: Exemption | None) -> Exemption | None:
    return None if exemption is None else replace(exemption, by=named(world, exemption.by))
