"""What a synthetic engineer asks for: work that the policy lets them submit. The distributions are `stream`'s."""

from bisect import bisect, bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import TypeVar

from scheduler.domain.cluster import PodRequest
from scheduler.domain.people import Engineer, Role
from scheduler.domain.policy import Policy, PriorityClass
from scheduler.domain.units import (
    MS_PER_HOUR,
    MS_PER_MINUTE,
    GpuClassName,
    PriorityClassName,
    ProjectName,
    TeamName,
    TierName,
)
from scheduler.domain.values import value
from scheduler.domain.workloads import WorkloadKind, WorkloadSpec

SANDBOX_CLASS = PriorityClassName("sandbox")
"""A priority class of this name is for sandboxes alone; without it they take the default class."""

_SANDBOX_SHARE = 0.16
_GPUS = (1, 2, 4, 8, 16, 32, 64)
_GPU_WEIGHTS = tuple(accumulate((40, 14, 16, 19, 6, 4, 1)))
_SANDBOX_GPUS = (1, 2, 4)
_SANDBOX_GPU_WEIGHTS = tuple(accumulate((80, 12, 8)))
_SWEEP_GPUS = (1, 1, 2)
_JOB_CLASS_WEIGHTS = tuple(accumulate((64, 24, 12)))
_CLASS_COUNTS = (1, 2, 3)
_CLASS_COUNT_WEIGHTS = tuple(accumulate((50, 38, 12)))
_CLASS_WEIGHT = 0.55
"""Of each GPU class, as a share of that of the one before it."""
_GRACE_SECONDS = (30, 30, 60, 120)
_SANDBOX_HOURS = (2, 4, 8)
_LIMITS_HOURS = (1, 2, 4, 6, 8, 12, 24, 48, 72)
_URGENT_HOURS_MAX = 8
_CPU_MILLI_PER_GPU = (4_000, 8_000, 12_000)
_MEMORY_MIB_PER_GPU = (32_768, 65_536, 98_304)
_VERBS = ("pretrain", "finetune", "evaluate", "distill", "embed", "generate", "reward", "ablate")
_SWEEP_VERBS = ("sweep", "evaluate", "ablate")
_WIDE_GPUS = 8

_Option = TypeVar("_Option")


@dataclass(frozen=True, slots=True)
class _Terms:
    """What the policy lets engineers of one tier ask for. Of GPU classes the heaviest comes first; of the priority
    classes of jobs that of most, then that of what can wait, then that of what cannot."""

    gpus_max: int
    gpu_classes: tuple[GpuClassName, ...]
    time_limit_max_ms: int
    of_sandboxes: PriorityClass
    of_jobs: tuple[PriorityClass, PriorityClass, PriorityClass]


@value(frozen=True, slots=True)
class _Wish:
    """The part of a submission that the copies of a sweep have in common."""

    kind: WorkloadKind
    priority_class: PriorityClass
    gpu_classes: tuple[GpuClassName, ...]
    gpus: int


class NobodyCanAsk(ValueError):
    """People and policy do not belong together: whoever there is could submit nothing."""


class Asker:
    """Draws engineers and what they ask for."""

    def __init__(
        self, policy: Policy, people: Sequence[Engineer], node_gpus: Mapping[GpuClassName, int], chance: Random
    ) -> None:
        self._policy = policy
        self._node_gpus = node_gpus
        self._projects = _projects_by_team(policy)
        able = (e for e in people if Role.ENGINEER in e.roles and e.tier in policy.tiers)
        self._people = [e for e in able if e.team in self._projects]
        if not self._people:
            raise NobodyCanAsk(
                "nobody can submit: no engineer has a tier of the policy and a team with a project in it"
            )
        ranks = list(range(1, len(self._people) + 1))
        chance.shuffle(ranks)
        self._cumulative = list(accumulate(rank**-0.8 for rank in ranks))
        self._terms = {tier: _terms_of(tier, policy) for tier in policy.tiers}
        self._top = max((c.value for c in policy.priority_classes.values()), default=0)
        self._images = {kind: an_image(policy, kind) for kind in (WorkloadKind.JOB, WorkloadKind.SANDBOX)}

    def engineer(self, chance: Random) -> Engineer:
        return _drawn(chance, self._people, self._cumulative)

    def ask(self, engineer: Engineer, chance: Random, *, label: str, copies: int) -> Iterator[WorkloadSpec]:
        """One submission, or the copies of a sweep. `label` makes the names unique."""
        terms = self._terms[engineer.tier]
        wish = _wish(terms, chance, is_sweep=copies > 1)
        project = chance.choice(self._projects[engineer.team])
        limit_ms = self._time_limit_ms(terms, wish, chance)
        pods, pod = self._pods(wish, chance)
        verb = chance.choice(_SWEEP_VERBS if copies > 1 else _VERBS)
        stem = "sandbox" if wish.kind is WorkloadKind.SANDBOX else f"{verb}-{project}"
        grace_seconds = min(chance.choice(_GRACE_SECONDS), wish.priority_class.grace_seconds_max)
        for copy in range(copies):
            yield WorkloadSpec(
                name=f"{stem}-{label}" + (f"-{copy}" if copies > 1 else ""),
                kind=wish.kind,
                project=project,
                gpu_classes=wish.gpu_classes,
                priority_class=wish.priority_class.name,
                time_limit_ms=limit_ms,
                pods=pods,
                pod=pod,
                image=self._images[wish.kind],
                grace_seconds=grace_seconds,
            )

    def _time_limit_ms(self, terms: _Terms, wish: _Wish, chance: Random) -> int:
        hours = chance.lognormvariate(1.0, 1.0) * (1.0 + wish.gpus / 32)
        if wish.kind is WorkloadKind.SANDBOX:
            hours = chance.choice(_SANDBOX_HOURS)
        typed = _LIMITS_HOURS[min(bisect_left(_LIMITS_HOURS, hours), len(_LIMITS_HOURS) - 1)]
        if wish.priority_class.value == self._top:
            typed = min(typed, _URGENT_HOURS_MAX)
        return max(MS_PER_MINUTE, min(typed * MS_PER_HOUR, terms.time_limit_max_ms))

    def _pods(self, wish: _Wish, chance: Random) -> tuple[int, PodRequest]:
        """As few pods as the smallest node of its classes allows."""
        per_node = min([self._node_gpus.get(name, 8) for name in wish.gpu_classes])
        gpus_per_pod = min(wish.gpus, per_node)
        pods = wish.gpus // gpus_per_pod if wish.kind is WorkloadKind.JOB else 1
        cpu_milli = chance.choice(_CPU_MILLI_PER_GPU) * gpus_per_pod
        return pods, PodRequest(gpus_per_pod, cpu_milli, chance.choice(_MEMORY_MIB_PER_GPU) * gpus_per_pod)


def _wish(terms: _Terms, chance: Random, *, is_sweep: bool) -> _Wish:
    is_sandbox = not is_sweep and chance.random() < _SANDBOX_SHARE
    if is_sandbox:
        gpus = _drawn(chance, _SANDBOX_GPUS, _SANDBOX_GPU_WEIGHTS)
    elif is_sweep:
        gpus = chance.choice(_SWEEP_GPUS)
    else:
        gpus = _drawn(chance, _GPUS, _GPU_WEIGHTS)
    while gpus > terms.gpus_max:
        gpus //= 2
    gpu_classes = _gpu_classes(terms, gpus, chance, is_sandbox=is_sandbox)
    if is_sandbox:
        return _Wish(WorkloadKind.SANDBOX, terms.of_sandboxes, gpu_classes, gpus)
    return _Wish(WorkloadKind.JOB, _drawn(chance, terms.of_jobs, _JOB_CLASS_WEIGHTS), gpu_classes, gpus)


def _gpu_classes(terms: _Terms, gpus: int, chance: Random, *, is_sandbox: bool) -> tuple[GpuClassName, ...]:
    """One to three classes, the first the one most wanted: heavy ones for wide work, light ones for sandboxes."""
    names = terms.gpu_classes
    if gpus >= _WIDE_GPUS and len(names) > 1:
        names = names[:-1]
    if is_sandbox:
        names = names[::-1]
    count = _drawn(chance, _CLASS_COUNTS, _CLASS_COUNT_WEIGHTS)
    first = _drawn(chance, names, list(accumulate([_CLASS_WEIGHT**index for index in range(len(names))])))
    return tuple(dict.fromkeys((first, *names)))[:count]


def _drawn(chance: Random, options: Sequence[_Option], cumulative: Sequence[float]) -> _Option:
    """One of the options, by weights that are added up already: what `Random.choices` would draw."""
    return options[bisect(cumulative, chance.random() * cumulative[-1], 0, len(options) - 1)]


def _terms_of(tier: TierName, policy: Policy) -> _Terms:
    own, limits = policy.tiers[tier], policy.limits
    gpus = [most for most in (own.gpus_max, limits.gpus_per_engineer, limits.gpus_per_workload) if most is not None]
    by_weight = sorted(policy.gpu_classes.values(), key=lambda c: (-c.weight, c.name))
    of_sandboxes, of_jobs = _priority_classes(tier, policy)
    return _Terms(
        max(1, min(gpus)),
        tuple(c.name for c in by_weight if own.gpu_classes is None or c.name in own.gpu_classes),
        min(limits.time_limit_max_ms, own.time_limit_max_ms or limits.time_limit_max_ms),
        of_sandboxes,
        of_jobs,
    )


def _priority_classes(
    tier: TierName, policy: Policy
) -> tuple[PriorityClass, tuple[PriorityClass, PriorityClass, PriorityClass]]:
    """Of those that the tier may use: for sandboxes; for most jobs, for what can wait, for what cannot."""
    classes = policy.priority_classes
    allowed = policy.tiers[tier].priority_classes
    usable = sorted(
        (c for c in classes.values() if allowed is None or c.name in allowed), key=lambda c: (c.value, c.name)
    )
    jobs = [c for c in usable if c.name != SANDBOX_CLASS] or usable
    default = next((c for c in jobs if c.name == policy.default_priority_class), jobs[len(jobs) // 2])
    sandbox = next((c for c in usable if c.name == SANDBOX_CLASS), default)
    return sandbox, (default, jobs[0], jobs[-1])


def _projects_by_team(policy: Policy) -> dict[TeamName, list[ProjectName]]:
    projects: dict[TeamName, list[ProjectName]] = {}
    for project in sorted(policy.projects.values(), key=lambda each: each.name):
        projects.setdefault(project.team, []).append(project.name)
    return projects


def an_image(policy: Policy, kind: WorkloadKind) -> str:
    """One image that the policy lets such work use."""
    if kind is WorkloadKind.JOB:
        return _first_of(policy.images)
    return policy.sandbox.default_image or _first_of(policy.sandbox.images)


def _first_of(allowed: tuple[str, ...]) -> str:
    if not allowed:
        return ""
    pattern = allowed[0]
    return f"{pattern[:-1]}simulated:1" if pattern.endswith("*") else pattern
