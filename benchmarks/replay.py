"""A year of a company in virtual time: how long `allot simulate replay` needs for it, and for what.

    python -m benchmarks.replay [--days 30] [--workloads 41095] [--queued-per-engineer 10000] [--tiers-by-need]
                                [--json] [--profile]

1,000 engineers in twenty teams, 1,200 nodes with 3,200 GPUs of three classes, and 500,000 workloads in a year from
the synthetic generator. The goal is a year (`--days 365`) in under two minutes; without `--days` it is a month of it,
with its share of the goal. **The goal is missed.**

**Two companies.** With `--tiers-by-need` everybody is in the smallest tier that pays a tenth more than they ask for
in a month, and two larger tiers are there for the few who ask for most. Some 360 workloads wait on average, none are
refused, and the year takes 238 s of processor. Without it tiers are given by chance. Whoever asks for most then asks
for six times the largest tier's allowance all year and takes nothing back, so that their queue grows from month to
month, up to the 10,000 that a policy allows which says nothing else; the year takes 566 s. Where a policy lets a
hundred of an engineer's wait, as Slurm's sites do with MaxSubmitJobs (`--queued-per-engineer 100`), a fifth of the
500,000 are refused, and the year takes 201 s (c480e5c3). The machine had other work beside both years, which made
them dearer by some percent.

**Where the time goes.** In both, less than a quarter of the GPUs is in use on most days, and hardly anybody waits for
room: who waits, waits for hours that are spent, or at the limit of GPUs per engineer. Then a workload costs 0.4 ms,
in 1,360 calls of which no function has 4 %. By need, of 410 µs (12 days at 85799935): 250 a step of the decision
(serving 81, taking in changes 79, judging lines 39, telling lanes 27), 26 carrying the plan out, 88 the ends and
renewals (settling 40), 24 submissions. Cycles are a quarter of all: with one each ten minutes instead of each minute,
310 µs would be left. docs/adr/0029-not-compiled.md tells what else was tried.

**First days of months** cost more than their share where tiers are by chance. Thousands can pay at once then, the
cluster is full, and whoever is at the limit of GPUs and ends something has hundreds of lines that fit again, of which
one starts; some 440 are looked up in a cycle. The first of the second month takes 3 s of processor, that of the third
6, that of the fourth 16 (b9a29878, on a busy machine; a usual day 0.5). When the first of each lane was let in, served
and taken out again, and the others were told of the limit anew, these took 5, 12 and 23 s (7d2ccd4e, on a quiet one).

**Where GPUs are short** a workload costs ten times as much, most of it in looking for somebody to preempt. Two days
of the example policies (`allot simulate replay --busy 2.5 --days 2`) take 44 s of processor under `generous` (seed
2), 13 s under `conservative` (seed 2) and 11 s under `example` (seed 1; all at c58ae12a); `generous` with seed 1
takes 20 s (155acd56). Where quota is short and room is not, that looking ends early: with 1,000 engineers on 1,200
nodes of which the pools of `policies/example.yaml` may use a fifth (`--engineers 1000 --workloads 2700 --days 2
--cycle 60s --nodes FILE`), two days take 10 s (af42e725).

Making the work and replaying it are timed apart; a cycle comes at most once a minute (`--cycle` of the command). What
is given as seconds is processor time too, because a busy machine tells little by its clock.
"""

import argparse
import cProfile
import pstats
import resource
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import perf_counter, process_time
from typing import Any

import orjson

from benchmarks.measured import keep
from scheduler.adapters.policy_files import read_policy
from scheduler.domain.cluster import Node
from scheduler.domain.people import Engineer
from scheduler.domain.policy import Policy
from scheduler.domain.units import MS_PER_MINUTE, GpuClassName, Instant, NodeName
from scheduler.simulation.replay.cluster import PRODUCT
from scheduler.simulation.replay.collecting import collecting_seldom
from scheduler.simulation.replay.company import Company
from scheduler.simulation.replay.engine import Outcome, Replay, Tempo
from scheduler.simulation.replay.measures import Window
from scheduler.simulation.replay.report import report
from scheduler.simulation.replay.submissions import Stream
from scheduler.simulation.replay.synthetic import synthetic

ENGINEERS = 1000
TEAMS = 20
GOAL_SECONDS = 120
QUEUED_PER_ENGINEER = 10_000
"""What a policy allows that does not say: submissions beyond it are refused."""
DAYS_PER_MONTH = 30
NODES = ((GpuClassName("H100"), 400, 4, 64), (GpuClassName("A100"), 400, 2, 40), (GpuClassName("L40S"), 400, 2, 40))
"""GPU class, nodes, GPUs of each, nominal GPUs of each team."""


TIERS = {"staff": 6000, "senior": 3000, "engineer": 1500, "intern": 300}
"""Standard GPU-hours a month; people are in one by chance."""
TIERS_BY_NEED = {"group": 50_000, "principal": 15_000} | TIERS
"""Two more, for those few who ask for most."""


def policy(queued_per_engineer: int = QUEUED_PER_ENGINEER, tiers: Mapping[str, int] = TIERS) -> Policy:
    """Twenty pools that lend to each other, rolling sandboxes, urgent work that may preempt."""
    allowances = "".join(
        f"  {name}: {{allowance_gpu_hours: {hours}{', gpus_max: 8' if name == 'intern' else ''}}}\n"
        for name, hours in tiers.items()
    )
    pools = "".join(
        f"  team-{team:02}:\n    teams: [team-{team:02}]\n    cohort: all\n    quotas: {{"
        + ", ".join(f"{name}: {{nominal_gpus: {nominal}}}" for name, _, _, nominal in NODES)
        + "}\n"
        for team in range(TEAMS)
    )
    projects = "".join(f"  project-{team:02}: {{team: team-{team:02}}}\n" for team in range(TEAMS))
    return read_policy(
        "version: 1\nperiod: month\ndefault_priority_class: standard\n"
        "gpu_classes:\n  H100: {weight_per_mille: 1000, node_selector: {nvidia.com/gpu.product: H100}}\n"
        "  A100: {weight_per_mille: 600, node_selector: {nvidia.com/gpu.product: A100}}\n"
        "  L40S: {weight_per_mille: 350, node_selector: {nvidia.com/gpu.product: L40S}}\n"
        "priority_classes:\n  urgent: {value: 1000, class_factor_per_mille: 1500, preemptible: false}\n"
        "  sandbox: {value: 800, hold: rolling, slice_minutes: 15, minimum_runtime_minutes: 60}\n"
        "  standard: {value: 500, minimum_runtime_minutes: 30}\n"
        "  off-peak: {value: 100, class_factor_per_mille: 500}\n"
        f"tiers:\n{allowances}"
        f"projects:\n{projects}cohorts: {{all: {{}}}}\npools:\n{pools}"
        "limits: {gpus_per_engineer: 64, gpus_per_workload: 64, "
        f"queued_per_engineer: {queued_per_engineer}}}\n",
        "benchmark",
    )


def nodes() -> list[Node]:
    return [
        Node(
            NodeName(f"{name.lower()}-{number:04}"), name, gpus, gpus * 16_000, gpus * 131_072, labels={PRODUCT: name}
        )
        for name, count, gpus, _ in NODES
        for number in range(count)
    ]


def measure(
    days: int, workloads: int, queued_per_engineer: int = QUEUED_PER_ENGINEER, *, is_by_need: bool = False
) -> tuple[dict[str, Any], Outcome]:
    """Make the work, replay it, report it."""
    terms, cluster = policy(queued_per_engineer, TIERS_BY_NEED if is_by_need else TIERS), nodes()
    people = Company(terms, 1).people(ENGINEERS)
    if is_by_need:
        people = _in_tiers_by_need(people, _stream(terms, people, days, workloads), terms, days)
    began = perf_counter(), process_time()
    stream = _stream(terms, people, days, workloads)
    made = perf_counter(), process_time()
    outcome = _replay(terms, cluster, stream)
    replayed = perf_counter(), process_time()
    told = report(stream, [outcome])["policies"][0]
    return {
        "days": days,
        "engineers": ENGINEERS,
        "workloads": len(stream.submissions),
        "queued_per_engineer": queued_per_engineer,
        "tiers": "by need" if is_by_need else "by chance",
        "refused": sum(outcome.measures.refusals.values()),
        "nodes": len(cluster),
        "gpus": sum(node.gpus for node in cluster),
        "making_seconds": round(made[0] - began[0], 1),
        "making_cpu_seconds": round(made[1] - began[1], 1),
        "replay_seconds": round(replayed[0] - made[0], 1),
        "replay_cpu_seconds": round(replayed[1] - made[1], 1),
        "goal_seconds": round(GOAL_SECONDS * workloads / 500_000, 1),
        "microseconds_per_workload": round((replayed[1] - made[1]) * 1e6 / max(1, len(stream.submissions))),
        "cycles": outcome.cycles,
        "utilisation": told["utilisation"]["mean"],
        "mean_queue": told["queue"]["mean_workloads"],
        "preemptions": told["preemptions"]["count"],
        "transactions": outcome.books.transactions,
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }, outcome


def _stream(terms: Policy, people: Sequence[Engineer], days: int, workloads: int) -> Stream:
    return synthetic(terms, people, nodes(), seed=1, days=days, workloads=workloads)


def _in_tiers_by_need(people: Sequence[Engineer], stream: Stream, terms: Policy, days: int) -> list[Engineer]:
    """Each in the smallest tier whose allowance is a tenth more than what they ask for in a month, as a company pays its
    people; in the largest, whoever asks for more than that."""
    asked: Counter[str] = Counter()  # standard GPU-milliseconds a month, of the class that each wants most
    for each in stream.submissions:
        spec = each.spec
        per_mille = (
            terms.gpu_classes[spec.gpu_classes[0]].weight * terms.priority_classes[spec.priority_class].class_factor
        )
        run_ms = min(each.run_ms, spec.time_limit_ms)
        asked[each.owner] += spec.gpus * run_ms * per_mille // 1_000_000 * DAYS_PER_MONTH // days
    tiers = sorted(terms.tiers.values(), key=lambda tier: tier.allowance)
    enough = {who: next((t for t in tiers if t.allowance * 10 >= asked[who] * 11), tiers[-1]).name for who in asked}
    return [replace(engineer, tier=enough.get(engineer.id, tiers[0].name)) for engineer in people]


def _replay(terms: Policy, cluster: list[Node], stream: Stream) -> Outcome:
    window = Window(stream.submissions[0].at, Instant(stream.submissions[-1].at + 1))
    with collecting_seldom():
        return Replay(terms, cluster, stream, Tempo(cycle_ms=MS_PER_MINUTE), window).run(_nobody_looks)


def _nobody_looks(taken_in: int, now: Instant) -> None:
    """Progress that nobody reads."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--workloads", type=int, help="by default 500,000 a year")
    parser.add_argument(
        "--queued-per-engineer",
        type=int,
        default=QUEUED_PER_ENGINEER,
        help="how much of an engineer may wait (default: %(default)s)",
    )
    parser.add_argument("--tiers-by-need", action="store_true", help="who asks for more is paid more")
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    parser.add_argument("--profile", action="store_true", help="where the time goes; nothing is kept")
    options = parser.parse_args()
    workloads = options.workloads or 500_000 * options.days // 365
    if options.profile:
        profile = cProfile.Profile()
        profile.runcall(
            measure, options.days, workloads, options.queued_per_engineer, is_by_need=options.tiers_by_need
        )
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
        return
    measured = measure(options.days, workloads, options.queued_per_engineer, is_by_need=options.tiers_by_need)[0]
    name = "replay" if options.days == 365 else f"replay-{options.days}-days"
    if options.queued_per_engineer != QUEUED_PER_ENGINEER:
        name += f"-queued-{options.queued_per_engineer}"
    if options.tiers_by_need:
        name += "-by-need"
    kept = keep(name, measured)
    if options.json:
        print(orjson.dumps(kept).decode())
        return
    for name, value in kept.items():
        print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
