"""The keys of what tiers and projects are granted per period, in standard hours and in other units."""

from dataclasses import dataclass

from scheduler.adapters.policy_files.document import Node, Scalar, found
from scheduler.adapters.policy_files.kinds import Kind, MapOf, Name, Reading, Reference, Whole
from scheduler.adapters.policy_files.sections import Field, Record, Section
from scheduler.domain.awards import PeriodGrant
from scheduler.domain.errors import InvalidInput
from scheduler.domain.quantities import UnitKind, measure, unit_named, whole
from scheduler.domain.units import STANDARD_GPU

_FACTOR_MAX = 20_000
_GPU_HOURS = Whole(0, 1_000_000_000, "standard GPU-hours")
_AMOUNT_MAX = 1_000_000_000_000
"""In hours it is just below the journal's bound."""


@dataclass(frozen=True, slots=True)
class UnitKey(Kind[str]):
    """A unit other than standard hours, as people write it. The GPU class of hours must be defined in the file."""

    @property
    def expected(self) -> str:
        return "a unit: gpu/CLASS, tokens, tokens/MODEL or a currency such as EUR"

    def read(self, node: Node, path: str, reading: Reading) -> str | None:
        text = node.text if isinstance(node, Scalar) and not node.is_nothing else ""
        try:
            unit = unit_named(text)
        except InvalidInput:
            unit = STANDARD_GPU
        if unit == STANDARD_GPU:
            reading.refuse(node.mark, path, found(node), self.expected)
            return None
        counted = measure(unit)
        if counted.kind is UnitKind.GPU_CLASS:
            expected = "a name from gpu_classes"
            reading.references.append(Reference("gpu_classes", counted.of, node.mark, f"{path}.{text}", expected))
        return text


AMOUNT = Field(
    "amount",
    Whole(1, _AMOUNT_MAX, "hours, tokens, or whole units of the currency"),
    "granted per period",
    is_required=True,
)
CAP = Field(
    "rollover_cap",
    Whole(0, _AMOUNT_MAX, "in the same unit"),
    "at most so much of the rest goes on, where the tier has a `rollover`; a `capped` one needs it",
    absent="no cap",
)
PERIOD_GRANT = Section("tiers.NAME.allowances.UNIT", "What is granted beside standard hours.", (AMOUNT, CAP))
PROJECT_GRANT = Section("projects.NAME.allowances.UNIT", "What is granted beside standard hours.", (AMOUNT,))

TIER_ALLOWANCES = Field(
    "allowances",
    MapOf(UnitKey(), PERIOD_GRANT, "units"),
    "granted to each engineer per period beside it, by unit",
    default={},
    absent="nothing else",
)

PROJECT_TEAM = Field("team", Name("teams"), "the team that it belongs to", is_required=True)
IMPORTANCE = Field("importance_per_mille", Whole(0, _FACTOR_MAX, "per mille"), "weighs it in the order", default=1000)
PROJECT_ALLOWANCE = Field("allowance_gpu_hours", _GPU_HOURS, "granted to the project per period", default=0)
PROJECT_ALLOWANCES = Field(
    "allowances",
    MapOf(UnitKey(), PROJECT_GRANT, "units"),
    "granted to it per period beside them, by unit",
    default={},
    absent="nothing else",
)
PROJECT = Section(
    "projects.NAME", "Work with a purpose.", (PROJECT_TEAM, IMPORTANCE, PROJECT_ALLOWANCE, PROJECT_ALLOWANCES)
)
PROJECT_HOURS = Field(
    "project_gpu_hours",
    _GPU_HOURS,
    "shared per period, by importance, among the projects without an `allowance_gpu_hours` of their own",
    default=0,
)


def period_grants(granted: dict[str, Record]) -> tuple[PeriodGrant, ...]:
    """By unit, in the order of their names."""
    return tuple(_grant(unit, record) for unit, record in sorted(granted.items()))


def _grant(name: str, record: Record) -> PeriodGrant:
    unit = unit_named(name)
    cap = record.find(CAP)
    return PeriodGrant(unit, record.value(AMOUNT) * whole(unit), None if cap is None else cap * whole(unit))
