"""Holders of allowances, as a column has them: `kind:id`."""

from scheduler.domain.allowances import Holder, HolderKind


def holder_text(holder: Holder) -> str:
    return f"{holder.kind.value}:{holder.id}"


def holder_from(text: str) -> Holder:
    kind, _, holder_id = text.partition(":")
    return Holder(HolderKind(kind), holder_id)
