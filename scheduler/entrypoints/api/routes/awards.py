"""Compensation and what becomes of allowances: packages that vest, clawback, freezes."""

from dataclasses import replace
from typing import Annotated

from pydantic import ConfigDict, Field
from starlette.responses import Response

from scheduler.domain.allowances import Allowance, Freeze, Holder, HolderKind, Purpose
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.periods import to_instant
from scheduler.domain.quantities import unit_named
from scheduler.domain.units import AllowanceId, EngineerId, GpuClassName
from scheduler.domain.vesting import MONTHS_MAX, PARTS_MAX, PackageKind, VestingPart
from scheduler.entrypoints.api import answers
from scheduler.entrypoints.api.asked import Asked, IdempotencyKey, Signed
from scheduler.entrypoints.api.bodies import api_router
from scheduler.entrypoints.api.fields import STANDARD, Body, Moment, Name, Quantity, Text, UnitName, instant_of
from scheduler.entrypoints.api.routes.allowances import BooksOf
from scheduler.lifecycle.awarding.awards import ClawedBack
from scheduler.lifecycle.awarding.compensate import Package
from scheduler.lifecycle.awarding.transfer import Passing
from scheduler.lifecycle.views.offers import OfferView
from scheduler.lifecycle.views.vesting import VestingView

router = api_router("/v1", tags=["allowances"])

_OF_EQUAL_STEPS = ("months", "cliff_months", "every_months")


class Part(Body):
    """One part of a schedule that is given by its parts."""

    at: Moment
    quantity: Quantity


class Terms(Body):
    """An amount in a unit, and when which part of it vests."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"quantity": 7_200_000_000, "is_annual": True}]})

    quantity: Quantity
    tier: Annotated[Name | None, Field(description="Whose wait an offer states.")] = None
    unit: UnitName = STANDARD
    kind: Annotated[PackageKind, Field(strict=False)] = PackageKind.ANNUAL
    is_annual: Annotated[bool, Field(description="`quantity` is a year's; else it is all of it.")] = False
    starts_at: Annotated[Moment | None, Field(description="Now where it is left out.")] = None
    months: Annotated[int, Field(ge=0, le=MONTHS_MAX, description="0: all at once.")] = 48
    cliff_months: Annotated[int, Field(ge=0, le=MONTHS_MAX)] = 12
    every_months: Annotated[int, Field(description="1 or 3")] = 1
    parts: Annotated[
        list[Part] | None,
        Field(
            min_length=1,
            max_length=PARTS_MAX,
            description="The whole schedule: months, cliff_months, every_months and is_annual are refused beside it.",
        ),
    ] = None
    expires_at: Moment | None = None
    gpu_classes: Annotated[list[Name] | None, Field(min_length=1)] = None
    purposes: Annotated[list[Annotated[Purpose, Field(strict=False)]] | None, Field(min_length=1)] = None

    def package(self, holder: EngineerId) -> Package:
        """Raises InvalidInput (`invalid-schedule`) where two schedules are given."""
        parts = None
        if self.parts is not None:
            self._require_one_schedule()
            parts = tuple(VestingPart(to_instant(part.at), part.quantity) for part in self.parts)
        return Package(
            holder=holder,
            amount=self.quantity,
            kind=self.kind,
            unit=unit_named(self.unit),
            is_annual=self.is_annual,
            starts_at=instant_of(self.starts_at),
            months=self.months,
            cliff_months=self.cliff_months,
            every_months=self.every_months,
            parts=parts,
            expires_at=instant_of(self.expires_at),
            gpu_classes=None if self.gpu_classes is None else frozenset(map(GpuClassName, self.gpu_classes)),
            purposes=frozenset(self.purposes or {Purpose.PERSONAL}),
        )

    def _require_one_schedule(self) -> None:
        beside = [name for name in _OF_EQUAL_STEPS if name in self.model_fields_set]
        beside += ["is_annual"] if self.is_annual else []
        if beside:
            raise InvalidInput(
                f"the parts are the whole schedule, and {' and '.join(beside)} would count for nothing",
                where=beside[0],
                code=RefusalCode.INVALID_SCHEDULE,
                expected="parts alone, or equal steps by months, cliff_months and every_months",
            )


class PackageTerms(Terms):
    """What a package promises to whom."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "holder": "ada@example.com",
                    "quantity": 7_200_000_000,
                    "is_annual": True,
                    "months": 48,
                    "cliff_months": 12,
                    "reason": "offer of 1 December",
                }
            ]
        }
    )

    holder: Annotated[Name, Field(description="An engineer's id or subject.")]
    reason: Text


class Departure(Body):
    """Whose unvested compensation is taken back, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"holder": "ada@example.com", "reason": "leaves on 30 June"}]}
    )

    holder: Name
    reason: Text


class FreezeOf(Body):
    """Which allowance, and why. An id of a tier's allowance has slashes, so it stands in the body."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"allowance": "g-7k2m9qx4abcd", "reason": "a dispute"}]}
    )

    allowance: Name
    reason: Text


class TransferOf(Body):
    """So much of one allowance to another holder. `to` of a team may be the name of its pool."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "allowance": "tier/e-1/2026-11",
                    "to": "bob@example.com",
                    "quantity": 144_000_000,
                    "reason": "a deadline",
                }
            ]
        }
    )

    allowance: Name
    to_kind: Annotated[HolderKind, Field(strict=False)] = HolderKind.ENGINEER
    to: Name
    quantity: Quantity
    reason: Text
    into: Annotated[
        Name | None,
        Field(description="An allowance of theirs, of the same unit and no better terms; else one is made."),
    ] = None


@router.post(
    "/grants/compensation",
    status_code=201,
    summary="Promise a package that vests",
    responses=answers.or_waits(
        answers.responds(
            Allowance,
            RefusalCode.INVALID_AMOUNT,
            RefusalCode.INVALID_SCHEDULE,
            RefusalCode.SCHEDULE_SUM,
            RefusalCode.EXPIRY_BEFORE_GRANT,
            RefusalCode.UNKNOWN_ENGINEER,
            RefusalCode.IDEMPOTENCY_CONFLICT,
            RefusalCode.COVERAGE_EXCEEDED,
            status=201,
        )
    ),
)
def compensate(asked: Signed, body: PackageTerms, key: IdempotencyKey = None) -> Response:
    """Unless policy says `one-person`, it waits until another of people operations approves its hash."""
    made = asked.service.proposals.compensate(
        asked.caller,
        replace(body.package(_engineer(asked, body.holder)), reason=body.reason),
        now=asked.now,
        command=asked.command(key, body),
        request_id=asked.request_id,
    )
    if not isinstance(made, Allowance):
        return answers.in_force_or_waiting(asked, made)
    return answers.one(asked.service.money.package(asked.caller, made.id, asked.now), status=201)


@router.get(
    "/vesting", summary="Packages and how far they vested", responses=answers.responds(VestingView, is_page=True)
)
def vesting(asked: Signed, owner: BooksOf = None) -> Response:
    return answers.page(asked.service.money.vesting(asked.caller, asked.now, owner))


@router.get(
    "/vesting/{package}",
    summary="One package, part by part",
    responses=answers.responds(VestingView, RefusalCode.UNKNOWN_ALLOWANCE),
)
def one_package(asked: Signed, package: Name) -> Response:
    return answers.one(asked.service.money.package(asked.caller, package, asked.now))


@router.post(
    "/statement/offer",
    summary="What an offer letter says of a package",
    responses=answers.responds(
        OfferView, RefusalCode.INVALID_SCHEDULE, RefusalCode.SCHEDULE_SUM, RefusalCode.COVERAGE_EXCEEDED
    ),
)
def offer(asked: Signed, body: Terms) -> Response:
    return answers.one(
        asked.service.money.offer(asked.caller, body.package(EngineerId("")), body.tier or "", asked.now)
    )


@router.post(
    "/vesting/claw-back",
    summary="Take back what has not vested of a person's packages",
    responses=answers.responds(ClawedBack, RefusalCode.UNKNOWN_ENGINEER, is_page=True),
)
def claw_back(asked: Signed, body: Departure) -> Response:
    taken = asked.service.awards.claw_back(
        asked.caller, _engineer(asked, body.holder), body.reason, now=asked.now, request_id=asked.request_id
    )
    return answers.page(taken)


@router.post(
    "/allowances/freeze",
    summary="Let nobody spend an allowance",
    responses=answers.responds(Freeze, RefusalCode.UNKNOWN_ALLOWANCE),
)
def freeze(asked: Signed, body: FreezeOf) -> Response:
    return _freeze(asked, body, is_frozen=True)


@router.post(
    "/allowances/unfreeze",
    summary="End a freeze",
    responses=answers.responds(Freeze, RefusalCode.UNKNOWN_ALLOWANCE),
)
def unfreeze(asked: Signed, body: FreezeOf) -> Response:
    return _freeze(asked, body, is_frozen=False)


def _freeze(asked: Asked, body: FreezeOf, *, is_frozen: bool) -> Response:
    made = asked.service.awards.freeze(
        asked.caller,
        AllowanceId(body.allowance),
        body.reason,
        is_frozen=is_frozen,
        now=asked.now,
        request_id=asked.request_id,
    )
    return answers.one(made)


def _engineer(asked: Asked, name: str) -> EngineerId:
    found = asked.engineer(name)
    assert found is not None, "a name was given"
    return found


@router.post(
    "/transfers",
    status_code=201,
    summary="Pass hours on to a colleague, or donate them to a pool, team or project",
    responses=answers.responds(
        Allowance,
        RefusalCode.INVALID_AMOUNT,
        RefusalCode.TRANSFER_TO_SELF,
        RefusalCode.TRANSFER_NOT_ALLOWED,
        RefusalCode.UNIT_MISMATCH,
        RefusalCode.ALLOWANCE_SHORT,
        RefusalCode.ALLOWANCE_EXPIRED,
        RefusalCode.SELF_BENEFIT,
        RefusalCode.APPROVAL_NEEDED,
        RefusalCode.UNKNOWN_ALLOWANCE,
        RefusalCode.IDEMPOTENCY_CONFLICT,
        status=201,
    ),
)
def transfer(asked: Signed, body: TransferOf, key: IdempotencyKey = None) -> Response:
    awards = asked.service.awards
    match body.to_kind:
        case HolderKind.ENGINEER:
            target = awards.colleague(asked.caller, body.to)
        case HolderKind.TEAM:
            target = awards.donee(body.to)
        case HolderKind.PROJECT:
            target = Holder(HolderKind.PROJECT, body.to)
    made = awards.transfer(
        asked.caller,
        Passing(
            AllowanceId(body.allowance),
            target,
            body.quantity,
            body.reason,
            None if body.into is None else AllowanceId(body.into),
        ),
        now=asked.now,
        command=asked.command(key, body),
        request_id=asked.request_id,
    )
    return answers.one(made, status=201)
