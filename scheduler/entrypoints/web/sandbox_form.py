"""The form that starts a sandbox: what it offers follows from the policy and the tier; what it sends is judged as the
API judges it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from scheduler.domain.digits import whole_number_in
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.people import Engineer
from scheduler.domain.policy import Policy, Tier
from scheduler.domain.units import MS_PER_HOUR
from scheduler.domain.workloads import WorkloadKind, WorkloadSpec
from scheduler.entrypoints.api.fields import PERSONAL
from scheduler.entrypoints.api.submissions import SandboxSubmission
from scheduler.entrypoints.api.validation import refusals_in
from scheduler.entrypoints.web.formatting import per_mille

_HOURS = (1, 2, 4, 8, 12, 24, 48)
_GPUS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str


@dataclass(frozen=True, slots=True)
class SandboxChoices:
    """What the selects of the form offer, the usual first."""

    gpu_classes: tuple[Choice, ...]
    gpus: tuple[int, ...]
    hours: tuple[int, ...]
    projects: tuple[Choice, ...]
    priority_classes: tuple[Choice, ...]
    images: tuple[str, ...]


def choices(policy: Policy, engineer: Engineer) -> SandboxChoices:
    tier = policy.tiers.get(engineer.tier) or Tier(engineer.tier, allowance=0)
    own = [project for project in policy.projects.values() if project.team == engineer.team]
    default = policy.default_priority_class
    allowed = [
        item
        for item in policy.priority_classes.values()
        if item.is_for(WorkloadKind.SANDBOX) and (tier.priority_classes is None or item.name in tier.priority_classes)
    ]
    longest = min(limit for limit in (policy.limits.time_limit_max_ms, tier.time_limit_max_ms) if limit is not None)
    most_gpus = min(
        limit for limit in (tier.gpus_max, policy.limits.gpus_per_engineer, max(_GPUS)) if limit is not None
    )
    return SandboxChoices(
        gpu_classes=tuple(
            Choice(item.name, f"{item.name} · {per_mille(item.weight)} h per GPU-hour")
            for item in sorted(policy.gpu_classes.values(), key=lambda item: (item.weight, item.name))
            if tier.gpu_classes is None or item.name in tier.gpu_classes
        ),
        gpus=tuple(count for count in _GPUS if count <= most_gpus),
        hours=tuple(count for count in _HOURS if count * MS_PER_HOUR <= longest),
        projects=(
            *(Choice(project.name, project.name) for project in own),
            Choice(PERSONAL, "personal, paid by compensation"),
        ),
        priority_classes=tuple(
            Choice(item.name, f"{item.name} · {per_mille(item.class_factor)} ×")
            for item in sorted(allowed, key=lambda item: (item.name != default, -item.value))
        ),
        images=tuple(image for image in policy.sandbox.images if not image.endswith("*")),
    )


def spec_from(form: Mapping[str, str]) -> WorkloadSpec:
    """What was asked for, under the same bounds as a request to the API."""
    fields = {
        "name": form.get("name", ""),
        "project": form.get("project", ""),
        "gpu_classes": [form["gpu_class"]] if form.get("gpu_class") else [],
        "gpus": whole_number(form, "gpus", RefusalCode.INVALID_GPUS),
        "time_limit_ms": whole_number(form, "hours", RefusalCode.INVALID_TIME_LIMIT) * MS_PER_HOUR,
        "priority_class": form.get("priority_class") or None,
        "image": form.get("image") or None,
        "uses_compensation": form.get("uses_compensation") == "yes",
    }
    try:
        return SandboxSubmission.model_validate(fields).spec()
    except ValidationError as error:
        raise refusals_in(error.errors())[0] from error


def whole_number(form: Mapping[str, str], field: str, code: RefusalCode) -> int:
    """A field as a whole number of at most nine digits."""
    text = form.get(field, "")
    number = whole_number_in(text, digits_max=9)
    if number is None:
        raise InvalidInput(f"{text!r} is not a whole number", where=field, code=code, expected="a whole number")
    return number
