"""The keys of a policy file that give teams their guaranteed capacity, and say what may be taken back for it."""

from collections.abc import Mapping

from scheduler.adapters.policy_files import order_keys
from scheduler.adapters.policy_files.kinds import Choice, ListOf, MapOf, Name, Reading, Whole
from scheduler.adapters.policy_files.sections import Field, Record, Section
from scheduler.domain.policy import BorrowWithinCohort, Pool, Quota, ReclaimWithinCohort, WithinPool
from scheduler.domain.units import MS_PER_HOUR, CohortName, GpuClassName, PoolName, TeamName

_GPUS = Whole(0, 16_384, "GPUs")

NOMINAL = Field("nominal_gpus", _GPUS, "guaranteed", is_required=True)
BORROWING_LIMIT = Field("borrowing_limit_gpus", _GPUS, "borrowed on top at most", absent="no limit")
LENDING_LIMIT = Field(
    "lending_limit_gpus",
    _GPUS,
    "lent at most, not above the nominal quota",
    absent="all of the nominal quota",
)
QUOTA = Section("pools.NAME.quotas.GPU_CLASS", "GPUs of one class.", (NOMINAL, BORROWING_LIMIT, LENDING_LIMIT))
TEAMS = Field("teams", ListOf(Name()), "the teams whose work runs in it; each team has one pool", is_required=True)
QUOTAS = Field(
    "quotas", MapOf(Name("gpu_classes"), QUOTA, "GPU classes", low=1), "quota by GPU class", is_required=True
)
COHORT = Field("cohort", Name("cohorts"), "the cohort that it lends to and borrows from", absent="none")
WITHIN_POOL = Field(
    "within_pool", Choice(WithinPool), "who of the pool may be a victim", default=WithinPool.LOWER_PRIORITY
)
RECLAIM = Field(
    "reclaim_within_cohort",
    Choice(ReclaimWithinCohort),
    "whose borrowed capacity it may take back",
    default=ReclaimWithinCohort.ANY,
)
BORROW = Field(
    "borrow_within_cohort",
    Choice(BorrowWithinCohort),
    "whether its work may preempt in other pools while it would itself borrow",
    default=BorrowWithinCohort.NEVER,
)
BORROW_THRESHOLD = Field(
    "borrow_threshold",
    Whole(-1_000_000_000, 1_000_000_000),
    "with the former, only victims up to this priority value",
    absent="any lower one",
)
POOL = Section(
    "pools.NAME",
    "Guaranteed capacity of teams, with Kueue's meaning.",
    (TEAMS, QUOTAS, COHORT, *order_keys.ORDER_OF_POOL, WITHIN_POOL, RECLAIM, BORROW, BORROW_THRESHOLD),
)
POOLS = Field("pools", MapOf(Name(), POOL, "pools", low=1), "guaranteed capacity", is_required=True)


def pool(name: str, record: Record) -> Pool:
    return Pool(
        name=PoolName(name),
        teams=tuple(map(TeamName, record.value(TEAMS))),
        quotas={GpuClassName(n): _quota(n, r) for n, r in record.value(QUOTAS).items()},
        cohort=record.made(COHORT, CohortName, None),
        order=record.value(order_keys.ORDER),
        ageing_ms=record.value(order_keys.AGEING) * MS_PER_HOUR,
        ageing_per_engineer=record.value(order_keys.AGEING_PER_ENGINEER),
        within_pool=record.value(WITHIN_POOL),
        reclaim_within_cohort=record.value(RECLAIM),
        borrow_within_cohort=record.value(BORROW),
        borrow_threshold=record.find(BORROW_THRESHOLD),
    )


def _quota(gpu_class: str, record: Record) -> Quota:
    return Quota(
        gpu_class=GpuClassName(gpu_class),
        nominal=record.value(NOMINAL),
        borrowing_limit=record.find(BORROWING_LIMIT),
        lending_limit=record.find(LENDING_LIMIT),
    )


def check_teams(pools: Mapping[str, Record], reading: Reading) -> None:
    pool_of_team: dict[str, str] = {}
    for name, pool in pools.items():
        for team in pool.find(TEAMS) or ():
            first = pool_of_team.setdefault(team, name)
            if first != name:
                reading.refuse(
                    pool.mark_of(TEAMS),
                    f"{pool.path}.teams",
                    f"the team {team}, which pool {first} has already",
                    "each team in one pool",
                )


def check_pool(pool: Record, reading: Reading) -> None:
    has_cohort = pool.gives(COHORT)
    for quota in (pool.find(QUOTAS) or {}).values():
        nominal, lending = quota.find(NOMINAL), quota.find(LENDING_LIMIT)
        if nominal is not None and lending is not None and lending > nominal:
            reading.refuse(
                quota.mark_of(LENDING_LIMIT),
                f"{quota.path}.lending_limit_gpus",
                str(lending),
                f"at most the nominal quota, {nominal}",
            )
        for field in (BORROWING_LIMIT, LENDING_LIMIT):
            if quota.gives(field) and not has_cohort:
                reading.refuse(
                    quota.mark_of(field),
                    f"{quota.path}.{field.key}",
                    "a limit in a pool without a cohort",
                    "a cohort",
                )
    borrows = pool.find(BORROW) is BorrowWithinCohort.LOWER_PRIORITY
    if borrows and pool.find(RECLAIM) is ReclaimWithinCohort.NEVER:
        reading.refuse(
            pool.mark_of(BORROW),
            f"{pool.path}.borrow_within_cohort",
            "LowerPriority beside reclaim_within_cohort: Never",
            "Never, or another reclaim_within_cohort",
        )
    if pool.gives(BORROW_THRESHOLD) and not borrows:
        reading.refuse(
            pool.mark_of(BORROW_THRESHOLD),
            f"{pool.path}.borrow_threshold",
            "a threshold where nothing is borrowed by preemption",
            "borrow_within_cohort: LowerPriority beside it",
        )
