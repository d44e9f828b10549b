"""What a quote says against what is held when that starts, and charged when it ran for its limit or ended before: of
generated work, paid in one or several units, at odd weights and factors, while prices change through the day."""

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.decision.decide import step
from scheduler.decision.state import State
from scheduler.domain.cluster import GpuClass, Node, PodRequest
from scheduler.domain.errors import Exhausted
from scheduler.domain.money import Currency, Micro
from scheduler.domain.observations import PodPhase
from scheduler.domain.policy import Policy, Quota
from scheduler.domain.units import (
    MS_PER_HOUR,
    MS_PER_MINUTE,
    STANDARD_GPU,
    GpuClassName,
    Instant,
    NodeName,
    PerMille,
    PoolName,
    Unit,
    WorkloadId,
    standard_needed,
)
from scheduler.domain.workloads import Attempt, AttemptState, Workload, WorkloadSpec
from scheduler.finance.prices.price_book import OffPeak, PriceBook, Rate, UnitPrice
from scheduler.finance.prices.rating import Rating
from scheduler.ledger.holds import Hold
from scheduler.lifecycle.running.keep import keep_funded
from scheduler.lifecycle.running.limits import enforce_limits
from scheduler.lifecycle.running.record import record
from scheduler.lifecycle.views.quote_shapes import QuoteView
from scheduler.lifecycle.views.quotes import quote_view
from tests.finance.build import BILLING
from tests.lifecycle.build import FULL, H100, ROLLING, SPOT, Company, changes, job_seen, job_spec, pod_seen, policy
from tests.lifecycle.priced import EUR
from tests.lifecycle.test_draws import OF_H100, pay

A100 = GpuClassName("a100")
POOL = PoolName("research")
EXAMPLES = settings().max_examples // 2
"""Each has a database of its own."""


@dataclass(frozen=True, slots=True)
class Case:
    """What there is, and what is asked."""

    resource: str
    """Of the second GPU class: whole GPUs, a MIG profile, or shares of one."""
    weight: int
    factor: int
    grants: tuple[tuple[Unit, int], ...]
    """Unit, and how many hundredths of what the whole job needs."""
    spec: WorkloadSpec
    ran_per_mille: int
    """Of its time limit."""


@st.composite
def cases(draw: st.DrawFn) -> Case:
    pods = draw(st.integers(1, 4))
    spec = replace(
        job_spec(),
        project=None,
        gpu_classes=draw(st.sampled_from([(H100,), (A100,), (H100, A100), (A100, H100)])),
        priority_class=draw(st.sampled_from([FULL, FULL, ROLLING, SPOT])),
        time_limit_ms=draw(st.integers(MS_PER_MINUTE, 5 * MS_PER_HOUR)),
        pods=pods,
        min_pods=draw(st.none() | st.integers(1, pods - 1)) if pods > 1 else None,
        pod=PodRequest(gpus=draw(st.integers(1, 2)), cpu_milli=4000, memory_mib=8000),
    )
    units = st.sampled_from([STANDARD_GPU, STANDARD_GPU, OF_H100, EUR])
    return Case(
        draw(st.sampled_from(["nvidia.com/gpu", "nvidia.com/mig-1g.10gb", "nvidia.com/gpu.shared"])),
        draw(st.integers(1, 2500)),
        draw(st.integers(1, 2500)),
        tuple(draw(st.lists(st.tuples(units, st.integers(1, 150)), max_size=3))),
        spec,
        draw(st.just(1000) | st.integers(1, 1000)),
    )


def rules(case: Case) -> Policy:
    known = policy()
    classes = {**known.gpu_classes, A100: GpuClass(A100, PerMille(case.weight), (("gpu", "a100"),), case.resource)}
    priorities = {
        name: replace(each, class_factor=PerMille(case.factor)) for name, each in known.priority_classes.items()
    }
    pool = replace(known.pools[POOL], quotas={H100: Quota(H100, 8), A100: Quota(A100, 8)})
    tiers = {name: replace(each, gpus_max=None) for name, each in known.tiers.items()}
    return replace(known, gpu_classes=classes, priority_classes=priorities, pools={POOL: pool}, tiers=tiers)


def prices() -> PriceBook:
    def rate(gpu_class: GpuClassName, micro: int) -> Rate:
        peak, cheap = (UnitPrice(Micro(3 * p), Micro(2 * p), Micro(p)) for p in (micro, micro // 3))
        return Rate(gpu_class, None, Instant(0), None, peak, cheap)

    return PriceBook(
        name="prices",
        hash="1" * 64,
        currency=Currency("EUR"),
        time_zone="UTC",
        rates=(rate(H100, 2_345_677), rate(A100, 999_983)),
        billing=BILLING,
        off_peak=OffPeak(hours=frozenset({12, 15})),
    )


class Asked:
    """One job of a case: quoted, then submitted and, where it starts, run."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.company = Company(rules(case))
        self.world = self.company.world
        self.world.price_book = prices()
        node = Node(NodeName("a0"), A100, 8, 64_000, 512_000, labels={"gpu": "a100"})
        self.world.put_node(node.name, node)
        for number, (unit, hundredths) in enumerate(case.grants):
            pay(self.company, max(1, self._whole(unit) * hundredths // 100), unit, 100 * (number + 1))
        self.world.prices_at(self.company.now)

    def _whole(self, unit: Unit) -> int:
        """What the whole time limit costs in the unit, at most and about."""
        gpu_ms = self.case.spec.gpus * self.case.spec.time_limit_ms
        if unit == EUR:
            return gpu_ms * 2_345_677 // MS_PER_HOUR
        return standard_needed(gpu_ms, PerMille(1000), PerMille(self.case.factor))

    def quote(self) -> QuoteView:
        company = self.company
        state = step(State(), self.world.everything(), company.now)[0]
        return quote_view(self.world, state, company.engineer("ada"), self.case.spec, company.now)

    def launch(self, workload: Workload) -> tuple[Attempt | None, list[Hold]]:
        plan = step(State(), self.world.everything(), self.company.now)[1]
        with self.company.changing() as batch:
            assert record(batch, plan, self.company.ids.new) == []
        attempt = self.world.live_attempt(workload.id)
        return attempt, self.holds(attempt) if attempt is not None else []

    def holds(self, attempt: Attempt) -> list[Hold]:
        with self.company.store.reading() as books:
            return sorted(books.holds.of_attempt(attempt.id), key=lambda each: each.order)

    def run(self, workload: Workload, attempt: Attempt) -> Attempt:
        """For as much of its time limit as the case says, and a round of keeping every ten minutes."""
        company, began = self.company, self.company.now
        company.give_job(workload)
        nodes = [name for name, count in attempt.placement.pods_by_node for _ in range(count)]
        seen = job_seen(workload, active=len(nodes), pods=len(nodes), attempt_id=attempt.id, is_suspended=False)
        pods = [pod_seen(workload, n, node=node, started_at=began) for n, node in enumerate(nodes)]
        company.see(changes(seen, *pods))
        end = Instant(began + max(1, attempt.time_limit_ms * self.case.ran_per_mille // 1000))
        while company.now < end and self._live(workload.id):
            company.now = Instant(min(end, company.now + 10 * MS_PER_MINUTE))
            with company.changing() as batch:
                enforce_limits(batch)
                keep_funded(batch)
        ended = {"phase": PodPhase.SUCCEEDED, "finished_at": company.now, "exit_code": 0}
        gone = [replace(pod, **ended) for pod in pods]  # type: ignore[arg-type]  # by name
        company.see(changes(replace(seen, is_complete=True, active=0), *gone))
        with company.store.reading() as books:
            return books.attempts.of_workload(workload.id)[-1]

    def _live(self, workload_id: WorkloadId) -> bool:
        attempt = self.world.live_attempt(workload_id)
        return attempt is not None and attempt.state is AttemptState.RUNNING


@settings(max_examples=EXAMPLES, deadline=None)
@given(cases())
def test_what_starts_holds_what_it_was_quoted_and_is_charged_no_more(case: Case) -> None:
    asked = Asked(case)
    try:
        quote = asked.quote()
        try:
            workload = asked.company.commands.submit(asked.company.caller("ada"), case.spec, now=asked.company.now)
        except Exhausted:
            return  # nothing that it has pays for it: a quote is refused, too
        attempt, holds = asked.launch(workload)
        assert quote.starts_now == (attempt is not None)
        if attempt is None:
            return
        assert quote.gpu_class == attempt.gpu_class
        assert bool(quote.payers) == attempt.is_funded
        held, promised = [(each.allowance_id, each.amount) for each in holds], _promised(quote)
        assert held == list(promised.items()), "elastic work too, which has room for all that can be paid for"

        gpus = attempt.gpus
        began = asked.company.now
        ended = asked.run(workload, attempt)
        assert ended.charged <= quote.asked
        if attempt.hold_mode == "full":
            charged = [(each.allowance_id, each.charged) for each in asked.holds(ended)]
            assert all(amount <= most for (_, amount), (_, most) in zip(charged, held, strict=True))
        assert quote.cost_micro is not None
        spent = Rating(prices()).parts(
            ended.gpu_class, POOL, gpus, ended.charged_gpu_ms, Instant(asked.company.now - 1)
        )
        assert sum(part.gpu_ms * part.priced.unit.effective for part in spent) // MS_PER_HOUR <= quote.cost_micro
        assert ended.charged_gpu_ms <= gpus * (asked.company.now - began)
    finally:
        asked.company.close()


def _promised(quote: QuoteView) -> dict[str, int]:
    return {each.allowance_id: each.quantity for each in quote.payers}
