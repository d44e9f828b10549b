"""The keys of a policy file that say which pools lend to each other, and what they share."""

from collections.abc import Mapping

from scheduler.adapters.policy_files.kinds import MapOf, Name, Reading, Whole
from scheduler.adapters.policy_files.sections import Field, Record, Section
from scheduler.domain.policy import Cohort, Quota
from scheduler.domain.units import CohortName, GpuClassName

_GPUS = Whole(0, 16_384, "GPUs")

PARENT = Field("parent", Name("cohorts"), "the cohort that it lies in", absent="none")
SHARED = Field("nominal_gpus", _GPUS, "shared by its members, beside what they lend", default=0)
BORROWED = Field(
    "borrowing_limit_gpus",
    _GPUS,
    "its members together use so much more than is the cohort's, at most",
    absent="no limit",
)
LENT = Field(
    "lending_limit_gpus", _GPUS, "of all that is the cohort's, lent to the cohort that it lies in", absent="all of it"
)
QUOTA_OF_COHORT = Section(
    "cohorts.NAME.quotas.GPU_CLASS", "GPUs of one class that a cohort has.", (SHARED, BORROWED, LENT)
)
QUOTAS = Field(
    "quotas",
    MapOf(Name("gpu_classes"), QUOTA_OF_COHORT, "GPU classes"),
    "what its members share beside what they lend, and the limits of all that together, by GPU class",
    default={},
    absent="what its members lend, without limits",
)
COHORT = Section("cohorts.NAME", "Pools, and cohorts, that lend to each other.", (PARENT, QUOTAS))
COHORTS = Field(
    "cohorts", MapOf(Name(), COHORT, "cohorts"), "pools that lend to each other", default={}, absent="none"
)


def cohort(name: str, record: Record) -> Cohort:
    parent = record.find(PARENT)
    quotas = {GpuClassName(n): _quota(n, r) for n, r in record.value(QUOTAS).items()}
    return Cohort(CohortName(name), None if parent is None else CohortName(parent), quotas)


def _quota(gpu_class: str, record: Record) -> Quota:
    return Quota(GpuClassName(gpu_class), record.value(SHARED), record.find(BORROWED), record.find(LENT))


def check_cohorts(cohorts: Mapping[str, Record], reading: Reading) -> None:
    """They form a tree, and what lies in no other borrows and lends nothing."""
    parents = {name: record.find(PARENT) for name, record in cohorts.items()}
    reported: set[str] = set()
    for start, record in cohorts.items():
        chain = [start]
        while (parent := parents.get(chain[-1])) is not None and parent not in chain:
            chain.append(parent)
        if parent == start and start not in reported:
            reported.update(chain)
            path = " → ".join([*chain, start])
            reading.refuse(record.mark_of(PARENT), f"{record.path}.parent", f"the cycle {path}", "a tree of cohorts")
        for quota in (record.find(QUOTAS) or {}).values():
            for field in (BORROWED, LENT):
                if quota.gives(field) and not record.gives(PARENT):
                    seen = "a limit in a cohort without a parent"
                    reading.refuse(quota.mark_of(field), f"{quota.path}.{field.key}", seen, "a parent")
