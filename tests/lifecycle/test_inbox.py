"""The inbox of the cycle: everything in its order, a bounded number of answers at a time, and nothing lost."""

from scheduler.domain.actions import ActionOutcome, ActionResult, TellJob
from scheduler.domain.observations import ClusterChanges
from scheduler.domain.reasons import Reason
from scheduler.domain.units import JobUid
from scheduler.lifecycle.cycle import OUTCOMES_AT_ONCE, Inbox


def answers(count: int) -> list[ActionOutcome]:
    tell = TellJob("allot", "job", JobUid("uid"), Reason.RUNNING, "Running.")
    return [ActionOutcome(tell, ActionResult.DONE, str(number)) for number in range(count)]


def test_a_burst_of_answers_is_taken_in_parts_and_in_its_order() -> None:
    told = answers(2 * OUTCOMES_AT_ONCE + 1)
    inbox = Inbox([ClusterChanges()], list(told))
    parts = [inbox.take() for _ in range(3)]
    assert [len(part.outcomes) for part in parts] == [OUTCOMES_AT_ONCE, OUTCOMES_AT_ONCE, 1]
    assert [outcome for part in parts for outcome in part.outcomes] == told
    assert [len(part.changes) for part in parts] == [1, 0, 0]


def test_what_a_failed_cycle_had_taken_comes_first_again() -> None:
    told = answers(OUTCOMES_AT_ONCE + 2)
    inbox = Inbox([], list(told))
    taken = inbox.take()
    inbox.changes.append(ClusterChanges(is_relist=True))
    inbox.put_back(taken)
    assert (inbox.outcomes, len(inbox.changes)) == (told, 1)
