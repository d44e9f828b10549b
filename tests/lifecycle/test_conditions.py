"""Arrays, work that follows other work, deadlines, and submissions that are asked about first."""

from dataclasses import replace

import pytest

from scheduler.decision.decide import step
from scheduler.decision.state import State
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.awards import Award
from scheduler.domain.errors import Conflict, Exhausted, InvalidInput, NotFound, RefusalCode
from scheduler.domain.periods import iso
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, Instant, JobUid, PerMille, WorkloadId
from scheduler.domain.workloads import ArrayPlace, Workload, WorkloadState
from scheduler.lifecycle.asking.submit import AS_IT_IS, SubmissionTerms
from scheduler.lifecycle.running.limits import enforce_limits, limits_are_due
from scheduler.lifecycle.views.reader import Views
from tests.lifecycle.build import NOON, OPERATOR, Company, job_seen, job_spec, policy

# NOON is a Friday.
SATURDAY, SUNDAY_NIGHT, MONDAY = (Instant(NOON + hours * MS_PER_HOUR) for hours in (24, 59, 60))


def submit(company: Company, terms: SubmissionTerms, **fields: object) -> Workload:
    spec = replace(job_spec(), **fields)  # type: ignore[arg-type] # by name
    return company.commands.submit(company.caller("ada"), spec, now=company.now, terms=terms)


def test_an_array_is_as_many_workloads_and_is_cancelled_by_its_own_id(company: Company) -> None:
    company.grant("ada", 10)
    first = submit(company, SubmissionTerms(array_count=3, at_once=2))
    array = WorkloadId(first.id.removesuffix("-i0"))

    assert first.spec.array == ArrayPlace(0, 3, 2)
    assert sorted(w.spec.name for w in company.world.workloads.values()) == ["train[0]", "train[1]", "train[2]"]
    company.commands.cancel(company.caller("ada"), array, now=company.now)
    assert {company.workload(WorkloadId(f"{array}-i{n}")).state for n in range(3)} == {WorkloadState.CANCELLED}


def test_what_follows_starts_to_queue_when_its_leader_has_completed(company: Company) -> None:
    company.grant("ada", 10)
    leader = company.submit()
    follower = company.submit(after=(leader.id,))
    assert follower.spec.after == (leader.id,)
    with company.changing() as batch:
        batch.change_workload(leader, state=WorkloadState.COMPLETED, state_reason=Reason.COMPLETED)

    assert company.workload(follower.id).spec.after == ()
    assert company.submit(after=(leader.id,)).spec.after == ()


def test_what_follows_something_cancelled_is_called_off_with_all_that_follows_it(company: Company) -> None:
    company.grant("ada", 10)
    leader = company.submit()
    second = company.submit(after=(leader.id,))
    third = company.submit(after=(second.id,))
    company.commands.cancel(company.caller("ada"), leader.id, now=company.now)

    for follower in (second, third):
        known = company.workload(follower.id)
        assert (known.state, known.state_reason) == (WorkloadState.CANCELLED, Reason.DEPENDENCY_NEVER)
    with pytest.raises(Conflict, match=r"train \(w-[^)]*\) is cancelled: it will not complete"):
        company.submit(after=(leader.id,))


def test_who_is_called_off_reads_the_name_of_what_has_not_completed(company: Company) -> None:
    company.grant("ada", 10)
    ahead = company.submit(name="evaluate")
    follower = company.submit(after=(ahead.id,))
    company.commands.cancel(company.caller("ada"), ahead.id, now=company.now)
    view = Views(company.store, company.world).workload(company.caller("ada"), follower.id, company.now)
    assert view.verdict.sentence == "Called off: evaluate, which it was to follow, has not completed."
    assert view.verdict.evidence == {"after": ahead.id, "after_name": "evaluate"}


def test_nobody_follows_what_is_not_theirs_to_see(company: Company) -> None:
    company.grant("ada", 10)
    with pytest.raises(NotFound):
        company.submit(after=(WorkloadId("w-unknown"),))


def test_what_can_no_longer_end_in_time_is_given_up(company: Company) -> None:
    company.grant("ada", 10)
    late = company.submit(finish_by=Instant(company.now + 3 * MS_PER_HOUR))
    company.now = Instant(company.now + MS_PER_HOUR)
    assert not limits_are_due(company.world, company.now)
    company.now = Instant(company.now + 1)
    assert limits_are_due(company.world, company.now)
    with company.changing() as batch:
        enforce_limits(batch)

    known = company.workload(late.id)
    assert (known.state, known.state_reason) == (WorkloadState.FAILED, Reason.DEADLINE)
    assert not limits_are_due(company.world, company.now)
    with pytest.raises(InvalidInput):
        company.submit(finish_by=Instant(company.now + MS_PER_HOUR))


def test_a_submission_may_ask_not_to_begin_before(company: Company) -> None:
    company.grant("ada", 10)
    begin = Instant(company.now + MS_PER_HOUR)
    assert submit(company, SubmissionTerms(begin_at=begin)).not_before == begin


def test_what_could_not_end_in_time_once_it_may_begin_is_refused(company: Company) -> None:
    company.grant("ada", 10)
    begin = SubmissionTerms(begin_at=Instant(company.now + MS_PER_HOUR))
    submit(company, begin, time_limit_ms=MS_PER_HOUR, finish_by=Instant(company.now + 2 * MS_PER_HOUR))
    with pytest.raises(InvalidInput) as refused:
        submit(company, begin, time_limit_ms=MS_PER_HOUR, finish_by=Instant(company.now + 2 * MS_PER_HOUR - 1))
    assert (refused.value.code, refused.value.where) == (RefusalCode.INVALID_TIME_LIMIT, "finish_by")
    assert refused.value.expected == f"an instant after {iso(Instant(company.now + 2 * MS_PER_HOUR))}"
    assert (
        refused.value.remedy == "name a later one, with its offset from UTC as here, or ask for a shorter time limit"
    )


def test_a_batch_that_would_empty_an_allowance_over_a_weekend_is_asked_about_first() -> None:
    known = policy()
    company = Company(replace(known, limits=replace(known.limits, confirm_weekend=PerMille(500))))
    company.grant("ada", 100)
    over_it = {"time_limit_ms": 14 * MS_PER_HOUR}  # from Friday noon into Saturday
    small, large = SubmissionTerms(array_count=1), SubmissionTerms(array_count=3)

    submit(company, small, **over_it)
    with pytest.raises(Conflict) as refused:
        submit(company, large, **over_it)
    assert refused.value.code is RefusalCode.CONFIRMATION_NEEDED
    assert len(company.world.workloads) == 1
    submit(company, replace(large, is_confirmed=True), **over_it)
    submit(company, large, time_limit_ms=11 * MS_PER_HOUR)
    assert company.now == NOON
    company.close()


def asking(hours: int) -> Company:
    """A company that asks about more than half of what is left; so many hours are."""
    known = policy()
    company = Company(replace(known, limits=replace(known.limits, confirm_weekend=PerMille(500))))
    company.grant("ada", hours)
    return company


def test_what_was_split_is_asked_about_as_the_whole_would_be() -> None:
    """Of 100 hours half may go unasked, and each takes 28 by Monday."""
    company = asking(100)
    third = {"time_limit_ms": 14 * MS_PER_HOUR}
    submit(company, AS_IT_IS, **third)
    with pytest.raises(Conflict, match=r"28.0 h by .*weekend, what you have waiting 28.0 h, and 100.0 h are left"):
        submit(company, AS_IT_IS, **third)
    submit(company, SubmissionTerms(is_confirmed=True), **third)
    with pytest.raises(Conflict, match=r"what you have waiting 56.0 h"):
        submit(company, AS_IT_IS, **third)
    submit(company, AS_IT_IS, time_limit_ms=MS_PER_HOUR)
    company.close()


def test_what_waits_counts_by_its_array_and_its_begin_and_not_when_it_has_its_hours() -> None:
    company = asking(100)
    submit(company, SubmissionTerms(array_count=6, at_once=1), time_limit_ms=2 * MS_PER_HOUR)  # 24 h, one by one
    submit(company, SubmissionTerms(begin_at=MONDAY), time_limit_ms=40 * MS_PER_HOUR)
    over_it = {"time_limit_ms": 13 * MS_PER_HOUR}
    launched = submit(company, AS_IT_IS, **over_it)
    with pytest.raises(Conflict, match=r"what you have waiting 50.0 h"):
        submit(company, AS_IT_IS, **over_it)
    company.launch(launched)
    submit(company, AS_IT_IS, **over_it)
    company.close()


def test_what_waits_for_the_hours_of_others_does_not_count() -> None:
    """Bob's, and ada's on a project that pays for itself as far as it can."""
    company = asking(100)
    company.grant("bob", 100)
    hours = {"time_limit_ms": 13 * MS_PER_HOUR}
    company.submit("bob", time_limit_ms=13 * MS_PER_HOUR)
    of_project = Award(Holder(HolderKind.PROJECT, "aurora"), 26 * MS_PER_HOUR)
    company.commands.grant(OPERATOR, of_project, now=company.now)
    submit(company, AS_IT_IS, **hours)
    submit(company, AS_IT_IS, project=None, **hours)
    with pytest.raises(Conflict, match=r"what you have waiting 26.0 h"):
        submit(company, AS_IT_IS, project=None, **hours)
    company.close()


def test_where_more_waits_than_is_left_all_of_it_is_spoken_for() -> None:
    company = asking(20)
    submit(company, SubmissionTerms(is_confirmed=True), time_limit_ms=14 * MS_PER_HOUR)
    with pytest.raises(Conflict, match=r"what you have waiting 20.0 h, and 20.0 h are left"):
        submit(company, AS_IT_IS, time_limit_ms=13 * MS_PER_HOUR)
    company.close()


@pytest.mark.parametrize(
    ("terms", "hours", "asks"),
    [
        pytest.param(SubmissionTerms(array_count=6), 4, False, id="all at once, over on Friday"),
        pytest.param(SubmissionTerms(array_count=6, at_once=1), 4, True, id="one after another, all weekend"),
        pytest.param(SubmissionTerms(begin_at=SATURDAY), 14, True, id="not before Saturday"),
        pytest.param(SubmissionTerms(begin_at=SUNDAY_NIGHT), 14, False, id="an hour of Sunday, and Monday"),
        pytest.param(SubmissionTerms(begin_at=MONDAY), 14, False, id="not before Monday"),
        pytest.param(SubmissionTerms(array_count=3, at_once=2), 14, True, id="two and one, from Friday noon"),
        pytest.param(AS_IT_IS, 14, False, id="one alone"),
    ],
)
def test_what_would_be_used_by_the_end_of_a_weekend_is_asked_about(
    terms: SubmissionTerms, hours: int, asks: bool
) -> None:
    """From Friday noon on; of 80 hours half may go unasked, and each hour takes two or four."""
    known = policy()
    company = Company(replace(known, limits=replace(known.limits, confirm_weekend=PerMille(500))))
    company.grant("ada", 80)
    pod = replace(job_spec().pod, gpus=4 if terms.begin_at is not None else 2)
    fields = {"time_limit_ms": hours * MS_PER_HOUR, "pod": pod}
    if asks:
        with pytest.raises(Conflict) as refused:
            submit(company, terms, **fields)
        assert refused.value.code is RefusalCode.CONFIRMATION_NEEDED
    else:
        submit(company, terms, **fields)
    company.close()


def test_a_quote_says_what_a_submission_would_be_asked_and_is_refused_where_the_queue_is_full() -> None:
    company = asking(100)
    views = Views(company.store, company.world)
    views.state = step(State(), company.world.everything(), company.now)[0]

    def quoted(terms: SubmissionTerms) -> str:
        asked = replace(job_spec(), time_limit_ms=14 * MS_PER_HOUR)
        return views.quote(company.caller("ada"), (asked, terms), company.now).confirmation

    assert quoted(AS_IT_IS) == ""
    assert "it could use 84.0 h by the end of the weekend, and 100.0 h are left" in quoted(SubmissionTerms(None, 3))
    assert quoted(SubmissionTerms(None, 3, is_confirmed=True)) == ""
    known = company.world.require_policy()
    company.world.put_policy(replace(known, limits=replace(known.limits, queued_per_engineer=2)))
    with pytest.raises(Exhausted) as refused:
        quoted(SubmissionTerms(None, 3))
    assert refused.value.code is RefusalCode.QUEUE_FULL
    company.close()


def test_jobs_of_kubectl_are_asked_about_together_and_taken_in_once_confirmed() -> None:
    """Of 100 hours half may go unasked, and each takes 28 by Monday: the first alone is taken in."""
    company = asking(100)
    one = replace(job_spec(), time_limit_ms=14 * MS_PER_HOUR)
    template = company.submit(time_limit_ms=MS_PER_HOUR // 60)
    company.commands.cancel(company.caller("ada"), template.id, now=company.now)
    first, second = (
        job_seen(template, author="ada", asked=one, name=name, uid=JobUid(name)) for name in ("first", "second")
    )
    (told,) = company.take_in(first, second)

    assert (told.job_uid, told.reason) == (second.uid, Reason.REFUSED)
    assert told.message.endswith("(confirmation-needed).")
    assert "`kubectl annotate job second -n allot allot.dev/confirmed=true`" in told.message
    assert "100" not in told.message, "the team reads the Events of a Job"
    assert company.take_in(second) == [], "it is told once"
    assert second.uid not in company.world.workload_of_job
    assert company.take_in(replace(second, is_confirmed=True)) == []
    assert second.uid in company.world.workload_of_job
    company.close()
