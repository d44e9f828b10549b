"""What people are told before: what a quote advises (each change that would start sooner, what it asks for, and nothing
that would not), and the warning beyond a soft limit."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from scheduler.decision.decide import step
from scheduler.decision.state import State
from scheduler.domain.allowances import Holder, HolderKind
from scheduler.domain.cluster import GpuClass, Node
from scheduler.domain.errors import Refusal
from scheduler.domain.guards import GuardOf, GuardWindow, SpendGuard
from scheduler.domain.policy import Policy, PriorityClass, Quota
from scheduler.domain.reasons import Reason
from scheduler.domain.units import MS_PER_HOUR, GpuClassName, Instant, NodeName, PerMille, PoolName, PriorityClassName
from scheduler.domain.workloads import AttemptState, Workload, WorkloadKind
from scheduler.lifecycle.running.record import record
from scheduler.lifecycle.views.quote_shapes import QuoteView
from scheduler.lifecycle.views.quotes import quote_view
from scheduler.lifecycle.views.reader import Views
from tests.decision.builders import attempt
from tests.lifecycle.build import FULL, H100, SPOT, Company, job_spec, policy

A100 = GpuClassName("A100")
URGENT = PriorityClass(PriorityClassName("urgent"), 300, class_factor=PerMille(2000))


def rules() -> Policy:
    """Ada's small cluster with a second GPU class at half the weight, and a class above the one she uses."""
    known = policy()
    pool = known.pools[PoolName("research")]
    return replace(
        known,
        gpu_classes={**known.gpu_classes, A100: GpuClass(A100, PerMille(500), (("gpu", "a100"),))},
        priority_classes={**known.priority_classes, URGENT.name: URGENT},
        pools={pool.name: replace(pool, quotas={H100: Quota(H100, 16), A100: Quota(A100, 8)})},
    )


@pytest.fixture
def company() -> Iterator[Company]:
    made = Company(rules())
    yield made
    made.close()


def busy(company: Company, *, of: PriorityClassName = FULL, gpus: int = 4, a100s: int = 0, by: str = "bob") -> None:
    """Somebody's work has so many GPUs of each node for two hours more; and there are so many A100s, all free."""
    owner = company.engineer(by)
    company.grant("ada", 100)
    company.grant("bob", 100)
    if a100s:
        name = NodeName("a0")
        company.world.put_node(name, Node(name, A100, a100s, 64_000, 512_000, labels={"gpu": "a100"}))
    company.world.put_attempts(
        replace(
            attempt(f"r{number}", f"n{number}", owner=owner.id, team="research", pool="research", gpus=gpus),
            gpu_class=H100,
            priority_class=of,
            launched_at=company.now,
            started_at=company.now,
            time_limit_ms=2 * MS_PER_HOUR,
        )
        for number in range(2)
    )


def quoted(company: Company, *queued: Workload, **fields: object) -> QuoteView:
    state = step(State(), company.world.everything(), company.now)[0]
    spec = replace(job_spec(), **fields)  # type: ignore[arg-type]  # by name
    return quote_view(company.world, state, company.engineer("ada"), spec, company.now)


def advised(found: QuoteView) -> list[tuple[str, bool, float]]:
    return [(each.change, each.starts_now, each.asked / MS_PER_HOUR) for each in found.sooner]


def test_another_gpu_class_that_is_free_is_advised_with_what_it_costs(company: Company) -> None:
    busy(company, of=URGENT.name, a100s=8)
    found = quoted(company)
    assert (found.starts_now, found.asked) == (False, 4 * MS_PER_HOUR)
    assert advised(found) == [("GPU class A100", True, 2.0)]


def test_fewer_gpus_are_advised_where_they_fit(company: Company) -> None:
    busy(company, of=URGENT.name, gpus=3)
    assert advised(quoted(company)) == [("1 GPU instead of 2", True, 2.0)]


def test_a_higher_class_is_advised_with_its_price_where_it_would_be_served_sooner(company: Company) -> None:
    busy(company)
    found = quoted(company)
    assert found.asked == 4 * MS_PER_HOUR
    changes = {each.change: each for each in found.sooner}
    urgent = changes["priority class urgent, at 2 times the hours"]
    assert (urgent.asked, urgent.starts_now) == (8 * MS_PER_HOUR, False)
    assert urgent.starts_until == company.now + 30_000, "its victims' grace"


def test_a_higher_class_of_the_same_price_is_advised_without_a_price(company: Company) -> None:
    policy = company.world.require_policy()
    dear = PerMille(2000)
    classes = {name: replace(each, class_factor=dear) for name, each in policy.priority_classes.items()}
    company.world.put_policy(replace(policy, priority_classes=classes))
    busy(company)
    assert "priority class urgent" in {each.change for each in quoted(company).sooner}


@pytest.mark.parametrize(
    ("terms", "asks"),
    [({"kinds": frozenset({WorkloadKind.SANDBOX})}, {}), ({"grace_seconds_max": 60}, {"grace_seconds": 90})],
    ids=["of another kind of work", "with less grace than it asks for"],
)
def test_a_class_that_would_not_take_it_is_not_advised(
    company: Company, terms: dict[str, object], asks: dict[str, object]
) -> None:
    policy = company.world.require_policy()
    for_others = replace(URGENT, **terms)  # type: ignore[arg-type]  # by name
    company.world.put_policy(replace(policy, priority_classes={**policy.priority_classes, URGENT.name: for_others}))
    busy(company)
    advice = [change for change, _, _ in advised(quoted(company, **asks))]
    assert advice
    assert not any("urgent" in change for change in advice)
    with pytest.raises(Refusal, match="urgent"):
        company.submit("ada", priority_class=URGENT.name, **asks)


def test_a_shorter_limit_is_advised_where_it_is_over_before_somebody_ahead_could_start(company: Company) -> None:
    """Eight free GPUs are kept for who waits for all of them, from when what runs ends: in an hour and a half."""
    busy(company, of=URGENT.name, gpus=2, by="ada")
    ahead = company.submit("bob", pods=2, pod=replace(job_spec().pod, gpus=4))
    assert ahead.submitted_at == company.now
    company.now = Instant(company.now + MS_PER_HOUR // 2)
    found = quoted(company)

    assert (found.reason, found.starts_now) == ("Priority", False)
    assert ("a time limit of 1 h 30 min", True, 3.0) in [
        (change, now, asked) for change, now, asked in advised(found)
    ]


def test_an_elastic_job_is_advised_to_be_content_with_fewer_pods(company: Company) -> None:
    busy(company, of=URGENT.name, gpus=3)
    one = replace(job_spec().pod, gpus=1)
    found = quoted(company, pods=8, min_pods=4, pod=one)
    assert advised(found) == [("at least 2 pods instead of 4", True, 16.0)]


def test_what_starts_now_needs_no_advice(company: Company) -> None:
    company.grant("ada", 100)
    found = quoted(company)
    assert (found.starts_now, found.sooner) == (True, ())


def test_what_may_begin_at_once_is_no_later_for_a_cluster_that_has_been_quiet(company: Company) -> None:
    """The last cycle, of which the cluster is known, is as long past as nothing has happened since."""
    company.grant("ada", 100)
    state = step(State(), company.world.everything(), company.now)[0]
    asked = company.engineer("ada"), job_spec(), Instant(company.now + MS_PER_HOUR)
    assert quote_view(company.world, state, *asked).reason == "Launching"


def test_inside_a_booking_it_costs_nothing_beside_the_booking(company: Company) -> None:
    owner = company.engineer("bob")
    made = attempt("bk", "n0", owner=owner.id, team="research", pool="research", gpus=4)
    booking = replace(
        made,
        gpu_class=H100,
        launched_at=Instant(company.now - MS_PER_HOUR),
        time_limit_ms=9 * MS_PER_HOUR,
        grace_seconds=0,
        booking_id=made.workload_id,
        booked_for=job_spec().project,
        state=AttemptState.LAUNCHING,
        started_at=None,
    )
    company.grant("ada", 100)
    company.world.put_attempts([booking])
    found = quoted(company)
    assert (found.starts_now, found.booking_id) == (True, "bk")
    assert (found.asked, found.held, found.payers, found.cost_micro) == (0, 0, (), 0)


def test_what_would_start_unfunded_holds_nothing(company: Company) -> None:
    found = quoted(company, priority_class=SPOT)
    assert (found.starts_now, found.held, found.payers) == (True, 0, ())


def test_elastic_work_is_quoted_with_as_many_pods_as_can_be_paid_for(company: Company) -> None:
    company.grant("ada", 7)
    found = quoted(company, pods=4, min_pods=1, pod=replace(job_spec().pod, gpus=1))
    assert (found.starts_now, found.asked, found.held) == (True, 8 * MS_PER_HOUR, 6 * MS_PER_HOUR)
    assert found.held_pods == 3
    assert quoted(company, pods=2).held_pods is None, "what is not elastic starts with all of its pods"
    assert [payer.quantity for payer in found.payers] == [6 * MS_PER_HOUR]


GUARD = SpendGuard("a day", GuardOf.ENGINEER, GuardWindow.DAY, soft=3 * MS_PER_HOUR, hard=9 * MS_PER_HOUR)


@pytest.mark.parametrize(
    ("gpus", "busy_with", "expected"),
    [(1, 0, ""), (2, 0, "beyond the soft limit of the guard a day"), (2, 4, ""), (5, 0, "")],
    ids=["within it", "beyond it", "beyond it, but not now", "beyond the hard one"],
)
def test_a_quote_mentions_a_soft_limit_that_what_starts_now_goes_beyond(
    gpus: int, busy_with: int, expected: str
) -> None:
    company = Company(replace(rules(), spend_guards=(GUARD,)))
    company.grant("ada", 100)
    if busy_with:
        busy(company, of=URGENT.name, gpus=busy_with)
    found = quoted(company, pod=replace(job_spec().pod, gpus=gpus))
    assert (expected in found.warning, bool(found.warning)) == (True, bool(expected))
    company.close()


def test_who_starts_beyond_a_soft_limit_is_warned_before_the_launch_is_told() -> None:
    company = Company(replace(rules(), spend_guards=(GUARD,)))
    company.grant("ada", 100)
    work = company.submit()
    plan = step(State(), company.world.everything(), company.now)[1]
    assert [launch.workload_id for launch in plan.launches] == [work.id]
    with company.changing() as batch:
        assert record(batch, plan, company.ids.new) == []

    with company.store.reading() as books:
        told = books.verdicts.of_workload(work.id)
    reasons = [verdict.reason for verdict in reversed(told)]
    assert reasons.index(Reason.SPEND_WARNING) < reasons.index(Reason.LAUNCHING)
    warning = next(verdict for verdict in told if verdict.reason is Reason.SPEND_WARNING)
    assert (warning.evidence["limit_hours"], warning.evidence["needed_hours"]) == ("3.0", "4.0")
    company.close()


@pytest.mark.parametrize(
    ("holder", "name"),
    [
        (None, "Grant, of Ada"),
        (Holder(HolderKind.TEAM, "research"), "Grant to research"),
        (Holder(HolderKind.PROJECT, "aurora"), "Grant to aurora"),
    ],
    ids=["a person", "a team", "a project"],
)
def test_a_quote_names_who_would_pay(company: Company, holder: Holder | None, name: str) -> None:
    company.grant("ada", 100, **({} if holder is None else {"holder": holder}))
    assert [payer.name for payer in quoted(company).payers] == [name]


def test_what_is_available_tells_how_much_of_it_is_overdraft(company: Company) -> None:
    balance = company.world.balances[company.grant("ada", 10)]
    plain = quoted(company)
    assert (plain.available, plain.overdraft) == (10 * MS_PER_HOUR, 0)
    below_zero = replace(balance.allowance, overdraft=3 * MS_PER_HOUR)
    company.world.put_balances([replace(balance, allowance=below_zero)])
    assert (quoted(company).available, quoted(company).overdraft) == (13 * MS_PER_HOUR, 3 * MS_PER_HOUR)
    company.world.put_balances([replace(balance, allowance=below_zero, available=-MS_PER_HOUR)])
    assert (quoted(company).available, quoted(company).overdraft) == (2 * MS_PER_HOUR, 2 * MS_PER_HOUR)


def test_what_may_start_on_either_of_two_classes_is_priced_on_each_and_told_of_the_one_with_room_first(
    company: Company,
) -> None:
    """The H100 of its first wish are taken for two hours, all A100 for one: it starts there the sooner, at half the
    weight."""
    busy(company, of=URGENT.name, a100s=8)
    other = attempt("a", "a0", owner=company.engineer("bob").id, team="research", pool="research", gpus=8)
    on_a100 = replace(
        other,
        gpu_class=A100,
        priority_class=URGENT.name,
        launched_at=company.now,
        started_at=company.now,
        time_limit_ms=MS_PER_HOUR,
    )
    company.world.put_attempts([on_a100])
    found = quoted(company, gpu_classes=(H100, A100))

    assert (found.gpu_class, found.asked, found.held) == (A100, 2 * MS_PER_HOUR, 2 * MS_PER_HOUR)
    assert found.starts_until == company.now + MS_PER_HOUR * 3 // 2
    ends = {each.gpu_class: (each.asked, each.starts_until) for each in found.classes}
    assert ends == {
        H100: (4 * MS_PER_HOUR, company.now + 3 * MS_PER_HOUR),
        A100: (2 * MS_PER_HOUR, company.now + MS_PER_HOUR * 3 // 2),
    }
    assert found.starts_from == min(each.starts_from or 0 for each in found.classes)


def test_a_class_that_has_room_only_after_another_is_no_choice(company: Company) -> None:
    busy(company, of=URGENT.name, a100s=8)
    other = attempt("a", "a0", owner=company.engineer("bob").id, team="research", pool="research", gpus=8)
    soon = replace(other, gpu_class=A100, priority_class=URGENT.name, launched_at=company.now, started_at=company.now)
    company.world.put_attempts([replace(soon, time_limit_ms=MS_PER_HOUR // 20)])
    assert [each.gpu_class for each in quoted(company, gpu_classes=(H100, A100)).classes] == [A100]
    assert [each.gpu_class for each in quoted(company).classes] == [H100]


def test_what_work_may_be_charged_is_told_at_the_dearest_of_its_classes_and_then_at_that_on_which_it_runs(
    company: Company,
) -> None:
    busy(company, of=URGENT.name, a100s=8)
    views = Views(company.store, company.world)
    waits = company.submit(gpu_classes=(A100, H100))
    assert views.workload(company.caller("ada"), waits.id, company.now).asked == 4 * MS_PER_HOUR
    plan = step(State(), company.world.everything(), company.now)[1]
    with company.changing() as batch:
        assert record(batch, plan, company.ids.new) == []
    started = views.workload(company.caller("ada"), waits.id, company.now)
    assert (started.gpu_class, started.asked) == (A100, 2 * MS_PER_HOUR)


def test_where_no_start_is_foreseen_every_class_is_priced(company: Company) -> None:
    company.grant("ada", 1)
    found = quoted(company, gpu_classes=(A100, H100))
    assert found.starts_from is None
    prices = [(each.gpu_class, each.asked, each.starts_from) for each in found.classes]
    assert prices == [(A100, 2 * MS_PER_HOUR, None), (H100, 4 * MS_PER_HOUR, None)]
