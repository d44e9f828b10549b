"""The keys of a policy file that say what waits for a second person, and how much may be promised."""

from scheduler.adapters.policy_files.kinds import Choice, Whole
from scheduler.adapters.policy_files.sections import Field, Record, Section
from scheduler.domain.approvals import ApprovalRules, Persons
from scheduler.domain.policy import CoverageRule
from scheduler.domain.units import PerMille

GRANTS = Field(
    "grants",
    Choice(Persons),
    "for ad-hoc grants, those of compensation, and payments of employees",
    default=Persons.TWO,
)
OF_POLICY = Field(
    "policy",
    Choice(Persons),
    "for a policy that raises an allowance, a price or a right, or loosens these rules",
    default=Persons.TWO,
)
PRICES = Field("prices", Choice(Persons), "for a price book after the first", default=Persons.TWO)
ACCESS = Field(
    "access",
    Choice(Persons),
    "for a people file that gives somebody more, and for a token of anybody but a node, once two persons can decide it",
    default=Persons.TWO,
)
APPROVALS = Section(
    "approvals",
    "What takes effect only when a second person approves its hash. `one-person` turns it off, which needs two persons.",
    (GRANTS, OF_POLICY, PRICES, ACCESS),
)

RATIO_MAX = Field(
    "ratio_max_per_mille",
    Whole(1, 100_000, "per mille"),
    "(outstanding + promised) ÷ deliverable, per GPU class and period, above which grants and policies are refused",
    absent="no limit: coverage is shown, and nothing is refused",
)
AVAILABILITY = Field(
    "availability_per_mille", Whole(1, 1000, "per mille"), "share of the time that GPUs deliver", default=950
)
COVERAGE = Section(
    "coverage", "How many hours may be promised of those that the GPUs deliver.", (RATIO_MAX, AVAILABILITY)
)


def approvals(record: Record) -> ApprovalRules:
    return ApprovalRules(record.value(GRANTS), record.value(OF_POLICY), record.value(PRICES), record.value(ACCESS))


def coverage(record: Record) -> CoverageRule:
    ratio_max = record.find(RATIO_MAX)
    return CoverageRule(None if ratio_max is None else PerMille(ratio_max), PerMille(record.value(AVAILABILITY)))
