"""The minimum runtimes that an owner's attempts of one day are given, and what beyond the cap becomes of them."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.cluster import Placement
from scheduler.domain.funding import FundingShare
from scheduler.domain.reasons import Reason
from scheduler.domain.records import RecordedVerdict
from scheduler.domain.sheltering import Sheltered, day_of, is_within_cap, shelter_of
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    MS_PER_MINUTE,
    AllowanceId,
    Instant,
    NodeName,
    PriorityClassName,
    WorkloadId,
)
from scheduler.domain.workloads import Attempt, Workload
from scheduler.lifecycle.memory.past_use import looks_otherwise, reaches_back
from tests.decision.builders import STANDARD as TERMS
from tests.decision.builders import attempt
from tests.decision.builders import policy as deciding_policy
from tests.lifecycle.build import FULL, Company, changes, job_seen, later, pod_seen, policy

CAP_HOURS = 1


def capped(company: Company) -> None:
    """Half an hour is protected in the class; of that, an owner's attempts are given an hour of one GPU per day."""
    known = policy()
    classes = dict(known.priority_classes)
    classes[FULL] = replace(classes[FULL], minimum_runtime_ms=30 * MS_PER_MINUTE)
    limits = replace(known.limits, protected_per_day=CAP_HOURS * MS_PER_HOUR)
    company.world.put_policy(replace(known, priority_classes=classes, limits=limits))


def verdicts(company: Company, workload_id: WorkloadId) -> list[RecordedVerdict]:
    with company.store.reading() as books:
        return list(books.verdicts.of_workload(workload_id))


def launched(company: Company, owner: str, grant: AllowanceId) -> tuple[Workload, Attempt]:
    workload = company.submit(owner)
    company.launch(workload, FundingShare(grant, 4 * MS_PER_HOUR))
    made = company.world.live_attempt(workload.id)
    assert made is not None
    return workload, made


def test_beyond_the_cap_an_owner_s_attempts_have_no_minimum_runtime_that_day(company: Company) -> None:
    capped(company)
    grant, other = company.grant("ada", 100), company.grant("bob", 100)
    # Two GPUs for half an hour are the hour.
    first, sheltered = launched(company, "ada", grant)
    second, bare = launched(company, "ada", grant)
    assert (sheltered.is_sheltered, bare.is_sheltered) == (True, False)
    told = [verdict for verdict in verdicts(company, second.id) if verdict.reason is Reason.UNSHELTERED]
    assert [dict(verdict.evidence) for verdict in told] == [
        {"given_hours": "1.0", "needed_hours": "1.0", "limit_hours": "1.0"}
    ]
    assert Reason.UNSHELTERED not in [verdict.reason for verdict in verdicts(company, first.id)]
    assert launched(company, "bob", other)[1].is_sheltered


def test_what_is_over_still_counts_until_the_next_day(company: Company) -> None:
    capped(company)
    grant = company.grant("ada", 100)
    first, _ = launched(company, "ada", grant)
    company.give_job(first)
    start = later(company.now, 0)
    company.see(changes(job_seen(first, is_suspended=False, active=1), pod_seen(first, started_at=start)))
    ended = pod_seen(first, started_at=start, finished_at=later(start, 5), is_gone=True)
    company.see(changes(ended, job_seen(first, is_suspended=False, is_complete=True)))
    assert company.world.attempts == {}

    assert not launched(company, "ada", grant)[1].is_sheltered
    company.now = Instant(company.now + MS_PER_DAY)
    assert launched(company, "ada", grant)[1].is_sheltered


def test_what_ran_out_of_hours_and_goes_on_unfunded_has_had_its_minimum_runtime(company: Company) -> None:
    capped(company)
    grant = company.grant("ada", 100)
    _, sheltered = launched(company, "ada", grant)
    with company.changing() as batch:
        batch.put_attempt(replace(sheltered, is_funded=False))

    assert not launched(company, "ada", grant)[1].is_sheltered


def test_what_starts_unfunded_takes_nothing_of_what_its_owner_is_given(company: Company) -> None:
    capped(company)
    grant, workload = company.grant("ada", 100), company.submit("ada")
    company.launch(workload, is_funded=False)
    unfunded = company.world.live_attempt(workload.id)
    assert unfunded is not None
    assert not unfunded.is_sheltered

    assert launched(company, "ada", grant)[1].is_sheltered
    assert Reason.UNSHELTERED not in [verdict.reason for verdict in verdicts(company, workload.id)]


def test_a_policy_that_caps_has_the_attempts_of_the_day_counted_at_the_start() -> None:
    known = policy()
    caps = replace(known, limits=replace(known.limits, protected_per_day=0))
    assert (reaches_back(known), reaches_back(caps) >= MS_PER_DAY) == (0, True)
    assert looks_otherwise(known, caps)


lengths = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3 * MS_PER_HOUR)), max_size=30)


@given(lengths, st.integers(0, 8))
def test_a_burst_of_small_jobs_is_given_no_more_than_the_cap(burst: list[tuple[int, int]], cap_hours: int) -> None:
    """However the work is cut up, and however fast one follows another."""
    known = deciding_policy(classes=(replace(TERMS, minimum_runtime_ms=30 * MS_PER_MINUTE),))
    rules = replace(known, limits=replace(known.limits, protected_per_day=cap_hours * MS_PER_HOUR))
    so_far, at = Sheltered(), day_of(Instant(1_795_000_000_000), rules)
    by_day: dict[Instant, int] = {}
    for gpus, gap_ms in burst:
        at = Instant(at + gap_ms)
        made = replace(attempt("w", "n1", gpus=gpus), launched_at=at)
        day = day_of(at, rules)
        if not is_within_cap(made, so_far.on(day), rules):
            made = replace(made, minimum_runtime_ms=0)
        else:
            by_day[day] = by_day.get(day, 0) + shelter_of(made, rules)
        so_far = so_far.and_of(made, rules)
    assert all(given <= cap_hours * MS_PER_HOUR for given in by_day.values())


def test_what_is_unfunded_or_of_a_booking_is_given_none_of_it() -> None:
    rules = deciding_policy(classes=(replace(TERMS, minimum_runtime_ms=MS_PER_HOUR),))
    plain = attempt("w", "n1", gpus=2)
    assert shelter_of(plain, rules) == 2 * MS_PER_HOUR
    assert shelter_of(replace(plain, minimum_runtime_ms=0), rules) == 0
    assert shelter_of(replace(plain, booking_id=plain.workload_id), rules) == 0
    assert shelter_of(replace(plain, priority_class=PriorityClassName("gone")), rules) == 0
    assert plain.placement == Placement(((NodeName("n1"), 1),))
