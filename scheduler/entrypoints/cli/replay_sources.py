"""What `allot simulate replay` is given: policies, a described cluster, people, and one stream of work."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scheduler.adapters.cluster_files import read_cluster
from scheduler.adapters.policy_files import check_people, check_prices, read_bytes, read_people, read_policy
from scheduler.domain.cluster import Node
from scheduler.domain.errors import InvalidInput, RefusalCode
from scheduler.domain.people import Engineer
from scheduler.domain.policy import Policy
from scheduler.domain.units import EngineerId, GpuClassName, PriorityClassName
from scheduler.entrypoints.cli.bad_rows import BadRows
from scheduler.simulation.replay.adopting import Adopter, Names, TraceJob
from scheduler.simulation.replay.cluster import openb_cluster, quota_cluster, under
from scheduler.simulation.replay.company import Company
from scheduler.simulation.replay.openb_work import openb_work
from scheduler.simulation.replay.slurm_work import slurm_work
from scheduler.simulation.replay.submissions import Stream
from scheduler.simulation.replay.synthetic import synthetic
from scheduler.simulation.traces.history import read_history
from scheduler.simulation.traces.openb import read_nodes, read_pods
from scheduler.simulation.traces.sacct import read_jobs

YAML = {".yaml", ".yml"}


@dataclass(frozen=True, slots=True)
class Synthetic:
    """How much the generator makes."""

    days: int
    workloads: int | None
    engineers: int
    busy: float
    seed: int


@dataclass(frozen=True, slots=True)
class Files:
    """Where the work comes from, if not from the generator."""

    pods: Sequence[Path] = ()
    sacct: Sequence[Path] = ()
    history: Path | None = None


def read_policies(paths: Sequence[Path]) -> list[Policy]:
    """Every policy file, and of a folder all that are no people directory and no price book. Names are made unlike."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = sorted(each for each in path.iterdir() if each.suffix in YAML)
            kept = [each for each in found if not _stands_beside(each)]
            if not kept:
                raise InvalidInput(
                    f"{path} holds no policy",
                    where="--policy",
                    code=RefusalCode.INVALID_POLICY,
                    expected="YAML files",
                )
            files += kept
        else:
            files.append(path)
    policies: list[Policy] = []
    for file in files:
        stem = file.stem
        name = stem if all(known.name != stem for known in policies) else f"{stem} ({len(policies) + 1})"
        policies.append(replace(read_policy(read_bytes(file), str(file)), name=name))
    return policies


def _stands_beside(file: Path) -> bool:
    """People or prices."""
    content = read_bytes(file)
    return not check_people(content, EngineerId)[1] or not check_prices(content, str(file))[1]


def read_names(gpu_classes: Sequence[str], priority_classes: Sequence[str], policies: Sequence[Policy]) -> Names:
    """What `--gpu-class` and `--priority-class` say of a trace's names."""
    names = Names(
        {model: GpuClassName(name) for model, name in pairs(gpu_classes, "--gpu-class").items()},
        {of: PriorityClassName(name) for of, name in pairs(priority_classes, "--priority-class").items()},
    )
    _require_known(names, policies)
    return names


def _require_known(names: Names, policies: Sequence[Policy]) -> None:
    """A class that is said of a trace's name is one of the policies', of priorities the first's: it puts the work in its
    words. Of no other is any work or node."""
    gpu_classes = sorted({name for policy in policies for name in policy.gpu_classes})
    for option, said, known in (
        ("--gpu-class", names.gpu_classes.values(), gpu_classes),
        ("--priority-class", names.priority_classes.values(), sorted(policies[0].priority_classes)),
    ):
        for name in said:
            if name not in known:
                raise InvalidInput(f"{name!r} is no such class", where=option, expected="one of " + ", ".join(known))


def read_nodes_of(file: Path | None, policy: Policy, bad: BadRows) -> tuple[Node, ...]:
    """The described cluster: YAML groups, or openb's CSV; without a file, one as large as the policy's quotas."""
    if file is None:
        return quota_cluster(policy)
    if file.suffix in YAML:
        return read_cluster(read_bytes(file), str(file))
    return openb_cluster(read_nodes(file, bad))


def read_stream(
    files: Files,
    people_file: Path | None,
    policy: Policy,
    nodes: Sequence[Node],
    names: Names,
    made: Synthetic,
    bad: BadRows,
) -> Stream:
    """The one stream that all policies are replayed on, in the words of the first."""
    classed = under(policy, nodes, names.gpu_classes)
    people: tuple[Engineer, ...] = ()
    if people_file is not None:
        people = read_people(read_bytes(people_file), str(people_file), EngineerId, policy)
    if files.history is not None:
        return read_history(files.history, bad)
    _require_projects(policy)
    if not files.pods and not files.sacct:
        invented = people or Company(policy, made.seed).people(made.engineers)
        return synthetic(
            policy, invented, classed, seed=made.seed, days=made.days, workloads=made.workloads, busy=made.busy
        )
    left_out: Counter[str] = Counter()
    adopter = Adopter(policy, classed, people, names, made.seed, made.engineers)
    pods = (pod for file in files.pods for pod in read_pods(file, bad))
    jobs: list[TraceJob] = list(openb_work(pods, left_out, adopter.changed))
    slurm_jobs, not_counted = read_jobs(files.sacct, policy.time_zone, bad)
    left_out += not_counted
    jobs += slurm_work(slurm_jobs, left_out, adopter.changed)
    kind = " and ".join(name for name, given in (("openb", files.pods), ("Slurm", files.sacct)) if given)
    named = [each.name for each in (*files.pods, *files.sacct)]
    source = {"kind": kind, "files": named, "seed": made.seed}
    return adopter.stream(source, jobs, left_out)


def _require_projects(policy: Policy) -> None:
    if not policy.projects:
        raise InvalidInput(
            f"the policy {policy.name} has no projects: what it grants pays project work alone, so nothing could run",
            where="--policy",
            code=RefusalCode.INVALID_POLICY,
            expected="at least one project of a team that has a pool",
            remedy="add one under `projects`",
        )


def pairs(given: Sequence[str], option: str) -> Mapping[str, str]:
    """`NAME=VALUE` as people type it."""
    read: dict[str, str] = {}
    for pair in given:
        name, separator, value = pair.partition("=")
        if not separator or not name or not value:
            raise InvalidInput(f"{pair!r} cannot be read", where=option, expected="two names with = between them")
        if read.setdefault(name, value) != value:
            raise InvalidInput(
                f"{name!r} is {read[name]!r}, and {value!r}, too", where=option, expected="each name for one class"
            )
    return read
