"""Judge: what was asked against the policy and the cluster. What can never be is refused, with what to do about it."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from scheduler.domain.allowances import AllowanceBalance, AllowanceSource, HolderKind
from scheduler.domain.cluster import GpuClass, Node
from scheduler.domain.errors import Exhausted, InvalidInput, NotFound, NotPermitted, RefusalCode
from scheduler.domain.funding import payers
from scheduler.domain.people import Engineer
from scheduler.domain.policy import Policy, PriorityClass, Tier, image_is_allowed
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, MS_PER_SECOND, GpuClassName, Instant, WorkloadId
from scheduler.domain.wording import counted
from scheduler.domain.workloads import Origin, Workload, WorkloadKind, WorkloadSpec
from scheduler.lifecycle.asking.placeable import require_placeable

GPUS_PER_POD_MAX = 1024
CPU_MILLI_MAX = 10_000_000
MEMORY_MIB_MAX = 100_000_000
NAME_LENGTH_MAX = 120
GRACE_SECONDS_MAX = 86_400


def with_defaults(spec: WorkloadSpec, policy: Policy) -> WorkloadSpec:
    """The spec with what policy fills in where it was left out: priority class, sandbox image and command."""
    if not spec.priority_class and policy.default_priority_class is not None:
        spec = replace(spec, priority_class=policy.default_priority_class)
    if spec.kind is WorkloadKind.SANDBOX and not spec.image:
        spec = replace(spec, image=policy.sandbox.default_image, command=policy.sandbox.default_command)
    return spec


def judge(
    spec: WorkloadSpec,
    owner: Engineer,
    policy: Policy,
    nodes: Collection[Node],
    balances: Iterable[AllowanceBalance],
    now: Instant,
) -> None:
    """Raise the Refusal that a person can act on, or return. `balances` are those of the owner's holders."""
    _require_sane(spec, policy)
    tier = policy.tiers.get(owner.tier)
    if tier is None:
        raise NotFound(
            f"your tier {owner.tier!r} is not in the policy",
            code=RefusalCode.UNKNOWN_TIER,
            expected="one of " + ", ".join(sorted(policy.tiers)),
            remedy="ask an operator to put you in a tier",
        )
    if owner.team not in policy.pool_of_team:
        raise NotFound(
            f"your team {owner.team!r} has no pool in the policy",
            code=RefusalCode.UNKNOWN_TEAM,
            expected="one of " + ", ".join(sorted(policy.pool_of_team)),
            remedy="ask an operator to give the team a pool",
        )
    _require_time_limit(spec, tier, policy)
    _require_project(spec, owner, policy)
    priority_class = _require_priority_class(spec, tier, policy)
    known = list(balances)
    classes = _require_gpu_classes(spec, _opened(tier, known, now), policy)
    _require_image(spec, policy)
    _require_limits(spec, tier, policy)
    require_placeable(spec.at_minimum, classes, nodes, policy)
    if not priority_class.may_start_unfunded:
        _require_payer(spec, classes, known, now)


def require_room_in_queue(queued: int, count: int, policy: Policy) -> None:
    """So many more may wait of an owner of whom `queued` do, or Exhausted: Slurm's MaxSubmitJobs, of what waits."""
    most = policy.limits.queued_per_engineer
    if queued + count > most:
        raise Exhausted(
            f"you have {counted(queued, 'workload')} queued"
            if count == 1
            else f"{queued} are queued, and these are {count} more",
            code=RefusalCode.QUEUE_FULL,
            expected=f"at most {most}",
            remedy="cancel some, or wait until they have run",
        )


def new_workload(
    spec: WorkloadSpec,
    owner: Engineer,
    *,
    workload_id: WorkloadId,
    namespace: str,
    now: Instant,
    origin: Origin = Origin.API,
    job_name: str = "",
) -> Workload:
    """The queued workload. Its Job is named after its id, unless somebody applied the Job themselves."""
    return Workload(
        id=workload_id,
        owner=owner.id,
        team=owner.team,
        spec=spec,
        submitted_at=now,
        state_reason=Reason.SUBMITTED,
        state_since=now,
        origin=origin,
        namespace=namespace,
        job_name=job_name or str(workload_id),
        version=1,
    )


def _require_sane(spec: WorkloadSpec, policy: Policy) -> None:
    if not spec.name or len(spec.name) > NAME_LENGTH_MAX or not spec.name.isprintable():
        raise InvalidInput(
            f"the name {spec.name[:40]!r} cannot be used",
            where="name",
            expected=f"1 to {NAME_LENGTH_MAX} printable characters",
        )
    _require_between("pods", spec.pods, 1, policy.limits.gpus_per_workload, RefusalCode.INVALID_GPUS)
    _require_between("gpus_per_pod", spec.pod.gpus, 1, GPUS_PER_POD_MAX, RefusalCode.INVALID_GPUS)
    _require_between("gpus", spec.gpus, 1, policy.limits.gpus_per_workload, RefusalCode.INVALID_GPUS)
    _require_between("cpu_milli", spec.pod.cpu_milli, 0, CPU_MILLI_MAX, RefusalCode.INVALID_VALUE)
    _require_between("memory_mib", spec.pod.memory_mib, 0, MEMORY_MIB_MAX, RefusalCode.INVALID_VALUE)
    _require_between("grace_seconds", spec.grace_seconds, 0, GRACE_SECONDS_MAX, RefusalCode.INVALID_VALUE)
    if spec.min_pods is not None:
        if spec.kind is not WorkloadKind.JOB:
            raise InvalidInput("only a job is elastic", where="min_pods", code=RefusalCode.INVALID_MIN_PODS)
        _require_between("min_pods", spec.min_pods, 1, spec.pods, RefusalCode.INVALID_MIN_PODS)
    if spec.kind is WorkloadKind.SANDBOX and spec.pods != 1:
        raise InvalidInput("a sandbox is one pod", where="pods", code=RefusalCode.INVALID_GPUS, expected="1")


def _require_between(field: str, value: int, least: int, most: int, code: RefusalCode) -> None:
    if not least <= value <= most:
        raise InvalidInput(
            f"{field} is {value}", where=field, code=code, expected=f"a whole number from {least} to {most}"
        )


def _require_time_limit(spec: WorkloadSpec, tier: Tier, policy: Policy) -> None:
    if spec.time_limit_ms < MS_PER_SECOND:
        raise InvalidInput(
            f"the time limit is {spec.time_limit_ms} ms",
            where="time_limit",
            code=RefusalCode.INVALID_TIME_LIMIT,
            expected="at least one second",
        )
    longest = min(policy.limits.time_limit_max_ms, tier.time_limit_max_ms or policy.limits.time_limit_max_ms)
    if spec.time_limit_ms > longest:
        raise InvalidInput(
            f"the time limit of {spec.time_limit_ms / MS_PER_HOUR:.1f} h is longer than you may ask for",
            where="time_limit",
            code=RefusalCode.TIME_LIMIT_TOO_LONG,
            expected=f"at most {longest / MS_PER_HOUR:.1f} h",
            remedy="ask for less, write checkpoints, and extend it while it runs",
        )


def _require_project(spec: WorkloadSpec, owner: Engineer, policy: Policy) -> None:
    """A project is its team's: nobody else spends its hours."""
    if spec.project is None:
        return
    project = policy.projects.get(spec.project)
    if project is not None and project.team != owner.team:
        own = ", ".join(sorted(p.name for p in policy.projects.values() if p.team == owner.team))
        raise NotPermitted(
            f"the project {spec.project} is of the team {project.team}, you are of {owner.team}",
            where="project",
            code=RefusalCode.ALLOWANCE_FOREIGN,
            expected=f"one of {own}" if own else "a project of your team",
            remedy="name a project of your team, or submit it as personal",
        )
    if project is None:
        raise NotFound(
            f"there is no project {spec.project!r}",
            where="project",
            code=RefusalCode.UNKNOWN_PROJECT,
            expected="one of " + ", ".join(sorted(policy.projects)) if policy.projects else "",
            remedy="name one of these, or submit it as personal",
        )


def _require_priority_class(spec: WorkloadSpec, tier: Tier, policy: Policy) -> PriorityClass:
    priority_class = policy.priority_classes.get(spec.priority_class)
    if priority_class is None:
        raise NotFound(
            f"there is no priority class {spec.priority_class!r}",
            where="priority_class",
            code=RefusalCode.UNKNOWN_PRIORITY_CLASS,
            expected="one of " + ", ".join(sorted(policy.priority_classes)),
        )
    if tier.priority_classes is not None and spec.priority_class not in tier.priority_classes:
        raise NotPermitted(
            f"the tier {tier.name} may not use the priority class {spec.priority_class}",
            where="priority_class",
            code=RefusalCode.PRIORITY_CLASS_NOT_ALLOWED,
            expected="one of " + ", ".join(sorted(tier.priority_classes)),
        )
    if not priority_class.is_for(spec.kind):
        open_to_it = sorted(
            name
            for name, each in policy.priority_classes.items()
            if each.is_for(spec.kind) and (tier.priority_classes is None or name in tier.priority_classes)
        )
        raise NotPermitted(
            f"the priority class {spec.priority_class} is not for a {spec.kind.value}",
            where="priority_class",
            code=RefusalCode.PRIORITY_CLASS_NOT_ALLOWED,
            expected="one of " + ", ".join(open_to_it),
        )
    if spec.grace_seconds > priority_class.grace_seconds_max:
        raise InvalidInput(
            f"a grace of {spec.grace_seconds} s is longer than {spec.priority_class} allows",
            where="grace_seconds",
            expected=f"at most {priority_class.grace_seconds_max}",
        )
    return priority_class


def _opened(tier: Tier, balances: Iterable[AllowanceBalance], now: Instant) -> Tier:
    """The tier with the classes that an award to this person names beside it: who was given hours on a class may use
    them."""
    if tier.gpu_classes is None:
        return tier
    awarded: frozenset[GpuClassName] = frozenset()
    for allowance in (balance.allowance for balance in balances):
        is_own = allowance.holder.kind is HolderKind.ENGINEER and allowance.source is not AllowanceSource.TIER
        if is_own and allowance.gpu_classes is not None and allowance.is_open_at(now):
            awarded |= allowance.gpu_classes
    return replace(tier, gpu_classes=tier.gpu_classes | awarded)


def _require_gpu_classes(spec: WorkloadSpec, tier: Tier, policy: Policy) -> list[GpuClass]:
    if not spec.gpu_classes:
        raise InvalidInput("no GPU class was named", where="gpu_classes", expected=_one_or_more(policy.gpu_classes))
    for name in spec.gpu_classes:
        if name not in policy.gpu_classes:
            raise NotFound(
                f"there is no GPU class {name!r}",
                where="gpu_classes",
                code=RefusalCode.UNKNOWN_GPU_CLASS,
                expected=_one_or_more(policy.gpu_classes),
            )
        if tier.gpu_classes is not None and name not in tier.gpu_classes:
            raise NotPermitted(
                f"the tier {tier.name} may not use the GPU class {name}",
                where="gpu_classes",
                code=RefusalCode.GPU_CLASS_NOT_ALLOWED,
                expected=_one_or_more(tier.gpu_classes),
            )
    if len(set(spec.gpu_classes)) < len(spec.gpu_classes):
        raise InvalidInput(
            "a GPU class is named twice: " + ", ".join(spec.gpu_classes), where="gpu_classes", expected="each once"
        )
    return [policy.gpu_classes[name] for name in spec.gpu_classes]


def _one_or_more(gpu_classes: Iterable[GpuClassName]) -> str:
    return "one or more of " + ", ".join(sorted(gpu_classes))


def _require_image(spec: WorkloadSpec, policy: Policy) -> None:
    if spec.kind is WorkloadKind.BOOKING:
        return  # it runs nothing itself
    allowed = policy.sandbox.images if spec.kind is WorkloadKind.SANDBOX else policy.images
    if spec.image and not image_is_allowed(spec.image, allowed):
        raise NotFound(
            f"the image {spec.image!r} is not on the policy's list",
            where="image",
            code=RefusalCode.UNKNOWN_IMAGE,
            expected="one of " + ", ".join(allowed),
            remedy="ask an operator to add it",
        )
    if not spec.image:
        raise InvalidInput("no image was named", where="image", expected="one of " + ", ".join(allowed))


def _require_limits(spec: WorkloadSpec, tier: Tier, policy: Policy) -> None:
    limits = [most for most in (tier.gpus_max, policy.limits.gpus_per_engineer) if most is not None]
    if limits and spec.at_minimum.gpus > min(limits):
        raise Exhausted(
            f"{counted(spec.at_minimum.gpus, 'GPU is', 'GPUs are')} more than you may run at once",
            where="gpus",
            code=RefusalCode.GPU_LIMIT,
            expected=f"at most {min(limits)}",
        )


def _require_payer(
    spec: WorkloadSpec, classes: list[GpuClass], balances: Iterable[AllowanceBalance], now: Instant
) -> None:
    """Somebody's allowance must be of the kind that pays for this. That it is short now is a verdict, not a refusal."""
    known = list(balances)
    if any(payers(known, spec, gpu_class.name, now) for gpu_class in classes):
        return
    work = "personal work" if spec.project is None else f"the project {spec.project}"
    expired = [b for b in known if b.allowance.expires_at is not None and b.allowance.expires_at <= now]
    raise Exhausted(
        f"no allowance of yours pays for {work} on {' or '.join(spec.gpu_classes)}",
        code=RefusalCode.ALLOWANCE_EXPIRED if expired and len(expired) == len(known) else RefusalCode.ALLOWANCE_SHORT,
        remedy="see `allot balance`; ask for a grant, or use compensation with --use-compensation",
    )
