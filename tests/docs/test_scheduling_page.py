"""The worked examples of docs/scheduling.md, computed by the code that decides."""

import re
from collections import defaultdict
from dataclasses import replace

from scheduler.decision.decide import decide, step
from scheduler.decision.ordering.queue import STANDING
from scheduler.decision.state import State
from scheduler.domain.allowances import AllowanceBalance
from scheduler.domain.consolidation import ConsolidationTerms
from scheduler.domain.periods import PeriodLength, period_at
from scheduler.domain.policy import Project
from scheduler.domain.topology import LevelName, TopologyLevel, topology_ask
from scheduler.domain.units import (
    MS_PER_DAY,
    MS_PER_HOUR,
    MS_PER_MINUTE,
    Instant,
    PerMille,
    ProjectName,
    TeamName,
    WorkloadId,
)
from scheduler.domain.usage import reordering_at
from scheduler.domain.workloads import ElasticTerms
from tests.decision.applying import recorded, workload_of
from tests.decision.builders import (
    NOW,
    SPARE,
    STANDARD,
    URGENT,
    attempt,
    balance,
    cold,
    everything,
    node,
    nodes,
    policy,
    pool,
    reasons,
    snapshot,
    victims,
    workload,
)
from tests.docs.markdown import ROOT, read

PAGE = read(ROOT / "docs/scheduling.md")
CLASSES = {each.name: each for each in (SPARE, STANDARD, URGENT)}


def table(chapter: str) -> list[dict[str, str]]:
    """The first table of a chapter's example, row by row."""
    example = PAGE.split(f"\n## {chapter}\n")[1].split("\n### Example\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in example.splitlines()
        if line.startswith("|") and not re.fullmatch(r"[|-]+", line)
    ]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def in_band(owner: str, band: int) -> AllowanceBalance:
    """Hours such that the owner's pace is in the middle of that band now."""
    period = period_at(NOW, PeriodLength.MONTH, "UTC")
    time_left = (period.ends_at - NOW) / (period.ends_at - period.starts_at)
    pace = (band * 200 + 100 - 1000) / 1000
    return balance(owner, 1_000_000 * (time_left + pace), granted=1_000_000)


def test_the_example_of_consolidation_moves_whom_it_says() -> None:
    rows = table("Consolidation")
    running = [
        attempt(
            row["job"],
            row["node"],
            gpus=int(row["GPUs"]),
            checkpointed_at=Instant(NOW - int(row["last checkpoint"].removesuffix(" min ago")) * MS_PER_MINUTE),
        )
        for row in rows
    ]
    terms = ConsolidationTerms(frozenset({STANDARD.name}), lost_max=MS_PER_HOUR)
    world = snapshot(
        nodes(*(node(name) for name in sorted({row["node"] for row in rows}))),
        [workload("whole", gpus=8)],
        by=replace(policy(), consolidation=terms),
        attempts=running,
        launched={each.workload_id: workload_of(each) for each in running},
        balances=[balance("ada"), balance("bob")],
    )

    moved = {
        move.workload_id: f"moved to {move.placement.pods_by_node[0][0]}"
        for preemption in decide(world).preemptions
        for move in preemption.moves
    }
    assert {row["job"]: row["what becomes of it"] for row in rows} == {
        row["job"]: moved.get(WorkloadId(row["job"]), "stays") for row in rows
    }


def test_the_example_of_growing_old_does_so_on_those_days() -> None:
    rows, begins = table("Growing old"), reordering_at(NOW)
    comes_on: dict[int, list[str]] = defaultdict(list)
    for row in rows:
        comes_on[int(row["submitted on day"])].append(row["workload"])
    world = snapshot(nodes(node("n1", accepts_work=False)), by=policy(pool("red")), now=begins)
    seen: dict[str, dict[str, str]] = defaultdict(lambda: {"grows old from day": "–", "goes first from day": "–"})
    for day in range(20):
        now = Instant(begins + day * MS_PER_DAY)
        fresh = [workload(name, owner=name[:3], ages_from=None) for name in comes_on[day]]
        queued = {**world.queued, **{each.id: replace(each, submitted_at=now) for each in fresh}}
        if day == 4:
            del queued[WorkloadId("ada-1")]
        world = replace(world, now=now, queued=queued)
        state, plan = step(State(), everything(world), now)
        seen |= {name: {**seen[name], "grows old from day": str(day)} for name in plan.ageing}
        for name in world.queued:
            if seen[name]["goes first from day"] == "–" and _is_old(state, name):
                seen[name]["goes first from day"] = str(day)
        world = recorded(world, plan)

    assert {row["workload"]: {key: row[key] for key in seen[row["workload"]]} for row in rows} == seen
    assert state.queue()[:4] == ["ada-2", "ada-3", "bob-1", "ada-4"]


def _is_old(state: State, name: WorkloadId) -> bool:
    known = state.explain(name)
    return known is not None and known.is_aged


def test_the_example_of_the_order_is_in_that_order() -> None:
    rows = table("Order")
    atlas = Project(ProjectName("atlas"), TeamName("red"), PerMille(2000))
    rules = replace(policy(pool("red", gpus=64)), projects={atlas.name: atlas})
    queued = [
        workload(
            row["workload"],
            owner=row["workload"],
            priority_class=CLASSES[row["class"]],  # type: ignore[index] # a name as read
            project=row["project"] if row["project"] != "–" else None,
            age=int(row["waited"].removesuffix(" h")) * MS_PER_HOUR // 1000,
        )
        for row in rows
    ]
    bands = {row["workload"]: int(row["band of the owner's pace"]) for row in rows}
    balances = [in_band(owner, band) for owner, band in bands.items()]
    state = cold(snapshot({}, queued, by=rules, balances=balances))

    assert state.queue() == [row["workload"] for row in rows]
    for row in rows:
        explained = state.explain(WorkloadId(row["workload"]))
        assert explained is not None
        assert str(explained.priority) == row["value"]
        standing = explained.standing * 1000 // STANDING
        assert explained.is_aged or (9 - (explained.place or 0), str(standing)) == (
            bands[row["workload"]],
            row["standing"],
        )


def test_the_example_of_preemption_falls_as_it_says() -> None:
    rows = table("Preemption")
    running = [
        attempt(
            row["attempt"],
            "n1",
            gpus=int(row["GPUs"]),
            priority_class=CLASSES[row["class"]],  # type: ignore[index] # a name as read
            is_funded=row["launched as"] == "funded",
            checkpointed_at=Instant(NOW - int(row["minutes since its checkpoint"]) * MS_PER_MINUTE),
        )
        for row in rows
    ]
    plan = decide(snapshot(nodes(node("n1")), [workload("w", gpus=4, priority_class=URGENT)], attempts=running))
    assert sorted(victims(plan)["w"]) == sorted(row["attempt"] for row in rows if row["falls"] == "yes")


def test_the_example_of_elastic_jobs_shrinks_and_stops_as_it_says() -> None:
    elastic = replace(attempt("elastic", {"n1": 6}), elastic=ElasticTerms(2, 6))
    running = [elastic, attempt("lesser", {"n1": 2}, priority_class=SPARE)]
    for row in table("Elastic jobs"):
        urgent = workload("w", gpus=int(row["urgent asks for"]), priority_class=URGENT)
        plan = decide(snapshot(nodes(node("n1")), [urgent], attempts=running))
        (preemption,) = plan.preemptions
        left = {victim.workload_id: victim.pods_left or "stopped" for victim in preemption.victims}
        assert str(left.get(WorkloadId("elastic"))) == row["elastic goes on with"]
        assert str(left.get(WorkloadId("lesser"), "runs")) == row["lesser"]


def test_the_example_of_reservations_starts_what_it_says() -> None:
    rows = table("Reservations")
    queued = [
        workload(row["workload"], gpus=int(row["GPUs"]), hours=int(row["time limit in minutes"]) / 60, age=60 - place)
        for place, row in enumerate(rows)
    ]
    running = attempt("r", "n1", gpus=4, running_for=0, priority_class=URGENT)
    plan = decide(snapshot(nodes(node("n1")), queued, attempts=[running]))
    assert reasons(plan) == {row["workload"]: row["verdict"] for row in rows}


def test_the_example_of_the_topology_goes_where_it_says() -> None:
    example = PAGE.split("\n## Topology\n")[1].split("\n### Example\n")[1].split("\n## ")[0]
    places, asked = (
        [[cell.strip() for cell in row.strip("|").split("|")] for row in rows.splitlines() if row.startswith("|")][2:]
        for rows in re.split(r"\n\n(?=\| pods)", example)
    )
    levels = tuple(TopologyLevel(LevelName(name), name) for name in ("block", "rack"))
    known = nodes(*(node(name, 4, labels={"block": block, "rack": rack}) for name, block, rack in places))
    for pods, ask, goes_to in asked:
        gang = workload("gang", gpus=4, pods=int(pods))
        gang = replace(gang, spec=replace(gang.spec, topology=topology_ask(ask)))
        plan = decide(snapshot(known, [gang], by=replace(policy(pool("red", gpus=64)), topology=levels)))
        if not plan.launches:
            evidence = plan.verdicts[0].evidence
            assert goes_to == f"refused: the largest, {evidence['domain']}, holds {evidence['fitting']}"
        else:
            assert ", ".join(name for name, _ in plan.launches[0].placement.pods_by_node) == goes_to
