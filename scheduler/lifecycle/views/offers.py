"""An offer: what a letter would say of a package of compensation, before anything is granted."""

from dataclasses import dataclass
from itertools import chain

from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.periods import period_at
from scheduler.domain.quantities import UnitKind, measure, quantity_text, unit_label
from scheduler.domain.units import MS_PER_DAY, AllowanceId, Instant, TierName, Unit
from scheduler.domain.wording import counted
from scheduler.finance.coverage import ClassCoverage
from scheduler.finance.prices.fair_value import FairValue
from scheduler.ledger.vesting import promise
from scheduler.lifecycle.awarding.compensate import Package, package_allowance
from scheduler.lifecycle.awarding.countable import require_countable
from scheduler.lifecycle.awarding.cover import Fullest, fullest_of, require_covered
from scheduler.lifecycle.awarding.outlook import Outlook, classes_of, packaged
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.vesting import value_of
from scheduler.ports import Books

WAIT_DAYS = 28
"""What the wait of a tier is taken over: first attempts that started since."""

ON_LEAVING = (
    "What has not vested is taken back. What has vested can be spent until the last day, "
    "and is never paid out in money."
)


@dataclass(frozen=True, slots=True)
class OfferPart:
    at: Instant
    quantity: int
    text: str


@dataclass(frozen=True, slots=True)
class OfferView:
    """Text for a letter, and the exact numbers behind it. `quantity` fields are in the unit's smallest part.

    `wait_p95_ms` is how long 95 of 100 first starts of the tier's engineers waited at most in the last four weeks; None
    where there were none, or no tier was named.
    """

    unit: str
    kind: str
    total_quantity: int
    total_text: str
    a_year_text: str
    schedule: str
    time_zone: str
    starts_at: Instant
    expires_at: Instant | None
    gpu_classes: tuple[str, ...] | None
    terms: tuple[str, ...]
    value_today: FairValue
    tier: str
    wait_p95_ms: int | None
    wait_of_starts: int
    on_leaving: str
    parts: tuple[OfferPart, ...]
    coverage: tuple[ClassCoverage, ...] = ()
    """Of the period that runs and the classes that it may be spent on, before this is granted."""
    fullest: tuple[Fullest, ...] = ()
    """Of the periods ahead, those in which most of these would be promised once this is granted."""


def offer_view(books: Books, world: World, asked: Package, tier: str, now: Instant) -> OfferView:
    """Refuses what a grant of the same terms would refuse; writes nothing."""
    policy = world.require_policy()
    require_countable(world, asked.unit, asked.gpu_classes)
    if tier and TierName(tier) not in policy.tiers:
        raise InvalidInput(
            f"there is no tier {tier!r}",
            where="tier",
            code=RefusalCode.UNKNOWN_TIER,
            expected="one of " + ", ".join(sorted(policy.tiers)),
        )
    allowance = package_allowance(asked, policy, now, AllowanceId("offer"))
    promise(allowance, actor="nobody")
    extra = packaged(allowance, policy, now)
    require_covered(books, world, now, extra)
    outlook = Outlook(books, world, policy, now)
    covered_now = outlook.of(period_at(now, policy.period, policy.time_zone))
    fullest = fullest_of(outlook.with_extra(extra), policy, now)
    assert allowance.vesting is not None, "a package vests"
    waits = _waits(books, world, tier, now) if tier else []
    payable = classes_of(allowance)
    classes = None if payable is None else tuple(sorted(payable))
    return OfferView(
        unit=unit_label(asked.unit),
        kind=asked.kind.value,
        total_quantity=allowance.amount,
        total_text=quantity_text(allowance.amount, asked.unit),
        a_year_text=_a_year(asked, allowance.amount),
        schedule=schedule_told(asked, len(allowance.vesting.parts)),
        time_zone=policy.time_zone,
        starts_at=allowance.starts_at,
        expires_at=allowance.expires_at,
        gpu_classes=classes,
        terms=_terms(asked, classes),
        value_today=value_of(world, allowance, now),
        tier=tier,
        wait_p95_ms=waits[-(-95 * len(waits) // 100) - 1] if waits else None,
        wait_of_starts=len(waits),
        on_leaving=ON_LEAVING,
        parts=tuple(
            OfferPart(part.at, part.amount, quantity_text(part.amount, asked.unit))
            for part in allowance.vesting.parts
        ),
        coverage=tuple(each for each in covered_now if _is_payable(asked.unit, classes, each)),
        fullest=tuple(each for each in fullest if _is_payable(asked.unit, classes, each)),
    )


def _is_payable(unit: Unit, classes: tuple[str, ...] | None, found: ClassCoverage | Fullest) -> bool:
    """Whether it pays that class; tokens pay none."""
    return measure(unit).kind is not UnitKind.TOKENS and (classes is None or found.gpu_class in classes)


def _a_year(asked: Package, total: int) -> str:
    if asked.parts is not None or asked.months == 0:
        return ""
    return f"{quantity_text(total * 12 // asked.months, asked.unit)} a year"


def schedule_told(asked: Package, parts: int) -> str:
    """When it vests, as an offer letter and whoever approves it read it."""
    if asked.parts is not None:
        return f"in {counted(parts, 'stated part')}"
    if asked.months == 0:
        return "all at the start"
    step = "month" if asked.every_months == 1 else "quarter"
    cliff = f", nothing before {asked.cliff_months} months" if asked.cliff_months > asked.every_months else ""
    return f"every {step} over {asked.months} months{cliff}"


def _terms(asked: Package, classes: tuple[str, ...] | None) -> tuple[str, ...]:
    work = " and ".join(sorted(purpose.value for purpose in asked.purposes))
    return (
        f"pays {work} work; project work only where the holder says so",
        _payable(asked.unit, classes),
        "is not passed on, and does not roll over",
    )


def _payable(unit: Unit, classes: tuple[str, ...] | None) -> str:
    found = measure(unit)
    if found.kind is UnitKind.TOKENS:
        return f"only {found.of}" if found.of else "any model"
    return "any GPU class" if classes is None else "only " + ", ".join(classes)


def _waits(books: Books, world: World, tier: str, now: Instant) -> list[int]:
    """How long first starts of the tier's people waited, the shortest first. What still runs counts: left out, long work
    would be missing, and long work waits longest."""
    people = {person.id for person in list(world.people.values()) if person.tier == tier}
    since = Instant(now - WAIT_DAYS * MS_PER_DAY)
    return sorted(
        attempt.started_at - attempt.submitted_at
        for attempt in chain(books.attempts.ended_since(since), books.attempts.live())
        if attempt.owner in people
        and attempt.number == 1
        and attempt.started_at is not None
        and attempt.started_at >= since
        and attempt.submitted_at is not None
    )
