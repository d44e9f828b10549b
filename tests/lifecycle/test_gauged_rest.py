"""Reclaim where GPUs are read every 30 s by a gauge, as dcgm-exporter's are: what only the energy counter shows is work,
and rest is found all the same."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from scheduler.domain.brakes import Brake
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_MINUTE, Instant
from scheduler.domain.workloads import Workload
from scheduler.lifecycle.sensing.reclaim import IdleReclaim
from scheduler.metering.samples import PodRef, UtilizationSource
from scheduler.metering.windows import EnergyIntegral, UtilizationIntegral, Window
from tests.lifecycle.agents import window
from tests.lifecycle.build import OPERATOR, Company
from tests.lifecycle.platform import SANDBOXES, Platform

IDLE_W, BURST_J = 70, 400
WARNED = [Reason.IDLE_WARNING] * 2

Bursts = Callable[[int], int]
"""Joules that work took in a minute, of which no scrape saw any."""


def nothing(_minute: int) -> int:
    return 0


def every_20_minutes(minute: int) -> int:
    return BURST_J if minute % 20 == 7 else 0


class Scraped:
    """A platform whose windows are of two scrapes a minute; their energy is noisy, as a real counter's is."""

    def __init__(self, company: Company, *, has_energy: bool = True, scrapes: int = 2) -> None:
        self.company = company
        self.platform = Platform(company, SANDBOXES)
        self.has_energy, self.scrapes = has_energy, scrapes
        self.minute = 0
        self.chance = Random(3)
        self.granted: tuple[PodRef, ...] = ()

    def sandbox(self) -> Workload:
        workload, _ = self.platform.sandbox()
        self.granted = (PodRef(workload.namespace, f"{workload.job_name}-0"),)
        return workload

    def minutes(self, count: int, bursts: Bursts = nothing, percents: Bursts = nothing) -> None:
        for _ in range(count):
            start, self.minute = self.company.now, self.minute + 1
            self.company.now = Instant(start + MS_PER_MINUTE)
            self.platform.agents.post(*(self._window(index, start, bursts, percents) for index in range(2)))
            self.platform.run()

    def _window(self, index: int, start: Instant, bursts: Bursts, percents: Bursts) -> Window:
        joules = 60 * IDLE_W + bursts(self.minute) + self.chance.gauss(0, 3)
        percent = percents(self.minute)
        told = window("n0", index, self.minute, start, length_ms=MS_PER_MINUTE)
        return replace(
            told,
            sample_count=self.scrapes,
            utilization=UtilizationIntegral(MS_PER_MINUTE, percent * MS_PER_MINUTE, percent, UtilizationSource.GAUGE),
            energy=EnergyIntegral(MS_PER_MINUTE, round(joules * 1_000)) if self.has_energy else None,
            process_count_max=None,
            processes=None,
            power_milliwatts_max=None,
            granted=self.granted,
        )

    def verdicts(self, workload: Workload) -> list[Reason]:
        return self.platform.verdicts(workload)[1:]


def test_work_that_only_the_energy_counter_shows_is_never_stopped(company: Company) -> None:
    scraped = Scraped(company)
    workload = scraped.sandbox()
    scraped.minutes(180, every_20_minutes)
    assert Reason.IDLE not in scraped.verdicts(workload)
    assert scraped.platform.hindrances(workload) == []


def test_a_rest_that_nothing_speaks_against_is_warned_of_and_ended(company: Company) -> None:
    scraped = Scraped(company)
    workload = scraped.sandbox()
    scraped.minutes(60, every_20_minutes)
    scraped.minutes(50)
    assert scraped.verdicts(workload)[-3:] == [*WARNED, Reason.IDLE]
    assert scraped.platform.hindrances(workload) == [(True, "")]


def test_what_was_put_off_by_a_brake_is_looked_at_again_before_it_is_done(company: Company) -> None:
    scraped = Scraped(company)
    workload = scraped.sandbox()
    company.administration.pause(OPERATOR, Brake.RECLAIM, "a fire drill", now=company.now)
    scraped.minutes(50)
    assert scraped.verdicts(workload) == WARNED
    scraped.minutes(1, lambda _: BURST_J)
    company.administration.resume_brake(OPERATOR, Brake.RECLAIM, now=company.now)
    scraped.minutes(12)
    assert scraped.verdicts(workload) == [*WARNED, Reason.RUNNING]
    scraped.minutes(30)
    assert scraped.verdicts(workload) == [*WARNED, Reason.RUNNING, *WARNED, Reason.IDLE]


def test_a_restart_waits_for_a_reading_before_it_does_what_was_put_off(company: Company) -> None:
    scraped = Scraped(company)
    workload = scraped.sandbox()
    company.administration.pause(OPERATOR, Brake.RECLAIM, "a fire drill", now=company.now)
    scraped.minutes(50)
    company.administration.resume_brake(OPERATOR, Brake.RECLAIM, now=company.now)
    scraped.platform.reclaim = IdleReclaim(company.world)
    assert scraped.platform.run().waiting == 1
    scraped.minutes(2)
    assert scraped.verdicts(workload) == [*WARNED, Reason.IDLE]


@pytest.mark.parametrize("lasts", [1, 2], ids=["used for one reading", "used for two"])
def test_a_rest_of_which_a_gauge_alone_tells_is_reported_and_never_ended(company: Company, lasts: int) -> None:
    """Uses that it may have missed may go on unseen."""
    scraped = Scraped(company, has_energy=False)
    workload = scraped.sandbox()
    scraped.minutes(91, percents=lambda minute: 60 if minute % 20 < lasts else 0)
    scraped.minutes(310)
    assert scraped.verdicts(workload)[-1] is Reason.IDLE_REPORTED
    assert Reason.IDLE not in scraped.verdicts(workload)
    assert scraped.platform.hindrances(workload) == [(False, "gauge-alone")]


def test_a_rest_after_uses_that_a_gauge_cannot_have_missed_is_ended(company: Company) -> None:
    scraped = Scraped(company, has_energy=False)
    workload = scraped.sandbox()
    scraped.minutes(91, percents=lambda minute: 60 if minute % 20 < 9 else 0)
    scraped.minutes(50)
    assert scraped.verdicts(workload) == [*WARNED, Reason.IDLE]
    assert scraped.platform.hindrances(workload) == [(True, "")]


def test_a_rest_that_was_reported_says_nothing_of_the_next_one(company: Company) -> None:
    scraped = Scraped(company, has_energy=False)
    workload = scraped.sandbox()
    scraped.minutes(2, percents=lambda _: 60)
    scraped.minutes(25)
    scraped.minutes(9, percents=lambda _: 60)
    scraped.minutes(50)
    assert scraped.verdicts(workload) == [Reason.IDLE_REPORTED, Reason.RUNNING, *WARNED, Reason.IDLE]


def test_what_was_never_used_as_far_as_any_reading_tells_is_ended(company: Company) -> None:
    scraped = Scraped(company, has_energy=False)
    workload = scraped.sandbox()
    scraped.minutes(60)
    assert scraped.verdicts(workload) == [*WARNED, Reason.IDLE]


def test_who_was_told_of_a_rest_by_a_gauge_alone_is_not_ended_in_it_when_energy_is_read_again(
    company: Company,
) -> None:
    scraped = Scraped(company, has_energy=False)
    workload = scraped.sandbox()
    scraped.minutes(2, percents=lambda _: 60)
    scraped.minutes(25)
    assert scraped.verdicts(workload) == [Reason.IDLE_REPORTED]
    scraped.has_energy = True
    scraped.minutes(500)
    assert Reason.IDLE not in scraped.verdicts(workload)


def test_a_gauge_that_is_read_too_rarely_warns_and_stops_nobody(company: Company) -> None:
    scraped = Scraped(company, has_energy=False, scrapes=1)
    often = replace(
        SANDBOXES.policy, window_ms=15 * MS_PER_MINUTE, warn_at_ms=(5 * MS_PER_MINUTE, 10 * MS_PER_MINUTE)
    )
    rules = (replace(SANDBOXES, policy=often),)
    company.world.put_policy(replace(company.world.require_policy(), idle_rules=rules))
    workload = scraped.sandbox()
    scraped.minutes(90)
    assert scraped.verdicts(workload) == []
