"""Policies: what is in force. Classes and prices as a table, the text as it was applied, and what each version changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import unified_diff

from fastapi import APIRouter, Request
from starlette.responses import Response

from scheduler.domain.errors import NotFound, RefusalCode
from scheduler.domain.policy import Policy, PriorityClass
from scheduler.domain.records import PolicyVersion
from scheduler.entrypoints.web.formatting import multiplied_per_mille
from scheduler.entrypoints.web.pages import Pages
from scheduler.entrypoints.web.visitors import signed_in

_DIFF_LINES_MAX = 400


@dataclass(frozen=True, slots=True)
class PriceRow:
    """What an hour of one GPU of a class is charged in each priority class, in standard GPU-hours."""

    gpu_class: str
    prices: tuple[str, ...]


def add_routes(router: APIRouter, pages: Pages) -> None:
    service = pages.service

    @router.get("/policies")
    def policies(request: Request, version: str = "") -> Response:
        visitor = signed_in(request, service)
        versions = service.views.policies(visitor.caller)
        shown = _shown(versions, version)
        policy = service.views.policy()
        return pages.render(
            request,
            "policies.html",
            visitor,
            title="Policies",
            policy=policy,
            versions=versions,
            shown=shown,
            changes=_changes(versions, shown) if shown else (),
            prices=price_rows(policy),
            priority_classes=_by_value(policy),
        )


def price_rows(policy: Policy) -> tuple[PriceRow, ...]:
    return tuple(
        PriceRow(
            gpu_class.name,
            tuple(multiplied_per_mille(gpu_class.weight, item.class_factor) for item in _by_value(policy)),
        )
        for gpu_class in sorted(policy.gpu_classes.values(), key=lambda item: (-item.weight, item.name))
    )


def _by_value(policy: Policy) -> list[PriorityClass]:
    return sorted(policy.priority_classes.values(), key=lambda item: (-item.value, item.name))


def _shown(versions: Sequence[PolicyVersion], wanted: str) -> PolicyVersion | None:
    """The version that was asked for by the beginning of its hash, else the latest; None where there is none."""
    if not wanted:
        return versions[0] if versions else None
    found = next((version for version in versions if version.hash.startswith(wanted)), None)
    if found is None:
        raise NotFound(
            f"there is no version {wanted!r}", code=RefusalCode.UNKNOWN_POLICY, remedy="see the list of versions"
        )
    return found


def _changes(versions: Sequence[PolicyVersion], shown: PolicyVersion) -> tuple[tuple[str, str], ...]:
    """What the version changed against the one before it, as (kind, line); versions are newest first."""
    older = next((version for version in versions if version.seq < shown.seq), None)
    if older is None:
        return ()
    lines = unified_diff(older.text.splitlines(), shown.text.splitlines(), lineterm="", n=2)
    kinds = {"+": "added", "-": "removed", "@": "place"}
    listed = [(kinds.get(line[:1], "same"), line) for line in lines if not line.startswith(("+++", "---"))]
    return tuple(listed[:_DIFF_LINES_MAX])
