"""Whether what is forecast comes to pass: the band that somebody is told who begins to wait, and when their work starts."""

from collections import Counter
from random import Random

from scheduler.decision.plan import Plan
from scheduler.decision.snapshot import Changes
from scheduler.domain.cluster import Node
from scheduler.domain.units import MS_PER_DAY, MS_PER_MINUTE, MS_PER_SECOND, Instant, NodeName, PerMille
from scheduler.simulation.replay.engine import Replay, Tempo
from scheduler.simulation.replay.measures import Window
from scheduler.simulation.replay.submissions import Stream, Submission
from scheduler.simulation.replay.works import Work
from tests.simulation.replay.build import ANN, BOB, GPU, START, asks, nobody_looks, policy

USUAL = PerMille(500)


class Told(Replay):
    """A replay that asks for the forecast of whoever begins to wait, once a cycle starts nobody."""

    def __init__(self, stream: Stream, window: Window) -> None:
        node = Node(NodeName("n"), GPU, 8, 64_000, 512_000)
        super().__init__(policy(), [node], stream, Tempo(MS_PER_SECOND), window)
        self.bands: list[tuple[Work, tuple[Instant, Instant]]] = []
        self._asked: set[int] = set()

    def _step(self, changes: Changes, now: Instant) -> Plan:
        plan = super()._step(changes, now)
        if not (plan.launches or plan.preemptions):
            for work in self._attempts.waiting.values():
                if work.number not in self._asked and work.first_launch_at is None:
                    self._asked.add(work.number)
                    found = self._state.forecast(work.workload, USUAL)
                    if found is not None and found.starts is not None:
                        self.bands.append((work, found.starts))
        return plan


def a_day(seed: int) -> Stream:
    """Jobs that use about half of their limits, more of them than eight GPUs can take at once."""
    chance = Random(seed)
    submissions: list[Submission] = []
    for _ in range(60):
        limit = chance.choice([0.5, 1, 2, 4])
        submissions.append(
            asks(
                round(chance.uniform(0, 24), 3),
                limit * chance.betavariate(2, 2.2),
                owner=chance.choice([ANN, BOB]),
                gpus=chance.choice([1, 1, 2, 4, 8]),
                priority_class=chance.choice(["standard", "standard", "spare"]),
                limit_hours=limit,
            )
        )
    return Stream({}, [ANN, BOB], sorted(submissions, key=lambda each: each.at))


def test_four_of_five_start_within_the_band_that_they_were_told_and_few_before_it() -> None:
    """The others start after it for the most part: what came later went before them."""
    seen: Counter[str] = Counter()
    for seed in range(8):
        stream = a_day(seed)
        replay = Told(stream, Window(START, Instant(START + 2 * MS_PER_DAY)))
        replay.run(nobody_looks)
        for work, (first, last) in replay.bands:
            at = work.first_launch_at
            if at is not None:
                is_early, is_late = at < first - MS_PER_MINUTE, at > last + MS_PER_MINUTE
                seen["before" if is_early else "after" if is_late else "inside"] += 1
    assert seen.total() > 150
    assert seen["inside"] > 0.8 * seen.total(), seen
    assert seen["before"] < 0.1 * seen.total(), seen
