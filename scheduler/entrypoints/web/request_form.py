"""The forms of the requests page: what they offer, and what they send as the API would read it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.approvals import Change, ProposalKind
from scheduler.domain.digits import whole_number_in
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.money import micro_of
from scheduler.domain.people import Caller, Engineer, Role
from scheduler.domain.periods import to_datetime
from scheduler.domain.policy import Policy
from scheduler.domain.quantities import UnitKind, measure, unit_named
from scheduler.domain.units import MS_PER_HOUR, STANDARD_GPU, AllowanceId, GpuClassName, Instant, Unit
from scheduler.entrypoints.api.fields import instant_of
from scheduler.entrypoints.api.routes.approvals import Approve, Request
from scheduler.entrypoints.api.validation import refusals_in
from scheduler.entrypoints.web.sandbox_form import Choice
from scheduler.lifecycle.approvals.approve import Lower
from scheduler.lifecycle.views.shapes import AllowanceView

KINDS = (
    Choice(ProposalKind.HOURS.value, "more hours, tokens or money"),
    Choice(ProposalKind.EXTENSION.value, "a later end"),
    Choice(ProposalKind.GPU_CLASS.value, "another GPU class"),
)
_HOURS = re.compile(r"([0-9]{1,9})(?:[.,]([0-9]{1,3}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class RequestChoices:
    """What the selects offer: for whom hours may be asked, which allowances may be changed, and the GPU classes."""

    holders: tuple[Choice, ...]
    allowances: tuple[Choice, ...]
    gpu_classes: tuple[Choice, ...]
    units: tuple[Choice, ...]


def request_choices(
    policy: Policy, caller: Caller, engineer: Engineer, allowances: Sequence[AllowanceView], currency: str | None
) -> RequestChoices:
    """A lead also asks for the team and its projects. `currency` None: there are no prices, and no money."""
    holders = [Choice(f"{HolderKind.ENGINEER.value}:{engineer.id}", "myself")]
    if caller.has(Role.LEAD):
        holders.append(Choice(f"{HolderKind.TEAM.value}:{engineer.team}", f"the team {engineer.team}"))
        own = sorted(project.name for project in policy.projects.values() if project.team == engineer.team)
        holders.extend(Choice(f"{HolderKind.PROJECT.value}:{name}", f"the project {name}") for name in own)
    offered = {choice.value for choice in holders}
    return RequestChoices(
        holders=tuple(holders),
        allowances=tuple(
            Choice(f"{item.holder_kind}:{item.holder}:{item.id}", f"{item.name}, {item.left} left")
            for item in allowances
            if f"{item.holder_kind}:{item.holder}" in offered
        ),
        gpu_classes=tuple(Choice(name, name) for name in sorted(policy.gpu_classes)),
        units=(
            Choice("standard", "GPU-hours"),
            *(Choice(f"gpu/{name}", f"hours of {name}") for name in sorted(policy.gpu_classes)),
            Choice("tokens", "tokens"),
            *(() if currency is None else (Choice(currency, currency),)),
        ),
    )


def request_from(
    form: Mapping[str, str], zone: ZoneInfo, units: Mapping[str, str]
) -> tuple[ProposalKind, Change, str]:
    """What is asked for, its terms and why, under the same bounds as a request to the API. `units` are those of the
    allowances that the form offered."""
    kind, holder, allowance = form.get("kind", ""), form.get("holder", ""), None
    unit = form.get("unit") or "standard"
    if kind != ProposalKind.HOURS:
        holder, _, allowance = form.get("allowance", "").rpartition(":")
        unit = units.get(allowance, "standard")
    holder_kind, _, holder_id = holder.partition(":")
    try:
        asked = Request.model_validate(
            {
                "kind": kind,
                "reason": form.get("reason", ""),
                "quantity": quantity_in(form, "hours", unit_named(unit)),
                "unit": unit,
                "allowance": allowance,
                "gpu_class": form.get("gpu_class") or None,
                "until": _moment(form, "until", zone),
                "holder_kind": holder_kind,
                "holder": holder_id,
            }
        )
    except ValidationError as error:
        raise refusals_in(error.errors())[0] from error
    if not asked.kind.is_request:
        raise InvalidInput(
            f"{asked.kind.value} is no request", where="kind", expected="one of " + ", ".join(k.value for k in KINDS)
        )
    change = Change(
        Holder(asked.holder_kind, holder_id),
        asked.quantity,
        None if asked.allowance is None else AllowanceId(asked.allowance),
        None if asked.gpu_class is None else GpuClassName(asked.gpu_class),
        instant_of(asked.until),
        unit_named(asked.unit) if asked.kind is ProposalKind.HOURS else STANDARD_GPU,
    )
    return asked.kind, change, asked.reason


def decision_from(form: Mapping[str, str], zone: ZoneInfo) -> tuple[Lower, str]:
    """What is approved of it where that is less than was asked, and what there is to say."""
    try:
        said = Approve.model_validate(
            {
                "quantity": quantity_in(form, "hours", unit_named(form.get("unit") or "standard")),
                "until": _moment(form, "until", zone),
                "reason": form.get("reason") or None,
            }
        )
    except ValidationError as error:
        raise refusals_in(error.errors())[0] from error
    return said.lower(), said.reason or ""


def quantity_in(form: Mapping[str, str], field: str, unit: Unit) -> int | None:
    """An amount in the unit's smallest part: hours, tokens, or money such as 250.00; None where the field is empty."""
    kind, text = measure(unit).kind, form.get(field, "").strip()
    if kind in {UnitKind.STANDARD, UnitKind.GPU_CLASS} or not text:
        return hours_in(form, field)
    found = micro_of(text) if kind is UnitKind.MONEY else whole_number_in(text)
    if found is None:
        raise InvalidInput(
            f"{text[:40]!r} cannot be read",
            where=field,
            code=RefusalCode.INVALID_AMOUNT,
            expected="an amount such as 250.00" if kind is UnitKind.MONEY else "a whole number of tokens",
        )
    return found


def hours_in(form: Mapping[str, str], field: str) -> int | None:
    """GPU-milliseconds of hours such as 40 or 12.5, to a thousandth; None where the field is empty."""
    text = form.get(field, "")
    if not text:
        return None
    found = _HOURS.fullmatch(text)
    if found is None:
        raise InvalidInput(
            f"{text[:40]!r} cannot be read",
            where=field,
            code=RefusalCode.INVALID_AMOUNT,
            expected="GPU-hours above zero, such as 40 or 12.5",
        )
    whole, thousandths = found.groups()
    return int(whole) * MS_PER_HOUR + int((thousandths or "").ljust(3, "0")) * MS_PER_HOUR // 1000


def last_day(until: Instant, zone: ZoneInfo) -> str:
    """The last day before `until`, as a field for a date takes it."""
    return to_datetime(Instant(until - 1)).astimezone(zone).date().isoformat()


def _moment(form: Mapping[str, str], field: str, zone: ZoneInfo) -> datetime | None:
    """The end of the day that was chosen, in the policy's time zone; None where none was."""
    text = form.get(field, "")
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text) + timedelta(days=1), time(), zone)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{text[:40]!r} is no day", where=field, expected="a day such as 2026-12-31") from None
