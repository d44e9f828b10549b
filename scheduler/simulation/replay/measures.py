"""What is measured while a policy is replayed. Integers; what is made of them is `report`'s."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler.domain.errors import Refusal
from scheduler.domain.people import Engineer
from scheduler.domain.reasons import Reason
from scheduler.domain.sizes import gpu_ms_within, stretches
from scheduler.domain.units import MS_PER_MINUTE, EngineerId, Instant, PriorityClassName, TierName
from scheduler.domain.workloads import Attempt
from scheduler.simulation.replay.calendar import Calendar
from scheduler.simulation.replay.series import Series
from scheduler.simulation.replay.settling import Settled
from scheduler.simulation.replay.submissions import Submission
from scheduler.simulation.replay.works import Run, Work

BINS_MAX = 400
SLOWDOWN_FLOOR_MS = 10 * MS_PER_MINUTE
"""Slowdown is (wait + run) / run, bounded: what runs for less counts as ten minutes (Feitelson's bounded slowdown)."""


@dataclass(frozen=True, slots=True)
class Window:
    """What utilisation is measured over: from the first submission to the last."""

    starts_at: Instant
    ends_at: Instant

    @property
    def bin_ms(self) -> int:
        """A whole number of minutes, so that there are at most `BINS_MAX` bins."""
        minutes = -(-max(1, self.ends_at - self.starts_at) // (BINS_MAX * MS_PER_MINUTE))
        return minutes * MS_PER_MINUTE

    @property
    def bins(self) -> int:
        return max(1, -(-(self.ends_at - self.starts_at) // self.bin_ms))

    def lengths(self) -> list[int]:
        """Of the bins, in milliseconds: the last is cut where the window ends."""
        before = self.bins - 1
        return [*[self.bin_ms] * before, max(1, self.ends_at - self.starts_at - before * self.bin_ms)]


@dataclass(slots=True)
class Person:
    """What came of one engineer's work. GPU-milliseconds are physical; `asked` is of all that they submitted, refused or
    not; `served` is what their finished or lasting work took, without what a preemption lost."""

    tier: TierName
    team: str
    asked_gpu_ms: int = 0
    served_gpu_ms: int = 0
    waited_ms: int = 0
    started: int = 0
    slowdowns: list[float] = field(default_factory=list)


@dataclass
class Measures:
    window: Window
    calendar: Calendar
    people: Mapping[EngineerId, Engineer]
    busy: Series = field(init=False)
    queue: Series = field(init=False)
    queue_gpus: Series = field(init=False)
    waits: dict[tuple[PriorityClassName, TierName], list[int]] = field(default_factory=lambda: defaultdict(list))
    """Milliseconds from submission to first launch."""
    waiting_ms: dict[Reason, int] = field(default_factory=lambda: defaultdict(int))
    """By the reason that was told meanwhile, requeued work too."""
    slowdowns: list[float] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    first_refusals: dict[str, str] = field(default_factory=dict)
    """The sentence of the first of each code: a code alone does not say which value was wrong."""
    outcomes: dict[Reason, int] = field(default_factory=lambda: defaultdict(int))
    preemptions: dict[PriorityClassName, int] = field(default_factory=lambda: defaultdict(int))
    """By the class of the victim."""
    lost_gpu_ms: int = 0
    retries: int = 0
    redone_gpu_ms: int = 0
    """What attempts had done that were tried again by a rule, and no checkpoint kept."""
    used_gpu_ms: int = 0
    exhausted: int = 0
    """Attempts that were stopped because a rolling hold could not be renewed."""
    short: dict[tuple[EngineerId, str], Instant] = field(default_factory=dict)
    """Who ran out of hours in which period, and when first."""
    unfunded_gpu_ms: int = 0
    refunded: int = 0
    charged_by_class: dict[PriorityClassName, int] = field(default_factory=lambda: defaultdict(int))
    charged_by_team: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    charged_by_tier: dict[TierName, int] = field(default_factory=lambda: defaultdict(int))
    persons: dict[EngineerId, Person] = field(default_factory=dict)

    def __post_init__(self) -> None:
        window = self.window
        self.busy, self.queue, self.queue_gpus = (
            Series(window.starts_at, window.ends_at, window.bin_ms, window.bins) for _ in range(3)
        )

    def asked(self, submission: Submission) -> None:
        """It is submitted, whatever is said to it: who is refused is not served."""
        spec = submission.spec
        self._person(submission.owner).asked_gpu_ms += spec.gpus * min(submission.run_ms, spec.time_limit_ms)

    def refused(self, refusal: Refusal) -> None:
        code = refusal.code.value
        self.refusals[code] += 1
        if code not in self.first_refusals:
            self.first_refusals[code] = str(refusal)

    def told(self, work: Work, reason: Reason, at: Instant) -> None:
        """Another verdict on what waits."""
        self.waiting_ms[work.waiting_for] += at - work.waiting_since
        work.waiting_for, work.waiting_since = reason, at
        if reason is Reason.ALLOWANCE_SHORT:
            self.short_of_hours(work, at)

    def short_of_hours(self, work: Work, at: Instant) -> None:
        self.short.setdefault((work.workload.owner, self.calendar.at(at).name), at)

    def waited(self, work: Work, at: Instant) -> None:
        """It is launched."""
        self._count_queue(work, at)
        self.waiting_ms[work.waiting_for] += at - work.waiting_since
        if work.attempts == 1:
            wait_ms = at - work.submission.at
            person = self._person(work.workload.owner)
            self.waits[work.workload.spec.priority_class, person.tier].append(wait_ms)
            person.waited_ms += wait_ms
            person.started += 1

    def still_waiting(self, work: Work, at: Instant) -> None:
        """The replay stops before it was launched (again)."""
        self._count_queue(work, at)
        self.waiting_ms[work.waiting_for] += at - work.waiting_since

    def ended(
        self, run: Run, attempt: Attempt, at: Instant, settled: Settled, *, lost_gpu_ms: int, is_retried: bool = False
    ) -> None:
        """An attempt is over; its workload may be queued again, by a retry rule or otherwise."""
        person = self._person(run.work.workload.owner)
        person.served_gpu_ms += self._count_use(run, at, settled, person) - lost_gpu_ms
        if attempt.stop_reason is Reason.PREEMPTED:
            self.preemptions[attempt.priority_class] += 1
            self.lost_gpu_ms += lost_gpu_ms
        elif is_retried:
            self.retries += 1
            self.redone_gpu_ms += lost_gpu_ms

    def finished(self, work: Work, reason: Reason, at: Instant) -> None:
        """A workload is over for good."""
        submission = work.submission
        self.outcomes[reason] += 1
        floor_ms = max(SLOWDOWN_FLOOR_MS, min(submission.run_ms, submission.spec.time_limit_ms))
        slowdown = max(1.0, (at - submission.at) / floor_ms)
        self.slowdowns.append(slowdown)
        self._person(work.workload.owner).slowdowns.append(slowdown)

    def still_running(self, run: Run, at: Instant, settled: Settled) -> None:
        person = self._person(run.work.workload.owner)
        person.served_gpu_ms += self._count_use(run, at, settled, person)

    def _count_use(self, run: Run, at: Instant, settled: Settled, person: Person) -> int:
        attempt = run.attempt
        for stretch in stretches(attempt, attempt.launched_at, at):
            self.busy.add(stretch.start, stretch.end, stretch.gpus)
        used_gpu_ms = gpu_ms_within(attempt, run.started_at, at)
        self.used_gpu_ms += used_gpu_ms
        self.unfunded_gpu_ms += settled.unfunded_gpu_ms
        self.refunded += settled.refunded
        self.charged_by_class[attempt.priority_class] += settled.charged
        self.charged_by_team[person.team] += settled.charged
        self.charged_by_tier[person.tier] += settled.charged
        return used_gpu_ms

    def _count_queue(self, work: Work, at: Instant) -> None:
        self.queue.add(work.queued_since, at, 1)
        self.queue_gpus.add(work.queued_since, at, work.workload.spec.gpus)

    def _person(self, owner: EngineerId) -> Person:
        person = self.persons.get(owner)
        if person is None:
            engineer = self.people[owner]
            person = self.persons[owner] = Person(engineer.tier, engineer.team)
        return person
