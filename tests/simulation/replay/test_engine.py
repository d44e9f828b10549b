"""What a replay makes of work: it waits, runs, is preempted, charged, and comes to the same every time."""

import pytest

from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR
from scheduler.ledger.journal import AccountKind
from scheduler.simulation.replay.engine import Outcome
from tests.simulation.replay.build import ANN, BOB, POLICY, START, asks, replayed

ANN_HOLDS = Holder(HolderKind.ENGINEER, ANN.id)


def charged_hours(outcome: Outcome) -> float:
    return outcome.books.totals[AccountKind.CHARGED] / MS_PER_HOUR


def test_what_fits_starts_at_once_and_is_charged_for_what_it_ran() -> None:
    outcome = replayed([asks(1, 2, gpus=4)])
    (work,) = outcome.works
    assert (work.first_launch_at, work.outcome) == (START + MS_PER_HOUR, Reason.COMPLETED)
    assert work.ended_at == START + 3 * MS_PER_HOUR
    assert charged_hours(outcome) == 8.0
    assert sum(outcome.measures.busy.sums()) == 8 * MS_PER_HOUR


def test_who_does_not_fit_waits_for_who_runs() -> None:
    outcome = replayed([asks(0, 3, gpus=8), asks(1, 1, owner=BOB, gpus=8, priority_class="standard")])
    second = outcome.works[1]
    assert second.first_launch_at == START + 3 * MS_PER_HOUR
    assert outcome.measures.waiting_ms[Reason.QUOTA] + outcome.measures.waiting_ms[Reason.RESOURCES] > MS_PER_HOUR
    assert sum(outcome.measures.queue.sums()) == 2 * MS_PER_HOUR


def test_what_a_preemption_loses_since_the_last_checkpoint_is_done_again() -> None:
    outcome = replayed(
        [asks(0, 4, gpus=8, checkpoint_hours=1), asks(2.5, 1, owner=BOB, gpus=4, priority_class="urgent")]
    )
    victim, preemptor = outcome.works
    assert preemptor.first_launch_at == START + int(2.5 * MS_PER_HOUR)
    assert outcome.measures.preemptions == {"standard": 1}
    assert outcome.measures.lost_gpu_ms == 8 * MS_PER_HOUR // 2
    # Two hours of four are kept; it goes on when the preemptor has ended, and is charged for what it lost as well.
    assert victim.ended_at == START + int(5.5 * MS_PER_HOUR)
    assert charged_hours(outcome) == 8 * 4.5 + 4 * 2
    # It is refunded what it lost, half an hour on eight GPUs, as it writes checkpoints.
    assert outcome.measures.refunded == 4 * MS_PER_HOUR
    assert outcome.books.totals[AccountKind.REFUNDS] == -4 * MS_PER_HOUR


def test_a_time_limit_ends_what_needs_longer() -> None:
    outcome = replayed([asks(0, 10, limit_hours=2)])
    assert outcome.works[0].outcome is Reason.TIME_LIMIT
    assert outcome.works[0].ended_at == START + 2 * MS_PER_HOUR


def test_who_has_no_hours_left_waits_for_the_next_period_s_grant() -> None:
    small = POLICY.replace("allowance_gpu_hours: 1000", "allowance_gpu_hours: 10")
    outcome = replayed([asks(0, 5, limit_hours=8), asks(1, 1, limit_hours=8)], small)
    assert outcome.works[1].first_launch_at == START + 7 * 24 * MS_PER_HOUR
    assert set(outcome.measures.short) == {(ANN.id, "2026-W02")}
    assert outcome.measures.waiting_ms[Reason.ALLOWANCE_SHORT] > 100 * MS_PER_HOUR


def test_what_is_left_of_a_period_goes_on_by_the_tier_s_rollover_and_the_rest_expires() -> None:
    """Of ten hours one is used: four of nine go on, and with the next ten they pay for a limit of thirteen."""
    rule = "allowance_gpu_hours: 10, rollover: capped, rollover_cap_gpu_hours: 4"
    rolling = POLICY.replace("allowance_gpu_hours: 1000", rule)
    week = 7 * 24
    outcome = replayed([asks(0, 1, limit_hours=8), asks(week + 1, 2, limit_hours=13)], rolling, days=8)
    assert outcome.works[1].first_launch_at == START + (week + 1) * MS_PER_HOUR
    # Bob had ten hours, and used none.
    assert outcome.books.totals[AccountKind.EXPIRED] == (5 + 6) * MS_PER_HOUR
    rolled = {
        balance.allowance.id: balance.allowance.amount
        for balance in outcome.books.of([outcome.books.purse(ANN_HOLDS)])
    }
    assert rolled == {"tier/ann/2026-W03": 10 * MS_PER_HOUR, "rollover/ann/2026-W03": 4 * MS_PER_HOUR}


def test_a_rolling_hold_that_cannot_be_renewed_stops_or_goes_on_unfunded() -> None:
    small = POLICY.replace("allowance_gpu_hours: 1000", "allowance_gpu_hours: 2")
    stopped = replayed([asks(0, 5, priority_class="rolling", limit_hours=8)], small, days=1)
    assert stopped.measures.exhausted == 1
    assert stopped.measures.unfunded_gpu_ms == 0
    assert charged_hours(stopped) == 2.0
    goes_on = replayed([asks(0, 5, priority_class="spare", limit_hours=8)], small, days=1)
    assert goes_on.works[0].outcome is Reason.COMPLETED
    # Its hours are charged at half: two pay for four of its five, and the fifth is nobody's.
    assert goes_on.measures.unfunded_gpu_ms == MS_PER_HOUR
    assert -goes_on.books.totals[AccountKind.UNFUNDED] == MS_PER_HOUR // 2


def test_what_a_policy_refuses_is_counted_by_its_code() -> None:
    outcome = replayed([asks(0, 1, gpus=9), asks(1, 1, priority_class="none")])
    assert outcome.measures.refusals == {"unplaceable": 1, "unknown-priority-class": 1}
    assert list(outcome.works) == []


def test_who_has_as_many_waiting_as_the_policy_allows_is_refused_more_until_one_starts() -> None:
    crowd = [asks(0.5 * number, 10, gpus=8) for number in range(4)]
    others = [asks(5, 1, owner=BOB, gpus=8), asks(11, 1, gpus=8)]
    outcome = replayed([*crowd, *others], POLICY + "limits: {queued_per_engineer: 2}\n")
    assert outcome.measures.refusals == {"queue-full": 1}
    assert [work.submission.at for work in outcome.works] == [each.at for each in [*crowd[:3], *others]]


def test_what_fails_has_failed() -> None:
    assert replayed([asks(0, 1, exit_code=1)]).works[0].outcome is Reason.FAILED


def test_what_is_tried_again_does_what_no_checkpoint_kept_once_more() -> None:
    rules = POLICY + "\nretry_rules:\n  once: {exit_codes: [1], retries_max: 1}\n"
    failing = [asks(0, 3.5, gpus=2, exit_code=1, checkpoint_hours=1), asks(0, 1, exit_code=2)]
    outcome = replayed(failing, rules)
    assert [work.outcome for work in outcome.works] == [Reason.FAILED, Reason.FAILED]
    assert (outcome.measures.retries, outcome.measures.redone_gpu_ms) == (1, MS_PER_HOUR)
    assert outcome.measures.used_gpu_ms == (2 * 4 + 1) * MS_PER_HOUR
    assert outcome.measures.lost_gpu_ms == 0


def test_slowdown_is_of_what_its_time_limit_lets_it_run_and_of_ten_minutes_at_least() -> None:
    outcome = replayed([asks(0, 10, gpus=8, limit_hours=2), asks(0, 10, gpus=8, limit_hours=2)], days=1)
    assert outcome.measures.slowdowns == [1.0, 2.0]
    moments = replayed([asks(0, 0.25, gpus=8), asks(0.01, 0.01, gpus=8)], days=1)
    assert moments.measures.slowdowns == [1.0, pytest.approx(0.25 / (1 / 6))]


def test_what_has_run_for_all_that_it_may_over_its_attempts_is_not_tried_again() -> None:
    rules = POLICY + "\nretry_rules:\n  always: {exit_codes: [1], retries_max: 3}\nlimits: {runtime_max_hours: 4}\n"
    outcome = replayed([asks(0, 2, exit_code=1)], rules)
    assert (outcome.works[0].outcome, outcome.works[0].attempts) == (Reason.FAILED, 2)
