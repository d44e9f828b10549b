"""The synthetic stream: the same whenever it is made, within the policy, and heavy enough that something happens."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from scheduler.adapters.policy_files import read_people, read_policy
from scheduler.domain.cluster import Node
from scheduler.domain.people import Engineer
from scheduler.domain.periods import iso, to_instant
from scheduler.domain.policy import Policy, image_is_allowed
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    MS_PER_MINUTE,
    EngineerId,
    GpuClassName,
    Instant,
    PriorityClassName,
)
from scheduler.domain.workloads import WorkloadKind
from scheduler.lifecycle.asking.judge import judge
from scheduler.simulation.asking import NobodyCanAsk
from scheduler.simulation.fates import Fate, Pattern, fate_of
from scheduler.simulation.machines import example_machines
from scheduler.simulation.model import ClusterModel
from scheduler.simulation.stream import Arrival, Load, SyntheticStream, opening_instant

POLICIES = Path(__file__).parents[2] / "policies"
MONDAY = Instant(1_794_812_400_000)  # 2026-11-16T07:00:00Z, eight in the morning in Berlin
NODE_GPUS = {GpuClassName("H100"): 8, GpuClassName("A100"): 8, GpuClassName("L40S"): 4}


def policy(name: str = "example.yaml") -> Policy:
    return read_policy((POLICIES / name).read_bytes(), name)


def people(of: Policy) -> tuple[Engineer, ...]:
    return read_people((POLICIES / "people.yaml").read_bytes(), "people.yaml", EngineerId, of)


def made_anew(seed: int = 1, name: str = "example.yaml") -> SyntheticStream:
    of = policy(name)
    return SyntheticStream(of, people(of), seed, MONDAY, Load(gpus=637), NODE_GPUS)


stream = cache(made_anew)
"""A stream changes nothing in itself."""


def day(of: SyntheticStream) -> list[Arrival]:
    return of.between(MONDAY, Instant(MONDAY + MS_PER_DAY))


def test_the_same_seed_makes_the_same_stream_and_another_seed_another() -> None:
    assert day(made_anew(1)) == day(made_anew(1))
    assert day(made_anew(1)) != day(made_anew(2))


def test_any_stretch_can_be_made_again_by_itself() -> None:
    whole = day(stream())
    cuts = [
        MONDAY,
        *(Instant(MONDAY + ms) for ms in (1, 599_999, 600_000, 3_333_333, 40_000_000)),
        MONDAY + MS_PER_DAY,
    ]
    pieces = [
        arrival for start, end in pairwise(cuts) for arrival in made_anew().between(Instant(start), Instant(end))
    ]
    assert pieces == whole
    assert len({arrival.id for arrival in whole}) == len({arrival.spec.name for arrival in whole}) == len(whole)


def test_nothing_comes_before_it_begins() -> None:
    assert stream().between(Instant(MONDAY - MS_PER_DAY), MONDAY) == []


@pytest.mark.parametrize("name", ["example.yaml", "conservative.yaml", "generous.yaml"])
def test_the_policy_would_take_every_submission(name: str) -> None:
    of = policy(name)
    engineers = {engineer.subject: engineer for engineer in people(of)}
    # Whether somebody pays is a matter of the ledger: here nothing need be paid.
    free = replace(
        of, priority_classes={n: replace(c, may_start_unfunded=True) for n, c in of.priority_classes.items()}
    )
    model = ClusterModel(example_machines(), lambda _: Fate(None))
    model.use_classes(of.gpu_classes)
    nodes: list[Node] = [node for node in model.relist().nodes.values() if node is not None]
    arrivals = day(stream(name=name))
    taken = []
    for arrival in arrivals:
        judge(arrival.spec, engineers[arrival.subject], free, nodes, (), arrival.at)  # raises Refusal
        taken.append(arrival)
    assert taken == arrivals != []


def test_budgets_run_low_and_more_is_asked_than_there_is_within_the_first_hour() -> None:
    of = policy()
    tiers = {engineer.subject: of.tiers[engineer.tier] for engineer in people(of)}
    asked: defaultdict[str, int] = defaultdict(int)
    arrivals = stream().between(MONDAY, Instant(MONDAY + MS_PER_HOUR))
    for arrival in arrivals:
        spec = arrival.spec
        weight = of.gpu_classes[spec.gpu_classes[0]].weight
        factor = of.priority_classes[spec.priority_class].class_factor
        asked[arrival.subject] += spec.gpus * spec.time_limit_ms * weight * factor // 1_000_000
    assert sum(arrival.spec.gpus for arrival in arrivals) > 637
    assert sum(asked[subject] > tier.allowance for subject, tier in tiers.items()) >= 2
    assert Counter(arrival.spec.priority_class for arrival in arrivals)[PriorityClassName("urgent")] >= 5


def test_the_load_is_the_one_that_was_asked_for() -> None:
    # Three hours of a working morning without the backlog; heavy tails leave the mean rough.
    busy_hours = [
        sum(
            arrival.spec.gpus * min(arrival.spec.time_limit_ms, arrival.fate.run_ms or arrival.spec.time_limit_ms)
            for arrival in stream(seed).between(Instant(MONDAY + 2 * MS_PER_HOUR), Instant(MONDAY + 5 * MS_PER_HOUR))
        )
        / (3 * MS_PER_HOUR * 637)
        for seed in range(30)
    ]
    assert sum(busy_hours) / len(busy_hours) == pytest.approx(1.5 * 0.95, rel=0.25)


def test_a_stream_that_is_made_busier_is_the_busier_one() -> None:
    hour, of = (MONDAY, Instant(MONDAY + MS_PER_HOUR)), policy()
    busier = SyntheticStream(of, people(of), 1, MONDAY, Load(gpus=637, busy=2.5), NODE_GPUS)
    assert stream(1).as_busy_as(2.5).between(*hour) == busier.between(*hour) != stream(1).between(*hour)


def test_nights_and_weekends_are_quiet() -> None:
    def count(hour: int) -> int:
        start = MONDAY + hour * MS_PER_HOUR
        return sum(len(stream(s).between(Instant(start), Instant(start + MS_PER_HOUR))) for s in range(10))

    noon, night, saturday_noon = count(4), count(20), count(4 + 5 * 24)
    assert noon > 3 * night
    assert noon > 2 * saturday_noon


def test_most_work_is_small_and_little_of_it_is_wide() -> None:
    gpus = Counter(arrival.spec.gpus for seed in range(5) for arrival in day(stream(seed)))
    assert gpus[1] > sum(count for width, count in gpus.items() if width > 1) * 0.6
    assert 0 < sum(count for width, count in gpus.items() if width >= 16) < 0.12 * gpus.total()


def test_sandboxes_are_one_pod_of_the_policy_s_image() -> None:
    of = policy()
    sandboxes = [arrival for arrival in day(stream()) if arrival.spec.kind is WorkloadKind.SANDBOX]
    assert sandboxes
    for arrival in sandboxes:
        assert arrival.spec.pods == 1
        assert image_is_allowed(arrival.spec.image, of.sandbox.images)
        assert arrival.fate.run_ms is None


def test_a_fate_depends_on_the_work_and_the_seed_alone() -> None:
    spec = day(stream())[0].spec
    assert fate_of(1, spec) == fate_of(1, replace(spec, image="another"))
    assert fate_of(1, spec) != fate_of(2, spec)


def test_fates_fail_overrun_and_hang_at_times() -> None:
    fates = [
        (arrival.spec, arrival.fate)
        for seed in range(5)
        for arrival in day(stream(seed))
        if arrival.spec.kind is WorkloadKind.JOB
    ]
    failed = sum(fate.exit_code != 0 for _, fate in fates) / len(fates)
    late = sum(fate.run_ms is not None and fate.run_ms > spec.time_limit_ms for spec, fate in fates) / len(fates)
    hung = sum(fate.run_ms is None for _, fate in fates) / len(fates)
    assert 0.08 < failed < 0.16
    assert 0.03 < late < 0.12
    assert 0.002 < hung < 0.03


def test_people_without_a_project_cannot_be_streamed() -> None:
    of = replace(policy(), projects={})
    with pytest.raises(NobodyCanAsk, match="nobody can submit"):
        SyntheticStream(of, people(of), 1, MONDAY, Load(gpus=8), NODE_GPUS)


def test_people_of_a_tier_that_the_policy_no_longer_has_submit_nothing() -> None:
    whole = policy()
    all_of_them = people(whole)
    left_out = all_of_them[0].tier
    of = replace(whole, tiers={name: tier for name, tier in whole.tiers.items() if name != left_out})
    cut = SyntheticStream(of, all_of_them, 1, MONDAY, Load(gpus=637), NODE_GPUS)
    subjects = {arrival.subject for arrival in day(cut)}
    assert subjects
    assert subjects <= {engineer.subject for engineer in all_of_them if engineer.tier != left_out}


@pytest.mark.parametrize(
    ("now", "opening"),
    [
        ("2026-11-16T07:00:00Z", "2026-11-16T07:00:00Z"),
        ("2026-11-16T06:59:59Z", "2026-11-09T07:00:00Z"),
        ("2026-11-22T23:59:59Z", "2026-11-16T07:00:00Z"),
    ],
)
def test_a_simulation_begins_with_the_working_week(now: str, opening: str) -> None:
    assert iso(opening_instant(to_instant(datetime.fromisoformat(now)))) == opening


def test_the_backlog_comes_within_its_minutes() -> None:
    opening = stream().between(MONDAY, Instant(MONDAY + 20 * MS_PER_MINUTE))
    after = stream().between(Instant(MONDAY + 20 * MS_PER_MINUTE), Instant(MONDAY + 40 * MS_PER_MINUTE))
    assert len(opening) > 3 * len(after)


def test_sandboxes_that_nobody_uses_are_opened_before_all_else_whatever_the_seed() -> None:
    of = policy()
    for seed in range(12):
        made = SyntheticStream(of, people(of), seed, MONDAY, Load(gpus=637, left_open=4), NODE_GPUS)
        first = made.between(MONDAY, Instant(MONDAY + MS_PER_MINUTE))
        left_open = [each for each in first if "-open-" in each.id]
        assert first[0] in left_open
        assert [(each.spec.kind, each.spec.gpus, each.fate.pattern) for each in left_open] == [
            (WorkloadKind.SANDBOX, 1, Pattern.IDLE)
        ] * 4
        assert len({each.subject for each in left_open}) == 4
        assert [each for each in first if each not in left_open] == stream(seed).between(
            MONDAY, Instant(MONDAY + MS_PER_MINUTE)
        )
