"""What a quote advises to start sooner is taken when it is submitted, and starts when it was said, in any company."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import step
from scheduler.decision.foreseeing.foreseen import Forecast
from scheduler.decision.state import State
from scheduler.domain.cluster import GpuClass, Node
from scheduler.domain.funding import FundingShare
from scheduler.domain.policy import Policy, PriorityClass, Quota, Tier
from scheduler.domain.units import (
    MS_PER_HOUR,
    GpuClassName,
    NodeName,
    PerMille,
    PoolName,
    PriorityClassName,
    TierName,
)
from scheduler.domain.workloads import WorkloadKind, WorkloadSpec
from scheduler.lifecycle.asking.judge import new_workload
from scheduler.lifecycle.running.record import record
from scheduler.lifecycle.views.quotes import ASKED_ABOUT, alternatives, quote_view
from tests.lifecycle.build import FULL, H100, ROLLING, SPOT, Company, job_spec, policy

A100 = GpuClassName("A100")
EXAMPLES = settings().max_examples // 4
URGENT = PriorityClassName("urgent")


@st.composite
def rules(draw: st.DrawFn) -> Policy:
    """Two GPU classes; a class for sandboxes, and one above all others with its own grace; a tier with its own rights."""
    known, pool = policy(), policy().pools[PoolName("research")]
    urgent = PriorityClass(
        URGENT, 300, PerMille(2000), grace_seconds_max=draw(st.sampled_from([10, 300])), is_preemptible=False
    )
    for_sandboxes = replace(known.priority_classes[ROLLING], kinds=frozenset({WorkloadKind.SANDBOX}))
    tier = Tier(
        TierName("staff"),
        100 * MS_PER_HOUR,
        gpus_max=draw(st.sampled_from([4, 12])),
        gpu_classes=draw(st.sampled_from([None, frozenset({H100})])),
        priority_classes=draw(st.sampled_from([None, frozenset({FULL, SPOT, ROLLING})])),
    )
    return replace(
        known,
        gpu_classes={**known.gpu_classes, A100: GpuClass(A100, PerMille(500), (("gpu", "a100"),))},
        priority_classes={**known.priority_classes, ROLLING: for_sandboxes, URGENT: urgent},
        tiers={tier.name: tier},
        pools={pool.name: replace(pool, quotas={H100: Quota(H100, 8), A100: Quota(A100, 4)})},
    )


@st.composite
def specs(draw: st.DrawFn) -> WorkloadSpec:
    kind = draw(st.sampled_from([WorkloadKind.JOB, WorkloadKind.JOB, WorkloadKind.SANDBOX]))
    is_job = kind is WorkloadKind.JOB
    return replace(
        job_spec(),
        kind=kind,
        image="train:1" if is_job else "notebook:1",
        priority_class=draw(st.sampled_from([FULL, SPOT] if is_job else [FULL, ROLLING])),
        pods=draw(st.integers(1, 2)) if is_job else 1,
        pod=replace(job_spec().pod, gpus=draw(st.sampled_from([1, 2, 4]))),
        time_limit_ms=draw(st.sampled_from([1, 4])) * MS_PER_HOUR,
        grace_seconds=draw(st.sampled_from([5, 30])),
    )


@dataclass(frozen=True)
class Scene:
    """A company's rules; what Bob runs on the two nodes and has waiting, in nobody's way or in everybody's."""

    rules: Policy
    has_a100s: bool
    running: tuple[tuple[int, PriorityClassName, int], ...]
    """On each node so many GPUs of a class, for so many hours."""
    waiting: tuple[int, ...]

    @contextmanager
    def company(self) -> Iterator[Company]:
        made = Company(self.rules)
        try:
            self._fill(made)
            yield made
        finally:
            made.close()

    def _fill(self, company: Company) -> None:
        company.grant("ada", 100)
        paying = company.grant("bob", 500)
        if self.has_a100s:
            name = NodeName("a0")
            company.world.put_node(name, Node(name, A100, 4, 64_000, 512_000, labels={"gpu": "a100"}))
        for number, (gpus, priority_class, hours) in enumerate(self.running):
            if gpus:
                asks = replace(job_spec().pod, gpus=gpus)
                limit_ms = hours * MS_PER_HOUR
                work = company.submit("bob", pod=asks, priority_class=priority_class, time_limit_ms=limit_ms)
                company.launch(work, FundingShare(paying, gpus * limit_ms), node=f"n{number}")
        for gpus in self.waiting:
            company.submit("bob", pod=replace(job_spec().pod, gpus=gpus))
        with company.changing() as batch:  # what waits from here on has been tried
            record(batch, step(State(), company.world.everything(), company.now)[1], company.ids.new)


SCENES = st.builds(
    Scene,
    rules(),
    st.booleans(),
    st.tuples(*[st.tuples(st.integers(0, 4), st.sampled_from([FULL, SPOT]), st.integers(1, 3))] * 2),
    st.lists(st.sampled_from([1, 2]), max_size=2).map(tuple),
)


@given(SCENES, specs())
@settings(max_examples=EXAMPLES, deadline=None)
def test_what_is_advised_is_taken_and_starts_when_it_was_said(scene: Scene, spec: WorkloadSpec) -> None:
    with scene.company() as company:
        ada = company.engineer("ada")
        state = step(State(), company.world.everything(), company.now)[0]
        asked = new_workload(spec, ada, workload_id=ASKED_ABOUT, namespace="", now=company.now)
        found = state.forecast(asked, PerMille(500)) or Forecast.unknown(asked)
        changed = dict(alternatives(company.world, asked, found))
        for each in quote_view(company.world, state, ada, spec, company.now).sooner:
            taken = company.commands.submit(company.caller("ada"), changed[each.change], now=company.now)
            plan = step(State(), company.world.everything(), company.now)[1]
            assert (taken.id in {launch.workload_id for launch in plan.launches}) == each.starts_now, each
            company.commands.cancel(company.caller("ada"), taken.id, now=company.now)
