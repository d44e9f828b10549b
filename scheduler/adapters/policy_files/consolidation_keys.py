"""The keys of a policy file that say whose running work may be moved for a gang, and at what cost."""

from scheduler.adapters.policy_files.kinds import ListOf, Name, Whole
from scheduler.adapters.policy_files.sections import Field, Record, Section
from scheduler.domain.consolidation import ConsolidationTerms
from scheduler.domain.units import MS_PER_MINUTE, PriorityClassName

MOVABLE = Field(
    "priority_classes",
    ListOf(Name("priority_classes")),
    "classes whose jobs may be moved, once they have written a checkpoint and their minimum runtime is over",
    default=(),
    absent="none: nothing is moved",
)
LOST_MAX = Field(
    "lost_max_gpu_minutes",
    Whole(0, 1_000_000, "GPU-minutes"),
    "of work since the last checkpoint, on all GPUs of the job, that one move may throw away",
    default=60,
)
MOVES_MAX = Field("moves_max", Whole(1, 64, "jobs"), "how many are moved for one gang at most", default=4)
CONSOLIDATION = Section(
    "consolidation",
    "Moving cheap work so that a gang fits which nothing but fragments keeps waiting.",
    (MOVABLE, LOST_MAX, MOVES_MAX),
)


def consolidation_terms(record: Record) -> ConsolidationTerms:
    return ConsolidationTerms(
        priority_classes=frozenset(PriorityClassName(name) for name in record.value(MOVABLE)),
        lost_max=record.value(LOST_MAX) * MS_PER_MINUTE,
        moves_max=record.value(MOVES_MAX),
    )
