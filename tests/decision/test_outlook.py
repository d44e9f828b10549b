"""Who has no hope of victims is not searched for: there would be none."""

from hypothesis import given, settings

from scheduler.decision.decide import decide
from scheduler.decision.placing.planned import Planned
from scheduler.decision.preempting.outlook import Outlook
from scheduler.decision.preempting.preemption import find_victims
from scheduler.decision.snapshot import Snapshot
from scheduler.decision.walking.walk import Walk
from scheduler.domain.policy import Cohort, Quota
from scheduler.domain.reasons import Reason
from scheduler.domain.units import CohortName
from tests.decision.builders import (
    H100,
    SPARE,
    URGENT,
    attempt,
    balance,
    cold,
    node,
    nodes,
    placements,
    policy,
    pool,
    reasons,
    snapshot,
    victims,
    workload,
)
from tests.decision.worlds import EXAMPLES, snapshots


@given(snapshots(waiting=4))
@settings(max_examples=EXAMPLES, deadline=None)
def test_who_has_no_hope_would_find_nobody(world: Snapshot) -> None:
    index = cold(world).index
    for lane in [each for each in index.lanes.all() if each.key.is_funded and each.lines]:
        outlook = Outlook(index)
        outlook.expect(lane.key.gpu_classes)
        if not outlook.is_hopeful(lane, lane.priority):
            place, line = min(lane.lines, key=lambda entry: entry[0])
            assert find_victims(outlook, Walk(index).starts.backfill, Planned(), lane, line, place[2]) is None


def test_who_lacks_more_quota_than_everybody_could_give_back_holds_up_nobody_of_its_pool() -> None:
    """There would be room for `large`, were `guest` gone, but nobody lends it quota; so its pool competes by `small`."""
    rules = policy(
        pool("red", gpus=8, cohort="all"),
        pool("blue", cohort="all", quotas={H100: Quota(H100, 8, lending_limit=0)}),
        cohorts=[Cohort(CohortName("all"))],
    )
    guest = attempt("guest", "n2", gpus=8, is_funded=False)
    queue = [
        workload("large", gpus=8, pods=2, priority_class=URGENT),
        workload("small", gpus=8),
        workload("other", gpus=8, owner="bob", team="blue", priority_class=SPARE),
    ]
    given = snapshot(
        nodes(node("n1"), node("n2")), queue, attempts=[guest], balances=[balance(), balance("bob")], by=rules
    )
    plan = decide(given)

    assert list(placements(plan)) == ["small"]
    assert victims(plan) == {"other": ["guest"]}
    assert reasons(plan)["large"] is Reason.QUOTA
