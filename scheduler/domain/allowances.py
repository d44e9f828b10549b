"""Awards of hours: who holds them, what they may be spent on, and until when."""

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from scheduler.domain.quantities import quantity_text
from scheduler.domain.rollover import Rollover
from scheduler.domain.terms import KeptTerms
from scheduler.domain.units import (
    STANDARD_GPU,
    AllowanceId,
    GpuClassName,
    Instant,
    ProjectName,
    Unit,
)
from scheduler.domain.values import value
from scheduler.domain.vesting import Vesting
from scheduler.domain.workloads import WorkloadKind, WorkloadSpec


class AllowanceSource(StrEnum):
    TIER = "tier"
    COMPENSATION = "compensation"
    PROJECT = "project"
    AD_HOC = "ad-hoc"
    ROLLOVER = "rollover"
    """What was left of a period and went on into the next."""
    TRANSFER = "transfer"
    """What another holder passed on."""


class HolderKind(StrEnum):
    PROJECT = "project"
    TEAM = "team"
    ENGINEER = "engineer"


@dataclass(frozen=True, slots=True, order=True)
class Holder:
    """Who an allowance belongs to: an engineer (by opaque id), a team or a project (by name).

    No tuple, though whatever waits looks its allowances up by it: proposals keep it as JSON with its fields' names, and
    their hash is of that text.
    """

    kind: HolderKind
    id: str

    def __hash__(self) -> int:
        return hash(self.id)  # an enum's own hash is slow; ids of two kinds that are alike are told apart by ==


class Purpose(StrEnum):
    PROJECT = "project"
    PERSONAL = "personal"


@dataclass(frozen=True, slots=True)
class Allowance:
    """An award. `amount` is in the unit's smallest part (standard GPU-milliseconds).

    `gpu_classes` and `kinds` None mean any. `purposes` are what it pays for of itself; compensation pays project
    work beside that only where the owner said so for the workload. `period` names the period a tier's grant is for.
    `vesting` None: all of it is there from the start. `rollover` None: what is left expires. `kept_terms` are those
    of the day it was granted, of pay alone.
    """

    id: AllowanceId
    holder: Holder
    source: AllowanceSource
    amount: int
    starts_at: Instant
    expires_at: Instant | None
    granted_at: Instant
    unit: Unit = STANDARD_GPU
    gpu_classes: frozenset[GpuClassName] | None = None
    kinds: frozenset[WorkloadKind] | None = None
    purposes: frozenset[Purpose] = frozenset({Purpose.PROJECT})
    period: str = ""
    overdraft: int = 0
    vesting: Vesting | None = None
    rollover: Rollover | None = None
    kept_terms: KeptTerms | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it pays in standard time at the terms of whatever it pays for."""
        return self.kept_terms is None and self.unit == STANDARD_GPU

    @property
    def shown(self) -> str:
        """Its amount in words, in its unit."""
        return quantity_text(self.amount, self.unit)

    def is_open_at(self, now: Instant) -> bool:
        return self.starts_at <= now and (self.expires_at is None or now < self.expires_at)

    def pays_for(self, spec: WorkloadSpec, gpu_class: GpuClassName) -> bool:
        """Whether its terms allow this workload on this GPU class, whoever owns it."""
        if self.gpu_classes is not None and gpu_class not in self.gpu_classes:
            return False
        if self.kinds is not None and spec.kind not in self.kinds:
            return False
        if spec.project is None:
            return Purpose.PERSONAL in self.purposes
        if self.source is AllowanceSource.COMPENSATION:
            return spec.uses_compensation
        return Purpose.PROJECT in self.purposes


@dataclass(frozen=True, slots=True)
class Freeze:
    """An allowance was frozen, or unfrozen, and why."""

    allowance_id: AllowanceId
    is_frozen: bool
    at: Instant
    by: str
    reason: str
    request_id: str = ""


@value(frozen=True, slots=True)
class AllowanceBalance:
    """An allowance with what can still be held on it, what is held now, and what is promised and has not vested, in
    the allowance's unit. What is frozen can be spent by nobody until it is unfrozen. `passed_on` left it, on balance,
    without being used: passed to somebody else, moved to a later end, or expired."""

    allowance: Allowance
    available: int
    held: int = 0
    promised: int = 0
    is_frozen: bool = False
    passed_on: int = 0

    @property
    def spendable(self) -> int:
        """What a new hold may take: the available amount and the overdraft that policy allows; nothing while frozen."""
        return 0 if self.is_frozen else self.available + self.allowance.overdraft

    def less(self, booked: int) -> "AllowanceBalance":
        """The same with so much less available."""
        available = self.available - booked
        return AllowanceBalance(self.allowance, available, self.held, self.promised, self.is_frozen, self.passed_on)

    @property
    def without_overdraft(self) -> "AllowanceBalance":
        """The same as if policy allowed no overdraft."""
        return replace(self, allowance=replace(self.allowance, overdraft=0))


@lru_cache(maxsize=65_536)
def holder_of(kind: HolderKind, name: str) -> Holder:
    """The holder, made once: who is looked up and found to be the same object is not compared."""
    return Holder(kind, name)


@lru_cache(maxsize=65_536)
def holders_for(owner: str, team: str, project: ProjectName | None) -> tuple[Holder, ...]:
    """Whose allowances may pay for a workload, the most specific first."""
    own = holder_of(HolderKind.ENGINEER, owner)
    if project is None:
        return (own,)
    return (holder_of(HolderKind.PROJECT, project), holder_of(HolderKind.TEAM, team), own)
