"""What a synthetic engineer asks for: work that the policy lets them submit. The distributions are `stream`'s."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

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
from scheduler.domain.workloads import WorkloadKind, WorkloadSpec

SANDBOX_CLASS = PriorityClassName("sandbox")
"""A priority class of this name is for sandboxes alone; without it they take the default class."""

_SANDBOX_SHARE = 0.16
_GPUS = (1, 2, 4, 8, 16, 32, 64)
_GPU_WEIGHTS = (40, 14, 16, 19, 6, 4, 1)
_SANDBOX_GPUS = (1, 2, 4)
_SANDBOX_GPU_WEIGHTS = (80, 12, 8)
_LIMITS_HOURS = (1, 2, 4, 6, 8, 12, 24, 48, 72)
_URGENT_HOURS_MAX = 8
_CPU_MILLI_PER_GPU = (4_000, 8_000, 12_000)
_MEMORY_MIB_PER_GPU = (32_768, 65_536, 98_304)
_VERBS = ("pretrain", "finetune", "evaluate", "distill", "embed", "generate", "reward", "ablate")
_SWEEP_VERBS = ("sweep", "evaluate", "ablate")
_WIDE_GPUS = 8


@dataclass(frozen=True, slots=True)
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
        self._jobs_of_tier = {tier: self._choice_of_classes(tier) for tier in policy.tiers}
        self._top = max((c.value for c in policy.priority_classes.values()), default=0)

    def engineer(self, chance: Random) -> Engineer:
        return chance.choices(self._people, cum_weights=self._cumulative)[0]

    def ask(self, engineer: Engineer, chance: Random, *, label: str, copies: int) -> Iterator[WorkloadSpec]:
        """One submission, or the copies of a sweep. `label` makes the names unique."""
        wish = self._wish(engineer, chance, is_sweep=copies > 1)
        project = chance.choice(self._projects[engineer.team])
        limit_ms = self._time_limit_ms(engineer.tier, wish, chance)
        pods, pod = self._pods(wish, chance)
        image = an_image(self._policy, wish.kind)
        verb = chance.choice(_SWEEP_VERBS if copies > 1 else _VERBS)
        stem = "sandbox" if wish.kind is WorkloadKind.SANDBOX else f"{verb}-{project}"
        grace_seconds = min(chance.choice((30, 30, 60, 120)), wish.priority_class.grace_seconds_max)
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
                image=image,
                grace_seconds=grace_seconds,
            )

    def _wish(self, engineer: Engineer, chance: Random, *, is_sweep: bool) -> _Wish:
        is_sandbox = not is_sweep and chance.random() < _SANDBOX_SHARE
        gpus_max = self._gpus_max(engineer.tier)
        if is_sandbox:
            gpus = chance.choices(_SANDBOX_GPUS, _SANDBOX_GPU_WEIGHTS)[0]
        elif is_sweep:
            gpus = chance.choice((1, 1, 2))
        else:
            gpus = chance.choices(_GPUS, _GPU_WEIGHTS)[0]
        while gpus > gpus_max:
            gpus //= 2
        kind = WorkloadKind.SANDBOX if is_sandbox else WorkloadKind.JOB
        gpu_classes = self._gpu_classes(engineer.tier, gpus, chance, is_sandbox=is_sandbox)
        return _Wish(kind, self._priority_class(engineer.tier, kind, chance), gpu_classes, gpus)

    def _gpus_max(self, tier: TierName) -> int:
        limits = self._policy.limits
        tier_max = self._policy.tiers[tier].gpus_max
        return max(1, min(m for m in (tier_max, limits.gpus_per_engineer, limits.gpus_per_workload) if m is not None))

    def _priority_class(self, tier: TierName, kind: WorkloadKind, chance: Random) -> PriorityClass:
        sandbox, default, lowest, highest = self._jobs_of_tier[tier]
        if kind is WorkloadKind.SANDBOX:
            return sandbox
        return chance.choices((default, lowest, highest), (64, 24, 12))[0]

    def _choice_of_classes(self, tier: TierName) -> tuple[PriorityClass, PriorityClass, PriorityClass, PriorityClass]:
        """Of those that the tier may use: for sandboxes, for most jobs, for what can wait, for what cannot."""
        classes = self._policy.priority_classes
        allowed = self._policy.tiers[tier].priority_classes
        usable = sorted(
            (c for c in classes.values() if allowed is None or c.name in allowed), key=lambda c: (c.value, c.name)
        )
        jobs = [c for c in usable if c.name != SANDBOX_CLASS] or usable
        default = next((c for c in jobs if c.name == self._policy.default_priority_class), jobs[len(jobs) // 2])
        sandbox = next((c for c in usable if c.name == SANDBOX_CLASS), default)
        return sandbox, default, jobs[0], jobs[-1]

    def _gpu_classes(
        self, tier: TierName, gpus: int, chance: Random, *, is_sandbox: bool
    ) -> tuple[GpuClassName, ...]:
        """One to three classes, the first the one most wanted: heavy ones for wide work, light ones for sandboxes."""
        allowed = self._policy.tiers[tier].gpu_classes
        by_weight = sorted(self._policy.gpu_classes.values(), key=lambda c: (-c.weight, c.name))
        names = [c.name for c in by_weight if allowed is None or c.name in allowed]
        if gpus >= _WIDE_GPUS and len(names) > 1:
            names = names[:-1]
        if is_sandbox:
            names.reverse()
        count = chance.choices((1, 2, 3), (50, 38, 12))[0]
        first = chance.choices(range(len(names)), [0.55**index for index in range(len(names))])[0]
        return tuple(dict.fromkeys([names[first], *names]))[:count]

    def _time_limit_ms(self, tier: TierName, wish: _Wish, chance: Random) -> int:
        hours = chance.lognormvariate(1.0, 1.0) * (1.0 + wish.gpus / 32)
        if wish.kind is WorkloadKind.SANDBOX:
            hours = chance.choice((2, 4, 8))
        typed = next((limit for limit in _LIMITS_HOURS if limit >= hours), _LIMITS_HOURS[-1])
        if wish.priority_class.value == self._top:
            typed = min(typed, _URGENT_HOURS_MAX)
        tier_max = self._policy.tiers[tier].time_limit_max_ms
        longest = min(self._policy.limits.time_limit_max_ms, tier_max or self._policy.limits.time_limit_max_ms)
        return max(MS_PER_MINUTE, min(typed * MS_PER_HOUR, longest))

    def _pods(self, wish: _Wish, chance: Random) -> tuple[int, PodRequest]:
        """As few pods as the smallest node of its classes allows."""
        per_node = min(self._node_gpus.get(name, 8) for name in wish.gpu_classes)
        gpus_per_pod = min(wish.gpus, per_node)
        pods = wish.gpus // gpus_per_pod if wish.kind is WorkloadKind.JOB else 1
        cpu_milli = chance.choice(_CPU_MILLI_PER_GPU) * gpus_per_pod
        return pods, PodRequest(gpus_per_pod, cpu_milli, chance.choice(_MEMORY_MIB_PER_GPU) * gpus_per_pod)


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
