"""Names joined on reading: the books know a person by an opaque id, and only whoever reads sees who that is."""

from dataclasses import replace

from scheduler.domain.brakes import Pause
from scheduler.domain.idleness import Exemption
from scheduler.domain.reasons import Evidence, Reason, sentence
from scheduler.domain.units import EngineerId, WorkloadId
from scheduler.lifecycle.memory.world import World

WHO = "by"
"""The key of evidence that says who did it."""
_WORK = ("ahead", "booking", "after")
"""The keys of evidence that hold ids of workloads, with a comma between several."""
_NAME_OF_AFTER = "after_name"


def named(world: World, actor: str) -> str:
    """A person by their subject for as long as they are not forgotten; anybody else as they are."""
    person = world.people.get(EngineerId(actor))
    return actor if person is None else person.subject or actor


def evidence_named(world: World, evidence: Evidence) -> Evidence:
    who = evidence.get(WHO)
    return evidence if not isinstance(who, str) else {**evidence, WHO: named(world, who)}


def sentence_named(world: World, reason: Reason, evidence: Evidence, *, sees_pay: bool = True) -> str:
    """The verdict for its reader, who knows work by its name; the evidence keeps the ids. Work that has ended long ago
    goes by its id."""
    named_in_it = dict(evidence_named(world, evidence))
    for key in _WORK:
        ids = named_in_it.get(key)
        if isinstance(ids, str):
            named_in_it[key] = ", ".join(_called(world, WorkloadId(each)) for each in ids.split(", "))
    if _NAME_OF_AFTER in evidence:  # which is over by then, and known to the world no more
        named_in_it["after"] = evidence[_NAME_OF_AFTER]
    return sentence(reason, named_in_it, sees_pay=sees_pay)


def _called(world: World, workload_id: WorkloadId) -> str:
    workload = world.workloads.get(workload_id)
    return workload_id if workload is None else workload.spec.name


def pause_named(world: World, pause: Pause) -> Pause:
    return replace(pause, by=named(world, pause.by))


def exemption_named(world: World, exemption: Exemption | None) -> Exemption | None:
    return None if exemption is None else replace(exemption, by=named(world, exemption.by))
