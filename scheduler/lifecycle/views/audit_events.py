"""Who changed what, as people read it: the log keeps opaque ids, and only whoever reads sees who that is."""

from dataclasses import dataclass

from scheduler.domain.records import AuditEvent
from scheduler.lifecycle.memory.named import named
from scheduler.lifecycle.memory.world import World


@dataclass(frozen=True, slots=True)
class AuditEventView(AuditEvent):
    """`target` is what the log keeps and is asked for by; `target_name` the same with people by their subject."""

    target_name: str = ""


def audit_event_view(world: World, event: AuditEvent) -> AuditEventView:
    """An allowance's id has its holder's between its slashes."""
    return AuditEventView(
        at=event.at,
        actor=named(world, event.actor),
        role=event.role,
        verb=event.verb,
        target=event.target,
        request_id=event.request_id,
        before=event.before,
        after=event.after,
        seq=event.seq,
        target_name="/".join(named(world, part) for part in event.target.split("/")),
    )
