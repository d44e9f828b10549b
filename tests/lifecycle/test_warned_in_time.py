"""Nobody is stopped whom two warnings did not reach with the time between them that the rule says: not after an outage,
when an hour of readings comes at once, and not by a rule that said nothing until a moment ago."""

from dataclasses import replace

import pytest

from scheduler.domain.idleness import IdleAction
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_MINUTE, Instant
from scheduler.domain.workloads import Workload
from scheduler.lifecycle.sensing.reclaim import IdleReclaim
from scheduler.lifecycle.views.reader import Views
from tests.lifecycle.agents import window
from tests.lifecycle.build import Company
from tests.lifecycle.platform import SANDBOXES, Platform


def catch_up(platform: Platform, minutes: int, pods: tuple[str, ...]) -> None:
    """So many minutes of rest, of which the agent tells when they are over."""
    start = platform.company.now
    platform.company.now = Instant(start + minutes * MS_PER_MINUTE)
    told = []
    for minute in range(minutes):
        platform.sequence += 1
        begins = Instant(start + minute * MS_PER_MINUTE)
        told += [
            window("n0", gpu, platform.sequence, begins, percent=0, watts=70, pods=pods, length_ms=MS_PER_MINUTE)
            for gpu in range(2)
        ]
    platform.agents.post(*told)
    platform.run()


def test_an_outage_of_the_readings_takes_no_time_to_answer_from_anybody(company: Company) -> None:
    platform = Platform(company, SANDBOXES)
    workload, _ = platform.sandbox()
    pods = platform.agents.pod_of(workload)
    catch_up(platform, 90, pods)
    assert platform.verdicts(workload) == [Reason.RUNNING, Reason.IDLE_WARNING]
    with company.store.reading() as books:
        (warning, *_) = books.verdicts.of_workload(workload.id)
    assert warning.evidence["left"] == 12, "ten to the second warning, and two after it"
    platform.minutes(9, pods=pods)
    assert platform.verdicts(workload) == [Reason.RUNNING, Reason.IDLE_WARNING]
    platform.minutes(1, pods=pods)
    assert platform.verdicts(workload) == [Reason.RUNNING, *[Reason.IDLE_WARNING] * 2]
    platform.minutes(1, pods=pods)
    assert platform.verdicts(workload)[-1] is Reason.IDLE_WARNING
    platform.minutes(1, pods=pods)
    assert platform.verdicts(workload)[-1] is Reason.IDLE


SILENT = {
    "a dry run": replace(SANDBOXES.policy, is_dry_run=True),
    "a report": replace(SANDBOXES.policy, action=IdleAction.REPORT),
    "observing": SANDBOXES.policy,
}


def resting_under(company: Company, before: str, minutes: int) -> tuple[Platform, Workload, tuple[str, ...]]:
    """A sandbox that rests for so long under a rule that then begins to act."""
    platform = Platform(company, replace(SANDBOXES, policy=SILENT[before]))
    platform.reclaim = IdleReclaim(company.world, acts=before != "observing")
    workload, _ = platform.sandbox()
    pods = platform.agents.pod_of(workload)
    platform.minutes(minutes, pods=pods)
    assert Reason.IDLE_WARNING not in platform.verdicts(workload)
    company.world.put_policy(replace(company.world.require_policy(), idle_rules=(SANDBOXES,)))
    if before == "observing":
        platform.reclaim = IdleReclaim(company.world)
    return platform, workload, pods


@pytest.mark.parametrize("before", SILENT)
def test_what_was_left_alone_until_a_rule_acts_is_warned_of_twice_and_then_ended(
    company: Company, before: str
) -> None:
    platform, workload, pods = resting_under(company, before, minutes=300)
    assert platform.hindrances(workload) == [(False, before.removeprefix("a ").replace(" ", "-"))]
    platform.minutes(13, pods=pods)
    assert [each for each in platform.verdicts(workload) if each is Reason.IDLE_WARNING] == [Reason.IDLE_WARNING] * 2
    assert Reason.IDLE not in platform.verdicts(workload)
    platform.minutes(3, pods=pods)
    assert platform.verdicts(workload)[-1] is Reason.IDLE
    assert platform.hindrances(workload)[0] == (True, "")


@pytest.mark.parametrize("before", SILENT)
def test_who_was_not_warned_is_warned_twice_when_a_rule_begins_to_act(company: Company, before: str) -> None:
    platform, workload, pods = resting_under(company, before, minutes=38)
    platform.minutes(12, pods=pods)
    assert platform.verdicts(workload)[-1] is Reason.IDLE_WARNING
    assert Reason.IDLE not in platform.verdicts(workload)
    view = Views(company.store, company.world).explain(company.caller("ada"), workload.id, company.now)
    assert view.idle is not None
    assert len(view.idle.warned_at) == platform.verdicts(workload).count(Reason.IDLE_WARNING)
    platform.minutes(6, pods=pods)
    assert platform.verdicts(workload)[-3:] == [Reason.IDLE_WARNING, Reason.IDLE_WARNING, Reason.IDLE]
