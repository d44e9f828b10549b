"""Closing a month: everything in it is charged, reconciled, and then nothing is dated inside it any more."""

import pytest

from scheduler.domain.errors import Conflict, InvalidInput, NotFound, NotPermitted, RefusalCode, Unavailable
from scheduler.domain.funding import FundingShare
from scheduler.domain.observations import PodPhase
from scheduler.domain.people import Caller, Role
from scheduler.domain.periods import Period, iso, period_named
from scheduler.domain.units import MS_PER_HOUR, AllowanceId, Instant
from scheduler.domain.workloads import Workload
from scheduler.finance.reconciling.closing import ClosingState
from scheduler.finance.reconciling.reconciliation import Reconciliation, SettlementKind
from scheduler.ledger.grants import expire
from scheduler.ledger.journal import Account, AccountKind, PostedEntry, TransactionKind
from scheduler.lifecycle.accounting.close_period import Decision, Periods
from scheduler.lifecycle.awarding.expire import expire_due
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.views.reader import Views
from tests.lifecycle.build import Company, changes, job_seen, later, pod_seen

FINANCE = Caller("fin", frozenset({Role.FINANCE}))
AUDITOR = Caller("aud", frozenset({Role.AUDITOR}))
NOVEMBER = period_named("2026-11", "UTC")
WRITE_OFF = Decision(SettlementKind.WRITE_OFF, "no agents yet")


@pytest.fixture
def periods(company: Company) -> Periods:
    return Periods(company.store, company.world)


def running_over_the_turn_of_the_month(company: Company) -> tuple[AllowanceId, Workload, Instant]:
    """Two GPUs from an hour before the end of November on; nobody has charged anything yet."""
    return running_over_the_end(company, NOVEMBER)


def running_over_the_end(company: Company, period: Period) -> tuple[AllowanceId, Workload, Instant]:
    grant = company.grant("ada", 1000)
    company.now = Instant(period.ends_at - MS_PER_HOUR)
    workload = company.submit(time_limit_ms=4 * MS_PER_HOUR)
    company.launch(workload, FundingShare(grant, 8 * MS_PER_HOUR))
    company.give_job(workload)
    start = company.now
    company.see(changes(job_seen(workload, is_suspended=False, active=1), pod_seen(workload, started_at=start)))
    company.now = company.world.rounds.heard_at = Instant(period.ends_at + 2 * MS_PER_HOUR)
    return grant, workload, start


def end(company: Company, workload: Workload, start: Instant, at: Instant) -> None:
    finished = pod_seen(workload, started_at=start, finished_at=at, phase=PodPhase.SUCCEEDED)
    company.see(changes(finished, job_seen(workload, is_suspended=False, is_complete=True)))


def charges(company: Company, allowance: AllowanceId) -> list[PostedEntry]:
    with company.store.reading() as books:
        return list(books.journal.entries(accounts=[Account(AccountKind.CHARGED, allowance)]))


def write_off_what_agents_never_saw(company: Company, periods: Periods) -> None:
    left = periods.reconciliation(FINANCE, "2026-11", company.now).unresolved
    periods.settle(FINANCE, [each.id for each in left], WRITE_OFF, now=company.now)


def test_a_month_is_not_closed_before_it_is_over(company: Company, periods: Periods) -> None:
    with pytest.raises(Conflict) as refused:
        periods.close(FINANCE, "2026-11", now=company.now)
    assert refused.value.code is RefusalCode.PERIOD_NOT_OVER
    assert periods.steps(AUDITOR) == []


@pytest.mark.parametrize("name", ["2026-11-21", "2026-W47", "2026-11", "2026-Q4", "2026"])
def test_charges_and_pods_agree_in_every_period_that_has_a_name_though_work_ran_over_its_end(
    company: Company, periods: Periods, name: str
) -> None:
    """Whatever length the periods of the policy have: a week here, a day or a month there."""
    period = period_named(name, "UTC")
    _, workload, start = running_over_the_end(company, period)
    end(company, workload, start, Instant(period.ends_at + MS_PER_HOUR))
    found = periods.reconciliation(FINANCE, name, company.now)
    assert (found.charged, found.held_by_pods) == (2 * MS_PER_HOUR, 2 * MS_PER_HOUR)
    after = period_named(iso(period.ends_at)[:10], "UTC")
    assert periods.reconciliation(FINANCE, after.name, company.now).charged == 2 * MS_PER_HOUR


def test_only_finance_closes_and_settles(company: Company, periods: Periods) -> None:
    for caller in (AUDITOR, company.caller("ada")):
        with pytest.raises(NotPermitted):
            periods.close(caller, "2026-10", now=company.now)
        with pytest.raises(NotPermitted):
            periods.settle(caller, ["2026-10/x"], WRITE_OFF, now=company.now)
    with pytest.raises(NotPermitted):
        periods.reconciliation(company.caller("ada"), "2026-10", company.now)


def test_the_first_step_charges_what_runs_to_the_end_of_the_month(company: Company, periods: Periods) -> None:
    allowance, _, _ = running_over_the_turn_of_the_month(company)
    assert charges(company, allowance) == []
    step = periods.close(FINANCE, "2026-11", now=company.now, provisionally=True)
    assert step.state is ClosingState.PROVISIONAL
    assert [(e.amount, e.at) for e in charges(company, allowance)] == [(2 * MS_PER_HOUR, NOVEMBER.ends_at - 1)]


@pytest.mark.parametrize("heard_at", [None, Instant(NOVEMBER.ends_at - 1)])
def test_while_the_cluster_was_not_heard_of_since_a_month_ended_what_ran_in_it_is_not_charged_to_its_end(
    company: Company, periods: Periods, heard_at: Instant | None
) -> None:
    """Its pod had ended before, unheard: what is charged is never taken back."""
    allowance, workload, start = running_over_the_turn_of_the_month(company)
    company.world.rounds.heard_at = heard_at
    with pytest.raises(Unavailable) as refused:
        periods.close(FINANCE, "2026-11", now=company.now, provisionally=True)
    assert refused.value.code is RefusalCode.CLUSTER_UNAVAILABLE
    assert (charges(company, allowance), periods.steps(AUDITOR)) == ([], [])

    end(company, workload, start, later(start, 600))
    periods.close(FINANCE, "2026-11", now=company.now, provisionally=True)
    assert sum(each.amount for each in charges(company, allowance)) == 2 * 600_000


def test_a_month_is_not_closed_before_the_cluster_has_given_up_on_a_node_that_was_lost_at_its_end(
    company: Company, periods: Periods
) -> None:
    """Its pod seems to run on for six minutes; then it turns out to have ended with its node."""
    allowance, workload, start = running_over_the_turn_of_the_month(company)
    company.now = company.world.rounds.heard_at = later(NOVEMBER.ends_at, 60)
    with pytest.raises(Unavailable):
        periods.close(FINANCE, "2026-11", now=company.now, provisionally=True)

    lost = later(NOVEMBER.ends_at, -120)
    company.now = later(NOVEMBER.ends_at, 300)
    end(company, workload, start, lost)
    periods.close(FINANCE, "2026-11", now=company.now, provisionally=True)
    assert sum(each.amount for each in charges(company, allowance)) == 2 * (lost - start)


def test_what_was_launched_may_have_started_while_the_cluster_was_not_heard_of(
    company: Company, periods: Periods
) -> None:
    grant = company.grant("ada", 1000)
    company.now = Instant(NOVEMBER.ends_at - MS_PER_HOUR)
    company.launch(company.submit(), FundingShare(grant, 4 * MS_PER_HOUR))
    company.now = Instant(NOVEMBER.ends_at + MS_PER_HOUR)
    with pytest.raises(Unavailable):
        periods.close(FINANCE, "2026-11", now=company.now)
    company.world.rounds.heard_at = company.now
    assert periods.close(FINANCE, "2026-11", now=company.now).state is ClosingState.CLOSED


def test_what_nobody_owns_keeps_a_month_provisional_until_it_is_settled(company: Company, periods: Periods) -> None:
    running_over_the_turn_of_the_month(company)
    with pytest.raises(Conflict) as refused:
        periods.close(FINANCE, "2026-11", now=company.now)
    assert refused.value.code is RefusalCode.PERIOD_UNRECONCILED
    assert [step.state for step in periods.steps(AUDITOR)] == [ClosingState.PROVISIONAL]
    (lost,) = periods.reconciliation(AUDITOR, "2026-11", company.now).unresolved
    assert (lost.id, lost.gpu_ms) == ("2026-11/evidence-lost/node:n0", 2 * MS_PER_HOUR)
    (settled,) = periods.settle(FINANCE, [lost.id], WRITE_OFF, now=company.now)
    assert settled.settlement is not None
    assert periods.close(FINANCE, "2026-11", now=company.now).state is ClosingState.CLOSED
    assert [step.state for step in periods.steps(AUDITOR)] == [ClosingState.PROVISIONAL, ClosingState.CLOSED]
    with pytest.raises(Conflict) as again:
        periods.close(FINANCE, "2026-11", now=company.now)
    assert again.value.code is RefusalCode.PERIOD_CLOSED


@pytest.mark.parametrize(
    ("ids", "decision", "kind"),
    [
        (["2026-11/overhead/none"], WRITE_OFF, NotFound),
        (["no period"], WRITE_OFF, InvalidInput),
        ([], WRITE_OFF, NotFound),
        (["2026-11/evidence-lost/node:n0"], Decision(SettlementKind.WRITE_OFF, " "), InvalidInput),
        (["2026-11/evidence-lost/node:n0"], Decision(SettlementKind.OWNER, "theirs"), InvalidInput),
        (["2026-11/evidence-lost/node:n0"], Decision(SettlementKind.OWNER, "theirs", "nobody"), NotFound),
    ],
)
def test_what_cannot_be_settled_is_refused_and_nothing_is_written(
    company: Company, periods: Periods, ids: list[str], decision: Decision, kind: type[Exception]
) -> None:
    running_over_the_turn_of_the_month(company)
    with pytest.raises(kind):
        periods.settle(FINANCE, ids, decision, now=company.now)
    with company.store.reading() as books:
        assert books.periods.settlements("2026-11") == []


def test_after_the_close_a_late_charge_counts_in_the_open_month_and_is_marked(
    company: Company, periods: Periods
) -> None:
    """The pod turns out to have started earlier: a better stamp came when the books of its month were closed."""
    allowance, workload, start = running_over_the_turn_of_the_month(company)
    periods.close(FINANCE, "2026-11", now=company.now, provisionally=True)
    write_off_what_agents_never_saw(company, periods)
    periods.close(FINANCE, "2026-11", now=company.now)
    before = charges(company, allowance)
    company.see(changes(pod_seen(workload, started_at=later(start, -600)), job_seen(workload, is_suspended=False)))
    end(company, workload, later(start, -600), company.now)
    after = charges(company, allowance)
    assert after[: len(before)] == before
    assert sum(e.amount for e in after) == 2 * (3 * MS_PER_HOUR + 600_000)
    assert all(e.at >= NOVEMBER.ends_at for e in after[len(before) :])
    marked = [(e.gpu_ms, e.corrects_at) for e in after if e.corrects_at is not None]
    assert marked == [(2 * 600_000, NOVEMBER.ends_at - 1)], "what of it was used in November says so"
    for owner in ("ada", "company"):
        lines = Views(company.store, company.world).statement(FINANCE, "2026-12", company.now, owner).lines
        (told,) = [line.text for line in lines if line.kind == "charge"]
        assert f"{owner}: {told}".endswith(", attempt 1, of it 0.3 h on GPUs of a closed period"), told
    with company.store.reading() as books:
        assert sum(
            e.amount for e in books.journal.entries(ends_at=NOVEMBER.ends_at, kinds=[AccountKind.CHARGED])
        ) == (2 * MS_PER_HOUR)


def test_an_expiry_that_falls_into_a_closed_month_is_a_correction_in_the_open_one(
    company: Company, periods: Periods
) -> None:
    from_before = company.grant("ada", 10, expires_at=Instant(NOVEMBER.ends_at - 1000))
    company.now = Instant(NOVEMBER.ends_at + MS_PER_HOUR)
    periods.close(FINANCE, "2026-11", now=company.now)
    with company.changing() as batch:
        expire_due(batch)
    with company.store.reading() as books:
        (expired,) = books.journal.entries(accounts=[Account(AccountKind.EXPIRED, from_before)])
    assert expired.kind is TransactionKind.EXPIRY
    assert (expired.at, expired.corrects_at) == (company.now, NOVEMBER.ends_at - 1001)
    view = Views(company.store, company.world).statement(FINANCE, "2026-12", company.now, "ada")
    assert [line.text for line in view.lines if line.kind == "expiry"] == [
        f"Expired: {from_before} (of a closed period)"
    ]


def test_a_correction_posted_again_under_its_own_date_is_the_same_one(company: Company, periods: Periods) -> None:
    allowance = company.grant("ada", 10, expires_at=Instant(NOVEMBER.ends_at - 1000))
    company.now = Instant(NOVEMBER.ends_at + MS_PER_HOUR)
    periods.close(FINANCE, "2026-11", now=company.now)
    with company.store.reading() as books:
        known = books.allowances.get(allowance)
    assert known is not None
    taken = expire(known.allowance, 10 * MS_PER_HOUR, Instant(NOVEMBER.ends_at - 1), taken_at=company.now)
    for _ in range(2):
        with company.changing() as batch:
            batch.post(taken)
    with company.store.reading() as books:
        assert len(list(books.journal.entries(accounts=[Account(AccountKind.EXPIRED, allowance)]))) == 1


def test_the_world_knows_closed_months_when_it_starts_again(company: Company, periods: Periods) -> None:
    company.now = Instant(NOVEMBER.ends_at + MS_PER_HOUR)
    periods.close(FINANCE, "2026-11", now=company.now)
    closed = company.world.closed_periods
    fresh = World()
    with company.store.reading() as books:
        fresh.load(books, company.now)
    assert fresh.closed_periods == closed == ((NOVEMBER.starts_at, NOVEMBER.ends_at),)


def test_of_two_who_close_at_once_one_does_and_the_other_is_told(
    company: Company, periods: Periods, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other comes while this one compares, when both have seen that it is not closed yet."""
    _, workload, start = running_over_the_turn_of_the_month(company)
    end(company, workload, start, Instant(NOVEMBER.ends_at + MS_PER_HOUR))
    periods.close(FINANCE, "2026-11", now=company.now, provisionally=True)
    write_off_what_agents_never_saw(company, periods)
    compare = Periods._reconciled

    def interrupted(self: Periods, period: Period, now: Instant) -> Reconciliation:
        found = compare(self, period, now)
        monkeypatch.setattr(Periods, "_reconciled", compare)
        periods.close(FINANCE, "2026-11", now=company.now)
        return found

    monkeypatch.setattr(Periods, "_reconciled", interrupted)
    with pytest.raises(Conflict) as refused:
        periods.close(FINANCE, "2026-11", now=company.now)
    assert refused.value.code is RefusalCode.PERIOD_CLOSED
    states = [step.state for step in periods.steps(AUDITOR)]
    assert states == [ClosingState.PROVISIONAL, ClosingState.CLOSED]
    with company.store.reading() as books:
        assert len([event for event in books.control.events() if event.verb == "close"]) == 1


def test_a_difference_that_is_settled_twice_alike_is_settled_once(company: Company, periods: Periods) -> None:
    _, workload, start = running_over_the_turn_of_the_month(company)
    end(company, workload, start, Instant(NOVEMBER.ends_at + MS_PER_HOUR))
    (left,) = periods.reconciliation(FINANCE, "2026-11", company.now).unresolved
    first, again = (periods.settle(FINANCE, [left.id], WRITE_OFF, now=Instant(company.now + n)) for n in (0, 1))
    assert [each.settlement.at for each in (*first, *again) if each.settlement] == [company.now] * 2
    assert first == again
    other = Decision(SettlementKind.OWNER, "no agents yet", "research")
    periods.settle(FINANCE, [left.id], other, now=company.now)
    periods.settle(FINANCE, [left.id], WRITE_OFF, now=company.now)
    with company.store.reading() as books:
        kinds = [each.kind for each in books.periods.settlements("2026-11")]
    assert kinds == [SettlementKind.WRITE_OFF, SettlementKind.OWNER, SettlementKind.WRITE_OFF]


def test_a_difference_belongs_to_somebody_there_is_and_a_person_is_kept_by_their_opaque_id(
    company: Company, periods: Periods
) -> None:
    running_over_the_turn_of_the_month(company)
    (left,) = periods.reconciliation(FINANCE, "2026-11", Instant(company.now + MS_PER_HOUR)).unresolved
    for owner in ("platform", "research", "aurora", "bob"):
        decision = Decision(SettlementKind.OWNER, "theirs", owner)
        (settled,) = periods.settle(FINANCE, [left.id], decision, now=Instant(company.now + MS_PER_HOUR))
        assert settled.settlement is not None
        assert settled.settlement.owner == owner
    with company.store.reading() as books:
        kept = [each.owner for each in books.periods.settlements("2026-11")]
        told = [event.after for event in books.control.events() if event.verb == "settle"]
    assert kept == ["platform", "research", "aurora", company.engineer("bob").id]
    assert not any("bob" in each for each in told), "names stay out of what is proven"
    (seen,) = periods.reconciliation(AUDITOR, "2026-11", Instant(company.now + MS_PER_HOUR)).differences
    assert seen.settlement is not None
    assert seen.settlement.owner == "bob"
