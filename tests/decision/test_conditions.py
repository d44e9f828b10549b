"""Work that follows other work, has a deadline, is one of many indexes, or starts off-peak alone."""

from dataclasses import replace

import pytest

from scheduler.decision.decide import decide, step
from scheduler.decision.snapshot import Changes
from scheduler.domain.policy import OffPeak, PriorityClass
from scheduler.domain.reasons import Reason
from scheduler.domain.units import (
    MS_PER_HOUR,
    MS_PER_MINUTE,
    MS_PER_SECOND,
    Instant,
    PerMille,
    WorkloadId,
)
from scheduler.domain.workloads import ArrayPlace, Workload
from tests.decision.builders import (
    NOW,
    SPARE,
    STANDARD,
    attempt,
    cold,
    node,
    nodes,
    placements,
    policy,
    reasons,
    snapshot,
    victims,
    workload,
)
from tests.decision.test_bookings import booking

# NOW is Wednesday, 11:06:40 UTC.


def asking(made: Workload, **fields: object) -> Workload:
    return replace(made, spec=replace(made.spec, **fields))  # type: ignore[arg-type] # by name


def test_what_follows_others_waits_until_they_have_been_taken_out() -> None:
    follower = asking(workload("w"), after=(WorkloadId("first"), WorkloadId("second")))
    state = cold(snapshot(nodes(node("n1")), [follower]))

    assert state.verdicts[follower.id].reason is Reason.DEPENDENCY
    assert state.verdicts[follower.id].evidence == {"after": "first, second"}
    one_left = asking(follower, after=(WorkloadId("second"),))
    assert step(state, Changes(queued={follower.id: one_left}), NOW)[1].launches == ()
    free = asking(follower, after=())
    assert placements(step(state, Changes(queued={follower.id: free}), NOW)[1]) == {"w": {"n1": 1}}


def test_what_could_not_end_in_time_is_not_started() -> None:
    def plan_of(minutes: int) -> dict[str, Reason]:
        by = Instant(NOW + minutes * MS_PER_MINUTE)
        return reasons(decide(snapshot(nodes(node("n1")), [asking(workload("w"), finish_by=by)])))

    assert plan_of(60) == {"w": Reason.LAUNCHING}
    assert plan_of(59) == {"w": Reason.DEADLINE}


def test_a_deadline_passes_while_it_waits() -> None:
    late = asking(workload("w"), finish_by=Instant(NOW + 90 * MS_PER_MINUTE))
    state = cold(snapshot(nodes(node("n1", accepts_work=False)), [late]))

    assert state.verdicts[late.id].reason is Reason.RESOURCES
    step(state, Changes(), Instant(NOW + 30 * MS_PER_MINUTE))
    assert state.verdicts[late.id].reason is Reason.RESOURCES
    step(state, Changes(), Instant(NOW + 30 * MS_PER_MINUTE + 1))
    assert state.verdicts[late.id].reason is Reason.DEADLINE


def test_nobody_is_stopped_for_what_could_not_end_in_time_once_they_have_saved_their_work() -> None:
    """The grace of who runs is 30 seconds; that of somebody else, on the second node, is none."""
    slow = attempt("slow", "n1", gpus=8, priority_class=SPARE)
    quick = replace(attempt("quick", "n2", gpus=8, priority_class=SPARE, running_for=9000), grace_seconds=0)
    for seconds, running, fallen in ((30, [slow], ["slow"]), (29, [slow], []), (29, [slow, quick], ["quick"])):
        by = Instant(NOW + MS_PER_HOUR + seconds * MS_PER_SECOND)
        waiting = asking(workload("w", gpus=8), finish_by=by)
        known = nodes(*(node(name) for name in ("n1", "n2")[: len(running)]))
        assert victims(decide(snapshot(known, [waiting], attempts=running))) == ({"w": fallen} if fallen else {})


def array(count: int, at_once: int | None) -> list[Workload]:
    return [
        asking(workload(f"sweep-i{number}", age=60 - number), array=ArrayPlace(number, count, at_once))
        for number in range(count)
    ]


def test_no_more_indexes_of_an_array_run_at_once_than_was_asked() -> None:
    plan = decide(snapshot(nodes(node("n1")), array(5, at_once=2)))

    assert list(placements(plan)) == ["sweep-i0", "sweep-i1"]
    assert reasons(plan)["sweep-i2"] is Reason.ARRAY_LIMIT
    assert len(placements(decide(snapshot(nodes(node("n1")), array(5, at_once=None))))) == 5


def test_an_index_starts_when_another_ends() -> None:
    running = [attempt("sweep-i7", "n1", owner="ada"), attempt("sweep-i8", "n1", owner="ada")]
    state = cold(snapshot(nodes(node("n1")), array(3, at_once=2), attempts=running))

    assert {verdict.reason for verdict in state.verdicts.values()} == {Reason.ARRAY_LIMIT}
    plan = step(state, Changes(attempts={running[0].id: None}), NOW)[1]
    assert placements(plan) == {"sweep-i0": {"n1": 1}}


def off_peak(hours: OffPeak) -> PriorityClass:
    return replace(SPARE, off_peak=hours, may_start_unfunded=False)


@pytest.mark.parametrize(
    ("hours", "starts"),
    [
        pytest.param(OffPeak(20, 6), False, id="at night, asked before noon"),
        pytest.param(OffPeak(11, 12), True, id="in the hour that is"),
        pytest.param(OffPeak(22, 12), True, id="over midnight until noon"),
        pytest.param(OffPeak(), False, id="on weekends, asked on a Wednesday"),
        pytest.param(OffPeak(free=PerMille(500)), True, id="while half is free, and it is"),
        pytest.param(OffPeak(free=PerMille(501)), False, id="while more is free than is"),
    ],
)
def test_an_off_peak_class_starts_when_the_calendar_or_free_capacity_allows(hours: OffPeak, starts: bool) -> None:
    spare = off_peak(hours)
    rules = policy(classes=(STANDARD, spare))
    half = attempt("r", "n1", gpus=8)
    world = snapshot(nodes(node("n1"), node("n2")), [workload("w", priority_class=spare)], by=rules, attempts=[half])
    assert reasons(decide(world)) == {"w": Reason.LAUNCHING if starts else Reason.OFF_PEAK}


def test_what_idles_on_nodes_that_take_no_work_is_not_free_for_an_off_peak_class() -> None:
    """Of two nodes one is drained. While nothing runs on the other, half of what there is suffices; then it does not."""
    spare = off_peak(OffPeak(free=PerMille(500)))
    known = nodes(node("n1"), node("n2"))
    drained = nodes(node("n2", accepts_work=False))
    busy = attempt("r", "n1", gpus=6)
    world = snapshot(known, [workload("w", priority_class=spare)], by=policy(classes=(STANDARD, spare)))
    assert reasons(decide(replace(world, nodes={**known, **drained}))) == {"w": Reason.LAUNCHING}

    state = cold(replace(world, attempts={busy.id: busy}, nodes={**known, **drained}))
    told = state.verdicts[WorkloadId("w")]
    assert (told.reason, told.evidence["free_percent"]) == (Reason.OFF_PEAK, 25)
    assert placements(step(state, Changes(nodes=known), NOW)[1]) == {"w": {"n1": 1}}


def test_what_idles_in_somebody_elses_booking_is_not_free_for_an_off_peak_class() -> None:
    """Of sixteen GPUs eight are booked, seven are in use, and one is left for everybody."""
    spare = off_peak(OffPeak(includes_weekends=False, free=PerMille(500)))
    booked, busy = booking(in_hours=-1, owner="bob", project=None), attempt("r", "n2", gpus=7)
    world = snapshot(nodes(node("n1"), node("n2")), [workload("w", priority_class=spare)], attempts=[booked, busy])
    state = cold(replace(world, policy=policy(classes=(STANDARD, spare))))

    told = state.verdicts[WorkloadId("w")]
    assert (told.reason, told.evidence["free_percent"]) == (Reason.OFF_PEAK, 6)
    assert placements(step(state, Changes(attempts={booked.id: None}), NOW)[1]) == {"w": {"n2": 1}}


def test_a_class_for_nights_alone_names_its_hours_and_nothing_else() -> None:
    spare = off_peak(OffPeak(20, 6, includes_weekends=False))
    plan = decide(snapshot(nodes(node("n1")), [workload("w", priority_class=spare)], by=policy(classes=(spare,))))

    (verdict,) = plan.verdicts
    assert verdict.reason is Reason.OFF_PEAK
    assert verdict.evidence == {"priority_class": "spare", "when": "from 20:00 until 6:00 (UTC)"}


def test_a_cycle_starts_no_more_off_peak_than_leaves_enough_free() -> None:
    spare = off_peak(OffPeak(free=PerMille(500)))
    queued = [workload(f"w{number}", gpus=3, priority_class=spare, age=9 - number) for number in range(4)]
    plan = decide(snapshot(nodes(node("n1")), queued, by=policy(classes=(spare,))))

    assert list(placements(plan)) == ["w0", "w1"]
    assert reasons(plan)["w2"] is Reason.OFF_PEAK


def test_the_night_falls() -> None:
    spare = off_peak(OffPeak(20, 6, free=PerMille(900)))
    waiting = workload("w", priority_class=spare)
    busy = attempt("r", "n1", gpus=7)
    state = cold(snapshot(nodes(node("n1")), [waiting], by=policy(classes=(STANDARD, spare)), attempts=[busy]))

    assert state.verdicts[waiting.id].evidence == {
        "priority_class": "spare",
        "when": "from 20:00 until 6:00 (UTC) or on weekends or while 90 % of h100 are free (12 % are)",
        "gpu_class": "h100",
        "free_percent": 12,
    }
    assert step(state, Changes(), Instant(NOW + 8 * MS_PER_HOUR))[1].launches == ()
    assert placements(step(state, Changes(), Instant(NOW + 9 * MS_PER_HOUR))[1]) == {"w": {"n1": 1}}
