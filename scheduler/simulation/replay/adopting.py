"""Foreign traces in the words of a policy: whose the work is, in which class, on which GPUs, for how long.

A trace knows no allowances, often no people, and other names. What it does not say is filled in by stated rules, the
same for the same seed; docs/simulate.md lists them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from scheduler.domain.cluster import Node, PodRequest
from scheduler.domain.people import Engineer
from scheduler.domain.policy import Policy, Tier
from scheduler.domain.units import (
    MS_PER_MINUTE,
    MS_PER_SECOND,
    GpuClassName,
    Instant,
    PriorityClassName,
    ProjectName,
    TeamName,
)
from scheduler.domain.workloads import WorkloadKind, WorkloadSpec
from scheduler.lifecycle.asking.judge import NAME_LENGTH_MAX
from scheduler.simulation.replay.cluster import class_named
from scheduler.simulation.replay.company import Company
from scheduler.simulation.replay.submissions import Stream, Submission

BEST_EFFORT = "BE"
ENDLESS = "still ran, and nothing says for how long"
SHARED = "share of a GPU: a whole one"
UNKNOWN_NAMES_MAX, UNKNOWN_NAME_LENGTH = 10, 40


@dataclass(frozen=True, slots=True)
class TraceJob:
    """One piece of work as a trace tells it. `models` are those it may run on (none: any); `limit_ms` None: not said.

    `classes` are the names that may mean a priority class, the first that the policy knows counts; `group` may mean a
    team or a project; `place` may hold a model's name (a partition). `run_ms` is how long it ran.
    """

    name: str
    at: Instant
    run_ms: int
    pods: int
    pod: PodRequest
    models: tuple[str, ...] = ()
    user: str = ""
    group: str = ""
    place: str = ""
    classes: tuple[str, ...] = ()
    limit_ms: int | None = None
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Names:
    """What an operator says of a trace's names: models and priorities in the policy's words."""

    gpu_classes: Mapping[str, GpuClassName] = field(default_factory=dict)
    priority_classes: Mapping[str, PriorityClassName] = field(default_factory=dict)


class Adopter:
    """Makes submissions of trace jobs. `people` are those who are known; others are invented by seed."""

    def __init__(
        self,
        policy: Policy,
        nodes: Sequence[Node],
        people: Sequence[Engineer],
        names: Names,
        seed: int,
        engineers: int,
    ) -> None:
        self._policy = policy
        self._names = names
        self._seed = seed
        self._engineers = engineers
        self._company = Company(policy, seed)
        self._people = {engineer.subject: engineer for engineer in people}
        self._given = sorted(self._people)
        self._projects: dict[TeamName, list[ProjectName]] = {}
        for project in sorted(policy.projects.values(), key=lambda each: each.name):
            self._projects.setdefault(project.team, []).append(project.name)
        gpus: Counter[GpuClassName] = Counter()
        for node in nodes:
            if node.gpu_class is not None:
                gpus[node.gpu_class] += node.gpus
        self._classes_by_size = [name for name, _ in sorted(gpus.items(), key=lambda item: (-item[1], item[0]))]
        by_value = sorted(policy.priority_classes.values(), key=lambda each: (each.value, each.name))
        self._by_value = [each.name for each in by_value]
        self._classes_by_name = {name.lower(): name for name in self._by_value}
        self.changed: Counter[str] = Counter()
        """How often something had to be put otherwise, by what."""
        self._unknown: dict[str, Counter[str]] = {}
        """Names that the policy has not, by their sort, and how often they came."""

    def stream(self, source: Mapping[str, object], jobs: Iterable[TraceJob], left_out: Mapping[str, int]) -> Stream:
        submissions = sorted((self._adopt(job) for job in jobs), key=lambda each: (each.at, each.spec.name))
        people = [self._people[subject] for subject in sorted(self._people)]
        said = {"put_otherwise": dict(sorted(self.changed.items())), "unknown_names": self._unknown_names()}
        return Stream({**source, **said}, people, submissions, left_out)

    def _unknown_names(self) -> dict[str, dict[str, int]]:
        """Of each sort the most frequent."""
        return {
            sort: dict(sorted(names.items(), key=lambda item: (-item[1], item[0]))[:UNKNOWN_NAMES_MAX])
            for sort, names in sorted(self._unknown.items())
        }

    def _is_unknown(self, sort: str, instead: str, names: Iterable[str]) -> None:
        """Names that the policy has not; `instead` says what was taken in their place."""
        self.changed[instead] += 1
        self._unknown.setdefault(sort, Counter()).update(_shown(name) for name in names if name)

    def _adopt(self, job: TraceJob) -> Submission:
        owner = self._owner(job)
        tier = self._policy.tiers.get(owner.tier)
        spec = WorkloadSpec(
            name=_printable(job.name)[:NAME_LENGTH_MAX],
            kind=WorkloadKind.JOB,
            project=self._project(job, owner),
            gpu_classes=self._gpu_classes(job, tier),
            priority_class=self._priority_class(job, tier),
            time_limit_ms=self._time_limit_ms(job, tier),
            pods=job.pods,
            pod=job.pod,
        )
        return Submission(job.at, owner.id, spec, max(MS_PER_SECOND, job.run_ms), job.exit_code)

    def _owner(self, job: TraceJob) -> Engineer:
        """Whose it is: its user if a directory or the trace names one, else one of so many, drawn by its name."""
        subject = job.user
        if not subject:
            chance = Random(f"{self._seed}/owner/{job.name}")
            subject = (
                chance.choice(self._given) if self._given else f"engineer-{chance.randrange(self._engineers):04d}"
            )
        known = self._people.get(subject)
        if known is None:
            known = self._people[subject] = self._company.person(subject, team=self._team(job.group))
        return known

    def _team(self, group: str) -> TeamName | None:
        wanted = group.lower()
        for team in self._policy.pool_of_team:
            if team.lower() == wanted:
                return team
        for project in self._policy.projects.values():
            if project.name.lower() == wanted:
                return project.team
        if not group:
            return None
        self._is_unknown(
            "accounts", "engineer of an account that is no team or project: of a team by chance", [group]
        )
        return self._company.person(f"group/{group}").team

    def _project(self, job: TraceJob, owner: Engineer) -> ProjectName | None:
        projects = self._projects.get(owner.team, [])
        if not projects:
            return None
        named = [name for name in projects if name.lower() == job.group.lower()]
        return named[0] if named else Random(f"{self._seed}/project/{owner.subject}/{job.group}").choice(projects)

    def _gpu_classes(self, job: TraceJob, tier: Tier | None) -> tuple[GpuClassName, ...]:
        """Those that its models mean, else all that the cluster has, the most plentiful first; of them what the tier
        may use, if it may use any."""
        named = [class_named(self._policy, model, self._names.gpu_classes) for model in job.models]
        wanted = list(dict.fromkeys(name for name in named if name is not None))
        if job.models and not wanted:
            self._is_unknown("gpu_models", "gpu model unknown to the policy: any class", job.models)
        if not job.models and job.place:
            of_place = class_named(self._policy, job.place, self._names.gpu_classes)
            wanted = [of_place] if of_place is not None else []
        wanted = wanted or self._classes_by_size
        if tier is not None and tier.gpu_classes is not None:
            wanted = [name for name in wanted if name in tier.gpu_classes] or wanted
        return tuple(wanted)

    def _priority_class(self, job: TraceJob, tier: Tier | None) -> PriorityClassName:
        default = self._policy.default_priority_class or self._by_value[len(self._by_value) // 2]
        named = [name for name in map(self._class_called, job.classes) if name is not None]
        wanted = named[0] if named else default
        if not named and any(job.classes):
            self._is_unknown("priorities", "QOS or partition of no priority class: the default", job.classes)
        if tier is not None and tier.priority_classes is not None and wanted not in tier.priority_classes:
            self.changed["priority class not of the owner's tier: the default"] += 1
            wanted = default if default in tier.priority_classes else min(tier.priority_classes)
        return wanted

    def _class_called(self, name: str) -> PriorityClassName | None:
        said = self._names.priority_classes.get(name) or self._classes_by_name.get(name.lower())
        return said or (self._by_value[0] if name == BEST_EFFORT else None)

    def _time_limit_ms(self, job: TraceJob, tier: Tier | None) -> int:
        """The trace's own, else twice what it ran (Mu'alem and Feitelson, 2001), in whole minutes; never more than
        its owner may ask for."""
        if job.limit_ms is None:
            self.changed["no time limit said: twice the run"] += 1
        limit_ms = job.limit_ms if job.limit_ms is not None else 2 * job.run_ms
        whole_ms = max(MS_PER_MINUTE, -(-limit_ms // MS_PER_MINUTE) * MS_PER_MINUTE)
        longest = self._policy.limits.time_limit_max_ms
        if tier is not None and tier.time_limit_max_ms is not None:
            longest = min(longest, tier.time_limit_max_ms)
        if whole_ms > longest:
            self.changed["time limit longer than the owner may ask for: the longest"] += 1
        return min(whole_ms, longest)


def _shown(name: str) -> str:
    """What a stranger wrote, without what a terminal would obey."""
    start = name[:UNKNOWN_NAME_LENGTH]
    return start if start.isprintable() else ascii(start)


def _printable(name: str) -> str:
    """What the service takes as a name: work elsewhere may be called what it likes, and is not refused for that."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
