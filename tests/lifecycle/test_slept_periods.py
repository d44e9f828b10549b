"""Periods, parts and ends that the service hears of late: who slept and woke leaves the books of one who never slept."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scheduler.domain.awards import PeriodGrant
from scheduler.domain.people import Caller, Role
from scheduler.domain.periods import PeriodLength, period_at
from scheduler.domain.policy import Policy
from scheduler.domain.quantities import TOKENS
from scheduler.domain.rollover import Rollover, RolloverRule
from scheduler.domain.units import MS_PER_HOUR, MS_PER_MINUTE, AllowanceId, Instant, PerMille, ProjectName
from scheduler.domain.vesting import VestingPart
from scheduler.ledger.journal import AccountKind, TransactionKind
from scheduler.lifecycle.awarding.awards import Awards
from scheduler.lifecycle.awarding.compensate import Package
from scheduler.lifecycle.awarding.draw_tokens import TokenDraws, TokensAsked
from tests.lifecycle.build import FULL, NOON, OPERATOR, ROLLING, policy
from tests.lifecycle.sleeping import (
    Sleeper,
    balances,
    minutes,
    sleepers,
    statements,
    sums,
)

HOUR, DAY = MS_PER_HOUR, 24 * 60
GATEWAY = Caller("gateway:eu", frozenset({Role.GATEWAY}))
NONE, CAPPED = None, Rollover(RolloverRule.CAPPED, 30 * HOUR)
DECAYING = Rollover(RolloverRule.DECAYING, keep=PerMille(250))


def daily(rollover: Rollover | None, hours: int = 100, time_zone: str = "UTC", length: str = "day") -> Policy:
    base = policy()
    beside = (PeriodGrant(TOKENS, 1_000, 300),)
    tiers = {
        name: replace(tier, rollover=rollover, allowance=hours * HOUR, beside=beside)
        for name, tier in base.tiers.items()
    }
    return replace(base, tiers=tiers, time_zone=time_zone, period=PeriodLength(length))


def promise(sleeper: Sleeper, *parts: tuple[int, int]) -> AllowanceId:
    """Pay of Ada's that vests so many minutes after noon, so many hours each time."""
    company = sleeper.company
    made = tuple(VestingPart(minutes(at), hours * HOUR) for at, hours in parts)
    asked = Package(company.engineer("ada").id, sum(part.amount for part in made), parts=made, reason="pay")
    return Awards(company.store, company.world, company.ids).compensate(OPERATOR, asked, now=company.now).id


def of(sleeper: Sleeper, name: str) -> int:
    """What is available of an allowance of Ada's, in hours."""
    left = balances(sleeper.company).get(name.replace("ada", sleeper.company.engineer("ada").id), (0, 0, 0))[0]
    return left // HOUR


def dated(sleeper: Sleeper, kind: TransactionKind) -> list[Instant]:
    with sleeper.company.store.reading() as books:
        found = books.journal.entries(kinds=[AccountKind.ALLOWANCE], transactions=[kind])
        return [entry.at for entry in found]


@pytest.mark.parametrize("is_restarted", [False, True], ids=["suspended", "started again"])
def test_a_period_that_nobody_was_there_to_grant_is_granted_and_rolls_over(is_restarted: bool) -> None:
    sleeper = Sleeper(daily(CAPPED))
    with sleepers(sleeper):
        sleeper.come_round(NOON)
        if is_restarted:
            sleeper.restart()
        sleeper.come_round(minutes(3 * DAY))
        assert of(sleeper, "tier/ada/2026-11-23") == 100
        assert of(sleeper, "rollover/ada/2026-11-23") == 30
        said = statements(sleeper.company, ["2026-11-21", "2026-11-22"])
        for view in said.values():
            assert view[0]["granted"] == 100 * HOUR  # type: ignore[index]
            assert view[0]["expired"] == 100 * HOUR  # type: ignore[index]


def test_nothing_is_granted_of_the_time_before_the_policy_in_force_or_before_there_was_any() -> None:
    sleeper = Sleeper(daily(NONE))
    with sleepers(sleeper):
        sleeper.come_round(minutes(5 * DAY))
        assert not any("2026-11-24" in name for name in statements(sleeper.company, []))
        with sleeper.company.store.reading() as books:
            granted = {each.allowance.period for each in books.allowances.balances()}
        assert granted == {"2026-11-25"}


def test_hours_of_work_that_ended_in_the_period_roll_over_however_late_that_is_heard() -> None:
    """Together with what had rolled over before, never more than the cap."""
    sleeper = Sleeper(daily(CAPPED, hours=40))
    with sleepers(sleeper):
        sleeper.come_round(NOON)
        assert sleeper.start(0, priority_class=FULL, time_limit_ms=10 * HOUR)
        sleeper.company.now = minutes(13 * 60)
        sleeper.periodic._grant_now(sleeper.company.now)  # nothing is settled: nobody heard what runs
        assert of(sleeper, "rollover/ada/2026-11-21") == 0
        sleeper.end(0, minutes(60))
        sleeper.come_round(minutes(14 * 60))
        sleeper.come_round(minutes(15 * 60))
        assert of(sleeper, "rollover/ada/2026-11-21") == 30
        assert of(sleeper, "tier/ada/2026-11-20") == 0
        assert dated(sleeper, TransactionKind.RELEASE) == [minutes(60)]
        said = statements(sleeper.company, ["2026-11-20", "2026-11-21"])
        assert said["2026-11-20"][0]["expired"] == 8 * HOUR  # type: ignore[index]
        assert said["2026-11-21"][0]["expired"] == 0  # type: ignore[index]


def test_hours_of_a_period_that_was_closed_meanwhile_roll_over_in_the_open_one() -> None:
    sleeper = Sleeper(daily(CAPPED, hours=40))
    with sleepers(sleeper):
        sleeper.come_round(NOON)
        assert sleeper.start(0, priority_class=FULL, time_limit_ms=10 * HOUR)
        day = period_at(NOON, PeriodLength.DAY, "UTC")
        sleeper.company.world.closed_periods = ((day.starts_at, day.ends_at),)
        sleeper.end(0, minutes(60))
        sleeper.come_round(minutes(14 * 60))
        sleeper.come_round(minutes(15 * 60))
        assert of(sleeper, "rollover/ada/2026-11-21") == 30
        assert of(sleeper, "tier/ada/2026-11-20") == 0
        assert max(dated(sleeper, TransactionKind.RELEASE)) == minutes(14 * 60)
        assert statements(sleeper.company, ["2026-11-20"])["2026-11-20"][0]["expired"] == 0  # type: ignore[index]


def test_hours_that_came_back_after_the_end_expire_as_of_when_they_did() -> None:
    sleeper = Sleeper(daily(CAPPED, hours=40))
    with sleepers(sleeper):
        sleeper.come_round(NOON)
        assert sleeper.start(0, priority_class=FULL, time_limit_ms=15 * HOUR)
        sleeper.end(0, minutes(13 * 60))
        sleeper.come_round(minutes(3 * DAY))
        sleeper.come_round(minutes(3 * DAY + 60))
        said = statements(sleeper.company, ["2026-11-20", "2026-11-21", "2026-11-22"])
        assert [view[0]["expired"] for view in said.values()] == [0, (4 + 20) * HOUR, 40 * HOUR]  # type: ignore[index]


def test_pay_that_vests_while_nobody_is_there_pays_from_then_on_and_not_for_what_ran_before() -> None:
    sleeper = Sleeper(daily(NONE, hours=6))
    with sleepers(sleeper):
        sleeper.come_round(NOON)
        promise(sleeper, (4 * 60, 100))
        assert sleeper.start(0, priority_class=ROLLING, time_limit_ms=12 * HOUR, uses_compensation=True)
        sleeper.end(0, minutes(6 * 60))
        sleeper.come_round(minutes(8 * 60))
        view: Any = statements(sleeper.company, ["2026-11-20"])["2026-11-20"]
        assert view[0]["overrun"] == 2 * 3 * HOUR, "from two hours, when the tier's were used up, to four"
        assert view[0]["charged"] == (6 + 2 * 3) * HOUR


def test_tokens_that_nobody_resolved_in_time_come_back_as_of_when_their_hold_ran_out() -> None:
    sleeper = Sleeper(daily(CAPPED))
    with sleepers(sleeper):
        company = sleeper.company
        sleeper.come_round(NOON)
        draws = TokenDraws(company.store, company.world, company.ids)
        draws.hold(GATEWAY, TokensAsked("ada", "llama", 1_000, ProjectName("aurora"), lasts_ms=HOUR), now=company.now)
        sleeper.come_round(minutes(2 * DAY))
        ada = company.engineer("ada").id
        assert balances(company)[f"rollover/{ada}/2026-11-22/tokens"][0] == 300


def test_what_ended_unheard_is_charged_to_its_end_however_soon_the_loops_come_round() -> None:
    """A loop that comes before the cluster has told anything settles nothing."""
    sleeper = Sleeper(daily(NONE, hours=6))
    with sleepers(sleeper):
        sleeper.come_round(NOON)
        assert sleeper.start(0, priority_class=ROLLING, time_limit_ms=48 * HOUR)
        sleeper.restart()
        sleeper.company.now = minutes(2 * DAY)
        sleeper.periodic._grant_now(sleeper.company.now)
        sleeper.end(0, minutes(60))
        sleeper.come_round(minutes(2 * DAY + 1))
        assert sums(sleeper.company)[AccountKind.CHARGED] == 3 * HOUR


# property


@dataclass(frozen=True)
class Job:
    name: str
    began: int
    until: int
    limit: int
    uses_pay: bool


@dataclass(frozen=True)
class History:
    """In minutes from noon; `rounds` are those of a service that sleeps between them, and whether it was started anew."""

    rule: Rollover | None
    time_zone: str
    jobs: tuple[Job, ...]
    parts: tuple[tuple[int, int], ...]
    tokens: tuple[int, ...]
    rounds: tuple[tuple[int, bool], ...]
    over: int


@st.composite
def histories(draw: st.DrawFn) -> History:
    over = draw(st.integers(1, 3)) * DAY + 30
    jobs = []
    for _ in range(draw(st.integers(0, 2))):
        began, length = draw(st.integers(0, over - 2)), draw(st.integers(1, 40 * 60))
        name = draw(st.sampled_from([FULL, ROLLING]))
        # A full hold has to be paid from one day's hours.
        limit = draw(st.integers(60, 20 * 60)) if name == FULL else 100 * 60
        jobs.append(Job(name, began, min(began + min(length, limit), over - 1), limit, draw(st.booleans())))
    times = draw(st.sets(st.integers(1, over - 1), max_size=3))
    parts = tuple((at, draw(st.integers(1, 30))) for at in sorted(times))
    tokens = tuple(sorted(draw(st.sets(st.integers(0, over - 1), max_size=2))))
    rounds = tuple((at, draw(st.booleans())) for at in sorted(draw(st.sets(st.integers(1, over - 1), max_size=4))))
    zone = draw(st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe"]))
    return History(draw(st.sampled_from([NONE, CAPPED, DECAYING])), zone, tuple(jobs), parts, tokens, rounds, over)


def live(sleeper: Sleeper, history: History, rounds: dict[int, bool]) -> bool:
    """Returns whether everything that was to start did, and nothing was stopped."""
    decided = {job.began for job in history.jobs} | set(history.tokens)
    ends = {job.until for job in history.jobs}
    sleeper.come_round(NOON)
    if history.parts:
        promise(sleeper, *history.parts)
    for minute in sorted({*decided, *ends, *rounds, history.over}):
        if minute in rounds or minute in decided or minute == history.over:
            if rounds.get(minute):
                sleeper.restart()
            sleeper.company.now = minutes(minute)
            for number, job in enumerate(history.jobs):
                if job.until <= minute and number in sleeper.started:
                    sleeper.end(number, minutes(job.until))
                    sleeper.started.pop(number)
            sleeper.come_round(minutes(minute))
        for number, job in enumerate(history.jobs):
            if job.began == minute and not _start(sleeper, number, job):
                return False
        if minute in history.tokens:
            company = sleeper.company
            draws = TokenDraws(company.store, company.world, company.ids)
            draws.hold(GATEWAY, TokensAsked("ada", "llama", 100, ProjectName("aurora")), now=company.now)
        if sleeper.is_stopping:
            return False
    sleeper.come_round(minutes(history.over + 90))
    return not sleeper.is_stopping


def _start(sleeper: Sleeper, number: int, job: Job) -> bool:
    limit = job.limit * MS_PER_MINUTE
    return sleeper.start(number, priority_class=job.name, time_limit_ms=limit, uses_compensation=job.uses_pay)


@given(history=histories())
def test_a_service_that_slept_leaves_the_books_of_one_that_never_did(history: History) -> None:
    """To the millisecond and the token: what every allowance has, what it all comes to, and what the statements say."""
    rules = daily(history.rule, 120, history.time_zone)
    awake, asleep = Sleeper(rules), Sleeper(rules)
    with sleepers(awake, asleep):
        hourly = dict.fromkeys(range(135, history.over, 240), False) | {job.until: False for job in history.jobs}
        assume(live(awake, history, hourly))
        assert live(asleep, history, dict(history.rounds))
        days = (Instant(NOON + hours * HOUR) for hours in range(0, 24 * 7, 24))
        names = sorted({period_at(at, PeriodLength.DAY, history.time_zone).name for at in days})
        assert balances(asleep.company) == balances(awake.company)
        assert sums(asleep.company) == sums(awake.company)
        assert statements(asleep.company, names) == statements(awake.company, names)
