"""Whether forecasts come to pass: the band that work is told when it begins to wait, and when it starts.

    python -m benchmarks.bands [--seeds N] [--json]

Days of sixty jobs by two engineers on eight GPUs (two nodes of four), of which much is asked: they use about half of
their limits, three classes go before one another, and what comes later is known to nobody. In each kind of day a part of
the jobs asks for something of its own; those are counted. One minute is no difference. Since any band holds that is wide
enough, half of the bands are no wider than the hours that stand beside them. What waits at a spend guard is told no band.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from statistics import median

import orjson

from benchmarks.measured import keep
from scheduler.adapters.policy_files import read_policy
from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Changes
from scheduler.domain.arrays import index_id
from scheduler.domain.cluster import Node, PodRequest
from scheduler.domain.people import Engineer
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    MS_PER_MINUTE,
    MS_PER_SECOND,
    EngineerId,
    GpuClassName,
    Instant,
    NodeName,
    PerMille,
    PriorityClassName,
    ProjectName,
    TeamName,
    TierName,
    WorkloadId,
)
from scheduler.domain.workloads import ArrayPlace, WorkloadKind, WorkloadSpec
from scheduler.simulation.replay.engine import Replay, Tempo
from scheduler.simulation.replay.measures import Window
from scheduler.simulation.replay.submissions import Stream, Submission
from scheduler.simulation.replay.works import Work

START = Instant(1_767_571_200_000)
USUAL = PerMille(500)
JOBS_A_DAY = 70
GPU = GpuClassName("gpu")
TEAMS = {"ann": ("red", "atlas"), "bob": ("blue", "beacon")}
PEOPLE = [Engineer(EngineerId(name), name, TeamName(team), TierName("engineer")) for name, (team, _) in TEAMS.items()]
POLICY = """
version: 1
period: week
default_priority_class: standard
gpu_classes:
  gpu: {weight_per_mille: 1000}
priority_classes:
  rolling: {value: 600, hold: rolling, slice_minutes: 15}
  standard: {value: 500}
  spare: {value: 100, class_factor_per_mille: 500, hold: rolling, slice_minutes: 15, at_exhaustion: unfunded}
  nights: {value: 300, off_peak: {from_hour: 20, until_hour: 6}}
tiers:
  engineer: {allowance_gpu_hours: 1000}
projects:
  atlas: {team: red}
  beacon: {team: blue}
cohorts: {all: {}}
pools:
  red: {teams: [red], cohort: all, quotas: {gpu: {nominal_gpus: 4}}}
  blue: {teams: [blue], cohort: all, quotas: {gpu: {nominal_gpus: 4}}}
"""
LIMITED = POLICY + "limits: {gpus_per_engineer: 4}\n"
GUARDED = POLICY + "spend_guards:\n  days: {of: engineer, window: day, hard_gpu_hours: 20}\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """A submission, and what the replay's own have not: what it is to begin after, the indexes of an array, whom it follows
    by its number, and whether it is counted."""

    submission: Submission
    is_counted: bool = True
    begins_at: Instant | None = None
    indexes: int = 0
    at_once: int | None = None
    follows: int | None = None


Kind = Callable[[Random, Submission, int], Asked]


class Told(Replay):
    """A replay that asks for the forecast of whoever begins to wait, once a cycle starts nobody."""

    def __init__(self, day: list[Asked], policy: str, window: Window) -> None:
        nodes = [Node(NodeName(name), GPU, 4, 64_000, 512_000) for name in ("n1", "n2")]
        stream = Stream({}, PEOPLE, [asked.submission for asked in day])
        super().__init__(read_policy(policy, "benchmark"), nodes, stream, Tempo(MS_PER_SECOND), window)
        self.bands: list[tuple[Work, tuple[Instant, Instant] | None]] = []
        self._coming = iter(enumerate(day))
        self._asked: set[int] = set()
        self._counted: set[int] = set()
        self._by_number: dict[int, WorkloadId] = {}
        self._following: dict[WorkloadId, list[Work]] = {}

    def _take_in(self, submission: Submission) -> None:
        number, asked = next(self._coming)
        assert asked.submission is submission, "they come in their order"
        for index in range(asked.indexes or 1):
            super()._take_in(submission)
            self._change(self._works[-1], number, asked, index)

    def _change(self, work: Work, number: int, asked: Asked, index: int) -> None:
        """Have it wait as what it is."""
        attempts, known = self._attempts, work.workload
        if asked.is_counted:
            self._counted.add(work.number)
        spec = known.spec
        del attempts.waiting[known.id]
        attempts.feed.queued.pop(known.id, None)
        attempts.feed.wait(work.purses, -1)
        attempts.waiting_of[known.owner] -= 1
        workload_id = known.id
        if asked.indexes:
            workload_id = index_id(WorkloadId(f"a{number:06d}"), index)
            spec = replace(spec, array=ArrayPlace(index, asked.indexes, asked.at_once))
        else:
            self._by_number[number] = workload_id
        leader = self._by_number.get(asked.follows) if asked.follows is not None else None
        if leader is not None and not self._is_over(leader):
            spec = replace(spec, after=(leader,))
            self._following.setdefault(leader, []).append(work)
        since = asked.begins_at
        work.workload = replace(known, id=workload_id, spec=spec, not_before=since or Instant(0), eligible_at=since)
        attempts.queue(work, asked.submission.at)

    def _is_over(self, leader: WorkloadId) -> bool:
        return any(work.workload.id == leader and work.outcome is not None for work in self._works)

    def _decide(self, now: Instant) -> None:
        for work in self._works:
            if work.outcome is not None:
                for follower in self._following.pop(work.workload.id, ()):
                    follower.workload = replace(
                        follower.workload, spec=replace(follower.workload.spec, after=()), eligible_at=now
                    )
                    self._attempts.feed.arrive(follower.workload)
        super()._decide(now)

    def _step(self, changes: Changes, now: Instant) -> Plan:
        plan = super()._step(changes, now)
        if not (plan.launches or plan.preemptions):
            for work in self._attempts.waiting.values():
                if work.number in self._counted and work.number not in self._asked and work.first_launch_at is None:
                    self._asked.add(work.number)
                    found = self._state.forecast(work.workload, USUAL)
                    if found is not None:
                        self.bands.append((work, found.starts))
        return plan


def _job(chance: Random, at: Instant) -> Submission:
    limit = chance.choice([0.5, 1, 2, 4])
    owner = chance.choice(PEOPLE)
    gpus = chance.choice([1, 1, 2, 4, 4])
    return Submission(
        at,
        owner.id,
        WorkloadSpec(
            name=f"job-{at}",
            kind=WorkloadKind.JOB,
            project=ProjectName(TEAMS[owner.id][1]),
            gpu_classes=(GPU,),
            priority_class=PriorityClassName(chance.choice(["standard", "standard", "spare"])),
            time_limit_ms=int(limit * MS_PER_HOUR),
            pod=PodRequest(gpus, 1000, 1024),
        ),
        int(limit * chance.betavariate(2, 2.2) * MS_PER_HOUR),
    )


def _one_in(chance: Random, share: float, asked: Callable[[], Asked], submission: Submission) -> Asked:
    return asked() if chance.random() < share else Asked(submission, is_counted=False)


def _with(submission: Submission, **changes: object) -> Submission:
    return replace(submission, spec=replace(submission.spec, **changes))  # type: ignore[arg-type]


def _plain(_: Random, submission: Submission, __: int) -> Asked:
    return Asked(submission)


def _begins(chance: Random, submission: Submission, _: int) -> Asked:
    ahead = int(chance.uniform(1, 8) * MS_PER_HOUR)
    return _one_in(chance, 0.3, lambda: Asked(submission, begins_at=Instant(submission.at + ahead)), submission)


def _array(chance: Random, submission: Submission, _: int) -> Asked:
    pod = replace(submission.spec.pod, gpus=1)
    small = _with(submission, pod=pod, time_limit_ms=submission.spec.time_limit_ms // 2)
    small = replace(small, run_ms=submission.run_ms // 2)
    at_once = chance.choice([None, 2])
    return _one_in(chance, 0.2, lambda: Asked(small, indexes=6, at_once=at_once), submission)


def _elastic(chance: Random, submission: Submission, _: int) -> Asked:
    pod = replace(submission.spec.pod, gpus=1)
    wide = _with(submission, pod=pod, pods=chance.choice([4, 6, 8]), min_pods=2)
    return _one_in(chance, 0.3, lambda: Asked(wide), submission)


def _gang(chance: Random, submission: Submission, _: int) -> Asked:
    pod = replace(submission.spec.pod, gpus=chance.choice([2, 4]))
    return _one_in(chance, 0.2, lambda: Asked(_with(submission, pod=pod, pods=2)), submission)


def _off_peak(chance: Random, submission: Submission, _: int) -> Asked:
    at_night = _with(submission, priority_class=PriorityClassName("nights"))
    return _one_in(chance, 0.3, lambda: Asked(at_night), submission)


def _follows(chance: Random, submission: Submission, number: int) -> Asked:
    return _one_in(chance, 0.3, lambda: Asked(submission, follows=number - 1 - chance.randrange(3)), submission)


KINDS: dict[str, tuple[Kind, str]] = {
    "plain": (_plain, POLICY),
    "begin times": (_begins, POLICY),
    "arrays": (_array, POLICY),
    "elastic": (_elastic, POLICY),
    "gangs": (_gang, POLICY),
    "off-peak": (_off_peak, POLICY),
    "dependencies": (_follows, POLICY),
    "at a GPU limit": (_plain, LIMITED),
    "at a spend guard": (_plain, GUARDED),
}


def a_day(kind: Kind, seed: int) -> list[Asked]:
    chance = Random(seed)
    instants = sorted(Instant(START + int(chance.uniform(0, 24) * MS_PER_HOUR)) for _ in range(JOBS_A_DAY))
    return [kind(chance, _job(chance, at), number) for number, at in enumerate(instants)]


def counts(name: str, seeds: int) -> dict[str, float]:
    """How many start inside, before and after the band that they were told, never within two days, and how many were told
    none though they start; and how wide the bands are."""
    kind, policy = KINDS[name]
    seen = Counter[str]()
    widths: list[float] = []
    for seed in range(seeds):
        replay = Told(a_day(kind, seed), policy, Window(START, Instant(START + 3 * MS_PER_DAY)))
        replay.run(_nobody_looks)
        seen.update(_became(work, band) for work, band in replay.bands)
        widths += [(band[1] - band[0]) / MS_PER_HOUR for _, band in replay.bands if band is not None]
    counted: dict[str, float] = {each: seen[each] for each in ("inside", "before", "after", "never", "untold")}
    return counted | {"hours": round(median(widths), 1)}


def _became(work: Work, band: tuple[Instant, Instant] | None) -> str:
    at = work.first_launch_at
    if band is None:
        return "untold" if at is not None else "told of none, and never"
    if at is None:
        return "never"
    if at < band[0] - MS_PER_MINUTE:
        return "before"
    return "after" if at > band[1] + MS_PER_MINUTE else "inside"


def _nobody_looks(taken_in: int, now: Instant) -> None:
    """Progress that nobody reads."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=16, help="days of each kind")
    parser.add_argument("--json", action="store_true", help="print the measurements as one object, and keep none")
    arguments = parser.parse_args()
    kinds = {name: counts(name, arguments.seeds) for name in KINDS}
    if arguments.json:
        print(orjson.dumps(kinds).decode())
        return
    for name, seen in kinds.items():
        print(f"{name:>18}: " + ", ".join(f"{count} {what}" for what, count in seen.items()))
    keep("bands", {"days": arguments.seeds, "kinds": kinds})


if __name__ == "__main__":
    main()
