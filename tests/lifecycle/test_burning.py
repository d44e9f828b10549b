"""Burn alerts: a jump is told to its owner and, without numbers, to their lead; hours that run out to their owner."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from scheduler.adapters.sql.store import SqlStore
from scheduler.domain.allowances import HolderKind
from scheduler.domain.burning import BurnTerms
from scheduler.domain.people import Engineer, Role
from scheduler.domain.units import MS_PER_DAY, MS_PER_HOUR, AllowanceId, EngineerId, Instant, TeamName, TierName
from scheduler.lifecycle.memory.world import World
from scheduler.lifecycle.sensing.burning import JUMPED, RUNS_OUT, USED_UP, BurnAlerts
from scheduler.lifecycle.sensing.notices import Notice
from scheduler.lifecycle.views.money import MoneyViews
from scheduler.lifecycle.views.reader import Views
from tests.finance.build import at
from tests.lifecycle.booked import Booked
from tests.lifecycle.october import ADA, research_world
from tests.plugins.migrated import open_migrated

FIRST = at("2026-11-02")
SATURDAY = at("2026-11-07")


class Books:
    """Five days of 10 hours each; what else happens the test says."""

    now = Instant(SATURDAY + 2 * MS_PER_HOUR)

    def __init__(self) -> None:
        self.store: SqlStore = open_migrated()
        self.booked = Booked(self.store)
        self.world = research_world()
        staff, research = TierName("staff"), TeamName("research")
        lead = frozenset({Role.ENGINEER, Role.LEAD})
        self.world.put_people(
            [
                *self.world.people.values(),
                Engineer(EngineerId("e-lea"), "lea", research, staff, "Lea", lead),
                Engineer(EngineerId("e-oz"), "oz", TeamName("other"), staff, "Oz", lead),
            ]
        )

    def work(self, allowance: AllowanceId, day: Instant, hours: int, owner: str = "e-ada") -> None:
        name = f"{allowance}-{day}"
        attempt = self.booked.start(name, owner, day, (allowance, hours), gpus=hours)
        self.booked.run(attempt, Instant(day + MS_PER_HOUR))

    def usual(self, allowance: AllowanceId) -> None:
        for number in range(5):
            self.work(allowance, Instant(FIRST + number * MS_PER_DAY), 10)

    def alerts(self) -> BurnAlerts:
        return BurnAlerts(self.store, self.load())

    def load(self) -> World:
        with self.store.reading() as books:
            self.world.balances = {each.allowance.id: each for each in books.allowances.balances()}
        return self.world


@pytest.fixture
def books() -> Iterator[Books]:
    made = Books()
    yield made
    made.store.close()


def hour(day: Instant, hours: int) -> Instant:
    return Instant(day + hours * MS_PER_HOUR)


def told(notices: list[Notice]) -> list[tuple[str, str | None, str | None]]:
    return [(notice.kind, notice.owner, notice.to) for notice in notices]


def test_a_batch_is_told_while_it_burns_to_its_owner_and_to_the_lead_without_numbers(books: Books) -> None:
    own = books.booked.allowance("e-ada", 1000, FIRST)
    books.usual(own)
    alerts = books.alerts()
    assert alerts.due(hour(SATURDAY, 1)) == []
    books.work(own, SATURDAY, 90)
    found = alerts.due(hour(SATURDAY, 2))
    assert told(found) == [(JUMPED, "ada", "ada"), (JUMPED, "ada", "lea")]
    assert found[0].sentence == "Your use jumped on 2026-11-07: 90.0 GPU-hours, 10.0 are usual."
    assert found[1].sentence == "The use of Ada jumped on 2026-11-07: more than 3 times what is usual."
    assert (found[0].next_step, found[1].next_step) == (
        "`allot burn` shows what goes a day.",
        "`allot burn --owner team:research` shows what goes a day.",
    )


def test_a_jump_of_two_days_is_told_once_over_restarts_and_failed_deliveries(books: Books) -> None:
    own = books.booked.allowance("e-ada", 1000, FIRST)
    books.usual(own)
    books.work(own, SATURDAY, 90)
    alerts = books.alerts()
    first = alerts.due(hour(SATURDAY, 2))
    assert alerts.due(hour(SATURDAY, 3)) == []  # they wait to be brought
    assert told(books.alerts().due(hour(SATURDAY, 3))) == told(first)  # and were not, before the process died
    for notice in first:
        alerts.keep(notice, hour(SATURDAY, 3))
    sunday = Instant(SATURDAY + MS_PER_DAY)
    books.work(own, sunday, 120)
    assert alerts.due(hour(sunday, 4)) == []
    assert books.alerts().due(hour(sunday, 4)) == []


def test_what_jumped_days_ago_is_no_news(books: Books) -> None:
    own = books.booked.allowance("e-ada", 1000, FIRST)
    books.usual(own)
    books.work(own, SATURDAY, 90)
    assert books.alerts().due(Instant(SATURDAY + 3 * MS_PER_DAY)) == []


def test_a_project_s_jump_is_its_team_s_lead_s_with_numbers(books: Books) -> None:
    pot = books.booked.allowance("aurora", 1000, FIRST, HolderKind.PROJECT)
    books.usual(pot)
    books.work(pot, SATURDAY, 90)
    (notice,) = books.alerts().due(hour(SATURDAY, 2))
    assert (notice.kind, notice.owner, notice.to) == (JUMPED, None, "lea")
    assert notice.sentence == "Use of project aurora jumped on 2026-11-07: 90.0 GPU-hours, 10.0 are usual."
    assert "--owner project:aurora" in notice.next_step


def test_hours_that_run_out_within_the_days_of_policy_are_told_once_a_period_to_their_owner(books: Books) -> None:
    own = books.booked.allowance("e-ada", 110, FIRST)
    books.usual(own)
    alerts = books.alerts()
    (notice,) = alerts.due(hour(SATURDAY, 1))  # 60 are left: six days
    assert (notice.kind, notice.owner, notice.to) == (RUNS_OUT, "ada", "ada")
    assert notice.sentence == "60.0 GPU-hours are left; at this pace they last until 2026-11-13 to 2026-11-13."
    alerts.keep(notice, hour(SATURDAY, 1))
    assert books.alerts().due(hour(SATURDAY, 9)) == []


@pytest.mark.parametrize(("granted", "warn_days"), [(200, 7), (110, 5), (110, 0)])
def test_hours_that_last_longer_than_that_are_not_told_of(books: Books, granted: int, warn_days: int) -> None:
    books.usual(books.booked.allowance("e-ada", granted, FIRST))
    books.world.put_policy(replace(books.world.require_policy(), burn=BurnTerms(warn_ms=warn_days * MS_PER_DAY)))
    assert books.alerts().due(hour(SATURDAY, 1)) == []


def test_hours_that_expire_before_they_are_used_up_do_not_run_out(books: Books) -> None:
    own = books.booked.allowance("e-ada", 110, FIRST)
    books.usual(own)
    alerts, now = books.alerts(), hour(SATURDAY, 1)
    balance = books.world.balances[own]
    ending = replace(balance.allowance, expires_at=Instant(SATURDAY + 2 * MS_PER_DAY))
    books.world.balances[own] = replace(balance, allowance=ending)
    assert alerts.due(now) == []


def test_hours_that_are_gone_at_once_are_told_of(books: Books) -> None:
    own = books.booked.allowance("e-ada", 50, FIRST)
    books.usual(own)
    assert told(books.alerts().due(hour(SATURDAY, 1))) == [(USED_UP, "ada", "ada")]


def test_the_books_are_looked_at_every_ten_minutes(books: Books) -> None:
    own = books.booked.allowance("e-ada", 1000, FIRST)
    books.usual(own)
    alerts = books.alerts()
    assert alerts.due(hour(SATURDAY, 1)) == []
    books.work(own, SATURDAY, 90)
    assert alerts.due(Instant(hour(SATURDAY, 1) + 9 * 60_000)) == []
    assert len(alerts.due(Instant(hour(SATURDAY, 1) + 10 * 60_000))) == 2


def test_the_page_and_the_burn_view_show_the_jump_that_is_told(books: Books) -> None:
    own = books.booked.allowance("e-ada", 1000, FIRST)
    books.usual(own)
    books.work(own, SATURDAY, 90)
    world, now = books.load(), hour(SATURDAY, 2)
    shown = Views(books.store, world).balance(ADA, now).jumps
    burnt = MoneyViews(books.store, world).burn(ADA, now)
    assert [(jump.day, jump.used // MS_PER_HOUR, jump.usual // MS_PER_HOUR) for jump in shown] == [(SATURDAY, 90, 10)]
    assert burnt.jumps == shown
    assert burnt.days[-1].day == SATURDAY - MS_PER_DAY  # the pace leaves out a day that is not over
    lax = replace(world.require_policy(), burn=BurnTerms(jump_floor=90 * MS_PER_HOUR))
    world.put_policy(lax)
    assert MoneyViews(books.store, world).burn(ADA, now).jumps == ()
    assert Views(books.store, world).balance(ADA, now).jumps == ()
